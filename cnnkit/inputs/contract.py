"""What the commands ask of a kind of inputs; each overrides what differs.

Design choices:
- The defaults are those of inputs that are read from files of their own, and of which nothing is known but what `sketch` says:
  so a new kind says little.
- A device needs less, and another file has it: `cnnkit.device.kinds.InputKind`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.errors import CnnkitError
from cnnkit.report.record import Record
from cnnkit.reporter import Reporter
from cnnkit.settings import Room
from cnnkit.shown import Shown, Table

SHOWN = 12  # records of `data show`


class Input:
    """What goes into a model.

    Attributes:
        kind: as artifacts name it (`cnnkit.registry`).
        noun: what a record is called, in the plural.
        sound: what `data check` says where it found nothing.
        columns: the settings that say where labels are, and perhaps inputs, so that other data of a run may be read alike.
        size_setting: the setting that makes an input larger; "": there is none.
        record: the words for one in a report.
        rooms: its settings.
    """

    kind = ""
    noun = "records"
    sound = "Nothing found: every file reads."
    columns: tuple[str, ...] = ()
    size_setting = ""
    record = Record()
    rooms: tuple[type[Room], ...] = ()

    # Data -------------------------------------------------------------------------------------------------------------

    def asked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `Recipe.load` is asked for beyond what all kinds of data take.

        Raises:
            ConfigError: a setting that means nothing for these inputs.
        """
        return {}

    def prepares(self, metadata: Mapping[str, Any]) -> bool | None:
        """Return whether data for an artifact is prepared: None, as its card says, or False where it knows no layout."""
        return None

    def shaped(self, splits: Any, settings: Mapping[str, Any]) -> Any:
        """Return splits whose inputs are read as the settings ask for."""
        return splits

    def looked_at(self, splits: Any) -> list[str]:
        """Return what is wrong with training inputs once they are prepared, by a look at some of them."""
        return []

    def taken_over(self, shape: Sequence[int]) -> dict[str, Any]:
        """Return the settings that a run takes over from an earlier one, whose data had this shape."""
        return {}

    def published(self, options: Mapping[str, Any], shape: Sequence[int] | None = None) -> list[Any]:
        """Return the published weights (`cnnkit.models.published`) of the network that options of a builder name.

        For inputs of a shape: those that would be loaded, none where the network takes no such input. None: of any shape.
        """
        return []

    def rows(self, records: Any) -> Any:
        """Return the names of the rows that a model's tables have for these records (`cnnkit.models.axes.Rows`); None: none."""
        return None

    def stated(self, records: Any) -> dict[str, Any]:
        """Return what artifacts say of their input."""
        return {"kind": self.kind, "shape": list(records.input_shape)}

    def write_folds(self, path: Path, records: Any, folds: Sequence[int]) -> None:
        """Write into a run's folder in which fold each record was held out, in a form that other tools read: nothing."""

    def check(self, source: str, progress: Any, looked: list[str], **columns: Any) -> list[Any]:
        """Look for what would spoil training; `looked` takes lines on what was looked at."""
        raise NotImplementedError

    def augmentations(self, own: Any, settings: Any) -> list[Any]:
        """Return what is done to a batch of training, one after the other: the app's own, or None, and what settings add.

        Each is a function (inputs, targets, step) -> (inputs, targets).
        """
        return [] if own is None else [own]

    def suited(self, preset: Mapping[str, Any], records: Any) -> tuple[dict[str, Any], list[str]]:
        """Return a recipe's preset as it suits training records, and lines on what is otherwise in it then."""
        return dict(preset), []

    # Looking ----------------------------------------------------------------------------------------------------------

    def sketch(self, sample: Any) -> str:
        """Return a few words on an input as it is."""
        return f"{np.shape(sample)}"

    def show(self, recipe: Any, splits: Any, settings: Any, out: Path) -> Shown:
        """Return some training records with their targets; or draw samples, and say where."""
        records = splits.train
        indices = chosen(records, settings, SHOWN)
        rows = [
            {
                "name": records.name(index),
                "target": recipe.task.words(target, records.label_names),
                "input": self.sketch(records.native(index)),
            }
            for index, target in zip(indices.tolist(), records.targets(indices), strict=True)
        ]
        return Shown({self.noun: rows}, [Table(["name", "target", "input"], [list(row.values()) for row in rows])])

    def reported(
        self, recipe: Any, settings: Any, splits: Any, artifact: Any, scores: Any, found: Any, targets: Any
    ) -> dict[str, Any]:
        """Return the parts of a report that these inputs bring; as `cnnkit.report.page.render` takes them."""
        from cnnkit import explain
        from cnnkit.report import sections

        return {
            "record": self.record,
            "made": [sections.errors(recipe.task.top_losses(found, targets, splits.test, artifact.labels))],
            "layers": explain.layer_table(artifact.model, artifact.input_shape),
        }

    def explain(
        self,
        recipe: Any,
        artifact: Any,
        inputs: Sequence[Path],
        *,
        layer: str | None,
        folder: Path,
        test: Any,
        prepare: bool | None,
        tell: Reporter,
    ) -> Shown:
        """Show what the model looks at.

        Raises:
            CnnkitError: of these inputs nothing can be shown.
        """
        raise CnnkitError(f"There is nothing to explain in {self.noun}; the layers of the model are in its report.")


def chosen(records: Any, settings: Any, count: int) -> np.ndarray:
    """Choose records to show, by the seed: int (count,), in order."""
    if not len(records):
        raise CnnkitError("There is nothing to show: the training split is empty.")
    return np.sort(np.random.default_rng(settings.seed).permutation(len(records))[:count])

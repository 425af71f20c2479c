"""`explain`: what a model looks at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnkit import opening
from cnnkit.errors import CnnkitError
from cnnkit.reporter import SILENT, Reporter
from cnnkit.run import MODEL, Run
from cnnkit.run_data import data_for, run_of
from cnnkit.verbs.scoring import keras_of


def explain(
    recipe: Any,
    inputs: Sequence[Any] = (),
    *,
    layer: str | None = None,
    out: Path | None = None,
    prepare: bool | None = None,
    data: str | None = None,
    tell: Reporter = SILENT,
) -> Any:
    """Show what the model looks at, in given inputs, or in one of the test split, which is in `data` now.

    Args:
        recipe: of the app.
        inputs: perhaps an artifact, then what is explained.
        layer: whose maps are shown; None: the first and last that have some.
        out: folder of the pictures; None: `explain` in the run.
        prepare: whether inputs are laid out as the app does; None: as the artifact says.
        data: where the run's data is now; None: where it was.
        tell: hears of progress.

    Returns:
        a `cnnkit.shown.Shown`.
    """
    path, rest = opening.split(recipe.app, tuple(inputs), tell)
    artifact = keras_of(Run.open(path, recipe.app).file(MODEL) if path.is_dir() else path, recipe.app)
    run = run_of(path)
    if out is None and run is None:
        raise CnnkitError(f"{path} does not belong to a run folder; name a folder for the pictures with `out`.")
    return recipe.inputs.explain(
        recipe,
        artifact,
        rest,
        layer=layer,
        folder=out or run.path / "explain",  # type: ignore[union-attr]
        test=lambda: _held_out(data_for(recipe, path, data, tell=tell, prepare=prepare).splits),
        prepare=prepare,
        tell=tell,
    )


def _held_out(splits: Any) -> Any:
    """Return the test split; of folds without one, all records, as each was held out once."""
    return splits.train if "folds" in splits.card and not len(splits.test) else splits.test

"""What a device needs to know of a kind of input or of a task; kinds override what differs (`cnnkit.registry` finds them).

Design choices:
- The defaults are those of arrays of numbers, and of a model that answers by one array of numbers: so a new kind says little.
- A device half holds no state: what is special about one file is in its metadata, which are given.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.errors import DataError
from cnnkit.shown import Answers


class InputKind:
    """A kind of input, as a device meets it.

    Attributes:
        name: as metadata have it.
        files: entries of the metadata that are files of their own inside an artifact: (entry, field) by file name.
        given: what `predict` is given, for people.
        worded: whether a `str` is an input itself, and not the name of a file.
        unsaid: whether a file that says nothing of its input is taken for one of this kind.
        demo: folder of what takes and prepares these inputs in a browser (`cnnkit.demo`); None: nothing does.
    """

    name = ""
    demo: Path | None = None
    files: Mapping[str, tuple[str, str]] = {}
    given = "files or folders"
    worded = False
    unsaid = False

    def unnamed(self, metadata: Mapping[str, Any]) -> bool:
        """Whether metadata of an early file, which names no kind of input, are of this one."""
        return False

    def found(self, folder: Path) -> list[Path]:
        """Return the files of this kind in a folder and below it, in order: by default all that are not hidden."""
        every = sorted(folder.rglob("*"))
        return [path for path in every if path.is_file() and not path.name.startswith(".")]

    def read(self, path: Path) -> Any:
        """Read an input as it is, unfitted.

        Raises:
            DataError: it cannot be read.
        """
        raise NotImplementedError

    def samples(self, values: np.ndarray, shape: Sequence[int], stored: bool = False) -> tuple[list[Any], bool]:
        """Return the inputs that an array holds, each as `read` returns one, and whether it was one alone and no batch.

        Args:
            values: an input, or a batch of them along its first axis.
            shape: of the model's input.
            stored: whether the task takes inputs as they are stored, in any range.

        Raises:
            DataError: it is empty, of another shape, or holds what is no number.
        """
        values = numbers(values, f"An input is an array of {len(shape)} axes")
        if values.ndim not in (len(shape), len(shape) + 1):
            raise DataError(
                f"An input is an array of {len(shape)} axes, and a batch has one more. Got an array of {list(values.shape)}."
            )
        return ([values], True) if values.ndim == len(shape) else (list(values), False)

    def needs_app(self, metadata: Mapping[str, Any]) -> bool:
        """Whether inputs cannot be made ready without the app that made the model."""
        return False

    def prepares(self, preparation: Any, metadata: Mapping[str, Any], asked: bool | None) -> Any:
        """Return the app's preparation of inputs where the model wants it, or it is asked for; else None."""
        return None

    def predicts(self) -> Callable[..., Answers] | None:
        """Return what `predict` runs for these inputs, called as `TaskKind.predicts` says; None: the usual."""
        return None

    def answers(self) -> Callable[..., Iterator[dict[str, Any]]] | None:
        """Return what answers these inputs in memory, called as `TaskKind.answers` says; None: the usual."""
        return None

    def windows(self, sample: Any, shape: Sequence[int], preparation: Any = None) -> np.ndarray:
        """Return what a model sees of an input: (m, *shape), of most inputs one; none where there is nothing to see.

        Args:
            sample: as `read` returns it.
            shape: of the model's input.
            preparation: what the app does to it before, where the model wants it; None: nothing.
        """
        raise NotImplementedError

    def dtype(self, precision: str) -> str:
        """Return what the input tensor of a file of this precision holds, as NumPy names it."""
        return "float32"

    def run(self, model: Any, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Return an exported model's outputs for a batch, by name.

        Args:
            model: `cnnkit.device.model.DeviceModel`; `one_by_one` and `together` are there to be used.
            inputs: (n, *shape of the model's input).
        """
        return model.one_by_one(inputs)

    def noise(self, metadata: Mapping[str, Any], shape: Sequence[int], rng: "np.random.Generator") -> np.ndarray:
        """Return inputs of this shape that mean nothing, but that a model can take: to try it, and to measure its speed.

        Zeros and ones are numbers, bytes and ids alike.
        """
        return rng.integers(0, 2, shape)

    def examples(self, metadata: Mapping[str, Any], shape: Sequence[int]) -> list[Any]:
        """Return inputs as `read` returns them, made up, to compare programs by that make them ready and run the model."""
        return list(self.noise(metadata, (3, *shape), np.random.default_rng(0)).astype(np.float32))

    def for_page(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Return what its half in a browser has to know beside the metadata, as plain values."""
        return {}

    def trials(self, model: Any) -> np.ndarray:
        """Return inputs that a file nothing vouches for is tried on, (n, *shape of its input)."""
        some = self.noise(model.metadata, (2, *model.input_shape), np.random.default_rng(0))
        return np.concatenate([np.zeros_like(some[:1]), np.ones_like(some[:1]), some]).astype(np.float32)


class TaskKind:
    """A task, as a device meets it.

    Attributes:
        name: as metadata have it.
        outputs: names of what an exported model answers with.
        named: the output whose last axis has the labels' names; None: labels are of no output, and may be left out.
        probabilities: outputs that are in [0, 1].
        entry: of the metadata, that holds an object of the task's own; None: there is none.
        nothing: what is answered where there is nothing to see.
        early: names that it had in early files.
        unsaid: whether a file that names no task is taken for one of this.
        stored: whether it takes inputs as they are stored, in any range.
        demo: folder of what says and shows these answers in a browser (`cnnkit.demo`); None: nothing does.
    """

    name = ""
    demo: Path | None = None
    early: tuple[str, ...] = ()
    unsaid = False
    stored = False
    outputs: tuple[str, ...] = ("values",)
    named: str | None = None
    probabilities: tuple[str, ...] = ()
    entry: str | None = None
    nothing: Mapping[str, Any] = {}

    def merge(self, values: np.ndarray) -> np.ndarray:
        """Return the answer to an input of one output for its windows, (m, ...): the mean."""
        return values.mean(0)

    def answer(
        self, outputs: Mapping[str, np.ndarray], metadata: Mapping[str, Any], labels: Sequence[str], top: int
    ) -> Any:
        """Return what a person is told of one input, as plain values by name.

        Args:
            outputs: of this input, without a batch axis.
            metadata: of the artifact.
            labels: of the artifact.
            top: how many labels to name, where there are labels.
        """
        return {name: np.asarray(values).tolist() for name, values in outputs.items()}

    def told(self, answer: Mapping[str, Any]) -> list[str]:
        """Return an answer as cells of a table."""
        return [", ".join(f"{name} {value}" for name, value in answer.items())]

    def unknown(self, metadata: Mapping[str, Any], labels: Sequence[str]) -> Callable[[Mapping[str, Any]], bool] | None:
        """Return what says of an answer whether the input shows none of the labels; None: this model never says so.

        Args:
            metadata, labels: of the artifact.
        """
        return None

    def predicts(self) -> Callable[..., Answers] | None:
        """Return what `predict` runs for this task, called with (app, artifact, inputs, *, tell) and options; None: the usual."""
        return None

    def answers(self) -> Callable[..., Iterator[dict[str, Any]]] | None:
        """Return what answers inputs in memory, called with (model, samples) and options; None: the usual."""
        return None

    def for_page(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Return what its half in a browser has to know beside the metadata, as plain values."""
        return {}

    def labels(self, metadata: Mapping[str, Any], shapes: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
        """Return the names of the labels; "0", "1", ... where the metadata have none.

        Args:
            metadata: of the artifact.
            shapes: of its outputs, by name.

        Raises:
            ValueError: an output is missing, or the labels are not as many as the output they name has.
        """
        for name in self.outputs:
            if name not in shapes:
                raise ValueError(f"has no output {name}, only {', '.join(shapes)}")
        written = tuple(str(label) for label in metadata.get("labels") or ())
        if self.named is None:
            return written
        count = int(shapes[self.named][-1])
        if written and len(written) != count:
            raise ValueError(f"names {len(written)} labels and scores {count}")
        return written or tuple(map(str, range(count)))


class Scores(TaskKind):
    """A task whose answers are a score in [0, 1] for each label."""

    outputs: tuple[str, ...] = ("scores",)
    named = "scores"
    probabilities = ("scores",)
    nothing: Mapping[str, Any] = {"label": "nothing on it", "score": 0.0}

    def answer(
        self, outputs: Mapping[str, np.ndarray], metadata: Mapping[str, Any], labels: Sequence[str], top: int
    ) -> Any:
        """Return `label` and `score` of the best label, and `top`, the best ones, where more than one is asked for."""
        scores = outputs["scores"]
        best = [
            {"label": labels[i], "score": round(float(scores[i]), 6)} for i in np.argsort(-scores, kind="stable")[:top]
        ]
        return {**best[0], **({"top": best} if top > 1 else {})}

    def told(self, answer: Mapping[str, Any]) -> list[str]:
        return [f"{entry['label']}  {entry['score']:.1%}" for entry in answer.get("top", [answer])]


def numbers(values: Any, need: str) -> np.ndarray:
    """Return an array of finite numbers.

    Args:
        values: what was given.
        need: what an input is, for the error.

    Raises:
        DataError: it holds nothing, something that is no number, NaN or infinity.
    """
    try:
        found = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise DataError(f"{need}. Got rows of different lengths.") from error
    if found.dtype.kind not in "iuf":
        raise DataError(f"{need} of numbers. Got an array of {found.dtype}.")
    if not found.size:
        raise DataError(f"{need}. Got an empty array of {list(found.shape)}.")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise DataError(f"{need} of finite numbers. Got {int((~np.isfinite(found)).sum()):,} that are NaN or infinity.")
    return found


def merged(
    outputs: Mapping[str, np.ndarray], owners: np.ndarray, count: int, merge: Callable[[np.ndarray], np.ndarray]
) -> dict[str, np.ndarray]:
    """Return a model's outputs for so many inputs from those for their windows.

    Args:
        outputs: by name, a row a window.
        owners: int (windows,), which input each belongs to, ascending; each has one at least.
        count: inputs.
        merge: a task's.
    """
    if len(owners) == count:
        return dict(outputs)
    ends = np.searchsorted(owners, np.arange(1, count))
    return {name: np.stack([merge(part) for part in np.split(values, ends)]) for name, values in outputs.items()}

"""Golden inputs: what a model sees of some inputs, and what each exported file answers, for every program to be held against.

Design choices:
- `golden.json` is for people and programs; numbers of arrays are in `golden.bin`, one array after the other, little-endian.
- Inputs are held-out ones, spread evenly over all, and drawn ones, which are of another size. Of data that may be a person's,
  drawn ones alone.
- An input whose app does more to it than its kind, such as to lay digits out, is there as the model sees it.
- Answers are those of our own `predict`, by the file itself on this machine; other kernels round otherwise, so each file has a
  tolerance.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.data.records import Records
from cnnkit.demo.golden import Pool
from cnnkit.errors import CnnkitError
from cnnkit.export.profiles.profile import Faced, Profile
from cnnkit.registry import DEVICE, TRAINING, input_of, task_of

HELD_OUT, DRAWN = 5, 2  # inputs of each
FEWEST = 2  # held-out ones, however large
ALONE = 4  # drawn ones, where no others are
LARGE = 250_000  # bytes of an input; a larger one is made smaller where that can be
ALL = 1_500_000  # bytes of what models see
EXACT, ROUNDED = 1e-3, 0.05  # of numbers in [0, 1], of float and of integer files
FEW = 4096  # numbers of an answer that are listed


class Golden:
    """What is written.

    Args:
        profile: for whom the files are.
        files: those that passed, by precision.
        held_out: records that nothing was trained on.
        private: whether they may be of a person.

    Attributes:
        document: the content of `golden.json`.
        data: the content of `golden.bin`.
    """

    def __init__(self, profile: Profile, files: Mapping[str, Faced], held_out: Records, private: bool):
        self._pool = Pool()
        metadata, shape = profile.trained, profile.shape
        inputs, drawn = _inputs(profile, held_out, private)
        task = task_of(metadata, TRAINING, "The model")

        def prepared(sample: Any) -> np.ndarray:
            found = task.seen(sample, metadata, shape)
            return profile.kind.seen(sample, metadata, shape) if found is None else found

        inputs = [sample for sample in inputs if _taken(prepared, sample)]
        seen = [prepared(sample) for sample in inputs]
        if profile.name != Profile.name:  # others bring inputs to the model's size by means of their own
            inputs = [sample if isinstance(sample, str) else one for sample, one in zip(inputs, seen)]
            seen = [prepared(sample) for sample in inputs]
        cases = [{"given": self._kept(sample), "seen": self._kept(one)} for sample, one in zip(inputs, seen)]
        about: dict[str, Any] = {}
        for precision, file in files.items():
            about[file.path.name] = {"tolerance": ROUNDED if precision.startswith("int") else EXACT}
            for case, found in zip(cases, self._answers(file, inputs, seen)):
                case.setdefault("answers", {})[file.path.name] = found
        whose = "drawn ones" if drawn else "held-out ones, evenly spread, then drawn ones"
        said = f"Inputs ({whose}), what the model sees of them, and what each file answered where it was exported."
        self.document = {"about": said, "files": about, "cases": cases}

    @property
    def data(self) -> bytes:
        return bytes(self._pool.content)

    def _kept(self, value: Any) -> Any:
        """Return a text as it is, and where an array lies."""
        return value if isinstance(value, str) else self._pool.put(np.asarray(value))

    def _answers(self, file: Faced, inputs: Sequence[Any], seen: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        """Return of each input `outputs`, where they are few, and `said`, what `predict` says."""
        task = task_of(file.metadata, DEVICE, file.path)
        outputs = file.run_batch(np.stack(seen))
        answers = task.answers() or input_of(file.metadata, DEVICE, file.path).answers()
        if answers is not None:
            told = list(answers(file, inputs))
        else:
            each = [{name: values[place] for name, values in outputs.items()} for place in range(len(inputs))]
            told = [task.answer(found, file.metadata, file.labels, 1) for found in each]
        found = []
        for place, said in enumerate(told):
            few = {name: values[place].tolist() for name, values in outputs.items() if values[place].size <= FEW}
            kept = {name: self._kept(value) if isinstance(value, np.ndarray) else value for name, value in said.items()}
            found.append({"outputs": few, "said": kept})
        return found


def _taken(prepared: Callable[[Any], np.ndarray], sample: Any) -> bool:
    """Whether a model takes an input: a drawn one may be of another range."""
    try:
        prepared(sample)
    except (CnnkitError, ValueError):
        return False
    return True


def _inputs(profile: Profile, held_out: Records, private: bool) -> tuple[list[Any], bool]:
    """Return the inputs, as files hold them, and whether all are drawn."""
    metadata, shape, kind = profile.trained, profile.shape, profile.kind
    if private or not len(held_out) or any(held_out.alias(k) != held_out.name(k) for k in (0, len(held_out) - 1)):
        return kind.drawn(metadata, shape, ALONE), True
    count = max(FEWEST, min(HELD_OUT, ALL // max(1, int(np.prod(shape)))))
    chosen = np.unique(np.linspace(0, len(held_out) - 1, count).astype(int))
    ours = task_of(metadata, TRAINING, "The model").seen
    found = []
    for place in chosen.tolist():
        native = kind.held(held_out, place)
        sample = kind.simpler(native, LARGE)
        if ours(sample, metadata, shape) is None:  # it is seen whole, so records say what of it
            read = held_out.read(np.array([place]))[0][0]
            try:
                alike = np.array_equal(kind.seen(native, metadata, shape), read)
            except (CnnkitError, ValueError, IndexError):
                alike = False
            sample = sample if alike or isinstance(sample, str) else read  # records may have another vocabulary
        found.append(sample)
    return [*found, *kind.drawn(metadata, shape, DRAWN)], False

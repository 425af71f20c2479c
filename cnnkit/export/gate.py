"""The export gate: a file is released only if it is the trained model, number by number, and scores like it.

A chain of named checks, each with what was measured and its bar (`cnnkit.export.checks`):

| check | float32 | float16 | int8, int16x8 |
|---|---|---|---|
| rounding: weights that were fitted to eight bits do what they did | | | images |
| reference: the float32 file of the same weights answers as the trained model does | | x | x |
| answers: the file answers as the trained model does, on held-out inputs | x | x | |
| tables: tables read by row are those trained, also in rows that no test input asks for | texts | | |
| network: the same operators as in the float32 file, fed alike | | x | x |
| constants: each within half a step of the float32 file's | | x | x |
| integers, size: convolutions have int8 weights and integers as input; weights have two fifths of their bytes at most | | | x |
| ranges, clipping: layers have the ranges that calibration inputs give, which fit validation inputs | | | x |
| kernels: run by reference kernels, the file answers as the model did that was trained to round | | | int8, quantise-aware |
| probabilities, input and output, metadata: what the file says of itself | x | x | x |
| operators, client's answers and score: its own runtime has them all, and answers as LiteRT's reference kernels | x | x | x |
| scores: overall and per class, on held-out records, by what users run | x | x | x |

Layers that are to stay float in an int8 file have to, and are left out of `integers` and `size`; no others.

Of int16x8 weights may have three fifths of their bytes, as tables that are read by row have 16 bits there.

A model that was trained quantise-aware rounds as its int8 file does: `ranges` are then those that it was trained with, no weight
is rounded anew, and `kernels` holds the two against each other. Its other files, also as a reference, are held against the same
model without rounding between layers; that for int8 is converted with the rounding, which is taken out of the file then, so that
what stands on two sides of it is not joined. Scores of all are held against those of the model as it is.

The rule for scores: a file may lose at most `tolerance` of the task's score overall, and `class_tolerance` in each class: points
of a share, else in the score's unit, which says too what a loss is. A larger loss refuses it where it is more than chance: where
a sign test over the errors that only one of the two models makes is below 0.05 (5 lost and none won, 7 and 1, 9 and 2), or, of
numbers, one that draws the signs of the differences. With 60 examples in each of 43 classes some class loses two examples, 3.3
points, to any rounding at all; a gate that refused for that would refuse by lot. A loss of 8 of 60, as nearest rounding had, is
refused. What may be chance is said, with its size, and so is a test that is too small to tell, or a trained model that is no
better than the baseline.

The float file is also scored in half precision (`cnnkit.export.half`). What it loses there is said by the same rule, and refuses
none.

How true scores are (ECE, NLL) is in `gate.json` for each file, and is said where it is worse than the trained model's, by more
than chance and 0.01 nats; it refuses none. Scores of eight bits are steps of 1/256, and a file whose answers are right at their
thresholds is worth having: thresholds are in the score that refuses. Both models' chances are taken from 1/512 to 255/256, as a
file of eight bits could say no others.
"""

import functools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data.records import Records
from cnnkit.errors import CnnkitError, GateRefused
from cnnkit.evaluation.artifacts import KerasArtifact
from cnnkit.evaluation.calibration import WORSE, held_against
from cnnkit.evaluation.scoring import outputs
from cnnkit.export import blame, checks
from cnnkit.export.checks import Check
from cnnkit.export.convert import convert, fitted, for_rounding, kept_steps
from cnnkit.export.forms import Pixels
from cnnkit.export.graph import graph_of, mismatch
from cnnkit.export.half import LARGEST, Halved, beyond
from cnnkit.export.profiles import Profile
from cnnkit.export.profiles.profile import QUANTISED, Faced
from cnnkit.export.ranges import ranges
from cnnkit.export.rounding import disturbance
from cnnkit.files import write_bytes, write_json
from cnnkit.metrics import CHANCE, sign_flips, sign_test
from cnnkit.models import eight_bits
from cnnkit.registry import DEVICE, TRAINING, input_of, task_of
from cnnkit.score import HEADLINE, MORE, SHARE, Score, Scores

CALIBRATION_IMAGES = 512
FEWEST_IMAGES = 32  # that are taken, however large they are
ANSWERS = 64  # held-out inputs whose answers are compared as numbers
FINITE = 32  # calibration inputs for which every layer has to put out finite numbers
KERNELS = 0.2  # points, or the score's unit, that a file may score otherwise with other kernels
EXPLAINED = 32  # of these, that layers are explained on
ROUNDED = 64  # images on which rounded weights are compared
DISTURBED = 12.0  # times the error of nearest rounding, that rounded weights may have
GATE = "gate.json"
FLOATS = ("float32", "float16")


def compare(
    reference: Scores,
    exported: Scores,
    tolerance: float,
    changes: Mapping[str, tuple[int, int]] | None = None,
    class_tolerance: float | None = None,
) -> dict[str, Any]:
    """Compare the scores of two models on the same records.

    Args:
        reference, exported: as a task scores.
        tolerance: what may be lost: points (hundredths) of a share, else in the score's unit.
        changes: by label the errors that only the second and only the first makes. Overall the scores of records are compared
            one by one where there are some; where there is neither, any loss is taken for more than chance.
        class_tolerance: what a class may lose; None: `tolerance`.

    Returns:
        `difference` of the score, of a share in points; the worst class, its difference and its `worst_class_count`; `refused`:
        reasons, empty if it passed; `said`: losses beyond the tolerance that may be chance.
    """
    first, second = reference.headline, exported.headline
    refused: list[str] = []
    said: list[str] = []

    def judge(before: float, after: float, most: float, p: float, where: str) -> None:
        loss = -first.gain(before, after)
        if first.scale * loss > most + 1e-9:
            (said if p >= CHANCE else refused).append(f"{first.apart(loss, 2)} {first.lost} {where}")

    judge(first.value, second.value, tolerance, _chance(first, second, changes), "overall")
    before, after = first.per_class or {}, second.per_class or {}
    for label, value in before.items():
        p = 0.0 if changes is None else sign_test(*changes[label])
        judge(value, after[label], tolerance if class_tolerance is None else class_tolerance, p, f"in class {label}")
    worst = min(before, key=lambda label: first.gain(before[label], after[label]), default="")
    return {
        "score": second.value,
        "difference": first.scale * (second.value - first.value),
        "worst_class": worst,
        "worst_class_difference": first.scale * (after[worst] - before[worst]) if worst else 0.0,
        "worst_class_count": _supports(reference).get(worst, 0),
        "per_class": dict(after),
        **({} if changes is None else {"lost_and_won": {k: list(v) for k, v in changes.items() if any(v)}}),
        "passed": not refused,
        "refused": refused,
        "said": said,
    }


def _chance(first: Score, second: Score, changes: Mapping[str, tuple[int, int]] | None) -> float:
    """Return how likely a loss as large is where neither model is better; 0 where nothing tells."""
    if first.per_record is not None and second.per_record is not None:
        apart = first.per_record - second.per_record
        return sign_flips(apart if first.better == MORE else -apart)
    if changes is None:
        return 0.0
    return sign_test(sum(lost for lost, _ in changes.values()), sum(won for _, won in changes.values()))


def _supports(scores: Mapping[str, Any]) -> dict[str, int]:
    """Return how many examples each class has, by label."""
    return {label: values["support"] for label, values in (scores.get("per_class") or {}).items()}


def written(scores: Scores) -> dict[str, Any]:
    """Return what `gate.json` says of the trained model's scores."""
    score = scores.headline
    return {
        HEADLINE: scores[HEADLINE],
        "score": score.value,
        "count": scores.get("examples", scores["count"]),
        "per_class": dict(score.per_class or {}),
        "class_count": {label: count for label, count in _supports(scores).items() if label in (score.per_class or {})},
    }


def compared(document: Mapping[str, Any]) -> Score:
    """Return the score that a `gate.json` compares, with the trained model's value."""
    reference = document["reference"]
    return Score(value=reference["score"], **reference[HEADLINE])


def alike(first: Scores, second: Scores) -> Check:
    """Say how far the scores of one file with two sets of kernels are apart: in points, or in the score's unit."""
    one, other = first.headline, second.headline
    apart = abs(one.value - other.value) * one.scale
    return Check("client's score", "difference of the score with LiteRT's reference kernels", apart, KERNELS)


class Counted:
    """An opened file that counts its answers, numbers along the last axis each, and those that its twin gives otherwise.

    Attributes:
        counts: by output (answers, those that are not the same).
    """

    def __init__(self, device: Faced, twin: Faced):
        self.device, self.twin = device, twin
        self.path, self.metadata = device.path, device.metadata
        self.labels, self.input_shape = device.labels, device.input_shape
        self.counts: dict[str, tuple[int, int]] = {}

    def run_batch(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Answer a batch; as `DeviceModel.run_batch`."""
        found, others = self.device.run_batch(inputs), self.twin.run_batch(inputs)
        for output, one in found.items():
            apart = (one != others[output]).reshape(-1, one.shape[-1]).any(1)
            total, before = self.counts.get(output, (0, 0))
            self.counts[output] = total + len(apart), before + int(apart.sum())
        return found


class Chain:
    """The direct comparisons of one trained model's files; what several of them need is made once.

    Args:
        artifact: the trained model.
        calibration: inputs that int8 is calibrated on.
        inputs: held-out ones, whose answers are compared.
        validation: inputs on which ranges are looked at.
        profile: for whom the files are.
        keep_float: layers that stay float in an int8 file.
    """

    def __init__(
        self,
        artifact: KerasArtifact,
        calibration: np.ndarray,
        inputs: np.ndarray,
        validation: np.ndarray,
        profile: Profile | None = None,
        keep_float: Sequence[str] = (),
    ):
        self.keep_float = tuple(keep_float)
        self.artifact, self.calibration, self.inputs, self.validation = artifact, calibration, inputs, validation
        self.profile = profile or Profile(artifact.model, artifact.metadata)
        self.trained = artifact.run_batch(inputs)
        self.trained_ranges = eight_bits.ranges(artifact.model)
        self.kind = input_of(artifact.metadata, TRAINING, artifact.path)
        self.shares = task_of(artifact.metadata, DEVICE, artifact.path).probabilities
        self._fitted: Any = None
        self._bases: dict[tuple[bool, bool], tuple[bytes, Check]] = {}

    @functools.cached_property
    def unrounded(self) -> dict[str, np.ndarray]:
        """What the trained model answers without rounding between its layers."""
        if not self.trained_ranges:
            return self.trained
        plain = eight_bits.unrounded(self.artifact.model)
        return KerasArtifact(self.artifact.path, plain, self.artifact.metadata).run_batch(self.inputs)

    def halved(self, folder: Path) -> Halved | None:
        """Open the float32 file in half precision; None: it cannot be run so."""
        try:
            return Halved.of(self.content("float32"), folder, self.profile, self.artifact.labels)
        except (CnnkitError, ValueError):
            return None

    def model(self, precision: str) -> Any:
        """Return the model whose weights a file of this precision has."""
        if precision not in QUANTISED or (self.trained_ranges and precision != "int8"):
            return self.artifact.model
        if self._fitted is None:  # the same for all
            about = self.artifact.metadata
            self._fitted = fitted(self.artifact.model, precision, self.calibration, about, self.keep_float)
        return self._fitted

    def content(self, precision: str) -> bytes:
        """Convert; a float32 file also stands for the reference of others."""
        if precision == "float32":
            return self._base(precision)[0]
        if precision in QUANTISED:
            some = self.calibration[:: -(-len(self.calibration) // FINITE)]
            where = beyond(self._base(precision)[0], self.profile.inputs(self.kind.calibration(some)), np.inf)
            if where:  # the converter would end the process
                raise CnnkitError(
                    f"The model cannot be converted to {precision}: {where} puts out numbers that are not finite. "
                    "Exponentials, as in softplus, do so: put a batch norm before it, or use another activation, and train anew."
                )
        return self._converted(self.model(precision), precision)

    def _converted(self, model: Any, precision: str) -> bytes:
        kept = {"keep_float": self.keep_float} if self.keep_float and precision == "int8" else {}
        return convert(model, precision, self.calibration, self.artifact.metadata, self.profile, **kept)

    def opened(self, path: Path, precision: str) -> Faced:
        """Open a file as its client runs it, with the face of the trained model."""
        return Faced(self.profile.opened(path, precision), self.profile, self.artifact.labels)

    def plainly(self, path: Path, precision: str) -> Faced:
        """Open a file with LiteRT's reference kernels, with the face of the trained model."""
        return Faced(self.profile.plainly(path, precision), self.profile, self.artifact.labels)

    def _base(self, precision: str) -> tuple[bytes, Check]:
        """Return the float32 file of a precision's weights, and the check of its answers."""
        model = self.model(precision)
        own = model is self.artifact.model
        key = own, precision == "int8" and bool(self.trained_ranges)
        if key not in self._bases:
            metadata = self.artifact.metadata
            content = self._converted(eight_bits.as_it_is(model) if key[1] else model, "float32")
            trained = (
                self.unrounded if own else KerasArtifact(self.artifact.path, model, metadata).run_batch(self.inputs)
            )
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "reference.tflite"
                path.write_bytes(content)
                try:
                    found = self.opened(path, "float32").run_batch(self.inputs)
                    bar = checks.narrow(trained, self.shares)
                    check = checks.answers("reference", trained, found, bar, self.shares)
                except (CnnkitError, ValueError) as error:
                    check = checks.failed("reference", _line(error))
            self._bases[key] = content, check
        return self._bases[key]

    def explained(self, precision: str, content: bytes) -> dict[str, Any]:
        """Return what each layer of a file of integers loses, as `cnnkit.export.blame` has it, and what to do about it."""
        base, _ = self._base(precision)
        if unlike := mismatch(graph_of(base), graph_of(content)):
            return {"layers": [], "said": f"Its layers cannot be told apart, as it is another network: {unlike}."}
        some = self.profile.inputs(self.kind.batch(self.inputs[:EXPLAINED]))
        rows = blame.losses(base, content, some, {layer.name for layer in self.artifact.model._flatten_layers()})
        return {"layers": rows, "said": blame.said(rows, *self._left(precision))}

    def _left(self, precision: str) -> tuple[bool, bool]:
        """Say whether int16x8, and layers that stay float, are left to be tried."""
        return precision == "int8" and bool(self.profile.more), precision == "int8" and not self.profile.foreign

    def checks(self, precision: str, content: bytes, path: Path) -> list[Check]:
        """Return the checks of a file, up to the one that those behind it need."""
        found = []
        metadata = self.profile.described(precision)
        model = self.model(precision)
        if model is not self.artifact.model:
            some = for_rounding(self.calibration)
            changed, where = disturbance(self.artifact.model, model, some[:: -(-len(some) // ROUNDED)])
            what = "squared change of a filter's output, in those of nearest rounding"
            found.append(Check("rounding", what, changed, DISTURBED, where))
        base, reference = self._base(precision)
        if precision != "float32":
            found.append(reference)
        graph = graph_of(content)
        task = task_of(metadata, DEVICE, path)
        shape = tuple(metadata.get("input", {}).get("shape") or self.profile.shape)
        pixels = isinstance(self.profile.given, Pixels)
        found.append(checks.facing(graph, shape, self.profile.dtypes(precision), task, self.profile.labels, pixels))
        if self.profile.foreign:
            found.append(checks.operators(graph, self.profile.lacks))
        first = graph_of(base)
        kept = kept_steps(first, model, self.keep_float) if precision == "int8" else []
        if precision in QUANTISED:
            found.append(checks.integers(graph, QUANTISED[precision], kept))
        if precision != "float32":
            found.append(checks.network(first, graph))
            if found[-1].passed:
                found.append(checks.constants(first, graph))
                if precision in QUANTISED:
                    looked = self.kind.calibration(self.calibration), self.validation
                    found.append(checks.size(first, graph, QUANTISED[precision], kept))
                    seen, others = map(self.profile.inputs, looked)
                    trained = self.trained_ranges if precision == "int8" else None
                    found += ranges(base, first, graph, seen, others, trained)
        else:
            found += self.kind.checks(graph, self.artifact.model.get_weights())
        try:
            device = self.opened(path, precision)
            if not self.profile.bare:
                found.append(checks.described(metadata, path, device.device.metadata))
            answered = device.run_batch(self.inputs)
        except (CnnkitError, ValueError, KeyError, TypeError) as error:
            return [*found, checks.failed("opening", _line(error))]
        found += [checks.probabilities(name, self.trained, answered) for name in task.probabilities]
        if precision in FLOATS:
            bar = checks.narrow(self.unrounded, self.shares) if precision == "float32" else checks.FLOAT16
            found.append(checks.answers("answers", self.unrounded, answered, bar, self.shares))
        elif precision == "int8" and self.trained_ranges:
            plainly = self.plainly(path, precision).run_batch(self.inputs)
            found.append(checks.kernels(self.trained, self.unrounded, plainly, self.shares))
        return found


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def calibrating(task: Any, artifact: KerasArtifact) -> int:
    """Return how many inputs int8 is calibrated on: fewer where the task answers places in them."""
    if task.calibrated is None:
        return CALIBRATION_IMAGES
    pixels = int(np.prod(artifact.input_shape[:-1]))
    return min(CALIBRATION_IMAGES, max(FEWEST_IMAGES, task.calibrated // pixels))


def _some(task: Any, artifact: KerasArtifact, records: Records, count: int) -> np.ndarray:
    """Read at most so many inputs, spread over records."""
    chosen = np.unique(np.linspace(0, len(records) - 1, min(count, len(records))).astype(int))
    return np.asarray(task.as_read_by(artifact, records).read(chosen)[0])


def export(
    artifact: KerasArtifact,
    folder: Path,
    *,
    train: Records,
    held_out: Records,
    task: Any,
    precisions: Sequence[str],
    tolerance: float | None = None,
    name: str = "model",
    validation: Records | None = None,
    scored: tuple[Any, Any] | None = None,
    baseline: float | None = None,
    profile: Profile | None = None,
    code: Callable[[Mapping[str, Faced]], Sequence[Path]] | None = None,
    explain: bool = False,
    keep_float: Sequence[str] = (),
    progress: Any = lambda completed, text="": None,
) -> dict[str, Any]:
    """Convert a trained model and let each file through the gate.

    Args:
        artifact: the trained model.
        folder: where `NAME-PRECISION.tflite` and `gate.json` are written. A refused file is not left there.
        train: calibration images for int8 are drawn from these.
        held_out: what both models are scored on.
        task: scores them.
        precisions: which files to make.
        tolerance: what may be lost of the score, overall and in a class, as `compare` has it; None: the task's own.
        name: of the files.
        validation: the ranges of int8 layers are looked at on these; None, or empty: on `held_out`.
        scored: the trained model's outputs for `held_out` and their targets, where they are known already, as
            `cnnkit.evaluation.scoring.outputs` returns them.
        baseline: score of the baseline on `held_out`, where it is known.
        profile: for whom the files are; None: LiteRT.
        code: writes code that runs the files that passed, of which it is given each by its precision, or takes away older code
            where none did; returns what it wrote.
        explain: whether to find out which layers of files of integers lose most.
        keep_float: layers that stay float in an int8 file.
        progress: called with (steps done, text), one step a model scored.

    Returns:
        The content of `gate.json`.

    Raises:
        GateRefused: a check of a file failed; `gate.json` says which, by how much and where.
    """
    progress(0, "scoring the trained model")
    bars: tuple[float, float] = task.tolerated(artifact.metadata) if tolerance is None else (tolerance, tolerance)
    tolerance, class_tolerance = bars
    trained, targets = outputs(artifact, held_out, task) if scored is None else scored
    reference = task.score(trained, targets, artifact.labels, artifact.metadata)
    claimed = task.chances(trained, targets, artifact.labels, artifact.metadata)
    most = calibrating(task, artifact)
    chosen = np.sort(np.random.default_rng(0).permutation(len(train))[:most])
    calibration = task.as_read_by(artifact, train).read(chosen)[0]
    validated = held_out if validation is None or not len(validation) else validation
    inputs, looked_at = (_some(task, artifact, records, ANSWERS) for records in (held_out, validated))
    chain = Chain(artifact, calibration, inputs, looked_at, profile, keep_float)
    verdicts: dict[str, Any] = {}
    runtimes: list[str] = []
    half = None

    def held(found: Any, device: Any) -> tuple[Scores, dict[str, Any]]:
        exported = task.score(found, targets, artifact.labels, device.metadata)
        changes = task.changes(trained, found, targets, artifact.labels, device.metadata)
        return exported, compare(reference, exported, bars[0], changes, bars[1])

    for number, precision in enumerate(precisions, 1):
        progress(number, precision)
        content = chain.content(precision)
        path = folder / f"{name}-{precision}.tflite"
        beside = chain.profile.named_beside(path.stem, precision)
        with tempfile.TemporaryDirectory() as place:  # in the folder it would pass for a released one, were this killed
            candidate = Path(place) / path.name
            write_bytes(candidate, content)
            measured = chain.checks(precision, content, candidate)
            verdict: dict[str, Any] = {"refused": [check.reason for check in measured if not check.passed]}
            try:
                device = chain.opened(candidate, precision)
                runtimes.append(chain.profile.runtime(device.device))
                twin = chain.plainly(candidate, precision) if chain.profile.foreign else None
                counted = None if twin is None else Counted(device, twin)
                found, _ = outputs(counted or device, held_out, task)
                exported, scores = held(found, device)
                if twin is not None and counted is not None:
                    same = task.score(outputs(twin, held_out, task)[0], targets, artifact.labels, device.metadata)
                    measured += [checks.agreement(counted.counts), alike(same, exported)]
                    verdict["refused"] += [check.reason for check in measured[-2:] if not check.passed]
                verdict = scores | {"refused": scores["refused"] + verdict["refused"]}
                if claimed is not None:
                    claims = task.chances(found, targets, artifact.labels, device.metadata)
                    verdict["calibration"] = held_against(claimed, claims)
            except (CnnkitError, ValueError, KeyError, TypeError, IndexError) as error:
                verdict["refused"].append(f"scoring: {_line(error)}")
            verdict["passed"] = not verdict["refused"]
            listed = [check.to_dict() for check in measured]
            verdicts[precision] = {"file": path.name, "bytes": len(content), **verdict, "checks": listed}
            if keep_float and precision == "int8":
                verdicts[precision]["keep_float"] = list(keep_float)
            if explain and precision in QUANTISED:
                verdicts[precision]["explained"] = chain.explained(precision, content)
            if verdict["passed"]:
                verdicts[precision]["told"] = chain.profile.beside(folder, path.stem, precision, content)
                verdicts[precision]["beside"] = beside
                write_bytes(path, content)
            else:
                for old in (path.name, *beside):  # older ones must not pass for these
                    (folder / old).unlink(missing_ok=True)
    if any(verdict["passed"] and precision in FLOATS for precision, verdict in verdicts.items()):
        progress(len(precisions) + 1, "half precision")
        half = in_half(chain, held_out, task, held)
    passed = {precision: folder / verdict["file"] for precision, verdict in verdicts.items() if verdict["passed"]}
    written_code = code({name: chain.opened(path, name) for name, path in passed.items()}) if code else ()
    whole = {
        "profile": chain.profile.title,
        "tolerance": tolerance,
        "class_tolerance": class_tolerance,
        "records": len(held_out),
        "interpreter": " and ".join(dict.fromkeys(runtimes)),
        "notes": notes(reference, tolerance, baseline) + less_true(verdicts) + less_in_half(half) + chain.profile.notes,
        "reference": written(reference) | ({} if claimed is None else {"calibration": held_against(claimed, claimed)}),
        "artifacts": verdicts,
        **({"half": half} if half else {}),
        "code": [str(path.relative_to(folder).as_posix()) for path in written_code],
    }
    write_json(folder / GATE, whole)
    refused = [f"{precision}: {'; '.join(v['refused'])}" for precision, v in verdicts.items() if not v["passed"]]
    if refused:
        raise GateRefused(
            f"The gate refused {'. '.join(refused)} (tolerance {tolerance:g}, {class_tolerance:g} in a class). Details in "
            f"{folder / GATE}. {_advice(verdicts)}"
        )
    return whole


def in_half(
    chain: Chain, held_out: Records, task: Any, held: Callable[[Any, Any], tuple[Scores, dict[str, Any]]]
) -> dict[str, Any] | None:
    """Score the float32 file in half precision, as the graphics processors of phones run it.

    Args:
        chain: with the file.
        held_out, task: as `export` takes them.
        held: compares outputs, of a device, with the trained model's.

    Returns:
        As `compare`, with `lost`, what is lost beyond the tolerance and chance, in place of a verdict, and `beyond`, the first
        layer whose numbers float16 does not hold, where something is lost; where answers are no numbers, these two alone. None:
        it cannot be run so.
    """
    with tempfile.TemporaryDirectory() as folder:
        device = chain.halved(Path(folder))
        if device is None:
            return None
        try:
            _, found = held(outputs(device, held_out, task)[0], device)
        except CnnkitError:
            return {"lost": ["its answers are no numbers"], "beyond": device.from_where} if device.from_where else None
    lost = found["refused"]
    kept = {key: value for key, value in found.items() if key not in ("passed", "refused", "said", "lost_and_won")}
    return {**kept, "lost": lost, "beyond": device.beyond(chain.inputs) if lost else ""}


def less_in_half(half: Mapping[str, Any] | None) -> list[str]:
    """Return a sentence on what the float file loses in half precision, where it does."""
    if not half or not half["lost"]:
        return []
    why = ""
    if half["beyond"]:
        why = f"From {half['beyond']} on, numbers are beyond {LARGEST:,.0f}: for these, put a batch norm there and train anew. "
    return [
        f"In half precision, as the graphics processors (GPU) of phones run a float file: {'; '.join(half['lost'])}. {why}"
        "The processor (CPU) runs it as it was scored."
    ]


def _advice(verdicts: Mapping[str, Any]) -> str:
    failed = [check for v in verdicts.values() if not v["passed"] for check in v["checks"] if not check["passed"]]
    if failed:
        return "The file is not the trained model, so no tolerance helps: export again, or another precision."
    coarse = [v for name, v in verdicts.items() if name in QUANTISED and not v["passed"] and "explained" not in v]
    which = "with `explain`, which says which layers lose most, or another precision" if coarse else "another precision"
    return f"Export {which}, train with more data, or raise `tolerance` if you can accept the loss."


def notes(reference: Scores, tolerance: float, baseline: float | None = None) -> list[str]:
    """Return what limits the verdict on scores, a sentence each: a test too small, a model no better than its baseline."""
    found = []
    count, score = reference.get("examples", reference["count"]), reference.headline
    if score.unit == SHARE and count * tolerance < 100:
        one = f"one example is {100 / count:.1f} points" if count else "it has nothing to find"
        found.append(
            f"The test is small, {count:,} example{'s' * (count != 1)}: {one}, so scores alone could not show a loss of "
            f"{tolerance:g}. The other checks do not depend on it."
        )
    if baseline is not None and score.gain(baseline, score.value) <= 0:
        found.append(
            f"The trained model scores {score.number(score.value)}, its baseline {score.number(baseline)}: that a file scores as "
            "the model says little of how good it is."
        )
    return found


def less_true(verdicts: Mapping[str, Any]) -> list[str]:
    """Return a sentence on each file whose scores are less true than the trained model's, beyond chance and `WORSE`."""
    found = []
    for name, verdict in verdicts.items():
        about = verdict.get("calibration")
        if about and about["worse"] > WORSE and about["worse_interval"][0] > 0:
            found.append(
                f"The scores of the {name} file are less true than the trained model's, by {about['worse']:.3f} nats of NLL; its "
                f"calibration error is {about['ece']:.3f}. What it answers is scored above."
            )
    return found


def summary(document: Mapping[str, Any]) -> str:
    """Return a sentence that says what the files lost at most, overall and in a class, and of how many examples."""
    files = {name: v for name, v in document["artifacts"].items() if v["passed"]}
    if not files:
        return "No file passed."
    score = compared(document)

    def loss(name: str, key: str) -> float:
        return -score.gain(0, files[name][key])

    worst, lowest = (max(files, key=lambda name: loss(name, key)) for key in ("difference", "worst_class_difference"))
    lost, lost_in = loss(worst, "difference"), loss(lowest, "worst_class_difference")
    count = document["reference"]["count"]
    if lost <= 0 and lost_in <= 0:
        where = ", overall or in a class," if document["reference"]["per_class"] else ""
        anything = "a point" if score.unit == SHARE else "anything"
        return f"No file lost {anything} against the trained model{where} on {count:,} records."
    apart = score.apart(lost / score.scale, 2)
    overall = f"{apart} overall ({worst}, {count:,} records)" if lost > 0 else "nothing overall"
    within = files[lowest]
    count_in = within["worst_class_count"]
    of = f"{within['worst_class']}, {count_in:,} record{'s' * (count_in != 1)}"
    inside = f", {score.number(lost_in / score.scale)} in a class ({lowest}, {of})" if lost_in > 0 else ""
    chance = " No loss beyond the tolerance is more than chance." if any(v["said"] for v in files.values()) else ""
    return f"Largest loss against the trained model: {overall}{inside}.{chance}"

"""`bench`: how fast an exported model is on this machine, and how much memory it needs.

Design choices:
- Each contender is measured in a process of its own: what one file, or the command line around it, took before would count as
  the next one's.
- They run by turns, some inferences each, and what is compared is a ratio within one turn: a machine that is busy for a while is
  so for all of them.
- Memory is what opening and running the file adds at its peak to a process that has loaded the runtime and opened nothing. That
  process is what any program in Python pays; a program in C++ pays less.
- Beside the files stand, where they are asked for, the same model in Keras, as the commands run it, and in ONNX Runtime.
"""

import contextlib
import dataclasses
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import opening, trials
from cnnkit.device.model import DeviceModel
from cnnkit.errors import ArtifactError, reason
from cnnkit.reporter import SILENT, Reporter
from cnnkit.run import EXPORT, MODEL, Run, latest

TURNS = 10  # at most
WARM = 20  # inferences that are not timed, at most
QUANTILES = {"least_ms": 0.0, "p5_ms": 0.05, "median_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
LITERT, KERAS, ONNX = "LiteRT", "Keras", "ONNX Runtime"
NEEDED = ("tf2onnx", "onnxruntime")  # by the last


@dataclasses.dataclass(frozen=True)
class Measured:
    """What exported models need on this machine.

    Attributes:
        models: of each contender `file`; `runs_in`, which is "LiteRT", "LiteRT without XNNPACK", "Keras" or "ONNX Runtime";
            `threads`; `bytes`; `load_ms`; of an input `least_ms`, `p5_ms`, `median_ms`, `p95_ms` and `p99_ms`; `times_as_long` as
            the first of them, the median of the turns; in MB `peak_memory_mb`, what it adds at its peak to `runtime_memory_mb`,
            both None where the system does not say.
        runs: timed inferences of each.
    """

    models: list[dict[str, Any]]
    runs: int


def bench(
    app: str,
    artifact: Path | None = None,
    *,
    runs: int = 200,
    threads: int | Sequence[int] | None = None,
    beside: bool = False,
    tell: Reporter = SILENT,
) -> Measured:
    """Measure one exported model, or all of a run: latency of one input, size, start-up, memory.

    Args:
        app: whose it must be.
        artifact: a `.tflite`, or a run; None: the latest.
        runs: timed inferences of each file.
        threads: of the interpreter, or several numbers of them; None: up to 4.
        beside: measure the files without XNNPACK too, and a run's model in Keras and in ONNX Runtime.
        tell: hears of what may be wrong with a file, and of what cannot be measured.

    Raises:
        ArtifactError: there is no exported model, or one that cannot be used.
    """
    path = artifact or latest(app, tell)
    files, folder = [path], path.parent
    if path.is_dir():
        folder = Run.open(path, app).path / EXPORT
        files = sorted(folder.rglob("*.tflite"))
        if not files:
            raise ArtifactError(f"{path} has no exported model yet. Make one with `cnnkit {app} export`.")
    counts = [threads] if threads is None or isinstance(threads, int) else list(threads)
    wrong: list[ArtifactError] = []
    for file in tuple(files):  # what is wrong with it is said here
        try:
            model = opening.open_model(file, app, counts[0], tell if file == path else SILENT)
        except ArtifactError as error:  # of a run's files some may be for another runtime
            wrong.append(error)
            files.remove(file)
            continue
        if not isinstance(model, DeviceModel):
            raise ArtifactError(
                f"{file} is not an exported model. Export it with `cnnkit {app} export`, then bench the .tflite."
            )
    if not files:
        raise wrong[0]
    for why in wrong:
        tell.warning(f"Not measured: {why}")
    asked: list[dict[str, Any]] = [
        {"path": str(file.absolute()), "in": LITERT, "kernels": kernels, "threads": count or 0}
        for file in files
        for count in counts
        for kernels in (("default", "built-in") if beside else ("default",))
    ]
    if beside:
        asked += _others(path, counts, tell)
    with contextlib.ExitStack() as stack:
        contenders = []
        for words in asked:
            try:
                contenders.append(stack.enter_context(_Contender(words, folder)))
            except ArtifactError as error:
                if words["in"] == LITERT:
                    raise
                tell.warning(f"{error}")
        for contender in contenders:
            contender.ask(min(WARM, runs))
        turns = min(TURNS, runs)
        for share in np.diff(np.linspace(0, runs, turns + 1).astype(int)).tolist():
            for contender in contenders:
                contender.times.append(contender.ask(share))
        return Measured([contender.measured(contenders[0]) for contender in contenders], runs)


def _others(path: Path, counts: Sequence[int | None], tell: Reporter) -> list[dict[str, Any]]:
    """Return what else runs the trained model of a run."""
    trained = path / MODEL if path.is_dir() else None
    if trained is None or not trained.is_file():
        tell.note(f"Keras and ONNX Runtime are not measured: {path} is one file. Give its run.")
        return []
    found = [KERAS]
    if lacking := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        tell.note(f'{ONNX} is not measured, as {" and ".join(lacking)} is not installed: pip install "cnnkit[bench]".')
    else:
        found.append(ONNX)
    return [{"path": str(trained.absolute()), "in": name, "threads": count or 0} for name in found for count in counts]


class _Contender:
    """A model in a process of its own, which runs so many inferences as it is asked for, and says how long each took."""

    def __init__(self, words: dict[str, Any], folder: Path):
        self.words, self.path = words, Path(words["path"])
        inside = self.path.is_relative_to(folder.absolute())
        self.name = self.path.relative_to(folder.absolute()).as_posix() if inside else self.path.name
        self.times: list[list[float]] = []

    def __enter__(self) -> "_Contender":
        line, environment = trials.python("from cnnkit.verbs.bench import main; main()", json.dumps(self.words))
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            line, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        self.about = self._said()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._process.communicate()
        self._process.kill()

    def ask(self, count: int) -> list[float]:
        """Run so many inferences; return how long each took, ms."""
        with contextlib.suppress(OSError):
            self._process.stdin.write(f"{count}\n")  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        found = self._said()
        self.about["peak"] = found["peak"]
        return list(found["ms"])

    def _said(self) -> dict[str, Any]:
        try:
            found = dict(json.loads(self._process.stdout.readline()))  # type: ignore[union-attr]
        except ValueError:
            code = self._process.wait()
            raise ArtifactError(
                f"{self.path} ends the process that measures it (exit code {code}). Export it again."
            ) from None
        if "error" in found:
            raise ArtifactError(f"{self.path} cannot be measured in {self.words['in']}: {found['error']}.")
        return found

    def measured(self, first: "_Contender") -> dict[str, Any]:
        """Return what was measured, beside the first of all."""
        every = [time for turn in self.times for time in turn]
        before, peak = self.about["before"], self.about["peak"]
        ratios = [
            np.median(own) / np.median(other)
            for own, other in zip(self.times, first.times, strict=True)
            if own and other
        ]
        plain = self.words["in"] if self.words.get("kernels") != "built-in" else f"{self.words['in']} without XNNPACK"
        return {
            "file": self.name,
            "runs_in": plain,
            "threads": self.about["threads"],
            "bytes": self.path.stat().st_size,
            "load_ms": self.about["load_ms"],
            **{name: float(np.quantile(every, share)) for name, share in QUANTILES.items()},
            "times_as_long": float(np.median(ratios)),
            "peak_memory_mb": None if before is None or peak is None else max(0.0, peak - before),
            "runtime_memory_mb": before,
        }


def main() -> None:
    """Open the model that the command line names; then, for each number on standard input, run so many inferences."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer

    def say(**what: Any) -> None:
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    try:
        _serve(json.loads(sys.argv[1]), say)
    except Exception as error:  # of several libraries
        say(error=reason(error))


def _serve(words: dict[str, Any], say: Any) -> None:
    start, threads = _starters(words)
    before = _memory(peak=False)
    began = time.perf_counter()
    run = start()
    loaded = time.perf_counter()
    say(before=before, load_ms=1000 * (loaded - began), threads=threads)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            begin = time.perf_counter()
            run()
            times.append(1000 * (time.perf_counter() - begin))
        say(ms=times, peak=_memory(peak=True))


def _starters(words: dict[str, Any]) -> tuple[Any, int]:
    """Load a runtime; return what opens a model and returns what runs one input, and the number of threads."""
    from cnnkit.device.model import processors

    path, threads = Path(words["path"]), words["threads"] or min(4, processors())
    if words["in"] == LITERT:
        import ai_edge_litert.interpreter  # noqa: F401 - the runtime belongs to the process, not to the file

        def litert() -> Any:
            model = DeviceModel.open(path, threads=threads, known=True, kernels=words["kernels"])
            one = model.kind.noise(model.metadata, model.input_shape, np.random.default_rng(0))
            return lambda: model.run(one)

        return litert, threads
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if words["in"] == KERAS:

        def trained() -> Any:
            artifact, one = _trained(path)
            return lambda: artifact.run_batch(one)

        return trained, threads
    import tempfile

    import onnxruntime

    from cnnkit.evaluation.artifacts import outputs

    artifact, one = _trained(path)
    given = artifact.kind.batch(one)
    whole = outputs(artifact.model, artifact.metadata, path)
    whole(given)  # Keras exports what was called once
    folder = tempfile.TemporaryDirectory()
    file = Path(folder.name) / "model.onnx"
    whole.export(file, format="onnx", verbose=False)

    def onnx() -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        folder.cleanup()
        return lambda: session.run(None, {name: given})

    return onnx, threads


def _trained(path: Path) -> tuple[Any, np.ndarray]:
    from cnnkit.evaluation.artifacts import open_artifact
    from cnnkit.registry import DEVICE, input_of

    artifact: Any = open_artifact(path)
    kind = input_of(artifact.metadata, DEVICE, path)
    return artifact, kind.noise(artifact.metadata, (1, *artifact.input_shape), np.random.default_rng(0))


def _memory(*, peak: bool) -> float | None:
    """Return the resident memory of this process in MB, now or at its peak since it was asked last; None where nothing says.

    Linux's own count is asked first: `ru_maxrss` begins with what the process had that started this one.
    """
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        name = "VmHWM:" if peak else "VmRSS:"
        found = int(next(line.split()[1] for line in lines if line.startswith(name))) / 1024
        if not peak:
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        return found
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)

"""`bench`: how fast an exported model is on this machine, and how much memory it needs.

Design choices:
- Each file is measured in a process of its own: what one file, or the command line around it, took before would count as the
  next one's.
- Memory is what opening and running the file adds at its peak to a process that has loaded the runtime and opened nothing. That
  process is what any program in Python pays; a program in C++ pays less.
"""

import contextlib
import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import opening, trials
from cnnkit.device.model import DeviceModel
from cnnkit.errors import ArtifactError
from cnnkit.reporter import SILENT, Reporter
from cnnkit.run import EXPORT, Run, latest


@dataclasses.dataclass(frozen=True)
class Measured:
    """What exported models need on this machine.

    Attributes:
        models: of each file `file`, `bytes`, `load_ms`, `median_ms` and `p95_ms` of an input, and in MB `peak_memory_mb`, what it
            adds at its peak to `runtime_memory_mb`; both None where the system does not say.
        runs: timed inferences of each.
    """

    models: list[dict[str, Any]]
    runs: int


def bench(
    app: str, artifact: Path | None = None, *, runs: int = 200, threads: int | None = None, tell: Reporter = SILENT
) -> Measured:
    """Measure one exported model, or all of a run: latency of one input, size, memory.

    Args:
        app: whose it must be.
        artifact: a `.tflite`, or a run; None: the latest.
        runs: timed inferences of each file.
        threads: of the interpreter; None: up to 4.
        tell: hears of what may be wrong with a file.

    Raises:
        ArtifactError: there is no exported model, or one that cannot be used.
    """
    path = artifact or latest(app, tell)
    files = [path]
    if path.is_dir():
        run = Run.open(path, app)
        files = sorted((run.path / EXPORT).glob("*.tflite"))
        if not files:
            raise ArtifactError(f"{run.path} has no exported model yet. Make one with `cnnkit {app} export`.")
    return Measured([_apart(file, app, runs, threads, tell) for file in files], runs)


def _apart(path: Path, app: str, runs: int, threads: int | None, tell: Reporter) -> dict[str, Any]:
    """Measure a file in a process of its own."""
    model = opening.open_model(path, app, threads, tell)  # what is wrong with it is said here
    if not isinstance(model, DeviceModel):
        raise ArtifactError(
            f"{path} is not an exported model. Export it with `cnnkit {app} export`, then bench the .tflite."
        )
    code = "from cnnkit.verbs.bench import main; main()"
    line, environment = trials.python(code, str(path.absolute()), str(runs), str(threads or 0))
    done = subprocess.run(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    try:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        raise ArtifactError(
            f"{path} ends the process that measures it (exit code {done.returncode}). Export it again."
        ) from None


def main() -> None:
    """Measure the file that the command line names, and write the result as a line of JSON."""
    path, runs, threads = sys.argv[1:]
    sys.stdout.write(json.dumps(_measure(Path(path), int(runs), int(threads) or None)) + "\n")


def _measure(path: Path, runs: int, threads: int | None) -> dict[str, Any]:
    import ai_edge_litert.interpreter  # noqa: F401 - the runtime belongs to the process, not to the file

    before = _memory(peak=False)
    began = time.perf_counter()
    model = DeviceModel.open(path, threads=threads, known=True)
    loaded = time.perf_counter()
    one = model.kind.noise(model.metadata, model.input_shape, np.random.default_rng(0))
    for _ in range(min(20, runs)):
        model.run(one)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        model.run(one)
        times.append(time.perf_counter() - start)
    after = _memory(peak=True)
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "load_ms": 1000 * (loaded - began),
        "median_ms": 1000 * float(np.median(times)),
        "p95_ms": 1000 * float(np.quantile(times, 0.95)),
        "peak_memory_mb": None if before is None or after is None else max(0.0, after - before),
        "runtime_memory_mb": before,
    }


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

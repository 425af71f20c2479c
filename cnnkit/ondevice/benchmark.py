"""`bench`: how fast an exported model is on this machine, and how much memory it needs.

Design choices:
- Each file is measured in a process of its own: what one file, or the command line around it, took before would count as the
  next one's.
- Memory is what opening and running the file adds at its peak to a process that has loaded the runtime and opened nothing. That
  process is what any program in Python pays; a program in C++ pays less.
"""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import console, ondevice, trials
from cnnkit.device.model import DeviceModel
from cnnkit.errors import ArtifactError
from cnnkit.run import EXPORT, Run, latest


def bench(app: str, artifact: Path | None, *, runs: int, threads: int | None) -> None:
    """Measure one exported model, or all of a run: latency of one input, size, memory."""
    path = artifact or latest(app)
    files = [path]
    if path.is_dir():
        run = Run.open(path, app)
        files = sorted((run.path / EXPORT).glob("*.tflite"))
        if not files:
            raise ArtifactError(f"{run.path} has no exported model yet. Make one with `cnnkit {app} export`.")
    rows = [_apart(file, app, runs, threads) for file in files]
    console.document({"models": rows, "runs": runs})
    if not console.is_json():
        console.table(
            ["model", "size kB", "load ms", "median ms", "95 % ms", "a second", "memory MB"],
            [
                [
                    row["file"],
                    f"{row['bytes'] / 1000:.1f}",
                    f"{row['load_ms']:.1f}",
                    f"{row['median_ms']:.3f}",
                    f"{row['p95_ms']:.3f}",
                    f"{1000 / row['median_ms']:.0f}",
                    "" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:.1f}",
                ]
                for row in rows
            ],
        )
        if rows[0]["runtime_memory_mb"] is not None:
            console.message(
                "Memory: what a file adds at its peak to a process of its own that has loaded the runtime alone "
                f"({rows[0]['runtime_memory_mb']:.0f} MB)."
            )


def _apart(path: Path, app: str, runs: int, threads: int | None) -> dict[str, Any]:
    """Measure a file in a process of its own."""
    model = ondevice.open_model(path, app, threads)  # what is wrong with it is said here
    if not isinstance(model, DeviceModel):
        raise ArtifactError(
            f"{path} is not an exported model. Export it with `cnnkit {app} export`, then bench the .tflite."
        )
    code = "from cnnkit.ondevice.benchmark import main; main()"
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

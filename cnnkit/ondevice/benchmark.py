"""`bench`: how fast an exported model is on this machine."""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import console, ondevice
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
    rows = [_measure(file, app, runs, threads) for file in files]
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
                    "" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:.0f}",
                ]
                for row in rows
            ],
        )


def _measure(path: Path, app: str, runs: int, threads: int | None) -> dict[str, Any]:
    began = time.perf_counter()
    model = ondevice.open_model(path, app, threads)
    if not isinstance(model, DeviceModel):
        raise ArtifactError(
            f"{path} is not an exported model. Export it with `cnnkit {app} export`, then bench the .tflite."
        )
    loaded = time.perf_counter()
    most = model.metadata.get("input", {}).get("ids", 256)  # of texts: a larger id would stop the interpreter
    image = np.random.default_rng(0).integers(0, most, model.input_shape)
    for _ in range(min(20, runs)):
        model.run(image)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        model.run(image)
        times.append(time.perf_counter() - start)
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "load_ms": 1000 * (loaded - began),
        "median_ms": 1000 * float(np.median(times)),
        "p95_ms": 1000 * float(np.quantile(times, 0.95)),
        "peak_memory_mb": _peak_memory(),
    }


def _peak_memory() -> float | None:
    """Return the peak resident memory of this process in MB; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)

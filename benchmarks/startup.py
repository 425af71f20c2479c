"""How long whole commands take: `--help`, and `predict` of one image from a .tflite.

    python benchmarks/startup.py [--model x.tflite] [--image x.png] [--runs 11]

Times the installed command as a whole process, start to end, after one warm-up; prints minimum, median and maximum. Without
--model an untrained network of the same size is exported first.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

import results


def seconds(command: list[str], runs: int) -> list[float]:
    """Time a command as a whole process."""
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return times[1:]


def untrained(folder: Path) -> Path:
    """Export the default network as it is before training."""
    from cnnkit.export.convert import convert
    from cnnkit.models.images import MODELS

    path = folder / "untrained.tflite"
    labels = [str(digit) for digit in range(10)]
    model = MODELS["default"]((28, 28, 1), 10)
    about = {"app": "digits", "task": "classification", "input": {"kind": "image"}, "labels": labels}
    path.write_bytes(convert(model, "float32", np.zeros((1, 28, 28, 1)), about))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--runs", type=int, default=11)
    arguments = parser.parse_args()
    binary = shutil.which("cnnkit", path=str(Path(sys.executable).parent)) or "cnnkit"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = arguments.image or folder / "seven.png"
        if arguments.image is None:
            picture = np.zeros((28, 28), np.uint8)
            cv2.polylines(picture, [np.array([[6, 6], [21, 6], [12, 23]])], False, 255, 2, cv2.LINE_AA)
            cv2.imwrite(str(image), picture)
        model = arguments.model or untrained(folder)
        measured = {
            "cnnkit digits --help": seconds([binary, "digits", "--help"], arguments.runs),
            "cnnkit digits predict x.tflite image.png": seconds(
                [binary, "digits", "predict", str(model), str(image)], arguments.runs
            ),
            "python -c pass": seconds([sys.executable, "-c", "pass"], arguments.runs),
        }
    for command, times in measured.items():
        print(f"{command}: {min(times):.3f} / {statistics.median(times):.3f} / {max(times):.3f} s (min / median / max)")
    results.write("startup", {"seconds": measured, "median": {k: statistics.median(v) for k, v in measured.items()}})


if __name__ == "__main__":
    main()

"""Runs exported for microcontrollers, in TensorFlow Lite Micro (TFLM) itself: answers, scores, flash and arena.

    python benchmarks/micro.py RUN [RUN ...]

Each run is exported anew with `--for micro` into a folder that is thrown away. `equal` is the share of test records on which TFLM
answers, number by number, as LiteRT's reference kernels do; `apart` is by how many points these two score otherwise; `difference`
is the file's score less the trained model's, in points. Whether the C array holds the file's bytes, the array itself says: its
numbers are read back from the C++. Each app, data set and model has a row in
the results.
"""

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import results
from cnnkit.export import tflm
from cnnkit.export.gate import GATE
from cnnkit.run import Run


def array(path: Path) -> bytes:
    """Return the bytes that a C array of a generated file holds."""
    (inside,) = re.findall(r"kModelBytes\] = \{([^}]*)\}", path.read_text(encoding="utf-8"))
    return bytes(int(number, 16) for number in re.findall(r"0x([0-9a-f]{2})", inside))


def measured(path: Path, app: str, threads: int) -> dict[str, Any]:
    """Return a row of a run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = ("export", str(path), "--for", "micro", "--out", str(folder))
        results.cnnkit(app, *words, threads=threads)
        document = json.loads((folder / GATE).read_text(encoding="utf-8"))
        verdict = document["artifacts"]["int8"]
        checks = {check["name"]: check["measured"] for check in verdict["checks"]}
        row = {
            "passed": verdict["passed"],
            "refused": verdict["refused"],
            "records": document["records"],
            "trained": document["reference"]["score"],
            "score": verdict["score"],
            "difference": verdict["difference"],
            "equal": 1 - checks["client's answers"],
            "apart": checks["client's score"],
            "interpreter": document["interpreter"],
        }
        if verdict["passed"]:
            content = (folder / verdict["file"]).read_bytes()
            room = tflm.arena(content)
            row |= {
                "flash": len(content),
                "arena": {"size": room.size, "tensors": room.tensors, "kept": room.kept},
                "array equals file": array(folder / f"{app}_model.cc") == content,
            }
        return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    rows = {}
    for path in arguments.runs:
        run = Run.open(path)
        about = {"model": run.document["model"], "size": run.document["settings"].get("image_size")}
        app = run.document["app"]
        row = {**about, **measured(path, app, arguments.threads)}
        rows[f"{app}: {run.document['data']['name']}, {run.document['model']['name']}"] = row
        print(row, flush=True)
    results.write("micro", {"rows": results.beside("micro", "rows", rows)})


if __name__ == "__main__":
    main()

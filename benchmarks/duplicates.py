"""How many planted copies across a split `data check` finds among traffic signs of 32 px, and how many false ones.

    python benchmarks/duplicates.py [--data FOLDER] [--seeds 0 1 2] [--copies 100]

Links a folder train/CLASS/TRACK_FRAME.png and test/CLASS/*.png, and adds copies of training images to test/: exact ones,
saved again as JPEG, scaled, brightened. A copy is found if it is named as a leak (exact) or a near-duplicate (the others)
of any image of training or validation. Near-duplicates that were not planted are counted as false alarms, though some
may be frames of one scene that the data itself has on both sides. The constants were chosen with seeds from 100 on.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import results
from cnnkit.inputs.image import checks
from cnnkit.inputs.image.loading import load


def kinds() -> dict[str, Any]:
    """What is done to a copy: name -> function of BGR uint8 (h, w, 3)."""

    def saved(quality: int):
        return lambda p: cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)

    def scaled(side: int):
        how = cv2.INTER_AREA if side < 32 else cv2.INTER_LINEAR
        return lambda p: cv2.resize(p, (side, side), interpolation=how)

    return {
        "exact": lambda p: p,
        "jpeg quality 90": saved(90),
        "jpeg quality 75": saved(75),
        "scaled to 28 px": scaled(28),
        "scaled to 36 px": scaled(36),
        "brightened by 20": lambda p: cv2.convertScaleAbs(p, alpha=1, beta=20),
        "contrast and brightness, 1.1 and 10": lambda p: cv2.convertScaleAbs(p, alpha=1.1, beta=10),
    }


def link(source: Path, root: Path) -> list[Path]:
    """Link every image of `source` below `root`; return those of training."""
    for path in sorted(source.glob("*/*/*")):
        target = root / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path.resolve())
    return sorted((root / "train").glob("*/*"))


def found(root: Path) -> tuple[dict[str, set[str]], float]:
    """Return the names of test images that are near-duplicates, and those that are exact; and the seconds it took."""
    splits = load(root)
    began = time.perf_counter()
    pairs = checks.near_duplicates(splits)
    seconds = time.perf_counter() - began
    near = {Path(splits.test.name(b)).name for (_, second), rows in pairs.items() if second == "test" for _, b in rows}
    inside = {(first, second): len(rows) for (first, second), rows in pairs.items() if second != "test"}
    return {"near": near, "validation": {str(k) for k in range(sum(inside.values()))}}, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with train/ and test/  [default: $CNNKIT_DATA/gtsrb-small]")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--copies", type=int, default=100)
    parser.add_argument("--out", type=Path, help="JSON file  [default: benchmarks/results/duplicates.json]")
    arguments = parser.parse_args()
    source = arguments.data or results.research("gtsrb-small")
    clean, seconds = found(source)
    content: dict[str, Any] = {
        "data": source.name,
        "copies_of_each_kind": arguments.copies,
        "seeds": arguments.seeds,
        "clean": {
            "test_images_named": len(clean["near"]),
            "validation_images_named": len(clean["validation"]),
            "seconds": seconds,
        },
        "rows": [],
    }
    print(content["clean"], sorted(clean["near"]), flush=True)
    for seed in arguments.seeds:
        rng = np.random.default_rng(seed)
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            train = link(source, root)
            planted: dict[str, set[str]] = {}
            for kind, alter in kinds().items():
                planted[kind] = set()
                for k in rng.choice(len(train), arguments.copies, replace=False).tolist():
                    name = f"copy-{len(planted):02}-{k:05}.png"
                    pixels = alter(cv2.imread(str(train[k])))
                    cv2.imwrite(str(root / "test" / train[k].parent.name / name), pixels)
                    planted[kind].add(name)
            near, _ = found(root)
            leaks = [finding.text for finding in checks.check(load(root)) if finding.kind == "leak"]
        exact = int(leaks[0].split()[0]) if leaks else 0
        row = {kind: len(near["near"] & names) / len(names) for kind, names in planted.items() if kind != "exact"}
        row = {"seed": seed, "exact": exact / arguments.copies, **row}
        row["false_alarms"] = len(near["near"] - set.union(*planted.values()))
        content["rows"].append(row)
        print(row, flush=True)
    content["found"] = {
        kind: {
            "mean": statistics.mean(row[kind] for row in content["rows"]),
            "worst": min(row[kind] for row in content["rows"]),
        }
        for kind in kinds()
    }
    results.write("duplicates", content, arguments.out)


if __name__ == "__main__":
    main()

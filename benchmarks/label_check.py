"""How many planted wrong labels `data check` finds in traffic signs, and how many right ones it calls wrong.

    python benchmarks/label_check.py [--data FOLDER] [--seeds 0 1 2] [--part 0.05]

Plants wrong labels into a temporary copy of a folder CLASS/TRACK_FRAME.png: single images, each under another class drawn
uniformly, and, apart from that, whole tracks. Tracks get numbers that are unique over the classes, so that a moved image is
in no other track. Precision is the part of what is named that was planted, recall the part of what was planted that is
named. Single images are judged by `label_check.wrong_images`, tracks by `label_check.wrong_groups`, as `data check` does.
The rule's constants were chosen with seeds from 100 on. The data is taken as it is: wrong labels that it has of its own
count as false alarms. Clean sets are judged as well.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import results
from cnnkit.data.records import Records
from cnnkit.inputs.image import label_check
from cnnkit.inputs.image.loading import load


def copy(source: Path, root: Path, kind: str, part: float, seed: int) -> set[str]:
    """Link the images of `source` below `root`, some under a wrong class; return the names of the planted."""
    rng = np.random.default_rng(seed)
    classes = sorted(path.name for path in source.iterdir() if path.is_dir())
    files = [(c, path) for c in range(len(classes)) for path in sorted((source / classes[c]).iterdir())]
    tracks = [f"{c:03}{path.name.partition('_')[0]}" for c, path in files]
    units = np.array(tracks if kind == "tracks" else [str(k) for k in range(len(files))])
    names = np.unique(units)
    chosen = rng.choice(names, round(part * len(names)), replace=False)
    shift = dict(zip(chosen.tolist(), rng.integers(1, len(classes), len(chosen)).tolist()))
    planted = set()
    for (c, path), track, unit in zip(files, tracks, units.tolist()):
        name = f"{track}_{path.name.partition('_')[2]}"
        target = root / classes[(c + shift.get(unit, 0)) % len(classes)] / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path.resolve())
        if unit in shift:
            planted.add(track if kind == "tracks" else name)
    return planted


def described(records: Records) -> np.ndarray:
    """Return the features of all records: float16 (n, 704)."""
    records = records.with_shape((label_check.SIDE, label_check.SIDE, 3))
    blocks = [np.arange(start, min(len(records), start + 512)) for start in range(0, len(records), 512)]
    return np.concatenate([label_check.features(records.read(block)[0]) for block in blocks])


def judge(records: Records, kind: str) -> tuple[label_check.Suspects, list[str], float]:
    """Judge single images or whole tracks; return what was found, by name, and the seconds it took."""
    began = time.perf_counter()
    features = described(records)
    if kind == "tracks":
        found = label_check.wrong_groups(features, records.labels, records.groups)
        first = [int(np.flatnonzero(records.groups == group)[0]) for group in found.indices]
        names = [Path(records.name(k)).name.partition("_")[0] for k in first]
    else:
        found = label_check.wrong_images(features, records.labels)
        names = [Path(records.name(int(k))).name for k in found.indices]
    return found, names, time.perf_counter() - began


def everything(source: Any) -> Records:
    """Return a data set's training images, nothing held out."""
    return load(source, validation=0, test=0).train


def summary(rows: list[dict[str, Any]], key: str) -> dict[str, float]:
    values = [row[key] for row in rows]
    return {"mean": statistics.mean(values), "spread": statistics.stdev(values) if len(values) > 1 else 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="class folders  [default: $CNNKIT_DATA/gtsrb-small/train]")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--part", type=float, default=0.05)
    parser.add_argument("--clean", nargs="*", default=["digits", "mnist"])
    parser.add_argument("--out", type=Path, help="JSON file  [default: benchmarks/results/label_check.json]")
    arguments = parser.parse_args()
    source = arguments.data or results.research("gtsrb-small/train")
    content: dict[str, Any] = {"data": source.parent.name, "part": arguments.part, "seeds": arguments.seeds}
    for kind in ("images", "tracks"):
        rows = []
        for seed in arguments.seeds:
            with tempfile.TemporaryDirectory() as folder:
                planted = copy(source, Path(folder), kind, arguments.part, seed)
                found, names, seconds = judge(everything(folder), kind)
            right = sum(name in planted for name in names)
            rows.append(
                {
                    "seed": seed,
                    "planted": len(planted),
                    "named": len(names),
                    "right": right,
                    "precision": right / max(1, len(names)),
                    "recall": right / len(planted),
                    "said_it_would_notice": found.catches,
                    "seconds": seconds,
                }
            )
            print(kind, rows[-1], flush=True)
        content[kind] = {"rows": rows, "precision": summary(rows, "precision"), "recall": summary(rows, "recall")}
    clean = []
    for name, kind in (
        (str(source), "images"),
        (str(source), "tracks"),
        *((card, "images") for card in arguments.clean),
    ):
        found, names, seconds = judge(everything(name), kind)
        clean.append(
            {
                "data": source.parent.name if name == str(source) else name,
                "kind": kind,
                "judged": found.judged,
                "named": len(names),
                "seconds": seconds,
            }
        )
        print(clean[-1], flush=True)
    results.write("label_check", {**content, "clean": clean}, arguments.out)


if __name__ == "__main__":
    main()

"""Teach a model a label that its first data was never asked for: what it knows of the new one, and still of the old.

    python benchmarks/new_label.py texts boxes --seeds 0 1 2     # some minutes on two cores

Texts are made of random words; each of the labels a, b, c has words of its own, and a third of the texts each label. The first
run has 3,000 texts, a third of them about c too, which nobody asked for; the second 500 with all three labels. Boxes are drawn on
noise: squares, discs and triangles. The first run has 400 images in which triangles are there without a box; the second 100 with
boxes of all. Compared are, on 1,000 texts and 200 images with everything said: the first run, `train --weights FIRST --replay` on
the second data, and a training on the second data alone, as long in steps.
"""

import argparse
import json
import statistics
from pathlib import Path

import cv2
import numpy as np

import results

LABELS = ("a", "b", "c")
SHAPES = ("square", "disc", "triangle")


def texts(folder: Path, split: str, count: int, seed: int, labels: tuple[str, ...]) -> None:
    """Write texts with those of their labels that were asked for."""
    rng = np.random.default_rng(seed)
    lines = ["text,labels"]
    for _ in range(count):
        words = [f"filler{n}" for n in rng.integers(0, 400, rng.integers(6, 12))]
        own = [label for label in LABELS if rng.random() < 1 / 3]
        for label in own:
            words += [f"{label}word{n}" for n in rng.integers(0, 12, rng.integers(1, 3))]
        words += [f"{rng.choice(LABELS)}word{rng.integers(0, 12)}"] if rng.random() < 0.1 else []  # said in passing
        rng.shuffle(words)
        lines.append(f"{' '.join(words)},{'|'.join(label for label in own if label in labels)}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def boxes(folder: Path, split: str, count: int, seed: int, labels: tuple[str, ...]) -> None:
    """Write images in YOLO's layout; shapes that were not asked for are there without a box."""
    rng = np.random.default_rng(seed)
    for part in ("images", "labels"):
        (folder / part / split).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = rng.integers(0, 90, (128, 128, 3)).astype(np.uint8)
        rows = []
        for quarter in rng.permutation(4)[: rng.integers(1, 5)]:
            side, kind = int(rng.integers(14, 40)), int(rng.integers(3))
            left = quarter % 2 * 64 + int(rng.integers(0, 64 - side))
            top = quarter // 2 * 64 + int(rng.integers(0, 64 - side))
            colour = rng.integers(120, 256, 3).tolist()
            if kind == 0:
                cv2.rectangle(image, (left, top), (left + side - 1, top + side - 1), colour, -1)
            elif kind == 1:
                cv2.circle(image, (left + side // 2, top + side // 2), side // 2, colour, -1)
            else:
                corners = [(left + side // 2, top), (left + side, top + side), (left, top + side)]
                cv2.fillPoly(image, [np.array(corners, np.int32)], colour)
            if SHAPES[kind] in labels:
                middle = (left + side / 2) / 128, (top + side / 2) / 128
                rows.append(
                    f"{labels.index(SHAPES[kind])} {middle[0]:.5f} {middle[1]:.5f} {side / 128:.5f} {side / 128:.5f}"
                )
        cv2.imwrite(str(folder / "images" / split / f"{number:04}.png"), image)
        (folder / "labels" / split / f"{number:04}.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    names = json.dumps(list(labels))
    splits = "".join(f"{name}: images/{name}\n" for name in ("train", "test"))
    (folder / "data.yaml").write_text(f"{splits}names: {names}\n", encoding="utf-8")


def f1(document: dict, names: tuple[str, ...]) -> dict[str, float]:
    """Return F1 by label, in percent, of what `evaluate` says."""
    found = {}
    for name in names:
        entry = document["per_class"][name]
        both = entry["precision"] + entry["recall"]
        found[name] = round(100 * 2 * entry["precision"] * entry["recall"] / both if both else 0.0, 2)
    return found


KINDS = {
    # what makes data, the labels, how many records at first, later and to score; the app, its options, epochs alone
    "texts": (
        texts,
        LABELS,
        (3000, 500, 1000),
        "text",
        ("--separator", "|"),
        ("--model", "kim-rand", "--epochs", "8"),
        "40",
    ),
    "boxes": (
        boxes,
        SHAPES,
        (400, 100, 200),
        "signs",
        (),
        ("--epochs", "16", "--batch-size", "8", "--image-size", "128"),
        "80",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=list(KINDS), choices=[*KINDS, []])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark/new-label"))
    arguments = parser.parse_args()
    for kind in arguments.kinds:
        make, names, sizes, app, columns, words, longer = KINDS[kind]
        rows = []
        for seed in arguments.seeds:
            root = arguments.runs / f"{kind}-{seed}"
            first, second = root / "first-data", root / "second-data"
            if not second.exists():
                for place, (folder, labels) in enumerate(((first, names[:2]), (second, names))):
                    make(folder, "train", sizes[place], 10 * seed + place, labels)
                    make(folder, "test", sizes[2], 10 * seed + 2, labels)
            common = (*columns, *words, "--seed", str(seed))
            before = results.trained(app, root / "first", "--data", str(first), *common, threads=2)
            kept = ("--data", str(second), "--weights", str(root / "first"), "--replay", *common)
            results.trained(app, root / "kept", *kept, threads=2)
            results.trained(app, root / "alone", "--data", str(second), *common, "--epochs", longer, threads=2)
            scores = {
                name: f1(
                    results.cnnkit(
                        app, "evaluate", str(root / name), "--data", str(second), "--split", "test", *columns, threads=2
                    ),
                    names,
                )
                for name in ("kept", "alone")
            }
            row = {"seed": seed, "first": f1(before["scores"]["test"], names[:2]), **scores}
            rows.append(row)
            print(json.dumps(row), flush=True)
        mean = {
            run: {name: round(statistics.mean(row[run][name] for row in rows), 2) for name in rows[0][run]}
            for run in ("first", "kept", "alone")
        }
        results.write(f"new_label_{kind}", {"f1": mean, "rows": rows})


if __name__ == "__main__":
    main()

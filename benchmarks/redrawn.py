"""The same pictures scored by `evaluate` and named by `predict`: test digits of MNIST drawn again as people hand them in.

    python benchmarks/redrawn.py

2,000 test digits, drawn anew from --seed in both polarities: `paper` (odd sizes and places, a digit from 14 to 160 px high, on
paper with uneven light, grain and a tint, as PNG, JPEG or BMP) and `full` (28x28, the digit filling the frame). A model is
trained on --limit images of MNIST as they are, exported through the gate, and asked both ways. `alike` says that both tables of
true and named classes are the same. `plain` is the share right of the digits as MNIST has them. A run that is there is not
trained again.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np

import results
from cnnkit.inputs.image.loading import load

LOOKS = ("paper", "full")


def tight(digit: np.ndarray) -> np.ndarray:
    """Cut a light digit, uint8 (28, 28), to its box."""
    ys, xs = np.nonzero(digit)
    return digit[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]


def on_paper(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a digit on paper: uint8 (h, w, 3) BGR, dark on light."""
    height = int(rng.integers(14, 161))
    width = max(2, round(height * digit.shape[1] / digit.shape[0]))
    ink = cv2.resize(digit, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
    room = [tuple(int(side) for side in rng.integers(max(2, height // 10), height, 2)) for _ in range(2)]
    ink = np.pad(np.clip(ink, 0, 1), room)
    tall, wide = ink.shape
    slope = rng.uniform(-0.15, 0.15, 2)
    light = 1 + slope[0] * np.linspace(-0.5, 0.5, tall)[:, None] + slope[1] * np.linspace(-0.5, 0.5, wide)[None]
    tint = rng.uniform(0.92, 1, 3) * rng.uniform(200, 245)
    page = light[..., None] * tint * (1 - rng.uniform(0.55, 0.9) * ink[..., None])
    page += rng.normal(0, rng.uniform(1, 4), ink.shape)[..., None]
    return np.clip(page, 0, 255).astype(np.uint8)


def full(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Enlarge a digit to the whole height or width of 28x28, its aspect kept: uint8, dark on white."""
    scale = 28 / max(digit.shape)
    size = tuple(max(1, round(side * scale)) for side in digit.shape[::-1])
    page = np.zeros((28, 28), np.uint8)
    x, y = ((28 - side) // 2 for side in size)
    page[y : y + size[1], x : x + size[0]] = cv2.resize(digit, size, interpolation=cv2.INTER_LINEAR)
    return 255 - page


def draw(folder: Path, look: str, digits: np.ndarray, labels: np.ndarray, seed: int) -> None:
    """Write digits into class folders: FOLDER/dark/LABEL/*, and the same with light and dark exchanged in FOLDER/light."""
    rng = np.random.default_rng(seed)
    for number, (digit, label) in enumerate(zip(digits, labels, strict=True)):
        page = (on_paper if look == "paper" else full)(tight(digit), rng)
        suffix = ("png", "jpg", "bmp")[number % 3] if look == "paper" else "png"
        for polarity, picture in (("dark", page), ("light", 255 - page)):
            place = folder / polarity / str(label)
            place.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place / f"digit-{number:05}.{suffix}"), picture)


def asked(model: Path, folder: Path, threads: int) -> dict:
    """Ask `predict` and `evaluate` about the pictures of a folder."""
    rows = results.cnnkit("digits", "predict", str(model), str(folder), threads=threads)["predictions"]
    scores = results.cnnkit("digits", "evaluate", str(model), "--data", str(folder), threads=threads)
    table = np.zeros((10, 10), int)
    for row in rows:
        if not row.get("nothing"):
            table[int(Path(row["input"]).parent.name), int(row["label"])] += 1
    return {
        "pictures": scores["count"],
        "predict": int(np.trace(table)) / len(rows),
        "evaluate": scores["accuracy"],
        "alike": bool(len(rows) == scores["count"] and (table == np.array(scores["confusion"])).all()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="test digits")
    parser.add_argument("--limit", type=int, default=18_000, help="training images")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the drawing and of the training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark"))
    arguments = parser.parse_args()
    run = arguments.runs / f"redrawn-{arguments.limit}-{arguments.epochs}-{arguments.seed}"
    words = ["--data", "mnist", "--limit", str(arguments.limit), "--epochs", str(arguments.epochs)]
    results.trained("digits", run, *words, "--seed", str(arguments.seed), threads=arguments.threads)
    gate = results.cnnkit("digits", "export", str(run), "--precision", "float32,int8", threads=arguments.threads)
    test = load("mnist").test
    digits, labels = test.read(np.arange(arguments.count))
    found: dict = {"plain": {name: verdict["score"] for name, verdict in gate["artifacts"].items()}}
    settings = {key: getattr(arguments, key) for key in ("count", "limit", "epochs", "seed")}
    folder = Path(tempfile.mkdtemp())
    try:
        for look in LOOKS:
            draw(folder / look, look, digits[..., 0], labels, arguments.seed)
            for polarity in ("dark", "light"):
                for precision in ("float32", "int8"):
                    model = run / "export" / f"digits-{precision}.tflite"
                    row = asked(model, folder / look / polarity, arguments.threads)
                    found[f"{look}, {polarity}, {precision}"] = row
                    print(f"{look}, {polarity}, {precision}: {row}", flush=True)
                    results.write("redrawn", {"settings": settings, "found": found})  # what is measured so far
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

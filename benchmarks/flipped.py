"""What becomes of exported files with flipped bits: refused in a line, or the same answer; never another one, or an abort.

    python benchmarks/flipped.py [--files 1000] [--older 15] [--commands 4] [--seed 0]

The default networks of digits, signs and texts with random weights, float32 and int8, exported as `export` does. Each damaged
file has 1 to 16 flipped bits: in a third of them anywhere, in a third anywhere in the ZIP behind the flatbuffer (headers,
`cnnkit.json`, labels, vocabulary, checksum), in a third close together. It is opened and asked in a process that may die;
`--commands` of each kind go through `cnnkit APP predict` as a whole. `--older`: as many of each kind without their checksum,
as files of older exports are; there a changed weight cannot be told, and is counted."""

import argparse
import collections
import io
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import results
from cnnkit.errors import CnnkitError

PATIENCE = 90  # seconds of one file


def exported(folder: Path) -> dict[str, tuple[str, Path]]:
    """Export every kind of model; return app and file by name."""
    import keras

    from cnnkit.device.detection import Plan
    from cnnkit.device.text import learn
    from cnnkit.export.convert import convert
    from cnnkit.models.images import MODELS
    from cnnkit.models.text import wide_cnn
    from cnnkit_signs import model as signs

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    letters = ["ba", "den", "fir", "gol", "hus", "nim", "ka", "lo", "mi", "tu", "re", "so"]
    texts = [" ".join("".join(rng.choice(letters, 3)) for _ in range(rng.integers(3, 40))) for _ in range(400)]
    tokenizer = learn(texts, max_length=64).tokenizer
    words = {
        "text": tokenizer.to_dict() | {"margin": 1},
        "input": {"kind": "text", "shape": [64], "ids": tokenizer.size},
    }

    def pictures(side: int, channels: int) -> dict[str, Any]:
        return {"input": {"kind": "image", "shape": [side, side, channels], "range": [0, 255]}}

    def noise(side: int, channels: int) -> np.ndarray:
        return rng.integers(0, 256, (8, side, side, channels)).astype(np.uint8)

    found = {"strides": [8, 16, 32], "detection": Plan((8, 16, 32), threshold=0.01).to_dict()}
    kinds: dict[str, tuple[str, Any, np.ndarray, dict[str, Any]]] = {
        "digits": ("digits", MODELS["default"]((28, 28, 1), 10), noise(28, 1), pictures(28, 1)),
        "signs recognition": ("signs", signs.BUILDERS["default"]((48, 48, 3), 10), noise(48, 3), pictures(48, 3)),
        "signs detection": (
            "signs",
            signs.DETECTORS["default"]((160, 160, 3), 10, strides=found["strides"]),
            noise(160, 3),
            pictures(160, 3) | {"task": "detection", "detection": found["detection"]},
        ),
        "text": (
            "text",
            wide_cnn((64,), 10, size=tokenizer.size, pair_buckets=4096),
            tokenizer.batch(texts[:64]),
            words,
        ),
    }
    files = {}
    for name, (app, network, inputs, about) in kinds.items():
        metadata = {"format": 1, "app": app, "task": "classification", "labels": list("abcdefghij"), **about}
        for precision in ("float32", "int8"):
            path = folder / f"{name.replace(' ', '-')}-{precision}.tflite"
            path.write_bytes(convert(network, precision, inputs, metadata))
            files[f"{name}, {precision}"] = (app, path)
    return files


def unsealed(content: bytes) -> bytes:
    """Return a file as older exports were: without its checksum, and without the mark that it should have one."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        flatbuffer = content[: archive.infolist()[0].header_offset].replace(b"cnnkit.sealed", b"cnnkit.before")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, entry in entries.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), entry)
    return flatbuffer + buffer.getvalue()


def damaged(content: bytes, rng: np.random.Generator, number: int) -> bytes:
    """Flip 1 to 16 bits."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        behind = archive.infolist()[0].header_offset
    bits = 8 * len(content)
    count = int(rng.choice([1, 1, 1, 2, 4, 16]))
    places = [
        lambda: rng.integers(0, bits, count),
        lambda: rng.integers(8 * behind, bits, count),
        lambda: (rng.integers(0, bits) + rng.integers(0, 256, count)) % bits,
    ][number % 3]()
    changed = np.frombuffer(content, np.uint8).copy()
    for place in set(places.tolist()):
        changed[place // 8] ^= 1 << place % 8
    return changed.tobytes()


def answer(path: Path) -> Any:
    """Open a file and ask it: its labels and metadata, and its scores of noise."""
    from cnnkit.device.model import DeviceModel

    model = DeviceModel.open(path, threads=1)
    rng = np.random.default_rng(1)
    most = model.metadata["text"]["size"] if "text" in model.metadata else 256
    inputs = rng.integers(0, most, (3, *model.input_shape)).astype(np.int32 if most != 256 else np.uint8)
    scores = {name: values.tobytes() for name, values in model.run_batch(inputs).items()}
    return model.labels, json.dumps(model.metadata, sort_keys=True), scores


def serve(pipe: Any) -> None:
    """Answer for files until there are none; in a process that may die."""
    while (path := pipe.recv()) is not None:
        try:
            pipe.send(("answered", answer(path)))
        except CnnkitError as error:
            pipe.send(("refused in a line" if "\n" not in str(error) else "refused in several lines", str(error)))
        except Exception as error:  # a traceback is what is looked for
            pipe.send(("traceback", repr(error)))


class Asked:
    """A process that opens files, started anew when one ended it."""

    def __init__(self) -> None:
        self.process: Any = None

    def ask(self, path: Path) -> tuple[str, Any]:
        """Return what became of a file, and its answer or error."""
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=serve, args=(theirs,), daemon=True)
            self.process.start()
            theirs.close()
        self.pipe.send(path)
        try:
            if self.pipe.poll(PATIENCE):
                return self.pipe.recv()
            kind = "no end"
        except (EOFError, ConnectionResetError):
            kind = "abort"
        self.end()
        return kind, ""

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.process = None


def command(app: str, path: Path, asked: str) -> str:
    """Run `predict` as a whole and say what became of it."""
    line = [sys.executable, "-m", f"cnnkit_{app}.cli", "predict", str(path), asked]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode == 0:
        return "answered"
    clear = done.returncode == 1 and len(done.stderr.splitlines()) == 1 and str(path) in done.stderr
    return "refused in a line" if clear else f"exit code {done.returncode}: {done.stderr[-300:]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--older", type=int, default=15)
    parser.add_argument("--commands", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows: dict[str, dict[str, Any]] = {}
    milliseconds = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cv2.imwrite(str(folder / "x.png"), np.random.default_rng(2).integers(0, 256, (160, 160, 3), np.uint8))
        process = Asked()
        files = exported(folder)
        for number, (kind, (app, path)) in enumerate(files.items()):
            whole = path.read_bytes()
            broken = folder / "damaged.tflite"
            row: dict[str, Any] = {"bytes": len(whole)}
            for title, content, count in (
                ("exported", whole, -(-arguments.files // len(files))),
                ("older", unsealed(whole), arguments.older),
            ):
                rng = np.random.default_rng((arguments.seed, number))
                broken.write_bytes(content)
                expected = process.ask(broken)
                if expected[0] != "answered":
                    raise SystemExit(f"{kind}: {expected}")
                counts: collections.Counter[str] = collections.Counter()
                for case in range(count):
                    broken.write_bytes(damaged(content, rng, case))
                    began = time.perf_counter()
                    what, found = process.ask(broken)
                    if title == "exported":
                        milliseconds.append(1000 * (time.perf_counter() - began))
                    if what == "answered":
                        what = "the same answer" if found == expected[1] else "another answer"
                    counts[what] += 1
                row[title] = dict(counts)
            rng = np.random.default_rng((arguments.seed, number, 1))
            asked: collections.Counter[str] = collections.Counter()
            for case in range(arguments.commands):
                broken.write_bytes(damaged(whole, rng, case))
                asked[command(app, broken, "kabafir gol" if app == "text" else str(folder / "x.png"))] += 1
            row["commands"] = dict(asked)
            rows[kind] = row
            print(kind, row, flush=True)
        process.end()
    total: collections.Counter[str] = sum(
        (collections.Counter(r["exported"]) for r in rows.values()), collections.Counter()
    )
    older: collections.Counter[str] = sum(
        (collections.Counter(r["older"]) for r in rows.values()), collections.Counter()
    )
    middle = {"median": float(np.median(milliseconds)), "p95": float(np.quantile(milliseconds, 0.95))}
    summary = {"exported": dict(total), "older": dict(older), "milliseconds_of_an_exported_file": middle}
    print(json.dumps(summary, indent=1))
    results.write("flipped", {"seed": arguments.seed, **summary, "kinds": rows})


if __name__ == "__main__":
    main()

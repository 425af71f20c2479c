"""Whether this checkout computes what an earlier one did, bit for bit: small runs of digits, signs and texts, side by side.

    python benchmarks/same.py                        # against the tag before-rooms
    python benchmarks/same.py --base HEAD            # against the last commit; without changes all is equal, as it is twice over
    python benchmarks/same.py --cases text-default   # a part; what a case goes on from is trained too

The earlier tree is a worktree in a temporary folder. Each side is one process with one thread, so both fit on two cores, and runs
the same commands on the same made-up data. Compared are not files but what is in them: the variables of `model.keras` in their
order (shapes and bytes, no names), its answers record by record on the test pictures or on made-up ids, those of the exported
files, the fingerprints of the splits, the headline scores, and what `predict --json` says. Where something differs it exits
with 1, and says by how much.

Design choices:
- Commands are driven through the apps' own command line, files opened with Keras and LiteRT, so that the tree may be rebuilt
  between both. An option or a score that is called otherwise than at the base is a line in `BEFORE`, `KEYS` or `SCORES`.
- What was deleted since is switched off at the base: by `AT_BASE`, and by `leave_out` where it has no option.
- A command that fails on both sides is a difference too: it compares nothing.
"""

import argparse
import contextlib
import csv
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("cnnkit", "apps", "datasets")  # of a tree, what a command needs
BASE = "5441143a3dadc0abb9aaff74052cb7d9714961d7"  # before kinds became rooms; the tag before-rooms, where tags are at hand
BEFORE = {
    "--replay": "--keep",
    "--max-length": "--length",
    "--min-count": "--least",
}  # words of the command line that were others at the base: now -> then
PLAIN = "--config {data}/plain.toml"  # leaves out what was deleted since, so that what stayed can be compared: n-grams
AT_BASE = {
    "text-default": PLAIN,
    "text-several": PLAIN,
    "text-continued": PLAIN,
}  # words of `train` that only the base gets
GONE = "pair_seen"  # the layer of the base whose answers `leave_out` makes ones
MOVED = "pair_weights"  # the layer that has another place among the layers without it; compared last
KEYS = {"tracks": "signs", "recognised": "sign", "recognised_score": "sign_score"}  # of documents: now -> then
SCORES = ("accuracy", "macro_f1", "micro_f1", "ece", "log_loss", "loss", "ap", "ap50", "precision", "recall")
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
CLOCKS = ("frames_per_second", "seconds", "milliseconds")  # in documents; they differ from run to run


@dataclass(frozen=True)
class Case:
    """A small run. In its words {data} is the folder of made-up data and {runs} that of the runs.

    Attributes:
        app: whose command line.
        words: of `train`.
        after: the case whose run it goes on from.
        precisions: of `export`; "": nothing is exported.
        inputs: of `predict`; its pictures are what answers are compared on.
        predicts: whether `predict` is run; not where opening a large network again takes long.
    """

    app: str
    words: str
    after: str = ""
    precisions: str = ""
    inputs: str = ""
    predicts: bool = True


def digits(words: str, data: str = "digits", **more: Any) -> Case:
    return Case("digits", f"--data {{data}}/{data} {words}", **{"inputs": "{data}/digits/test", **more})


def signs(words: str, data: str = "signs", **more: Any) -> Case:
    words = (
        f"--task recognise --data {{data}}/{data} --weights none {words}"  # whatever is at hand; the last one counts
    )
    return Case("signs", words, **{"inputs": "{data}/signs/test", **more})


def scenes(words: str, data: str = "scenes", **more: Any) -> Case:
    return Case(
        "signs", f"--data {{data}}/{data} --weights none {words}", **{"inputs": "{data}/scenes/test/images", **more}
    )


def texts(words: str, data: str = "topics.csv", **more: Any) -> Case:
    return Case("text", f"--data {{data}}/{data} {words}", **{"inputs": "{data}/lines.txt", **more})


BOTH = "float32,int8"
SMALL = "--width 12 --maps 8 --epochs 1"
CASES: dict[str, Case] = {
    "digits-default": digits("--epochs 2", precisions=BOTH),
    "digits-micro": digits("--model micro --epochs 2", precisions="float32"),
    "digits-simple": digits("--model simple_cnn --epochs 1"),
    "digits-lenet5": digits("--model lenet5 --epochs 1 --image-size 32"),
    "digits-resnet": digits("--model resnet --epochs 2 --width 8 --depth 1 --progressive 2"),
    "digits-densenet": digits("--model densenet --epochs 1 --width 4 --depth 2"),
    "digits-mixed": digits(
        "--epochs 2 --width 8 --depth 1 --mirror --mixup 0.2 --cutmix 0.5 --rand-augment --class-weights"
    ),
    "digits-refit": digits("--model micro --epochs 2 --refit --seed 3 --split-seed 5 --no-augment"),
    "digits-continued": digits(
        "--epochs 2 --weights {runs}/digits-micro --replay --freeze 0.5",
        data="more",
        after="digits-micro",
        inputs="{data}/more/test",
    ),
    "digits-embedded": Case("digits", "--model micro --epochs 1 --limit 96", inputs="{data}/digits/test"),
    "recognise-default": signs("--epochs 2", precisions=BOTH),
    "recognise-backbone": signs(
        "--model backbone --backbone mobilenet --alpha 0.25 --epochs 1 --image-size 32", predicts=False
    ),
    "recognise-drawn": Case(
        "signs", "--task recognise --data drawn-signs --model micro --epochs 1 --limit 86", inputs="{data}/signs/test"
    ),
    "detect-default": scenes("--epochs 1 --width 16 --image-size 64", precisions="int8"),
    "detect-backbone": scenes(
        "--model backbone --backbone mobilenet --alpha 0.25 --epochs 1 --width 16 --image-size 64"
    ),
    "detect-continued": scenes(
        "--epochs 1 --weights {runs}/detect-default --replay --tiles --mirror --progressive 1",
        data="others",
        after="detect-default",
    ),
    "text-default": texts(SMALL, precisions=BOTH),
    "text-two": texts(SMALL, data="two.csv"),
    "text-several": texts(f"{SMALL} --separator |", data="several.csv", precisions="float32"),
    "text-kim-rand": texts(f"--model kim-rand {SMALL} --uncased --min-count 2", precisions="float32"),
    "text-kim-static": texts("--model kim-static --epochs 1 --maps 8 --vectors {data}/vectors.txt --no-refit"),
    "text-kim-non-static": texts("--model kim-non-static --epochs 1 --maps 8 --vectors {data}/vectors.txt --no-refit"),
    "text-kim-multichannel": texts("--model kim-multichannel --epochs 1 --maps 8 --vectors {data}/vectors.txt"),
    "text-char-cnn": texts("--model char-cnn --epochs 1 --maps 8 --max-length 128"),
    "text-dpcnn": texts("--model dpcnn --epochs 1 --maps 8 --width 12 --buckets 7"),
    "text-continued": texts(
        "--epochs 1 --weights {runs}/text-default --replay", data="fourth.csv", after="text-default"
    ),
    "text-embedded": Case("text", "--width 12 --maps 8 --epochs 1 --limit 400", inputs="{data}/lines.txt"),
}


# Made-up data ---------------------------------------------------------------------------------------------------------

COLOURS = {"red": (40, 40, 220), "green": (60, 200, 40), "blue": (220, 60, 40), "white": (240, 240, 240)}  # BGR
TELLING = {"food": "soup bread salt", "music": "song drum choir", "sport": "goal team race", "law": "court judge oath"}
FILLING = [a + b for a in ("ka", "lo", "mi", "tu", "re") for b in ("ban", "den", "fir", "gol", "hus", "nim", "Pol")]


def make(folder: Path) -> None:
    """Write digits, coloured signs, scenes with boxes, texts and vectors; with NumPy and OpenCV alone, always the same."""
    rng = np.random.default_rng(0)
    for name, labels in (("digits", "0123456789"), ("more", "78x")):
        for split, count in (("train", 12), ("test", 3)):
            _pictures(folder / name / split, labels, count, lambda label: _glyph(rng, label))
    for split, count in (("train", 16), ("test", 5)):
        _pictures(folder / "signs" / split, list(COLOURS), count, lambda label: _sign(rng, 40, label))
    _scenes(rng, folder / "scenes", ["red", "green", "blue"])
    _scenes(rng, folder / "others", ["red", "white"])
    draw = random.Random(0)
    three = list(TELLING)[:3]
    _table(folder / "topics.csv", [(three[k % 3], _sentence(draw, [three[k % 3]])) for k in range(150)])
    _table(folder / "two.csv", [(three[k % 2], _sentence(draw, [three[k % 2]])) for k in range(120)])
    _table(folder / "fourth.csv", [(name, _sentence(draw, [name])) for name in ("law", "food") * 30])
    rows = [[name for name in three if draw.random() < 0.5] for _ in range(150)]
    _table(folder / "several.csv", [("|".join(names), _sentence(draw, names)) for names in rows])
    lines = [_sentence(draw, [name]) for name in three * 6] + ["Nothing known here", "soup. Song!? team", ""]
    (folder / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
    words = sorted({word for part in TELLING.values() for word in part.split()} | set(FILLING[::2]))
    vectors = (f"{word} {' '.join(f'{draw.gauss(0, 1):.4f}' for _ in range(12))}\n" for word in words)
    (folder / "vectors.txt").write_text("".join(vectors), encoding="utf-8")
    (folder / "plain.toml").write_text("options = { pieces = 0 }\n", encoding="utf-8")


def _pictures(folder: Path, labels: Any, count: int, draw: Any) -> None:
    import cv2

    for label in labels:
        (folder / label).mkdir(parents=True)
        for number in range(count):
            cv2.imwrite(str(folder / label / f"{number:03}.png"), draw(label))


def _glyph(rng: Any, label: str) -> np.ndarray:
    """Draw a bright letter on dark noise: uint8 (28, 28)."""
    import cv2

    image = rng.integers(0, 40, (28, 28)).astype(np.uint8)
    place = (int(rng.integers(3, 10)), int(rng.integers(20, 26)))
    return cv2.putText(image, label, place, cv2.FONT_HERSHEY_SIMPLEX, float(rng.uniform(0.6, 0.8)), 255, 2)


def _sign(rng: Any, side: int, colour: str) -> np.ndarray:
    """Draw a coloured square with a dark bar on noise: uint8 (side, side, 3), BGR."""
    image = rng.integers(0, 120, (side, side, 3)).astype(np.uint8)
    image[side // 8 : -side // 8, side // 8 : -side // 8] = COLOURS[colour]
    image[side // 2 : side // 2 + side // 8, side // 4 : -side // 4] = rng.integers(0, 60)
    return image


def _scenes(rng: Any, folder: Path, names: list[str]) -> None:
    """Write photos of 128 x 96 px with one or two signs each, as YOLO has them."""
    import cv2

    for split, count in (("train", 24), ("test", 6)):
        for kind in ("images", "labels"):
            (folder / split / kind).mkdir(parents=True)
        for number in range(count):
            image, lines = rng.integers(0, 100, (96, 128, 3)).astype(np.uint8), []
            for half in rng.permutation(2)[: rng.integers(1, 3)]:
                side, code = int(rng.integers(16, 40)), int(rng.integers(len(names)))
                left, top = 64 * half + int(rng.integers(0, 64 - side)), int(rng.integers(0, 96 - side))
                image[top : top + side, left : left + side] = _sign(rng, side, names[code])
                middle = ((left + side / 2) / 128, (top + side / 2) / 96)
                lines.append(f"{code} {middle[0]:.6f} {middle[1]:.6f} {side / 128:.6f} {side / 96:.6f}\n")
            cv2.imwrite(str(folder / split / "images" / f"{number:03}.png"), image)
            (folder / split / "labels" / f"{number:03}.txt").write_text("".join(lines), encoding="utf-8")
    listed = "".join(f"  {code}: {name}\n" for code, name in enumerate(names))
    parts = "train: train/images\ntest: test/images\n"
    (folder / "data.yaml").write_text(f"path: .\n{parts}names:\n{listed}", encoding="utf-8")


def _sentence(draw: random.Random, names: list[str]) -> str:
    words = draw.choices(FILLING, k=draw.randint(3, 14))
    for name in names:
        words.insert(draw.randint(0, len(words)), draw.choice(TELLING[name].split()))
    return " ".join(words)


def _table(path: Path, rows: list[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("kind", "sentence"), *rows])


# One side -------------------------------------------------------------------------------------------------------------


def digest(arrays: list[np.ndarray]) -> str:
    """Return a SHA-256 of shapes, types and bytes."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.shape} {array.dtype.str} ".encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def value_of(document: Any, key: str) -> Any:
    """Return the value of a key, wherever in a document it is, the one nearest to the top; None where there is none."""
    level = [document]
    while level:
        for entry in level:
            if isinstance(entry, dict) and key in entry:
                return entry[key]
        level = [inner for entry in level if isinstance(entry, dict) for inner in entry.values()]
    return None


def without_clocks(value: Any) -> Any:
    """Return a document without what a clock has measured, its keys as at the base."""
    if isinstance(value, dict):
        return {KEYS.get(key, key): without_clocks(inner) for key, inner in value.items() if key not in CLOCKS}
    return [without_clocks(inner) for inner in value] if isinstance(value, list) else value


def side(tree: Path, folder: Path, data: Path, names: list[str], earlier: bool) -> None:
    """Run cases with the code of a tree, which is that of this process; leave what they came to in the folder, a case a file.

    `earlier`: whether the tree is the base, with the words that it has.
    """
    import cnnkit

    if not Path(cnnkit.__file__).is_relative_to(tree):
        raise SystemExit(f"cnnkit is that of {cnnkit.__file__} and not of {tree}.")
    if earlier:
        leave_out()
    for name in names:
        began = time.monotonic()
        values, arrays = one(CASES[name], name, folder, data, earlier)
        np.savez(
            folder / f"{name}.npz", **{f"{key} {k}": a for key, found in arrays.items() for k, a in enumerate(found)}
        )
        values |= {key: digest(found) for key, found in arrays.items()}
        (folder / f"{name}.json").write_text(json.dumps(values), encoding="utf-8")
        print(f"{folder.name}: {name}, {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def leave_out() -> None:
    """Switch off at the base what has no option: words by their endings, and which pairs of words training had."""
    reading, networks = map(importlib.import_module, ("cnnkit.device.text", "cnnkit.models.text"))
    look_up = networks.WordEmbedding.call

    def call(layer: Any, inputs: Any) -> Any:
        found = look_up(layer, inputs)
        return (
            networks.ops.ones_like(found) if layer.name == GONE else found
        )  # a constant: a continued run trains the table

    reading.other_spellings, networks.WordEmbedding.call = lambda *_, **__: {}, call


def one(
    case: Case, name: str, folder: Path, data: Path, earlier: bool = False
) -> tuple[dict[str, str], dict[str, list[np.ndarray]]]:
    """Run a case.

    Returns:
        values by what they are of, and arrays of which the digest is the value; an error ends the case, as a value.
    """
    values: dict[str, str] = {}
    arrays: dict[str, list[np.ndarray]] = {}
    run = folder / "runs" / name
    fill = {"data": data, "runs": folder / "runs"}
    words, more = (BEFORE, AT_BASE.get(name, "")) if earlier else ({}, "")

    def command(*given: str) -> Any:
        return call(case.app, [words.get(word, word).format(**fill) for word in given])

    try:
        document = command("train", *case.words.split(), *more.split(), "--out", str(run))
        told = json.loads((run / "run.json").read_text(encoding="utf-8"))
        for split, value in value_of(told, "fingerprints").items():
            values[f"fingerprint of {split}"] = value
        scores = value_of(document, "test")
        values["scores"] = json.dumps({key: scores[key] for key in SCORES if key in scores})
        arrays |= keras_arrays(run / "model.keras", pictures(data, case))
        if case.predicts:
            values["predict"] = told_by(command("predict", str(run), *case.inputs.split(), "--top", "3"), folder)
        if case.precisions:
            command("export", str(run), "--precision", case.precisions, "--tolerance", "100")
            for file in sorted((run / "export").glob("*.tflite")):
                arrays[f"answers of {file.stem.split('-')[-1]}"] = device_arrays(file, pictures(data, case))
            values["predict, exported"] = told_by(command("predict", str(run), *case.inputs.split()), folder)
    except CommandFailed as error:
        values["error"] = str(error)
    return values, arrays


class CommandFailed(Exception):
    """A command of the apps ended with an error."""


def call(app: str, words: list[str]) -> Any:
    """Run a command of an app in this process, with --json; return its document. A refusal of the export gate is no error."""
    from click.testing import CliRunner

    main = importlib.import_module(f"cnnkit_{app}.cli").main
    done = CliRunner().invoke(main, [*words, "--json"])
    if done.exit_code not in (0, 3):
        own = isinstance(done.exception, SystemExit) and done.stderr.strip()  # the command says it itself
        last = own.splitlines()[-1] if own else repr(done.exception)
        raise CommandFailed(f"`cnnkit {app} {words[0]}` ended with {done.exit_code}: {last}")
    return json.loads(done.stdout)


def told_by(document: Any, folder: Path) -> str:
    """Return a digest of what a command said, without clocks and without where this side has its runs."""
    text = json.dumps(without_clocks(document), sort_keys=True).replace(str(folder), "")
    return hashlib.sha256(text.encode()).hexdigest()


def pictures(data: Path, case: Case) -> list[np.ndarray]:
    """Return the test pictures of a case, uint8 (h, w, 3), BGR; none where it is of texts."""
    import cv2

    where = Path(case.inputs.format(data=data))
    return [cv2.imread(str(path)) for path in sorted(where.rglob("*.png"))]


def inputs_like(shape: tuple[int | None, ...], images: list[np.ndarray]) -> np.ndarray:
    """Return inputs of a network: the pictures brought to its shape, float32 (n, h, w, c), or made-up ids, int32 (n, length)."""
    import cv2

    if len(shape) == 1:
        rng, length = np.random.default_rng(1), shape[0] or 40
        ids = rng.integers(1, 40, (20, length)).astype(np.int32)
        ends = rng.integers(3, length + 1, 20)
        return np.where(np.arange(length) < ends[:, None], ids, 0).astype(np.int32)
    height, width, channels = shape
    fitted = [cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in images]
    grey = [image if channels == 3 else image[..., :1] for image in fitted]
    return np.stack(grey).astype(np.float32)


def keras_arrays(path: Path, images: list[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Return the variables of a model, in their order, and its answers to each record.

    Its layers are known to Keras: this process has trained it.
    """
    import keras

    model = keras.saving.load_model(path, compile=False)
    kept = sorted((v for v in model.variables if GONE not in v.path), key=lambda v: MOVED in v.path)
    found = {"variables": [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in kept]}
    answers = model(inputs_like(model.input_shape[1:], images), training=False)
    found["answers"] = [np.asarray(keras.ops.convert_to_numpy(a)) for a in keras.tree.flatten(answers)]
    return found


def device_arrays(path: Path, images: list[np.ndarray]) -> list[np.ndarray]:
    """Return the answers of an exported file to each record, an array an output."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    inputs = inputs_like(tuple(int(n) for n in entry["shape"][1:]), images).astype(entry["dtype"])
    outputs = sorted(interpreter.get_output_details(), key=lambda output: tuple(output["shape"]))
    rows: list[list[np.ndarray]] = []
    for record in inputs:
        interpreter.set_tensor(entry["index"], record[None])
        interpreter.invoke()
        rows.append([interpreter.get_tensor(output["index"])[0] for output in outputs])
    return [np.stack(column) for column in zip(*rows, strict=True)]


# Both sides -----------------------------------------------------------------------------------------------------------


def needed(names: list[str]) -> list[str]:
    """Return the cases asked for and those whose runs they go on from, in the order of `CASES`.

    Raises:
        SystemExit: there is no such case.
    """
    unknown = [name for name in names if name not in CASES]
    if unknown:
        raise SystemExit(f"There is no case {unknown[0]}. Cases: {', '.join(CASES)}.")
    wanted = {*names, *(CASES[name].after for name in names)}
    return [name for name in CASES if name in wanted]


@contextlib.contextmanager
def worktree(tag: str, folder: Path) -> Iterator[Path]:
    """Check a commit out into a folder, and remove it afterwards."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), tag], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def register(tree: Path) -> None:
    """Write what an installation of a tree would say of itself, so that its own plug-ins are found, not those installed here."""
    project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    folder = tree / f"{project['name']}-0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0\n", encoding="utf-8")
    groups = {"console_scripts": project.get("scripts", {}), **project.get("entry-points", {})}
    lines = [line for group, own in groups.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in own.items()))]
    (folder / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


def start(tree: Path, folder: Path, data: Path, names: list[str], *more: str) -> subprocess.Popen[bytes]:
    """Start one side, in a process whose code is that of the tree."""
    folder.mkdir()
    register(tree)
    changed = {
        "PYTHONPATH": os.pathsep.join([str(tree), str(tree / "apps")]),
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CNNKIT_CACHE": str(folder / "cache"),
        "CNNKIT_RUNS": str(folder / "runs"),
        **dict.fromkeys(THREADS, "1"),
    }
    environment = {key: value for key, value in os.environ.items() if key != "CNNKIT_DATA"} | changed
    line = [sys.executable, __file__, "--side", str(tree), "--data", str(data), *more, "--cases", *names]
    return subprocess.Popen(line, cwd=folder, env=environment, stdout=sys.stderr)


def compared(old: Path, new: Path, name: str) -> list[dict[str, Any]]:
    """Return what a case came to on both sides, a row for each thing compared."""
    files = [folder / f"{name}.json" for folder in (old, new)]
    if not all(file.exists() for file in files):
        return [{"case": name, "what": "run", "equal": False, "note": "a side did not get there"}]
    before, after = (json.loads(file.read_text(encoding="utf-8")) for file in files)
    rows = []
    for what in dict.fromkeys([*before, *after]):
        was, now = before.get(what), after.get(what)
        equal = was == now and what != "error"
        row = {"case": name, "what": what, "equal": equal, "old": was, "new": now, "note": ""}
        if not equal:
            row["note"] = difference(old / f"{name}.npz", new / f"{name}.npz", what) or f"{was} | {now}"
        rows.append(row)
    return rows


def difference(old: Path, new: Path, what: str) -> str:
    """Say how far arrays of both sides are apart; "" where there are none."""
    with np.load(old) as before, np.load(new) as after:
        was, now = ([found[key] for key in found if key.rpartition(" ")[0] == what] for found in (before, after))
    if not was or not now:
        return ""
    if [a.shape for a in was] != [a.shape for a in now]:
        return f"{len(was)} arrays, now {len(now)}; first other shape: " + next(
            (f"{a.shape}, now {b.shape}" for a, b in zip(was, now) if a.shape != b.shape), "none"
        )
    far = [float(np.abs(a.astype(float) - b.astype(float)).max(initial=0)) for a, b in zip(was, now)]
    return f"{sum(n > 0 for n in far)} of {len(far)} arrays differ, by up to {max(far):.2g}"


def told(rows: list[dict[str, Any]], base: str, as_json: bool) -> str:
    """Return what was compared, as JSON, or as a table with a line a case and below it a line for each difference."""
    if as_json:
        return json.dumps({"base": base, "equal": all(row["equal"] for row in rows), "rows": rows}, indent=2)
    lines = []
    for name in dict.fromkeys(row["case"] for row in rows):
        own = [row for row in rows if row["case"] == name]
        other = [row for row in own if not row["equal"]]
        what = ", ".join(row["what"] for row in own)
        lines.append(f"{name:24} {'DIFFERS' if other else 'equal':8} {what}")
        lines += [f"{'':24} {row['what']}: {row['note']}" for row in other]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=BASE, metavar="COMMIT", help="what this checkout is compared with")
    parser.add_argument("--cases", nargs="+", default=list(CASES), metavar="CASE", help="default: all")
    parser.add_argument("--json", action="store_true", help="print what was compared as JSON, digests too")
    parser.add_argument("--side", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--earlier", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = needed(arguments.cases)
    if arguments.side:
        side(arguments.side, Path.cwd(), arguments.data, names, arguments.earlier)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that sides and worktree go with it
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="same-") as temporary:
        folder = Path(temporary)
        make(folder / "data")
        for part in PARTS:  # a copy: what is edited meanwhile, or committed, is not half in it
            shutil.copytree(ROOT / part, folder / "here" / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder / "here")
        with worktree(arguments.base, folder / "base") as base:
            sides = [
                start(base, folder / "old", folder / "data", names, *(["--earlier"] if arguments.base == BASE else [])),
                start(folder / "here", folder / "new", folder / "data", names),
            ]
            try:
                codes = [process.wait() for process in sides]
            finally:
                for process in sides:
                    process.terminate()
        rows = [row for name in names for row in compared(folder / "old", folder / "new", name)]
    print(told(rows, arguments.base, arguments.json))
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    sys.exit(0 if all(row["equal"] for row in rows) and not any(codes) else 1)


if __name__ == "__main__":
    main()

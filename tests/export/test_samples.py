"""Programs written beside an exported file answer as `predict` does, without anything of ours, whatever labels hold."""

import ast
import base64
import dataclasses
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from keras import layers

from cnnkit.device.detection import Plan as Tiles
from cnnkit.device.model import DeviceModel
from cnnkit.device.segmentation import Plan as Windows
from cnnkit.device.text import learn
from cnnkit.export import samples
from cnnkit.export.convert import convert
from cnnkit.export.profiles import Profile
from cnnkit.export.profiles.mediapipe import MediaPipe
from cnnkit.export.profiles.profile import Faced
from tests import toy_boxes, toy_texts, toys

NASTY = (
    "quo\"te ' `",
    "two\nlines\r\t",
    "👍🏽 ${x} $x \\(y) %s {{ z }} \\",
    '""" */ // #',
    "??/ ?> \u202e\u2028\0after",
    "日本語 été",
)


@dataclasses.dataclass
class Records:
    """Held-out inputs of any kind, in memory."""

    natives: list
    seen: np.ndarray | None = None
    patients: bool = False

    def __len__(self):
        return len(self.natives)

    def native(self, place):
        return self.natives[place]

    def read(self, places):
        return None if self.seen is None else self.seen[places], None

    def name(self, place):
        return f"Jane-Doe-{place}"

    def alias(self, place):
        return f"case_{place}" if self.patients else self.name(place)


def spread(model, factor=3.0):
    """Make answers differ more than those of a start do."""
    for layer in model.layers:
        layer.set_weights(
            [np.asarray(values) * (factor if np.ndim(values) > 1 else 1) for values in layer.get_weights()]
        )
    return model


def pictures(count=9, channels=3, sides=((40, 30), (16, 20), (12, 12))):
    rng = np.random.default_rng(1)
    found = []
    for number in range(count):
        height, width = sides[number % len(sides)]
        coarse = rng.integers(0, 256, (4, 4, channels)).astype(np.uint8)
        found.append(coarse.repeat(-(-height // 4), 0).repeat(-(-width // 4), 1)[:height, :width])
    return [picture[..., 0] for picture in found] if channels == 1 else found


def about(task, shape, labels=NASTY, kind="image", **more):
    return {"app": "toy", "task": task, "labels": list(labels), "input": {"kind": kind, "shape": list(shape)}, **more}


def seen_whole(natives, shape):
    from cnnkit.device.image import fit_image

    return np.stack([fit_image(native, shape) for native in natives])


def classifier(task="classification", channels=3, labels=NASTY, **more):
    shape = (12, 12, channels)
    natives = pictures(channels=channels)
    metadata = about(task, shape, labels, **more)
    return spread(toys.tiny_cnn(shape, len(labels))), metadata, Records(natives, seen_whole(natives, shape))


def measurer():
    shape, names = (12, 12, 1), ['an"gle', "$speed"]
    values = {"names": names, "units": ["°", "m/s"], "mean": [3.0, 200.0], "std": [10.0, 50.0]}
    values["interval"] = {"half": [2.0, 30.0], "level": 0.9}
    natives = pictures(channels=1)
    metadata = about("regression", shape, (), regression=values)
    return spread(toys.tiny_cnn(shape, 2)), metadata, Records(natives, seen_whole(natives, shape))


def detector(**plan):
    from cnnkit_signs.model import DETECTORS

    found = Tiles(**{"strides": (8,), "threshold": 0.4, **plan})
    model = DETECTORS["default"]((64, 64, 3), 2, strides=(8,), width=8)
    metadata = about("detection", (64, 64, 3), NASTY[:2], detection=found.to_dict())
    data = toy_boxes.shapes(6)
    spread(model, 1.5)
    last = model.get_layer("logits")
    last.set_weights([last.get_weights()[0] * 20, np.zeros(2)])  # some boxes are sure, as after training
    return model, metadata, Records([data.native(place) for place in range(6)] + pictures(2, 3, ((90, 150),)))


def masker(labels=NASTY[:3], channels=3, **plan):
    given = keras.Input((32, 32, channels), name="image")
    found = Windows(**plan)
    count = len(labels)
    x = layers.Conv2D(6, 5, padding="same", activation="relu")(layers.Rescaling(1 / 64, -2.0)(given))
    model = keras.Model(given, layers.Conv2D(count, 3, padding="same", name="logits")(x))
    metadata = about("segmentation", (32, 32, channels), labels, segmentation=found.to_dict())
    natives = pictures(6, channels, ((50, 70), (20, 20), (32, 32)))
    return spread(model), metadata, Records(natives)


def transparent():
    model, metadata, records = classifier()
    clear = np.full((30, 20, 1), 90, np.uint8)
    natives = [
        np.concatenate([picture[:30, :20], clear[: len(picture), : picture.shape[1]]], -1)
        for picture in records.natives
    ]
    return model, metadata, Records(natives, seen_whole(natives, (12, 12, 3)))


def deep():
    """Pictures of 12 bits in two channels, as microscopes have them; drawn inputs are of another range."""
    model, metadata, records = masker(channels=2, values="alike", low=(100.0, 50.0), high=(4000.0, 3000.0))
    return model, metadata, Records([picture.astype(np.uint16) * 16 for picture in records.natives])


TEXTS = [
    "soup and Bread, 'salt'",
    "日本語 のsong drum",
    "naïve goal match\0 hidden",
    "",
    "zzz qqq unknownword",
    "GOAL goal  race",
]


def reader(task="classification", **options):
    from cnnkit_text.model import BUILDERS

    tokenizer = learn([text for _, text in toy_texts.rows(60)] + TEXTS * 2, max_length=16, **options).tokenizer
    model = BUILDERS["kim-rand"]((16,), 3, **toy_texts.small(tokenizer))
    text = {**tokenizer.to_dict(), "margin": 0}
    metadata = about(task, (16,), NASTY[:3], "text", text=text, sure=0.4)
    texts = [text for text in TEXTS if text]
    found = [(toy_texts.LABELS[0], text) for text in texts]
    own = learn(texts[:2], max_length=16).tokenizer  # records are loaded with another vocabulary than the model's
    return spread(model), metadata, toy_texts.records(found, own)


def japanese(task="classification"):
    whole = ["日本語の文章です", "スープとパン", "歌と太鼓の合唱", "soup と 日本"]
    global TEXTS
    before, TEXTS = TEXTS, whole
    try:
        found = reader(task)
    finally:
        TEXTS = before
    return found


CASES = {
    "one label": classifier,
    "one label, grey": lambda: classifier(channels=1),
    "a finding": lambda: classifier(labels=NASTY[:2], screening={"finding": NASTY[1], "threshold": 0.3}),
    "unknown": lambda: classifier(unknown={"below": 0.9, "accepted": 0.9, "chosen_on": 9}),
    "several labels": lambda: classifier(
        "multilabel", thresholds=[0.2, 0.4, 0.5, 0.5, 0.6, 0.9], sure=0.55, rare={NASTY[0]: 2}
    ),
    "numbers": measurer,
    "boxes, whole": detector,
    "boxes, tiles": lambda: detector(scale=1.3, overlap=16.0, whole=True),
    "masks": masker,
    "masks, one label": lambda: masker(NASTY[:1], 1, threshold=0.4, overlap=0.25, largest=(NASTY[0],)),
    "masks, windows": lambda: masker(scale=1.4, mirrors=(0, 1), smallest={NASTY[1]: 4}),
    "masks, regions": lambda: masker(NASTY[:2], regions=((1, 2), (2,)), order=(1, 2), values="each"),
    "transparent": transparent,
    "masks, deep": deep,
    "words": reader,
    "words, several": lambda: reader("multilabel"),
    "words, parts": lambda: reader(buckets=50),
    "characters": lambda: reader(kind="characters"),
    "words apart": japanese,
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return what writes a case's file and code, once each: (folder, profile, model)."""
    known = {}

    def write(name, precision="float32", profile=Profile):
        if (name, precision, profile) not in known:
            keras.utils.set_random_seed(3)
            model, metadata, records = CASES[name]()
            folder = tmp_path_factory.mktemp("export")
            made = profile(model, metadata)
            calibration = records.read(np.arange(len(records)))[0]
            if calibration is None:
                plain = precision == "float32"
                calibration = np.zeros((1, *made.shape)) if plain else seen_whole(records.natives, made.shape)
            path = folder / f"toy {name}-{precision}.tflite"
            path.write_bytes(convert(model, precision, calibration, metadata, made))
            file = Faced(made.opened(path, precision), made, tuple(metadata["labels"]))
            samples.write(folder, made, records, False, {precision: file})
            known[name, precision, profile] = folder, made, path
        return known[name, precision, profile]

    return write


def run(program, *arguments):
    """Run a program without the packages of this checkout."""
    command = [sys.executable, "-I", str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=program.parent)


def python_of(folder):
    (program,) = (folder / "code").glob("*.py")
    return program


def golden_of(folder):
    document = json.loads((folder / "code" / "golden.json").read_text(encoding="utf-8"))
    return document, (folder / "code" / "golden.bin").read_bytes()


@pytest.mark.parametrize("name", CASES)
def test_golden_inputs_differ_and_so_do_their_answers(written, name):
    """A check against inputs that all have one answer, or none, would pass whatever is wrong."""
    document, _ = golden_of(written(name)[0])
    (file,) = document["files"]
    cases = document["cases"]
    assert len(cases) == len({json.dumps(case["given"]) for case in cases}) >= 4
    said = [json.dumps(case["answers"][file]) for case in cases]
    assert len(set(said)) >= len(cases) - 1
    if "boxes" in name:
        found = [box for case in cases for box in case["answers"][file]["said"]["boxes"]]
        assert (
            len(found) > 20 and sum(box["score"] > 0.45 for box in found) > 10 and len({b["label"] for b in found}) == 2
        )


def test_of_persons_nothing_is_there_but_drawn_inputs(tmp_path):
    model, metadata, records = CASES["one label"]()
    made = Profile(model, metadata)
    path = tmp_path / "x-float32.tflite"
    path.write_bytes(convert(model, "float32", records.seen, metadata, made))
    file = Faced(made.opened(path, "float32"), made, NASTY)
    found = {}
    for how, own, private in (("open", records, False), ("said", records, True), ("aliases", None, False)):
        own = own or dataclasses.replace(records, patients=True)
        samples.write(tmp_path, made, own, private, {"float32": file})
        document, data = golden_of(tmp_path)
        found[how] = [picture.tobytes() in data for picture in records.natives]
        assert "Jane" not in json.dumps(document)
        assert run(python_of(tmp_path), "--check").returncode == 0
    assert any(found["open"]) and not any(found["said"]) and not any(found["aliases"])


class TestExport:
    def test_code_lies_beside_what_passed_and_goes_with_what_does_not(self, toy_run, tmp_path, monkeypatch):
        from cnnkit.errors import GateRefused
        from cnnkit.export import gate
        from cnnkit.verbs.export import export

        found = export(toys.recipe(), toy_run, precision="float32,int8", tolerance=50.0, out=tmp_path)
        assert sorted(path.name for path in (tmp_path / "code").iterdir()) == sorted(
            ["classify.py", "classify.mjs", "pixels.mjs", "Classify.kt", "Classify.swift", "classify.cpp"]
            + ["golden.json", "golden.bin", "README.md"]
        )
        assert set(found.document["code"]) == {f"code/{path.name}" for path in (tmp_path / "code").iterdir()}
        for name in ("toy-float32.tflite", "toy-int8.tflite"):
            done = run(tmp_path / "code" / "classify.py", "--check", "--model", tmp_path / name)
            assert done.returncode == 0, done.stderr
        text = (tmp_path / "code" / "classify.py").read_text(encoding="utf-8")
        assert len(re.findall(r"toy-(float32|int8).tflite runs from version \d+\.\d+\.\d+ of", text)) == 2
        monkeypatch.setattr(gate.Chain, "checks", lambda *_: [gate.checks.failed("x", "y")])
        with pytest.raises(GateRefused):
            export(toys.recipe(), toy_run, precision="float32,int8", tolerance=50.0, out=tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [gate.GATE]

    def test_it_is_left_out_where_it_is_not_wanted_and_replaces_nobodys_file(self, toy_run, tmp_path):
        from cnnkit.errors import CnnkitError
        from cnnkit.verbs.export import export

        mine = tmp_path / "code" / "classify.py"
        mine.parent.mkdir()
        mine.write_text("mine")
        with pytest.raises(CnnkitError, match="would be overwritten"):
            export(toys.recipe(), toy_run, precision="float32", tolerance=50.0, out=tmp_path)
        found = export(toys.recipe(), toy_run, precision="float32", tolerance=50.0, out=tmp_path, code=False)
        assert mine.read_text() == "mine" and found.document["code"] == []
        mine.unlink()
        export(toys.recipe(), toy_run, precision="float32", tolerance=50.0, out=tmp_path)
        (tmp_path / "code" / "classify.mjs").write_text("mine")
        export(toys.recipe(), toy_run, precision="float32", tolerance=50.0, out=tmp_path, code=False)
        there = [path.name for path in (tmp_path / "code").iterdir()]
        assert there == ["classify.mjs"], "older code, with older labels, would pass for that of the file"


class TestPython:
    @pytest.mark.parametrize("name", CASES)
    def test_it_answers_as_predict_does(self, written, name):
        folder, _, _ = written(name)
        done = run(python_of(folder), "--check")
        assert done.returncode == 0 and "golden inputs: all as" in done.stdout, done.stdout + done.stderr

    @pytest.mark.parametrize(
        "name", ["one label", "several labels", "boxes, tiles", "masks", "words", "words, parts", "numbers"]
    )
    def test_it_says_what_differs(self, written, name, tmp_path):
        """What would be wrong without a word: a label moved, a colour swapped, a threshold or a word lost, no numbers."""
        folder, _, path = written(name)
        faults = {
            "one label": [("LABELS[place]", "LABELS[place - 1]"), ("output[0] for", "output[0] * np.nan for")],
            "several labels": [("SURE = 0.55", "SURE = 0.999"), ("0.6, 0.9]", "0.6, 0.0]")],
            "words, parts": [("BUCKETS = 50", "BUCKETS = 26"), ("NGRAM = 4", "NGRAM = 3")],
            "numbers": [
                ("HALF = [2.0", "HALF = [4.0"),
                ("output[0] for", "output[0] * np.nan for"),
                ("].astype(float)", "].astype(float)[::-1]"),
            ],
            "boxes, tiles": [
                ("+ np.array([left, top] * 2", "+ np.array([0, 0] * 2"),
                ("OVERLAP = 16.0", "OVERLAP = 0.0"),
                ("\nTHRESHOLD = 0.4", "\nTHRESHOLD = 0.8"),
            ],
            "masks": [("scores.argmax(-1)", "scores.argmin(-1)"), ("INTER_AREA", "INTER_NEAREST")],
            "words": [
                ("SURE = 0.4", "SURE = 0.99"),
                ('text.partition("\\0")[0]', "text"),
                ("[part for", "[part.lower() for"),
            ],
        }
        for before, after in faults[name]:
            code = tmp_path / "code"
            code.mkdir(exist_ok=True)
            for file in (folder / "code").iterdir():
                (code / file.name).write_bytes(file.read_bytes())
            program = python_of(tmp_path)
            text = program.read_text(encoding="utf-8")
            assert before in text
            program.write_text(text.replace(before, after), encoding="utf-8")
            done = run(program, "--check", "--model", path)
            assert done.returncode == 1 and "input " in done.stderr, (before, done.stdout, done.stderr)

    @pytest.mark.parametrize("name", ["one label, grey", "numbers", "boxes, tiles", "masks", "words", "characters"])
    def test_it_answers_a_file_or_a_text_as_predict_does(self, written, name, tmp_path):
        folder, made, path = written(name)
        picture = pictures(1, 4, ((70, 50),))[0]
        cv2.imwrite(str(tmp_path / "a.png"), picture[..., [2, 1, 0, 3]])
        words = "words" in name or "characters" in name
        done = run(python_of(folder), "soup song" if words else tmp_path / "a.png", "--model", path)
        assert done.returncode == 0 and done.stdout, done.stderr
        if name == "one label, grey":
            from cnnkit.device.image import fit_image, read_image

            seen = fit_image(read_image(tmp_path / "a.png"), made.shape)
            score = DeviceModel.open(path, known=True).run(seen)["scores"].max()
            assert f"{score:.1%}" in done.stdout
        assert run(python_of(folder), folder / "none.png", "--model", path).returncode == int(not words)

    @pytest.mark.parametrize("kind", ["bytes", "deep", "grey", "chalk", "thin chalk", "faint", "16 bits"])
    def test_it_reads_pictures_as_predict_does(self, written, kind, tmp_path):
        """What is transparent, and of 16 bits."""
        from cnnkit.device.image import fit_image, read_image

        colours = pictures(1, 3, ((24, 36),))[0]
        alpha = np.zeros((24, 36, 1), np.uint8)
        alpha[4:16, 6:20] = 200
        white = np.full_like(colours, 255)
        picture = {
            "bytes": np.concatenate([colours, alpha], -1),
            "deep": np.concatenate([colours, alpha], -1).astype(np.uint16) * 257,
            "grey": np.concatenate([colours[..., :1].repeat(3, -1), alpha], -1),
            "chalk": np.concatenate([white, alpha], -1),
            "thin chalk": np.concatenate([white, alpha // 10], -1),
            "faint": np.concatenate([white, np.full_like(alpha, 90)], -1),
            "16 bits": colours.astype(np.uint16) * 257,
        }[kind]
        cv2.imwrite(str(tmp_path / "a.png"), picture)
        folder, made, _ = written("one label")
        there = runpy.run_path(str(python_of(folder)))
        ours = fit_image(read_image(tmp_path / "a.png"), made.shape).astype(int)
        assert np.abs(there["prepare"](there["read"](tmp_path / "a.png")) - ours).max() <= 1

    def test_a_transparent_picture_that_is_turned_is_refused(self, written, tmp_path):
        """OpenCV reads either its transparency or how it is turned."""
        picture = pictures(1, 4, ((24, 36),))[0]
        content = cv2.imencode(".png", picture)[1].tobytes()
        exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
        chunk = len(exif).to_bytes(4, "big") + b"eXIf" + exif + zlib.crc32(b"eXIf" + exif).to_bytes(4, "big")
        (tmp_path / "a.png").write_bytes(content[:33] + chunk + content[33:])
        folder, _, path = written("one label")
        done = run(python_of(folder), tmp_path / "a.png", "--model", path)
        assert done.returncode == 1 and "turned by its EXIF" in done.stderr and "Traceback" not in done.stderr

    @pytest.mark.parametrize("name", CASES)
    def test_it_needs_nothing_of_ours_and_no_more_than_it_says(self, written, name):
        tree = ast.parse(python_of(written(name)[0]).read_text(encoding="utf-8"))
        found = {
            alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        found |= {node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        allowed = {"numpy", "cv2", "ai_edge_litert", "tflite_runtime", "tensorflow"} | sys.stdlib_module_names
        assert found <= allowed and ("cv2" in found) == ("words" not in name and "characters" not in name)


OLD = Path(__file__).parents[2] / ".old-runtime" / "bin" / "python"


@pytest.mark.skipif(not OLD.exists(), reason=f"needs {OLD}: `make old-runtime`, with Python 3.11")
@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *((name, "float32") for name in ("one label", "boxes, whole", "masks, windows", "words", "numbers")),
        *((name, "int8") for name in ("one label", "words", "numbers")),
    ],
)
def test_files_and_their_python_run_in_the_last_tflite_runtime(written, name, precision):
    """Of 2023: it knows no metadata of ours, and has no operators that came later."""
    folder, _, path = written(name, precision)
    code = "import sys, tflite_runtime; assert tflite_runtime.__version__ == '2.14.0' and 'ai_edge_litert' not in sys.modules"
    assert subprocess.run([OLD, "-I", "-c", code]).returncode == 0
    command = [OLD, "-I", python_of(folder), "--check", "--model", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "golden inputs: all as" in done.stdout, done.stderr


CLIENT = Path(__file__).parents[2] / ".mediapipe" / "bin" / "python"
THERE = [name for name in CASES if name not in ("words, parts", "characters", "masks, deep", "transparent")]


class TestMediaPipe:
    @pytest.mark.skipif(not CLIENT.exists(), reason=f"needs {CLIENT}: `make mediapipe`")
    @pytest.mark.parametrize("name", THERE)
    def test_its_python_answers_as_predict_does(self, written, name):
        folder, _, path = written(name, profile=MediaPipe)
        command = [CLIENT, "-I", python_of(folder), "--check", "--model", path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and "golden inputs: all as" in done.stdout, done.stderr[-2000:]

    @pytest.mark.skipif(not CLIENT.exists(), reason=f"needs {CLIENT}: `make mediapipe`")
    @pytest.mark.parametrize(
        ("name", "before", "after"),
        [
            ("several labels", "0.6, 0.9]", "0.6, 0.0]"),
            ("a finding", "else 1 - FINDING", "else FINDING"),
            ("boxes, whole", "LABELS[NAMES", "LABELS[1 - NAMES"),
            ("boxes, whole", "box.origin_x + box.width", "box.width"),
            ("masks, regions", "ORDER = [1, 2]", "ORDER = [2, 1]"),
        ],
    )
    def test_its_python_says_what_differs(self, written, name, before, after, tmp_path):
        folder, _, path = written(name, profile=MediaPipe)
        shutil.copytree(folder / "code", tmp_path / "code")
        text = python_of(tmp_path).read_text(encoding="utf-8")
        assert before in text
        python_of(tmp_path).write_text(text.replace(before, after), encoding="utf-8")
        command = [CLIENT, "-I", python_of(tmp_path), "--check", "--model", path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 1 and "input " in done.stderr, done.stdout + done.stderr[-2000:]

    @pytest.mark.skipif(not CLIENT.exists(), reason=f"needs {CLIENT}: `make mediapipe`")
    @pytest.mark.parametrize("name", ["one label", "masks", "words"])
    def test_its_python_answers_a_file_or_a_text(self, written, name, tmp_path):
        folder, made, path = written(name, profile=MediaPipe)
        cv2.imwrite(str(tmp_path / "a.png"), pictures(1)[0])
        given = tmp_path / "a.png" if name != "words" else "soup song"
        command = [CLIENT, "-I", python_of(folder), given, "--model", path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and any(label in done.stdout for label in made.labels), done.stderr[-2000:]

    @pytest.mark.parametrize("name", THERE)
    def test_its_golden_inputs_are_of_the_models_own_size(self, written, name):
        folder, made, _ = written(name, profile=MediaPipe)
        for case in golden_of(folder)[0]["cases"]:
            assert isinstance(case["given"], str) or case["given"]["shape"] == list(made.shape)
        assert {path.name for path in (folder / "code").iterdir()} - {"node_modules"} == set(samples.names(made))
        assert not list((folder / "code").glob("*.cpp"))

    @pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
    @pytest.mark.parametrize("name", THERE)
    def test_node_reads_its_javascript(self, written, name):
        (program,) = (written(name, profile=MediaPipe)[0] / "code").glob("*.mjs")
        done = subprocess.run(["node", "--check", str(program)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    @pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
    @pytest.mark.parametrize("name", THERE)
    def test_its_javascript_makes_of_what_a_client_answers_what_predict_says(self, written, name):
        """Thresholds, labels that overlap, findings: of a stand-in for MediaPipe, which answers what the file does."""
        assert in_a_browser(*written(name, profile=MediaPipe)[::2]) == []

    @pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
    @pytest.mark.parametrize(
        ("name", "before", "after"),
        [
            ("several labels", "0.6, 0.9]", "0.6, 0.0]"),
            ("a finding", ">= 0.3 ?", "< 0.3 ?"),
            ("one label", "LABELS[place]", "LABELS[0]"),
            ("boxes, whole", "LABELS[NAMES", "LABELS[1 - NAMES"),
            ("masks, regions", "ORDER = [1, 2]", "ORDER = [2, 1]"),
        ],
    )
    def test_its_javascript_says_what_differs(self, written, name, before, after, tmp_path):
        folder, _, path = written(name, profile=MediaPipe)
        shutil.copytree(folder / "code", tmp_path / "code", ignore=shutil.ignore_patterns("node_modules"))
        (program,) = (tmp_path / "code").glob("*.mjs")
        text = program.read_text(encoding="utf-8")
        assert before in text
        program.write_text(text.replace(before, after), encoding="utf-8")
        assert "input " in str(in_a_browser(tmp_path, path))

    @pytest.mark.parametrize("name", THERE)
    @pytest.mark.parametrize("suffix", ["kt", "swift"])
    def test_the_others_say_that_they_were_not_compiled_and_their_brackets_close(self, written, name, suffix):
        (program,) = (written(name, profile=MediaPipe)[0] / "code").glob(f"*.{suffix}")
        text = program.read_text(encoding="utf-8")
        assert text.startswith("// NOT COMPILED") and "{%" not in text and balanced(text)


def in_a_browser(folder, path):
    """Run the check of a program for MediaPipe in node, with a stand-in for its task; return what it says differs."""
    (program,) = (folder / "code").glob("*.mjs")
    command = ["node", str(HERE / "mediapipe.mjs"), str(program), path.name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Programs in other languages, whose model is the real interpreter, here ----------------------------------------------

HERE = Path(__file__).parent
HARNESS = HERE / "harness.mjs"
API = HERE / "c_api"
COMPILER = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{API}"]
WITHOUT_PARTS = [name for name in CASES if name != "words, parts"]  # C++ has no lower case of all letters


def javascript_of(folder, path):
    """Run a program's own check in node; return what it says differs."""
    model = DeviceModel.open(path, known=True)
    (program,) = [file for file in (folder / "code").glob("*.mjs") if file.name != "pixels.mjs"]
    command = ["node", str(HARNESS), str(program), path.name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as node:
        for line in node.stdout:
            if line.startswith("done "):
                return json.loads(line.removeprefix("done "))
            found = model.run(np.frombuffer(base64.b64decode(line), np.float32).reshape(model.input_shape))
            told = {
                name: base64.b64encode(values[0].astype("<f4").tobytes()).decode() for name, values in found.items()
            }
            node.stdin.write(json.dumps(told) + "\n")
            node.stdin.flush()
    raise AssertionError("the program ended before it had said anything")


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
class TestJavaScript:
    @pytest.mark.parametrize("name", CASES)
    def test_it_answers_as_predict_does(self, written, name):
        folder, _, path = written(name)
        assert javascript_of(folder, path) == []

    def test_bytes_go_in_as_they_are(self, written):
        folder, _, path = written("one label", "int8")
        assert javascript_of(folder, path) == []

    @pytest.mark.parametrize(
        ("name", "before", "after"),
        [
            ("one label", "LABELS[best]", "LABELS[0]"),
            ("several labels", "SURE = 0.55", "SURE = 0.999"),
            ("boxes, whole", "THRESHOLD = 0.4", "THRESHOLD = 0.8"),
            ("words", "SURE = 0.4", "SURE = 0.99"),
            ("words, parts", "NGRAM = 4", "NGRAM = 3"),
            ("numbers", "HALF = [2.0", "HALF = [4.0"),
        ],
    )
    def test_it_says_what_differs(self, written, name, before, after, tmp_path):
        folder, _, path = written(name)
        shutil.copytree(folder / "code", tmp_path / "code")
        (program,) = [file for file in (tmp_path / "code").glob("*.mjs") if file.name != "pixels.mjs"]
        text = program.read_text(encoding="utf-8")
        assert before in text
        program.write_text(text.replace(before, after), encoding="utf-8")
        assert any("input " in line for line in javascript_of(tmp_path, path))


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
class TestCpp:
    @pytest.fixture(scope="class")
    def api(self, tmp_path_factory):
        path = tmp_path_factory.mktemp("api") / "answered.o"
        subprocess.run([*COMPILER, "-c", str(API / "answered.cc"), "-o", str(path)], check=True)
        return path

    def checked(self, folder, path, api):
        """Compile a program and run its check; return its exit status and what it says."""
        (source,) = (folder / "code").glob("*.cpp")
        program = folder / "program"
        done = subprocess.run([*COMPILER, str(source), str(api), "-o", str(program)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        model = DeviceModel.open(path, known=True)
        outputs = {name: int(np.prod(output["shape"])) for name, output in model._outputs.items()}
        asked, ask = os.pipe()
        reply, answers = os.pipe()
        given = f"{model.input_dtype} {int(np.prod(model.input_shape))}"
        found = " ".join(f"{name} {count}" for name, count in outputs.items())
        about = {"ASK": str(ask), "REPLY": str(reply), "GIVEN": given, "FOUND": found}
        size = model.input_dtype.itemsize * int(np.prod(model.input_shape))
        command = [str(program), "--check", str(path)]
        how = {"env": about, "pass_fds": (ask, reply), "cwd": folder / "code", "text": True}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **how) as running:
            os.close(ask)
            os.close(reply)
            with os.fdopen(asked, "rb") as asks, os.fdopen(answers, "wb") as told:
                while content := asks.read(size):
                    answer = model.run(np.frombuffer(content, model.input_dtype).reshape(model.input_shape))
                    told.write(b"".join(answer[name][0].astype("<f4").tobytes() for name in outputs))
                    told.flush()
            said = running.stdout.read()
        return running.returncode, said

    @pytest.mark.parametrize("name", WITHOUT_PARTS)
    def test_it_compiles_without_a_warning_and_answers_as_predict_does(self, written, api, name):
        folder, _, path = written(name)
        status, said = self.checked(folder, path, api)
        assert status == 0 and "golden inputs: all as" in said, said

    def test_bytes_go_in_as_they_are(self, written, api):
        folder, _, path = written("one label", "int8")
        status, said = self.checked(folder, path, api)
        assert status == 0, said

    def test_it_says_what_differs(self, written, api, tmp_path):
        folder, _, path = written("one label")
        shutil.copytree(folder / "code", tmp_path / "code")
        program = tmp_path / "code" / "classify.cpp"
        text = program.read_text(encoding="utf-8")
        program.write_text(text.replace("LABELS[best], scores", "LABELS[0], scores"), encoding="utf-8")
        status, said = self.checked(tmp_path, path, api)
        assert status == 1 and "it is " in said, said

    def test_parts_of_words_are_left_to_languages_that_know_all_letters(self, written):
        assert not list((written("words, parts")[0] / "code").glob("*.cpp"))


class TestKotlinAndSwift:
    """They are not compiled here; what can be seen without a compiler is."""

    @pytest.mark.parametrize("name", CASES)
    @pytest.mark.parametrize("suffix", ["kt", "swift"])
    def test_they_say_that_they_were_not_compiled_and_their_brackets_close(self, written, name, suffix):
        (program,) = (written(name)[0] / "code").glob(f"*.{suffix}")
        text = program.read_text(encoding="utf-8")
        assert text.startswith("// NOT COMPILED") and "{{" not in text.replace("{{ z }}", "") and "{%" not in text
        assert balanced(text)


def balanced(text):
    """Whether brackets close as they open, outside of texts and comments."""
    text = re.sub(r'"(\\.|[^"\\])*"', '""', text)
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"'(\\.|[^'\\])'", "''", text)
    open_ones = []
    for character in text:
        if character in "([{":
            open_ones.append(character)
        elif character in ")]}" and (not open_ones or open_ones.pop() + character not in ("()", "[]", "{}")):
            return False
    return not open_ones

"""`predict` of a detector: images, videos, two stages, and every file it writes."""

import csv
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnnkit import console, opening
from cnnkit.cli import printing
from cnnkit.device.detection import Plan
from cnnkit.device.image import read_image
from cnnkit.errors import ArtifactError, CnnkitError, DataError
from cnnkit.inputs.image import videos
from cnnkit.tasks.detection import predict
from tests.device.red import STRIDES, RedFinder, scene, write_tflite

ARTIFACT = Path("red.tflite")


class Brightness:
    """A recogniser that tells dark red from light red."""

    path = Path("tone.tflite")
    labels = ("dark", "light", "grey")
    input_shape = (16, 16, 3)
    metadata = {"app": "signs", "task": "classification", "labels": list(labels)}  # noqa: RUF012

    def __init__(self):
        self.seen = []

    def run_batch(self, images):
        self.seen.append(images)
        light = np.clip((images[:, 4:12, 4:12, 0].mean((1, 2)) - 160) / 95, 0, 1)
        return {"scores": np.stack([0.9 - 0.8 * light, 0.1 + 0.8 * light, 0 * light], 1).astype(np.float32)}


@pytest.fixture
def models(monkeypatch):
    """The models there are, by path; `open_model` opens them."""
    there = {"red.tflite": RedFinder((128, 128, 3)), "tone.tflite": Brightness()}

    def open_model(path, app, threads=None, tell=None):
        assert app == "signs"
        return there[str(path)]

    monkeypatch.setattr(opening, "open_model", open_model)
    return there


@pytest.fixture
def run(models, capfd, monkeypatch, tmp_path):
    """Run `find` on inputs below a temporary folder; returns the document that --json prints."""
    monkeypatch.chdir(tmp_path)

    def find(*inputs, code=None, **options):
        console.use_json(True)
        try:
            printed(ARTIFACT, *inputs, **options)
        finally:
            console.use_json(False)
        return json.loads(capfd.readouterr().out)

    return find


def printed(artifact, *inputs, **options):
    """Find things and print them, as the command does."""
    paths = [Path(path) for path in inputs]
    printing.predicted(predict.find("signs", artifact, paths, tell=console, **options))


def write_image(path, image):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])
    return path


def write_video(path, frames, code="MJPG", fps=20):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), fps, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


def drive(count=20, size=(96, 128)):
    """Frames with a red box that comes nearer, and a blue one that only flashes up once."""
    frames = []
    for k in range(count):
        boxes = [(10 + 2 * k, 30 - k / 2, 26 + 3 * k, 46 + k / 2)]
        colours = [(255, 0, 0)]
        if k == 5:
            boxes.append((100, 60, 116, 76))
            colours.append((0, 0, 255))
        frames.append(scene(*size, *boxes, colours=colours))
    return frames


# Images ---------------------------------------------------------------------------------------------------------------


def test_an_image_has_its_boxes_in_its_own_pixels(run):
    write_image("a.png", scene(200, 256, (100, 60, 140, 100), (10, 10, 42, 30), colours=[(255, 0, 0), (0, 0, 255)]))
    document = run("a.png")
    assert document["artifact"] == "red.tflite" and document["skipped"] == document["tracks"] == []
    assert document["frames_per_second"] is None
    (entry,) = document["predictions"]
    assert (entry["input"], entry["width"], entry["height"]) == ("a.png", 256, 200)
    assert "frame" not in entry
    assert [(box["label"], box["score"]) for box in entry["boxes"]] == [("red", 0.9), ("blue", 0.8)]
    np.testing.assert_allclose(entry["boxes"][0]["box"], (100, 60, 140, 100), atol=2)


def test_every_input_has_an_entry_in_order(run):
    write_image("folder/b.png", scene(64, 64))
    write_image("folder/deep/a.jpg", scene(64, 64, (8, 8, 40, 40)))
    write_image("folder/.hidden.png", scene(64, 64))
    write_image("z.bmp", scene(64, 64, (8, 8, 40, 40)))
    document = run("z.bmp", "folder")
    assert [entry["input"] for entry in document["predictions"]] == ["z.bmp", "folder/b.png", "folder/deep/a.jpg"]
    assert [len(entry["boxes"]) for entry in document["predictions"]] == [1, 0, 1]


def test_standard_input(run, monkeypatch):
    data = cv2.imencode(".png", scene(64, 64, (8, 8, 40, 40))[..., ::-1])[1].tobytes()
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    with os.fdopen(read) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        document = run("-", out=Path("out"))
    assert document["predictions"][0]["input"] == "-" and len(document["predictions"][0]["boxes"]) == 1
    assert [path.name for path in Path("out").iterdir()] == ["standard-input.png"]


def test_the_threshold_is_the_plans_unless_given(run, models):
    models["red.tflite"] = RedFinder((128, 128, 3), scores=(0.9, 0.4), plan=Plan(STRIDES, threshold=0.5))
    write_image("a.png", scene(128, 128, (10, 10, 40, 40), (80, 80, 110, 110), colours=[(255, 0, 0), (0, 0, 255)]))
    document = run("a.png")
    assert document["threshold"] == 0.5 and len(document["predictions"][0]["boxes"]) == 1
    assert len(run("a.png", threshold=0.3)["predictions"][0]["boxes"]) == 2
    assert run("a.png", threshold=0.95)["predictions"][0]["boxes"] == []


def test_a_table_for_people(run, capfd):
    write_image("a.png", scene(64, 64, (8, 8, 40, 40)))
    write_image("b.png", scene(64, 64))
    printed(ARTIFACT, Path("a.png"), Path("b.png"))
    text = capfd.readouterr().out
    assert "red" in text and "90.0%" in text and "8, 8, 40, 40" in text
    assert "nothing found" in text and "1 of 2 images" in text


def test_it_is_a_function_that_answers_image_by_image_and_frame_by_frame_and_prints_nothing(run, models, capfd):
    write_image("a.png", scene(64, 64, (8, 8, 40, 40)))
    write_video("v.avi", drive(6))
    expected = run("a.png", "v.avi")
    models["red.tflite"].calls = 0
    found = predict.find("signs", ARTIFACT, ["a.png", "v.avi"])
    assert models["red.tflite"].calls == 0, "inputs are read when their answers are asked for"
    first = next(found)
    assert first == expected["predictions"][0] and models["red.tflite"].calls == 1
    second = next(found)
    assert (second["input"], second["frame"], models["red.tflite"].calls) == ("v.avi", 0, 2)
    assert [first, second, *found] == expected["predictions"]
    document = found.document()
    assert document["tracks"] == expected["tracks"] and document["predictions"] == expected["predictions"]
    assert capfd.readouterr() == ("", "")


def test_who_asks_for_no_more_has_what_was_found_up_to_there(run):
    write_image("a.png", scene(64, 64, (8, 8, 40, 40)))
    write_video("v.avi", drive(20))
    found = predict.find("signs", ARTIFACT, ["a.png", "v.avi"], out=Path("out"), results=Path("x.json"))
    for _ in range(5):
        next(found)
    found.close()
    assert len(json.loads(Path("x.json").read_text())["predictions"]) == 5
    assert [path.name for path in Path("out").iterdir()] == ["a.png"], "a video that is not through has no copy"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("frames", "copy"))]


# Copies ---------------------------------------------------------------------------------------------------------------


def test_copies_keep_their_names_and_never_collide(run):
    box = (8, 30, 40, 60)
    for path in ("one/a.png", "one/a.bmp", "one/deep/a.jpg", "two/a.png", "two/A.PNG", "a.jpg"):
        write_image(path, scene(64, 64, box))
    run("one", "two", "a.jpg", out=Path("out"))
    copies = {path.relative_to("out").as_posix() for path in Path("out").rglob("*") if path.is_file()}
    assert copies == {"a.png", "a-2.png", "deep/a.jpg", "A-3.png", "a-4.png", "a.jpg"}
    for copy in copies:
        drawn = read_image(Path("out") / copy)
        assert drawn.shape == (64, 64, 3)
        assert np.abs(drawn[60, 20].astype(int) - scene(1, 1)[0, 0]).max() > 30  # the line
        assert np.abs(drawn[45, 20].astype(int) - (255, 0, 0)).max() < 30  # its inside


def test_copies_of_an_earlier_run_are_no_inputs(run):
    write_image("photos/a.png", scene(64, 64))
    run("photos", out=Path("photos/found"))
    document = run("photos", out=Path("photos/found"))
    assert [entry["input"] for entry in document["predictions"]] == ["photos/a.png"]


def test_a_copy_never_replaces_an_input(run):
    path = write_image("photos/a.png", scene(64, 64, (8, 8, 40, 40)))
    before = path.read_bytes()
    with pytest.raises(DataError, match="would replace photos/a.png"):
        run("photos", out=Path("photos"))
    assert path.read_bytes() == before


def test_out_that_is_a_file_is_refused_first(run):
    write_image("a.png", scene(64, 64))
    with pytest.raises(DataError, match="is a file"):
        run("a.png", out=Path("a.png"))


# Results --------------------------------------------------------------------------------------------------------------


def test_an_unknown_suffix_is_refused_before_any_work(run, models):
    write_image("a.png", scene(64, 64))
    for name in ("x.txt", "x", "x.xml"):
        with pytest.raises(DataError, match=r"\.json, \.csv or \.coco\.json"):
            run("a.png", results=Path(name))
    Path("folder.json").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        run("a.png", results=Path("folder.json"))
    assert models["red.tflite"].calls == 0


def test_json_results_are_the_document(run):
    write_image("a.png", scene(64, 64, (8, 8, 40, 40)))
    assert run("a.png", results=Path("deep/x.json")) == json.loads(Path("deep/x.json").read_text())


def test_csv_results_have_a_line_for_each_box(run):
    write_image("a, b.png", scene(128, 128, (8, 8, 40, 40), (64, 64, 96, 112), colours=[(255, 0, 0), (0, 0, 255)]))
    write_video("v.avi", drive())
    run("a, b.png", "v.avi", results=Path("x.csv"), recogniser=Path("tone.tflite"))
    with open("x.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 + 21
    first = rows[0]
    assert (first["input"], first["frame"], first["label"], first["track"]) == ("a, b.png", "", "red", "")
    assert [float(first[side]) for side in ("left", "top", "right", "bottom")] == [8, 8, 40, 40]
    assert first["recognised"] == "light" and float(first["recognised_score"]) > 0.8
    assert (rows[-1]["input"], rows[-1]["frame"], rows[-1]["track"]) == ("v.avi", "19", "1")


def test_coco_results_are_a_data_set_with_scores(run):
    write_image("data/a.png", scene(128, 160, (8, 8, 40, 40), (64, 64, 96, 112), colours=[(255, 0, 0), (0, 0, 255)]))
    write_image("data/b.png", scene(64, 64))
    write_video("v.avi", drive(3))
    run("data", "v.avi", results=Path("data/x.coco.json"))
    coco = json.loads(Path("data/x.coco.json").read_text())
    assert coco["categories"] == [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]
    assert [(image["id"], image["file_name"]) for image in coco["images"]] == [
        (1, "a.png"),
        (2, "b.png"),
        *[(3 + k, f"v.avi/{k:06d}.png") for k in range(3)],
    ]
    assert (coco["images"][0]["width"], coco["images"][0]["height"]) == (160, 128)
    first = coco["annotations"][0]
    assert (first["image_id"], first["category_id"], first["iscrowd"], first["score"]) == (1, 1, 0, 0.9)
    np.testing.assert_allclose(first["bbox"], (8, 8, 32, 32), atol=1.5)
    assert first["area"] == pytest.approx(first["bbox"][2] * first["bbox"][3], abs=0.01)
    assert [a["id"] for a in coco["annotations"]] == list(range(1, len(coco["annotations"]) + 1))
    assert {a["image_id"] for a in coco["annotations"]} == {1, 3, 4, 5}


def test_coco_results_of_two_stages_have_the_recognisers_names(run):
    write_image("a.png", scene(64, 64, (8, 8, 40, 40)))
    run("a.png", results=Path("x.coco.json"), recogniser=Path("tone.tflite"))
    coco = json.loads(Path("x.coco.json").read_text())
    assert [category["name"] for category in coco["categories"]] == list(Brightness.labels)
    assert coco["annotations"][0]["category_id"] == 2
    assert coco["annotations"][0]["score"] == pytest.approx(0.9 * 0.9, abs=0.01)


# Two stages -----------------------------------------------------------------------------------------------------------


def test_a_recogniser_names_each_box_from_the_full_image(run, models):
    # 16 px in an image of 1024: in the detector's input 2 px are left of it
    image = scene(1024, 1024, (200, 200, 280, 280), (600, 600, 680, 680), colours=[(250, 0, 0), (165, 0, 0)])
    write_image("a.png", image)
    document = run("a.png", recogniser=Path("tone.tflite"), top=2)
    boxes = sorted(document["predictions"][0]["boxes"], key=lambda box: box["box"])
    assert [(box["label"], box["recognised"]) for box in boxes] == [("red", "light"), ("red", "dark")]
    assert all(box["recognised_score"] > 0.8 for box in boxes)
    assert [entry["label"] for entry in boxes[0]["top"]] == ["light", "dark"]
    assert document["recogniser"] == "tone.tflite"
    (cuts,) = models["tone.tflite"].seen  # one batch an image
    assert cuts.shape == (2, 16, 16, 3) and cuts.dtype == np.uint8


def test_a_cut_has_a_margin_and_stays_inside():
    image = np.arange(100 * 100 * 3, dtype=np.uint32).astype(np.uint8).reshape(100, 100, 3)
    cut = predict._cut(image, np.array([40, 40, 60, 80], np.float32))
    assert np.array_equal(cut, image[34:86, 37:63])  # 15 % of 40 and of 20 px on each side
    assert predict._cut(image, np.array([0, 0, 99.5, 100], np.float32)).shape == (100, 100, 3)
    assert predict._cut(image, np.array([99.9, 99.9, 100, 100], np.float32)).size > 0
    assert predict._cut(image[..., 0], np.array([10, 10, 20, 20], np.float32)).shape == (14, 14)


def test_the_wrong_kind_of_artifact_is_one_line(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image("a.png", scene(64, 64))
    with pytest.raises(ArtifactError, match="tone.tflite does not find things.*`recogniser`"):
        printed(Path("tone.tflite"), Path("a.png"))
    with pytest.raises(ArtifactError, match="`recogniser=red.tflite` is a detector"):
        printed(ARTIFACT, Path("a.png"), recogniser=ARTIFACT)
    models["red.tflite"].metadata.pop("detection")
    with pytest.raises(ArtifactError, match="does not say how images meet it.*Export it again"):
        printed(ARTIFACT, Path("a.png"))


def test_two_stages_in_a_table(run, capfd):
    write_image("a.png", scene(64, 64, (8, 8, 40, 40)))
    printed(ARTIFACT, Path("a.png"), recogniser=Path("tone.tflite"), top=2)
    text = capfd.readouterr().out
    assert "light, dark 1" in text and "found" in text


# Videos ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name,code", [("v.avi", "MJPG"), ("v.mp4", "mp4v"), ("v.mkv", "mp4v")])
def test_a_video_has_an_entry_for_each_frame_and_one_sign(run, name, code):
    write_video(name, drive(), code)
    document = run(name)
    assert [(entry["input"], entry["frame"]) for entry in document["predictions"]] == [(name, k) for k in range(20)]
    for k, entry in enumerate(document["predictions"]):
        red = [box for box in entry["boxes"] if box["label"] == "red"]
        assert [box["track"] for box in red] == [1]
        np.testing.assert_allclose(red[0]["box"], (10 + 2 * k, 30 - k / 2, 26 + 3 * k, 46 + k / 2), atol=2.5)
    blue = [box for box in document["predictions"][5]["boxes"] if box["label"] == "blue"]
    assert len(blue) == 1 and "track" not in blue[0]  # once is not enough to count
    (track,) = document["tracks"]
    assert (track["input"], track["track"], track["label"]) == (name, 1, "red")
    assert (track["first_frame"], track["last_frame"], track["frames"], track["score"]) == (0, 19, 20, 0.9)
    rates = document["frames_per_second"]
    assert rates["inference"] >= rates["end_to_end"] > 0
    assert document["warnings"] == []


def test_without_tracking_boxes_have_no_track(run):
    write_video("v.avi", drive(6))
    document = run("v.avi", track=False)
    assert document["tracks"] == []
    assert not any("track" in box for entry in document["predictions"] for box in entry["boxes"])


@pytest.mark.parametrize(
    ("about", "low"),
    # 0.8 is 2/3 as learnt at a temperature of 1/2; half of that is 1 to 2, which becomes 1 to 4
    [({}, 0.4), ({"temperature": 0.5}, 0.2), ({"temperature": 0.5, "offset": -1.0}, None)],
)
def test_boxes_that_continue_a_track_are_of_half_the_threshold_as_learnt(run, models, monkeypatch, about, low):
    models["red.tflite"].metadata.update(about)
    used = []
    real = predict.find_objects
    monkeypatch.setattr(
        predict,
        "find_objects",
        lambda *args, threshold, **more: used.append(threshold) or real(*args, threshold=threshold, **more),
    )
    write_video("v.avi", drive(3))
    run("v.avi", threshold=0.8)
    temperature, offset = about.get("temperature", 1), about.get("offset", 0)
    learnt = 1 / (1 + np.exp(-(np.log(0.8 / 0.2) - offset) * temperature))
    expected = 1 / (1 + np.exp(-np.log(learnt / 2 / (1 - learnt / 2)) / temperature - offset))
    assert used[0] == pytest.approx(expected) and (low is None or expected == pytest.approx(low))


def test_limit_frames(run):
    write_video("v.avi", drive(20))
    document = run("v.avi", limit_frames=4)
    assert len(document["predictions"]) == 4 and document["warnings"] == []


def test_images_and_videos_in_one_folder(run):
    write_video("mix/b.avi", drive(4))
    write_image("mix/a.png", scene(64, 64))
    write_image("mix/c.png", scene(64, 64))
    document = run("mix", out=Path("out"))
    assert [entry["input"] for entry in document["predictions"]] == ["mix/a.png", *["mix/b.avi"] * 4, "mix/c.png"]
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "b.mp4", "c.png"]


@pytest.mark.parametrize("size", [(96, 128), (97, 129)])
def test_the_copy_of_a_video_has_its_size_rate_and_length(run, size):
    write_video("deep/v.avi", drive(12, (96, 128)), fps=17)
    if size != (96, 128):  # OpenCV's own encoder takes odd sides
        writer = cv2.VideoWriter("deep/v.avi", cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), 17, size[::-1])
        for frame in drive(12, size):
            writer.write(frame[..., ::-1].copy())
        writer.release()
    run("deep", out=Path("out"))
    (copy,) = Path("out").iterdir()
    assert copy.stem == "v" and copy.suffix in (".mp4", ".avi")
    capture = cv2.VideoCapture(str(copy))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(17)
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    assert len(frames) == 12 and frames[0].shape == (*size, 3)
    inside = frames[0][38, 18].astype(int)
    assert inside[2] > 200 and inside[0] < 60
    assert np.abs(frames[0].astype(int) - drive(1, size)[0][..., ::-1]).max(-1)[20:29].max() > 60  # the label


@pytest.mark.parametrize("name,code", [("v.avi", "MJPG"), ("v.mkv", "mp4v")])
def test_a_video_that_is_cut_short_is_a_warning_that_names_the_frame(run, name, code, capfd):
    path = write_video(name, drive(40), code)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    document = run(name)
    count = len(document["predictions"])
    assert 10 < count < 38
    (warning,) = document["warnings"]
    assert f"ends after frame {count - 1}" in warning and f"{count} of the 40" in warning
    assert len(document["tracks"]) == 1
    assert capfd.readouterr().err.count("\n") <= 1  # FFmpeg keeps silent


def element(code, content):
    """Return an element of Matroska."""
    if isinstance(content, int):
        content = content.to_bytes(8, "big")
    elif isinstance(content, float):
        content = struct.pack(">d", content)
    return bytes.fromhex(code) + (len(content) | 1 << 56).to_bytes(8, "big") + content


def write_matroska(path, frames, times, duration):
    """Write a video of JPEGs, each shown at its own time, ms; Matroska does not say how many there are."""
    height, width = frames[0].shape[:2]
    head = element("4282", b"matroska") + element("4287", 4) + element("4285", 2)
    info = (
        element("2ad7b1", 1_000_000) + element("4489", float(duration)) + element("4d80", b"t") + element("5741", b"t")
    )
    video = element("e0", element("b0", width) + element("ba", height))
    track = element("d7", 1) + element("73c5", 1) + element("83", 1) + element("86", b"V_MJPEG") + video
    blocks = b""
    for frame, moment in zip(frames, times, strict=True):
        data = cv2.imencode(".jpg", np.ascontiguousarray(frame[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        blocks += element("1f43b675", element("e7", int(moment)) + element("a3", b"\x81\0\0\x80" + data))
    body = element("1549a966", info) + element("1654ae6b", element("ae", track)) + blocks
    Path(path).write_bytes(element("1a45dfa3", head) + element("18538067", body))
    return Path(path)


def slow_then_fast(count=24):
    """Times of a phone's video that begins in the dark: 10 frames a second, then 40, ms; and how long it takes."""
    half = count // 2
    times = [100 * k for k in range(half)] + [100 * half + 25 * k for k in range(count - half)]
    return times, times[-1] + 25


@pytest.mark.parametrize("name", ["v.mkv", "v.webm"])
def test_a_video_whose_frames_do_not_come_evenly_is_whole_and_its_copy_lasts_as_long(run, name):
    times, duration = slow_then_fast()
    write_matroska(name, drive(len(times)), times, duration)
    document = run(name, out=Path("out"), results=Path("x.csv"))
    assert document["warnings"] == []
    assert [entry["time"] for entry in document["predictions"]] == [moment / 1000 for moment in times]
    (copy,) = Path("out").iterdir()
    capture = cv2.VideoCapture(str(copy))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(40)
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) / 40 == pytest.approx(duration / 1000)
    shown = [read[1] for read in iter(capture.read, (False, None))]
    for k, moment in enumerate(times):  # the box is where it was then
        found = shown[round(moment * 40 / 1000)][..., 2] > 180
        assert abs(np.nonzero(found)[1].min() - (10 + 2 * k)) <= 3
    lines = Path("x.csv").read_text().splitlines()
    assert lines[0].startswith("input,frame,time,") and lines[2].startswith(f"{name},1,0.1,")


def test_an_uneven_video_that_is_cut_short_is_still_a_warning(run):
    times, duration = slow_then_fast(40)
    path = write_matroska("v.mkv", drive(40), times, duration)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    (warning,) = run("v.mkv")["warnings"]
    assert "it is cut short or damaged there" in warning and "v.mkv ends after frame" in warning


def test_an_even_video_whose_header_does_not_tell_its_rate_has_a_copy_of_its_own_rate(run):
    times = [33, 67, 100, 133, 167, 200, 233, 267, 300, 333]  # rounded, as Matroska does
    write_matroska("v.mkv", drive(10), [moment - 33 for moment in times], 333)
    assert run("v.mkv", out=Path("out"))["warnings"] == []
    (copy,) = Path("out").iterdir()
    capture = cv2.VideoCapture(str(copy))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 10
    assert 10 / capture.get(cv2.CAP_PROP_FPS) == pytest.approx(1 / 3, rel=0.02)


@pytest.mark.parametrize("meta", [cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180])
def test_a_film_that_is_shown_turned_is_read_as_shown(run, meta):
    angle = {cv2.ROTATE_90_CLOCKWISE: 90, cv2.ROTATE_180: 180}[meta]
    path = write_video("v.mp4", [scene(96, 128, (8, 16, 40, 48))] * 4, "mp4v")
    turned_matrix(path, angle)
    (entry, *_) = run("v.mp4", out=Path("out"))["predictions"]
    box = {90: (48, 8, 80, 40), 180: (88, 48, 120, 80)}[angle]
    np.testing.assert_allclose(entry["boxes"][0]["box"], box, atol=4)
    assert (entry["width"], entry["height"]) == ((96, 128) if angle == 90 else (128, 96))
    copy = cv2.VideoCapture("out/v.mp4").read()[1]
    assert copy.shape[:2] == (entry["height"], entry["width"])


def turned_matrix(path, angle):
    """Write the display matrix of a turn by `angle` degrees clockwise into the track header of an MP4."""
    cosine, sine = {90: (0, 1), 180: (-1, 0)}[angle]
    matrix = [cosine << 16, sine << 16, 0, -sine << 16, cosine << 16, 0, 0, 0, 1 << 30]
    data = path.read_bytes()
    place = data.index(b"tkhd") + 4 + 40  # version 0: 40 bytes before the matrix
    path.write_bytes(data[:place] + struct.pack(">9i", *matrix) + data[place + 36 :])


def test_videos_that_cannot_be_read_are_one_line(run, capfd):
    path = write_video("cut.mp4", drive(10), "mp4v")
    path.write_bytes(path.read_bytes()[:500])  # an MP4 without its index
    Path("empty.avi").touch()
    Path("text.mkv").write_text("no video\n" * 100)
    for name, what in (
        ("cut.mp4", "does not open as a video|no frame"),
        ("empty.avi", "empty"),
        ("text.mkv", "does not open as a video"),
        ("none.mov", "no such file"),
    ):
        with pytest.raises(DataError, match=what) as error:
            run(name)
        assert "\n" not in str(error.value) and name in str(error.value)
    write_image("a.png", scene(64, 64, (8, 8, 40, 40)))
    document = run("cut.mp4", "empty.avi", "none.png", "a.png", skip_bad=True)
    assert [entry["input"] for entry in document["predictions"]] == ["a.png"] and len(document["skipped"]) == 3
    assert "moov" not in capfd.readouterr().err


def test_a_missing_input_is_said_before_any_work(run, models):
    write_image("a.png", scene(64, 64))
    with pytest.raises(DataError, match="none.png.*no such file"):
        run("a.png", "none.png")
    assert models["red.tflite"].calls == 0
    with pytest.raises(DataError, match="nothing to predict"):
        run()
    Path("empty").mkdir()
    with pytest.raises(DataError, match="empty holds no image and no video"):
        run("empty")


def test_what_was_found_before_an_error_is_kept(run):
    write_image("a.png", scene(64, 64, (8, 8, 40, 40)))
    Path("b.png").write_text("no image")
    with pytest.raises(DataError, match="b.png"):
        run("a.png", "b.png", results=Path("x.json"), out=Path("out"))
    assert [entry["input"] for entry in json.loads(Path("x.json").read_text())["predictions"]] == ["a.png"]
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]


def test_an_interrupted_video_leaves_no_half_file(run, models):
    write_video("v.avi", drive(20))
    predict = models["red.tflite"].run_batch

    def stop(images):
        if models["red.tflite"].calls == 8:
            assert [path for path in Path("out").iterdir() if path.name.startswith(".")]
            raise KeyboardInterrupt
        return predict(images)

    models["red.tflite"].run_batch = stop
    with pytest.raises(KeyboardInterrupt):
        run("v.avi", out=Path("out"), results=Path("x.json"))
    assert not Path("out").exists()
    kept = json.loads(Path("x.json").read_text())
    assert len(kept["predictions"]) == 8 and len(kept["tracks"]) == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("frames", "copy"))]


def test_a_copy_that_fails_halfway_stops_the_command(run, monkeypatch):
    write_video("v.avi", drive(20))
    real, count = videos.VideoWriter._write, []

    def fail(self, frame):
        count.append(1)
        if len(count) > 5:
            raise CnnkitError("No space left.")
        real(self, frame)

    monkeypatch.setattr(videos.VideoWriter, "_write", fail)
    with pytest.raises(CnnkitError, match="No space left"):
        run("v.avi", out=Path("out"), results=Path("x.json"))
    assert not Path("out").exists()
    assert 5 <= len(json.loads(Path("x.json").read_text())["predictions"]) < 20
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("frames", "copy"))]


def test_a_full_disk_is_one_line(run, monkeypatch):
    write_video("v.avi", drive(4))
    real = videos._capture
    monkeypatch.setattr(
        videos, "_capture", lambda source, *more: None if ".part" in str(source) else real(source, *more)
    )
    with pytest.raises(CnnkitError, match="could not be written whole"):
        run("v.avi", out=Path("out"))
    assert not Path("out").exists()


def test_without_an_encoder_it_is_one_line(run, monkeypatch):
    write_video("v.avi", drive(4))

    class Closed:
        fourcc = staticmethod(lambda *code: 0)

        def __init__(self, *_):
            pass

        def isOpened(self):
            return False

    monkeypatch.setattr(videos.cv2, "VideoWriter", Closed)
    with pytest.raises(CnnkitError, match="no encoder"):
        run("v.avi", out=Path("out"))
    assert not Path("out").exists()


def test_a_video_as_a_table_has_a_line_for_each_sign(run, capfd):
    write_video("v.avi", drive())
    printed(ARTIFACT, Path("v.avi"))
    text = capfd.readouterr().out
    assert "0 to 19" in text and text.count("red ") <= 2 and "blue" not in text
    assert "20 frames" in text and "a second" in text


def test_a_recogniser_votes_over_the_frames(run):
    # light in most frames, dark in two
    frames = [
        scene(96, 128, (30, 30, 62, 62), colours=[(165, 0, 0) if k in (3, 4) else (250, 0, 0)]) for k in range(10)
    ]
    write_video("v.avi", frames)
    document = run("v.avi", recogniser=Path("tone.tflite"))
    assert [entry["boxes"][0]["recognised"] for entry in document["predictions"]][2:6] == [
        "light",
        "dark",
        "dark",
        "light",
    ]
    (track,) = document["tracks"]
    assert track["recognised"] == "light" and 0.6 < track["recognised_score"] < 0.9


@pytest.mark.parametrize("name", ["a:b.mp4", "100%.mp4", "a%02d.mp4", "ünï 速.mp4", "a 'b'.mp4", "MPEG-4 inside.avi"])
def test_names_of_every_kind(run, name):
    write_video("plain.mp4", drive(4), "mp4v").rename(name)
    document = run(name, out=Path("out: ü"))
    assert len(document["predictions"]) == 4
    assert [path.stem for path in Path("out: ü").iterdir()] == [Path(name).stem]


def test_names_that_are_not_text(run):
    video = write_video("plain.mp4", drive(4), "mp4v").rename(os.fsdecode(b"bad\xff.mp4"))
    with pytest.raises(DataError, match="not valid text.*Rename"):
        run(video)
    image = write_image("plain.png", scene(64, 64, (8, 8, 40, 40))).rename(os.fsdecode(b"bad\xff.png"))
    document = run(image, results=Path("x.json"), out=Path("out"))
    assert len(document["predictions"][0]["boxes"]) == 1
    write_video("plain.mp4", drive(4), "mp4v")
    with pytest.raises(CnnkitError, match="not valid text"):
        run("plain.mp4", out=Path(os.fsdecode(b"bad\xff")))


def test_a_damaged_middle_is_passed_over(run, capfd):
    path = write_video("v.mp4", drive(40), "mp4v")
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start + 3000 : start + 3400] = b"\xaa" * 400
    path.write_bytes(data)
    document = run("v.mp4")
    assert len(document["predictions"]) > 20
    assert capfd.readouterr().err == "" or document["warnings"]


def test_a_raw_stream_has_no_length_to_miss(run):
    frames = [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in drive(8)]
    Path("v.mjpeg").write_bytes(b"".join(frames))
    document = run("v.mjpeg")
    assert len(document["predictions"]) == 8 and document["warnings"] == []


# Cameras --------------------------------------------------------------------------------------------------------------


class Lens:
    """Stands in for `cv2.VideoCapture` of a camera."""

    def __init__(self, frames, last=None):
        self.frames, self.last = iter(frames), last

    def get(self, what):
        return {cv2.CAP_PROP_FPS: 20.0, cv2.CAP_PROP_FRAME_COUNT: -1.0}.get(what, 0.0)

    def set(self, *_):
        return True

    def read(self):
        frame = next(self.frames, None)
        if frame is None and self.last is not None:
            raise self.last
        return frame is not None, None if frame is None else frame[..., ::-1].copy()

    def release(self):
        self.frames = None


def test_a_camera_is_read_until_ctrl_c(run, monkeypatch):
    frames = [scene(96, 128)] * 3 + drive(6)
    monkeypatch.setattr(videos, "_capture", lambda source, real=videos._capture: Lens(frames, KeyboardInterrupt())
        if source == 0 else real(source))  # fmt: skip
    write_image("a.png", scene(64, 64))
    document = run("a.png", camera=0, out=Path("out"), results=Path("x.csv"))
    assert [entry["input"] for entry in document["predictions"]] == ["a.png"] + ["camera 0"] * 6
    assert document["predictions"][1]["frame"] == 3  # frames with nothing have no entry
    assert len(document["tracks"]) == 1
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "camera-0.mp4"]
    assert len(Path("x.csv").read_text().splitlines()) == 1 + 7


def test_a_camera_ends_where_nobody_asks_for_more(run, monkeypatch):
    monkeypatch.setattr(videos, "_capture", lambda source, real=videos._capture: Lens(drive(20))
        if source == 0 else real(source))  # fmt: skip
    found = predict.find("signs", ARTIFACT, [], camera=0, out=Path("out"), results=Path("x.json"))
    assert [next(found)["frame"] for _ in range(4)] == [0, 1, 2, 3]
    found.close()
    assert len(json.loads(Path("x.json").read_text())["predictions"]) == 4
    assert [path.name for path in Path("out").iterdir()] == ["camera-0.mp4"]


def test_a_camera_alone_with_a_limit(run, monkeypatch):
    monkeypatch.setattr(videos, "_capture", lambda source: Lens(drive(20)))
    assert len(run(camera="0", limit_frames=5)["predictions"]) == 5


def test_a_stream_that_does_not_answer_is_waited_for_with_a_word_and_not_for_ever(run, monkeypatch, capfd):
    monkeypatch.setattr(videos, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes the connection, and says nothing
        address = f"rtsp://127.0.0.1:{server.getsockname()[1]}/live"
        with pytest.raises(DataError, match=rf"Camera {address} did not answer within 0.5 s\. "):
            run(camera=address)
    assert f"Waiting for {address}, 0.5 s at most." in capfd.readouterr().err
    with pytest.raises(DataError, match=f"Camera {address} cannot be opened"):  # nobody is there
        run(camera=address)


def test_a_stream_that_ends_says_so(run, monkeypatch):
    monkeypatch.setattr(videos, "_capture", lambda source: Lens(drive(5)))
    document = run(camera=0)
    assert len(document["predictions"]) == 5 and "camera 0 sent no frame after frame 4" in document["warnings"][0]


def test_a_camera_that_is_not_there_is_one_line(run, monkeypatch):
    monkeypatch.setattr(videos, "_capture", lambda source: None)
    with pytest.raises(DataError, match="Camera 7 cannot be opened"):
        run(camera=7)


# On a device ----------------------------------------------------------------------------------------------------------


def test_a_real_file_runs_without_tensorflow(tmp_path):
    write_tflite(tmp_path / "red.tflite")
    write_image(tmp_path / "a.png", scene(128, 128, (32, 64, 64, 96)))  # twice the input: a cell is 32 px
    write_video(tmp_path / "v.avi", [scene(64, 64, (16, 16, 32, 32))] * 5)
    code = """
import json, sys
from pathlib import Path
from cnnkit.tasks.detection import predict
found = predict.find("signs", Path("red.tflite"), ["a.png", "v.avi"], out=Path("out"), results=Path("x.csv"))
print(json.dumps(found.shown().document))
print([m for m in ("tensorflow", "keras", "sklearn", "matplotlib", "scipy") if m in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
    document = json.loads(done.stdout)
    assert [len(entry["boxes"]) for entry in document["predictions"]] == [1] * 6
    box = document["predictions"][0]["boxes"][0]
    assert box["label"] == "red" and box["box"] == [32, 64, 64, 96]
    assert document["predictions"][1]["boxes"][0]["box"] == [16, 16, 32, 32]
    assert len(document["tracks"]) == 1 and document["frames_per_second"]["inference"] > 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "v.mp4"]


def test_a_run_folder_is_opened_by_its_exported_float32_file(run, tmp_path, monkeypatch):
    monkeypatch.undo()  # the real `open_model`
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    (folder / "export").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"app": "signs"}))
    write_tflite(folder / "export" / "model-float32.tflite")
    (folder / "export" / "model-float16.tflite").write_bytes(b"not this one")
    write_image("a.png", scene(64, 64, (16, 16, 32, 32)))
    console.use_json(True)
    try:
        printed(folder, Path("a.png"), results=Path("x.json"))
    finally:
        console.use_json(False)
    document = json.loads(Path("x.json").read_text())
    assert document["artifact"].endswith("model-float32.tflite") and len(document["predictions"][0]["boxes"]) == 1
    with pytest.raises(ArtifactError, match="of `cnnkit other`"):
        printed(write_tflite(tmp_path / "other.tflite", app="other"), Path("a.png"))
    foreign = tmp_path / "foreign.tflite"
    shutil.copy(Path(__file__).parents[2] / "device" / "red.tflite", foreign)
    with pytest.raises(ArtifactError, match="not a detector"):
        printed(foreign, Path("a.png"))


def test_places_that_cannot_be_written_are_said_before_any_work(run, models):
    write_image("a.png", scene(64, 64))
    for options in ({"results": Path("a.png/x.json")}, {"out": Path("a.png/out")}):
        with pytest.raises(CnnkitError, match="a part of its path is a file"):
            run("a.png", **options)
    assert models["red.tflite"].calls == 0


def test_the_task_of_an_artifact_is_read_without_opening_it(tmp_path, monkeypatch):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"")
    assert opening.task_of("signs", path) == "classification"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cnnkit.json", json.dumps({"task": "detection"}))
    assert opening.task_of("signs", path) == "detection"
    assert opening.task_of("signs", tmp_path / "none.tflite") == "classification"
    run = tmp_path / "signs" / "run"
    (run / "export").mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"app": "signs"}))
    (run / "export" / "model-int8.tflite").write_bytes(b"")
    (run / "export" / "model-float32.tflite").write_bytes(path.read_bytes())
    assert opening.task_of("signs", run) == "detection"
    (run / "run.json").write_text(json.dumps({"app": "signs", "task": "of the run"}))
    assert opening.task_of("signs", run) == "of the run"
    with pytest.raises(ArtifactError, match="a run of `cnnkit signs`"):
        opening.task_of("digits", run)
    monkeypatch.setenv("CNNKIT_RUNS", str(tmp_path))
    with pytest.raises(ArtifactError, match="There is no .*latest"):
        opening.task_of("signs")
    (tmp_path / "signs" / "latest").symlink_to("run")
    assert opening.task_of("signs") == "of the run"


# Files of a user ------------------------------------------------------------------------------------------------------


def test_files_of_a_user_are_kept_and_ours_are_written_anew(run):
    from cnnkit import own_files

    write_image("in/a.png", scene(200, 256, (100, 60, 140, 100)))
    write_video("in/v.avi", drive(6))
    options = {"out": Path("out"), "results": Path("found.json")}
    for name in ("out/a.png", "out/v.mp4", "out/v.avi", "found.json"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("the user's")
        with pytest.raises(CnnkitError, match=rf"{name.replace('.', '[.]')} would be overwritten.*`force`"):
            run("in", **options)
        assert Path(name).read_text() == "the user's"
        Path(name).unlink()
    run("in", **options)
    written = {path: path.stat().st_mtime_ns for path in [Path("found.json"), *Path("out").iterdir()]}
    assert len(written) == 3
    run("in", **options)
    assert all(path.stat().st_mtime_ns > before for path, before in written.items())
    corrected = Path("found.json").read_text().replace("red", "rot")
    Path("found.json").write_text(corrected + " ")
    with pytest.raises(CnnkitError, match="another `results`"):
        run("in", **options)
    own_files.use_force(True)
    try:
        run("in", **options)
    finally:
        own_files.use_force(False)

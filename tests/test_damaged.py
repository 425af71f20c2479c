"""A damaged or foreign model file is refused in one line: it never answers otherwise, ends the process or eats the memory."""

import io
import json
import re
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cnnkit import seals, trials
from cnnkit.device import verification
from cnnkit.device.model import DeviceModel, read_metadata
from cnnkit.errors import ArtifactError
from cnnkit.export.container import ALIGNMENT
from cnnkit.export.convert import convert
from cnnkit.registry import completed
from tests import toy_texts, toys

RED = Path(__file__).parent / "device" / "red.tflite"  # a file that this project did not export


def one_line(caught):
    line = str(caught.value if hasattr(caught, "value") else caught)
    assert "\n" not in line and len(line) < 500
    return line


@pytest.fixture(scope="module")
def files():
    """The content of an int8 file of pictures and of a float file of texts, each with an input."""
    import keras

    keras.utils.set_random_seed(1)
    data, made = toys.bars(30), toy_texts.records(toy_texts.rows(60))
    about = {"app": "toy", "task": "classification", "labels": list(data.label_names)}
    about["input"] = {"kind": "image", "shape": [12, 12, 1], "range": [0, 255]}
    pictures = data.read(np.arange(3))[0]
    from cnnkit.models.text import kim

    network = kim((made.tokenizer.length,), 3, **toy_texts.small(made.tokenizer))
    ids = made.tokenizer.batch(made.texts(np.arange(3)))
    return {
        "pictures": (convert(toys.tiny_cnn((12, 12, 1), 3), "int8", pictures, about), pictures),
        "texts": (convert(network, "float32", ids, toy_texts.artifact(network, made).metadata), ids),
    }


def places(content):
    """Return bytes of every part of an exported file: flatbuffer, headers, entries, list of contents, end, checksum."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
    flatbuffer, contents = entries[0].header_offset, archive.start_dir
    found = [*np.linspace(0, flatbuffer - 1, 24).astype(int).tolist(), 4, 20]
    for entry in entries:
        begin = entry.header_offset
        body = begin + 30 + len(entry.filename)
        found += [begin, begin + 8, begin + 18, begin + 31, body, body + entry.file_size // 2]
    listed = len(content) - seals.SIZE - 22
    found += np.linspace(contents, listed - 1, 8).astype(int).tolist()
    return [*found, listed, listed + 10, listed + 16, listed + 20, listed + 22, listed + 40, len(content) - 1]


@pytest.mark.parametrize("kind", ["pictures", "texts"])
def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing(files, kind, tmp_path, monkeypatch):
    content, inputs = files[kind]
    monkeypatch.setattr(trials, "_tried", lambda *_: pytest.fail("an exported file needs no trial"))
    path = tmp_path / "x.tflite"
    path.write_bytes(content)
    expected = DeviceModel.open(path).run_batch(inputs)["scores"]
    refused = 0
    for number, place in enumerate(places(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << number % 8
        path.write_bytes(damaged)
        try:
            assert np.array_equal(DeviceModel.open(path).run_batch(inputs)["scores"], expected), place
        except ArtifactError as error:
            refused += 1
            assert "x.tflite" in one_line(error)
        try:
            read_metadata(path)
        except ArtifactError as error:
            one_line(error)
    assert refused == len(places(content))


@pytest.mark.parametrize("kind", ["pictures", "texts"])
def test_a_file_that_lost_or_gained_bytes_is_refused(files, kind, tmp_path, monkeypatch):
    content, _ = files[kind]
    monkeypatch.setattr(trials, "_tried", lambda *_: pytest.fail("it was exported, so it needs its checksum"))
    path = tmp_path / "x.tflite"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        flatbuffer = archive.infolist()[0].header_offset
    lost = (content[:-1], content[: -seals.SIZE], content[:flatbuffer], content[: flatbuffer + 40], content[:-400])
    gained = (content + b"\n", content + content[-seals.SIZE :], content[:100] + b"\0" + content[100:])
    zeroed = (content[:-512] + bytes(512), content[:1000] + bytes(512) + content[1512:])
    for damaged in (*lost, *gained, *zeroed):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="damaged") as caught:
            DeviceModel.open(path)
        one_line(caught)


def test_every_buffer_is_aligned_and_equal_models_make_equal_files(files):
    from ai_edge_litert import schema_py_generated as schema

    for content, _ in files.values():
        model = schema.Model.GetRootAs(content, 0)
        found = [model.Buffers(k) for k in range(model.BuffersLength())]
        starts = [b._tab.Vector(b._tab.Offset(4)) for b in found if b.DataLength()]
        assert len(starts) > 5 and not [start for start in starts if start % ALIGNMENT]


def test_any_reader_of_zips_and_flatbuffers_opens_a_sealed_file(files, tmp_path):
    for content, _ in files.values():
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.testzip() is None and archive.comment.startswith(b"cnnkit sha256 ")
            assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
        verification.verify(content)


def unsealed(content, **changes):
    """A file as it was exported before there were checksums; `changes` are made to its `cnnkit.json`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
        flatbuffer = content[: archive.infolist()[0].header_offset].replace(b"cnnkit.sealed", b"cnnkit.before")
    entries["cnnkit.json"] = json.dumps(json.loads(entries["cnnkit.json"]) | changes).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, entry in entries.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), entry)
    return flatbuffer + buffer.getvalue()


def test_an_older_export_is_tried_once_answers_and_is_doubted(files, tmp_path, monkeypatch):
    content, ids = files["texts"]
    (tmp_path / "new.tflite").write_bytes(content)
    (tmp_path / "old.tflite").write_bytes(unsealed(content))
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
    model = DeviceModel.open(tmp_path / "old.tflite")
    expected = DeviceModel.open(tmp_path / "new.tflite")
    assert np.array_equal(model.run_batch(ids)["scores"], expected.run_batch(ids)["scores"])
    assert "no checksum" in model.doubt and "Export it again" in model.doubt and expected.doubt is None
    monkeypatch.setattr(trials, "_tried", lambda *_: pytest.fail("it was tried already"))
    (tmp_path / "moved.tflite").write_bytes(unsealed(content))
    assert DeviceModel.open(tmp_path / "moved.tflite").labels == model.labels


def test_the_metadata_of_an_older_export_are_whole_or_refused(files, tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "_tried", lambda *_: None)
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
    content = unsealed(files["texts"][0])
    (tmp_path / "x.tflite").write_bytes(content)
    before = read_metadata(tmp_path / "x.tflite")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        begin, end = archive.getinfo("cnnkit.json").header_offset, archive.getinfo("labels.txt").header_offset
        listed = archive.start_dir
    for place in [*range(begin, begin + 60), *range(begin + 60, end, 401), *range(listed, len(content), 5)]:
        for bit in (0, 5):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            (tmp_path / "x.tflite").write_bytes(damaged)
            try:
                assert read_metadata(tmp_path / "x.tflite") == before, place
            except ArtifactError as error:
                one_line(error)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"labels": ["one", "two"]}, "names 2 labels and scores 3"),
        ({"labels": "abc"}, "labels is a str"),
        ({"input": []}, "input is a list"),
        ({"input": {"kind": "text"}, "text": 3}, r"damaged \(text is a int\)"),
        ({"task": "detection", "detection": 3}, r"damaged \(detection is a int\)"),
        ({"task": "dreaming"}, "its task 'dreaming' is not known here, only classification, detection, multilabel"),
        ({"input": {"kind": "smell"}}, "its kind of input 'smell' is not known here, only image, text"),
        ({"input": {"shape": [12, 12, 1]}}, "does not say what kind of input it takes"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(files, tmp_path, monkeypatch, changes, complaint):
    monkeypatch.setattr(trials, "_tried", lambda *_: None)
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "x.tflite").write_bytes(unsealed(files["pictures"][0], **changes))
    with pytest.raises(ArtifactError, match=complaint) as caught:
        DeviceModel.open(tmp_path / "x.tflite")
    one_line(caught)


def test_files_of_before_kinds_had_names_are_read(files, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "x.tflite").write_bytes(unsealed(files["pictures"][0], input={"shape": [12, 12, 1], "range": [0, 255]}))
    model = DeviceModel.open(tmp_path / "x.tflite")
    assert model.metadata["input"]["kind"] == "image" and model.doubt
    assert model.run_batch(np.zeros((1, 12, 12, 1), np.uint8))["scores"].shape == (1, 3)
    assert completed({"input": {"shape": [24], "ids": 9}, "text": {}})["input"]["kind"] == "text"
    assert completed({"task": "multi-label"})["task"] == "multilabel"
    assert completed({"task": "dreaming", "input": {"shape": [3]}}) == {"task": "dreaming", "input": {"shape": [3]}}


def test_a_foreign_file_is_tried_in_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
    model = DeviceModel.open(RED)
    assert model.metadata == {} and "says nothing of itself" in model.doubt
    assert [len(path.name) for path in (tmp_path / "cache" / "tried").iterdir()] == [64]


def ends(path):
    import os

    os.abort()


def eats(path):
    np.ones(1 << 40, np.uint8)


def rests(path):
    time.sleep(60)


def turns(path):
    while True:
        pass


def complains(path):
    raise ValueError("its third\nline")


@pytest.mark.parametrize(
    ("check", "complaint"),
    [
        ("ends", "SIGABRT"),
        ("eats", "allocate|memory"),
        ("rests", "does not come to an end"),
        ("complains", "its third"),
    ],
)
def test_what_ends_eats_or_never_ends_in_a_trial_is_one_line_here(tmp_path, monkeypatch, check, complaint):
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trials, "SECONDS", 2.0 if check == "rests" else 60.0)
    path = tmp_path / "x.bin"
    path.write_bytes(b"content")
    for _ in range(1 if check in ("rests", "turns") else 2):  # what failed is not remembered as sound
        reason = trials.refusal(path, b"content", f"tests.test_damaged:{check}", 1)
        assert re.search(complaint, one_line(reason)) and not reason.endswith(".")


def edited(content, change):
    """Return the flatbuffer of a file with a change made to it."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    change(model)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _weights(model):
    return max((b for b in model.buffers if b.data is not None), key=lambda b: len(b.data))


def _shape(model):
    model.subgraphs[0].tensors[1].shape = np.array([1 << 20, 1 << 20], np.int32)


def _scale(model):
    next(t for t in model.subgraphs[0].tensors if t.quantization.scale is not None).quantization.scale[0] = np.nan


def _infinite(model):
    _weights(model).data = np.frombuffer(np.full(len(_weights(model).data) // 4, np.inf, "<f4"), np.uint8)


def _cut(model):
    _weights(model).data = _weights(model).data[:-4]


def _operand(model):
    model.subgraphs[0].operators[0].inputs[0] = 12345


def _operator(model):
    model.subgraphs[0].operators[0].opcodeIndex = 99


def _graph(model):
    model.signatureDefs[0].subgraphIndex = 7


def _output(model):
    model.signatureDefs[0].outputs[0].tensorIndex = 4000


def _buffer(model):
    model.subgraphs[0].tensors[0].buffer = 999


def _kind(model):
    model.subgraphs[0].tensors[0].type = 77


@pytest.mark.parametrize(
    ("kind", "change", "complaint"),
    [
        ("texts", _cut, "bytes of"),
        ("texts", _infinite, "not numbers"),
        ("texts", _operand, "tensor of graph 0, 12345"),
        ("texts", _operator, "operator, 99"),
        ("texts", _graph, "graph, 7"),
        ("texts", _output, "tensor of a signature, 4000"),
        ("texts", _buffer, "buffer, 999"),
        ("texts", _kind, "unknown type"),
        ("pictures", _shape, "GiB|bytes of"),
        ("pictures", _scale, "no sound scale"),
    ],
)
def test_a_flatbuffer_is_held_against_the_schema(files, kind, change, complaint):
    content, _ = files[kind]
    with pytest.raises(ArtifactError, match=complaint) as caught:
        verification.verify(edited(content, change))
    one_line(caught)


def test_answers_that_are_no_numbers_are_an_error_that_names_the_file(files, tmp_path, monkeypatch):
    content, ids = files["texts"]
    path = tmp_path / "nan.tflite"
    path.write_bytes(content)
    model = DeviceModel.open(path)
    get = model._interpreter.get_tensor

    class Broken:
        def __getattr__(self, name):
            return getattr(interpreter, name)

        def get_tensor(self, index):
            return get(index) * np.nan

    interpreter, model._interpreter = model._interpreter, Broken()
    for call in (lambda: model.run(ids[0]), lambda: model.run_batch(ids)):
        with pytest.raises(ArtifactError, match=r"nan\.tflite answers with values that are not numbers"):
            call()


def test_an_operator_that_refuses_its_input_is_one_line(files, tmp_path):
    content, ids = files["texts"]
    (tmp_path / "x.tflite").write_bytes(content)
    model = DeviceModel.open(tmp_path / "x.tflite")
    interpreter = model._interpreter

    class Refusing:
        def __getattr__(self, name):
            return getattr(interpreter, name)

        def invoke(self):
            raise RuntimeError("gather index out of bounds\nNode number 2 (GATHER) failed to invoke.")

    model._interpreter = Refusing()
    for call in (lambda: model.run(ids[0]), lambda: model.run_batch(ids)):
        with pytest.raises(ArtifactError, match=r"x\.tflite stops while it runs \(gather index") as caught:
            call()
        one_line(caught)


def test_bringing_ids_into_range_changes_no_sound_answer(files, tmp_path, monkeypatch):
    import keras

    from cnnkit.models.text import kim

    keras.utils.set_random_seed(3)
    made = toy_texts.records(toy_texts.rows(60))
    network = kim((made.tokenizer.length,), 3, **toy_texts.small(made.tokenizer))
    ids, found = made.tokenizer.batch(made.texts(np.arange(60))), []
    for _ in range(2):
        metadata = toy_texts.artifact(network, made).metadata
        (tmp_path / "x.tflite").write_bytes(convert(network, "float32", ids, metadata))
        found.append(DeviceModel.open(tmp_path / "x.tflite").run_batch(ids)["scores"])
        monkeypatch.setattr(keras.ops, "clip", lambda x, low, high: x)
    assert np.array_equal(*found)


def test_a_margin_that_the_operators_do_not_take_is_one_line():
    class Stub:  # characters in a file that says it may be cut, as the interpreter answers it
        def get_signature_runner(self):
            return self

        def get_input_details(self):
            return {"ids": {"shape": np.array([1, 64]), "dtype": np.int32, "index": 0, "quantization": (0.0, 0)}}

        def get_output_details(self):
            return {"scores": {"shape": np.array([1, 2]), "index": 1}}

        def resize_tensor_input(self, index, shape):
            pass

        def allocate_tensors(self):
            raise RuntimeError("XNNPack delegate failed to reshape runtimeNode number 41")

    about = {"task": "classification", "labels": ["a", "b"], "input": {"kind": "text"}, "text": {"margin": 4}}
    model = DeviceModel(Path("x.tflite"), Stub(), about)
    with pytest.raises(ArtifactError, match=r"x\.tflite does not take inputs of \(\d+,\) \(XNNPack"):
        model.run_batch(np.ones((2, 64), np.int32))

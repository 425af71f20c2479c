"""Files for microcontrollers answer in TensorFlow Lite Micro as the trained model does; C++ beside them says what they are."""

import json
import os
import re
import shutil
import subprocess

import keras
import numpy as np
import pytest

from cnnkit.device.model import DeviceModel
from cnnkit.errors import ArtifactError, ConfigError, GateRefused, MissingExtra
from cnnkit.evaluation.artifacts import KerasArtifact, open_artifact
from cnnkit.export import checks, container, convert, cpp, gate, tflm
from cnnkit.export.forms import Boxes, Map, Numbers, Shares
from cnnkit.export.graph import graph_of
from cnnkit.export.profiles import profile_named
from cnnkit.tasks.classification import device as classification
from tests import toy_boxes, toys
from tests.export import tflm_headers
from tests.test_gate import Case, small_text

pytest.importorskip("tflite_micro", reason="needs tflite-micro: pip install 'cnnkit[micro]'")


def exported(case, folder, name="micro", **how):
    profile = profile_named(name)(case.artifact.model, case.artifact.metadata)
    names = {"train": case.data.train, "held_out": case.data.test, "validation": case.data.validation}
    return gate.export(
        case.artifact, folder, task=case.task, precisions=["int8"], name="toy", profile=profile, **names, **how
    )


@pytest.fixture(scope="module")
def images(toy_run):
    return Case(open_artifact(toy_run), toys.splits(80, 24, 60), toys.recipe().task)


@pytest.fixture(scope="module")
def sound(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("micro")
    return folder, exported(images, folder)["artifacts"]["int8"]


@pytest.fixture(scope="module")
def detector():
    """A detector that doubles a map, and its profile."""
    from cnnkit_signs.model import DETECTORS

    keras.utils.set_random_seed(0)
    data = toy_boxes.splits(16, 8, 8, strides=(8, 16))
    model = DETECTORS["default"]((64, 64, 3), 2, strides=(8, 16), width=8)
    about = {"app": "toy", "task": "detection", "labels": list(toy_boxes.LABELS)}
    about["input"] = {"kind": "image", "shape": [64, 64, 3]}
    about["detection"] = {**data.train.plan.to_dict(), "threshold": 0.01}
    return Case(KerasArtifact("model.keras", model, about), data, None)


class TestFile:
    def test_it_passes_the_gate_in_the_interpreter_of_boards(self, sound):
        _, verdict = sound
        found = {check["name"]: check for check in verdict["checks"]}
        assert verdict["passed"] and {"operators", "client's answers", "client's score", "constants", "ranges"} <= set(
            found
        )
        assert "metadata" not in found, "nothing travels in it"
        assert found["client's answers"]["measured"] <= 0.005 and found["client's score"]["measured"] <= 0.2

    def test_it_is_a_graph_of_int8_and_no_more(self, sound):
        content = (sound[0] / "toy-int8.tflite").read_bytes()
        graph = graph_of(content)
        outside = [*graph.inputs, *(tensor for tensor, _ in graph.outputs.values())]
        assert {tensor.kind for tensor in outside} == {"INT8"} and all(min(t.shape) > 0 for t in outside)
        assert (graph.inputs[0].scales.tolist(), graph.inputs[0].zeros.tolist()) == ([1.0], [-128])
        assert b"PK\5\6" not in content and b"cnnkit" not in content

    def test_its_buffers_lie_at_multiples_of_sixteen(self, sound):
        from ai_edge_litert import schema_py_generated as schema

        content = (sound[0] / "toy-int8.tflite").read_bytes()
        model = schema.Model.GetRootAs(content)
        places = [
            model.Buffers(n)._tab.Vector(model.Buffers(n)._tab.Offset(4))
            for n in range(model.BuffersLength())
            if model.Buffers(n).DataLength()
        ]
        assert len(places) > 4 and not any(place % 16 for place in places)

    def test_its_answers_are_those_of_the_reference_kernels_and_near_the_trained_models(self, sound, images):
        path = sound[0] / "toy-int8.tflite"
        inputs = images.data.test.read(np.arange(30))[0]
        about = {**images.artifact.metadata, "precision": "int8"}
        found = tflm.opened(path, about).run_batch(inputs)["scores"]
        same = DeviceModel.open(path, known=True, kernels="reference", metadata=about).run_batch(inputs)["scores"]
        assert found.dtype == np.float32 and (found == same).all(1).mean() >= 0.995
        assert np.abs(found - images.artifact.run_batch(inputs)["scores"]).max() < 0.2

    def test_the_arena_that_is_said_is_enough_and_half_of_it_is_not(self, sound):
        content = (sound[0] / "toy-int8.tflite").read_bytes()
        arena = tflm.arena(content)
        assert arena.size % 1024 == 0 and arena.tensors + arena.kept <= arena.size
        assert f"an arena of {arena.size:,} bytes" in sound[1]["told"][0]
        with pytest.raises(ArtifactError):
            tflm._Interpreter(content, arena.size // 2)


class TestFaults:
    @pytest.mark.parametrize("place", [0, 1])
    def test_wrong_constants_are_stopped(self, images, monkeypatch, tmp_path, place):
        """Weights, and a bias."""

        def maker(model, precision, calibration, metadata, profile):
            if precision == "int8":
                model, sound = keras.models.clone_model(model), model
                model.set_weights(sound.get_weights())
                values = model.get_layer("logits").get_weights()
                values[place] = values[place] + 0.5
                model.get_layer("logits").set_weights(values)
                model.on_steps = True
            return convert.convert(model, precision, calibration, metadata, profile)

        for old in ("toy-int8.tflite", "toy_model.cc"):
            (tmp_path / old).write_bytes(b"older")
        monkeypatch.setattr(gate, "convert", maker)
        with pytest.raises(GateRefused, match="constants"):
            exported(images, tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [gate.GATE], "nothing older passes for it"

    def test_other_kernels_that_answer_otherwise_are_stopped(self, images, monkeypatch, tmp_path):
        real = tflm._Interpreter.get_tensor
        monkeypatch.setattr(tflm._Interpreter, "get_tensor", lambda inner, place: real(inner, place) // 2 * 2)
        with pytest.raises(GateRefused, match="client's answers"):
            exported(images, tmp_path)

    def test_answers_are_counted_along_the_last_axis(self):
        class Fixed:
            path, metadata, labels, input_shape = "x", {}, (), ()

            def __init__(self, *values):
                self.values = np.array(values).reshape(1, -1, 2)

            def run_batch(self, inputs):
                return {"map": self.values}

        counted = gate.Counted(Fixed(1, 2, 3, 4, 5, 6), Fixed(1, 2, 3, 5, 5, 6))
        counted.run_batch(None)
        counted.run_batch(None)
        assert counted.counts == {"map": (6, 2)}
        check = checks.agreement(counted.counts)
        assert not check.passed and check.measured == pytest.approx(1 / 3) and check.where == "map"
        assert checks.agreement({"map": (1000, 5)}).passed and not checks.agreement({"map": (1000, 6)}).passed

    def test_pixels_of_another_scale_are_stopped(self, sound, images):
        graph = graph_of((sound[0] / "toy-int8.tflite").read_bytes())
        profile = profile_named("micro")(images.artifact.model, images.artifact.metadata)
        say = (profile.shape, ("int8", "int8"), classification.KIND, profile.labels, True)
        assert checks.facing(graph, *say).passed
        graph.inputs[0].zeros[0] = -127
        assert checks.facing(graph, *say).where == "scale of the input"


def small(layer, shape=(8, 8, 2)):
    """A network around a layer, and its profile."""
    given = keras.Input(shape, name="image")
    model = keras.Model(given, keras.layers.Dense(2, name="logits")(keras.layers.Flatten()(layer(given))))
    about = {**toys.ABOUT, "app": "toy", "labels": ["a", "b"], "input": {"kind": "image", "shape": list(shape)}}
    return model, about, profile_named("micro")(model, about)


class Twice(keras.Layer):
    """Repeats its input along the channels, by an operator that TFLM lacks."""

    def call(self, x):
        import tensorflow as tf

        return tf.tile(x, (1, 1, 1, 2))


class TestOperators:
    def test_one_that_boards_lack_is_named_with_its_layer_before_anything_else(self):
        model, about, profile = small(Twice(name="doubling"))
        with pytest.raises(ConfigError, match=r"microcontrollers\. .* no operator TILE, as its doubling needs"):
            convert.admitted(model, about, profile)
        graph = graph_of(convert.convert(model, "float32", np.zeros(0), about, profile))
        found = checks.operators(graph, profile.lacks)
        assert not found.passed and found.where == "doubling (TILE)"

    def test_a_type_that_boards_lack_is_named_too(self):
        case = small_text(several=False)
        from cnnkit_text.model import BUILDERS
        from tests import toy_texts

        tokenizer = case.data.train.tokenizer
        options = {**toy_texts.small(tokenizer), "pair_buckets": 16}
        model = BUILDERS["default"]((tokenizer.length,), 3, **options)
        artifact = toy_texts.artifact(model, case.data.train)
        profile = profile_named("micro")(model, artifact.metadata)
        with pytest.raises(ConfigError, match="no operator FLOOR_MOD of int32"):
            convert.admitted(model, artifact.metadata, profile)

    def test_what_stops_the_interpreter_is_named_by_the_shortest_part_that_does(self, tmp_path, monkeypatch):
        monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
        model, about, profile = small(Twice(name="doubling"))
        content = convert.convert(model, "int8", np.zeros((4, 8, 8, 2)), about, profile)
        path = tmp_path / "x.tflite"
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match=r"it stops at doubling \(TILE\) \(.*TILE.*\)"):
            tflm.opened(path, about)

    def test_a_part_of_a_file_ends_in_what_its_last_operator_makes(self, sound):
        content = (sound[0] / "toy-int8.tflite").read_bytes()
        part = graph_of(container.beginning(content, 2))
        assert len(part.steps) == 2 and part.order == (part.steps[-1].outputs[0].index,)

    def test_the_list_is_that_of_the_package(self):
        """A graph of an operator and of one that is missing: what the package complains of is the first that it lacks."""
        from ai_edge_litert import schema_py_generated as schema

        for name in sorted(tflm.OPERATORS - {"VAR_HANDLE", "CALL_ONCE", "IF", "WHILE"}):  # they need more than a graph
            assert lacking(getattr(schema.BuiltinOperator, name)) == "TILE", name
        for name in ("CONV_3D", "TILE", "ONE_HOT", "TOPK_V2"):
            assert name not in tflm.OPERATORS and lacking(getattr(schema.BuiltinOperator, name)) == name

    @pytest.mark.parametrize("size", [2, 3, (2, 1)])
    def test_a_map_that_is_enlarged_by_copies_is_written_with_an_operator_that_boards_have(self, size):
        layer = keras.layers.UpSampling2D(size, name="up")
        model, about, profile = small(layer)
        given = keras.Input(batch_shape=(1, 8, 8, 2), name="image")
        whole = keras.Model(given, {"scores": layer(given)})
        rewritten = profile.wrapped(whole)
        inputs = np.random.default_rng(0).random((1, 8, 8, 2)).astype(np.float32)
        np.testing.assert_array_equal(rewritten(inputs)["scores"], layer(inputs))
        convert.admitted(model, about, profile)
        kinds = {s.kind for s in graph_of(convert.convert(model, "float32", np.zeros(0), about, profile)).steps}
        assert "RESIZE_NEAREST_NEIGHBOR" in kinds and "TILE" not in kinds

    def test_functions_of_nested_models_may_have_one_name(self):
        """As those of a model that was loaded have, and those around it, which were made after it."""

        def clipped(given):
            found = keras.ops.clip(given, 0.0, 0.5)
            found._keras_history.operation.name = "clip"
            return found

        inner_given = keras.Input((8, 8, 2))
        inner = keras.Model(inner_given, clipped(inner_given) * 2.0)
        given = keras.Input(batch_shape=(1, 8, 8, 2), name="image")
        whole = keras.Model(given, {"scores": inner(clipped(given))})
        _, _, profile = small(keras.layers.Identity())
        inputs = np.random.default_rng(0).random((1, 8, 8, 2)).astype(np.float32)
        found = profile.wrapped(whole)(inputs)["scores"]
        np.testing.assert_array_equal(found, np.minimum(inputs, 0.5) * 2)

    def test_a_detector_that_doubles_maps_can_be_exported(self, detector):
        profile = profile_named("micro")(detector.artifact.model, detector.artifact.metadata)
        convert.admitted(detector.artifact.model, detector.artifact.metadata, profile)

    def test_a_text_of_any_length_becomes_one_of_its_whole_length(self, tmp_path):
        case = small_text(several=False)
        verdict = exported(case, tmp_path)["artifacts"]["int8"]
        graph = graph_of((tmp_path / "toy-int8.tflite").read_bytes())
        assert verdict["passed"] and graph.inputs[0].kind == "INT32"
        tensors = [t for step in graph.steps for t in (*step.given, *step.outputs) if t is not None]
        assert tensors and all(side > 0 for tensor in tensors for side in tensor.shape), "TFLM takes an open side for 1"


def lacking(code):
    """Return the operator that the package says that it lacks, of this one and TILE after it."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema
    from tflite_micro import runtime

    from cnnkit.quiet import heard

    def made(kind, **fields):
        found = kind()
        for name, value in fields.items():
            setattr(found, name, value)
        return found

    codes = [code, schema.BuiltinOperator.TILE]
    one = np.array([1], np.int32)
    tensors = [made(schema.TensorT, shape=one, type=0, buffer=0, name=name) for name in (b"x", b"y")]
    steps = [made(schema.OperatorT, opcodeIndex=n, inputs=one - 1, outputs=one) for n in range(2)]
    graph = made(schema.SubGraphT, tensors=tensors, inputs=one - 1, outputs=one, operators=steps)
    opcodes = [made(schema.OperatorCodeT, builtinCode=c, deprecatedBuiltinCode=min(c, 127), version=1) for c in codes]
    model = made(schema.ModelT, version=3, buffers=[schema.BufferT()], operatorCodes=opcodes, subgraphs=[graph])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    with heard() as said, pytest.raises(RuntimeError):
        runtime.Interpreter.from_bytes(bytes(builder.Output()), arena_size=1 << 16)
    return re.search(r"opcode '(\w+)'", "\n".join(said))[1]


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    """Compile C++ against our headers, and return the program."""
    if shutil.which("g++") is None:
        (pytest.fail if os.environ.get("CNNKIT_DATA") else pytest.skip)("needs g++")
    headers = tflm_headers.write(tmp_path_factory.mktemp("headers"))

    def compiled(folder, *sources):
        program = folder / "program"
        words = ["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{headers}", f"-I{folder}"]
        done = subprocess.run([*words, *sources, "-o", program], capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, done.stderr
        return program

    return compiled


def answering(program, folder, given, outputs):
    """Run an example on given bytes, with these int8 outputs for answers; returns what it prints and what the model was given."""
    (folder / "input.bin").write_bytes(given)
    sizes = np.array([output.size for output in outputs] + [0] * (4 - len(outputs)), np.uint64)
    (folder / "answers.bin").write_bytes(sizes.tobytes() + b"".join(o.astype(np.int8).tobytes() for o in outputs))
    done = subprocess.run([program, "input.bin"], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout, (folder / "given.bin").read_bytes()


class TestCode:
    def test_the_array_is_the_file(self, sound):
        text = (sound[0] / "toy_model.cc").read_text()
        inside = text[text.index("= {") + 3 : text.index("};")]
        assert bytes(int(number, 16) for number in re.findall(r"0x[0-9a-f]{2}", inside)) == (
            (sound[0] / "toy-int8.tflite").read_bytes()
        )

    def test_the_compiled_array_is_the_file_and_lies_at_a_multiple_of_sixteen(self, sound, compiler, tmp_path):
        for name in ("toy_model.h", "toy_model.cc"):
            shutil.copy(sound[0] / name, tmp_path)
        (tmp_path / "print.cc").write_text(
            '#include <cstdio>\n#include "toy_model.h"\nint main() {\n'
            "  if (reinterpret_cast<std::uintptr_t>(toy_model::kModel) % 16) return 1;\n"
            "  return std::fwrite(toy_model::kModel, 1, toy_model::kModelBytes, stdout) == toy_model::kModelBytes ? 0 : 1;\n}\n"
        )
        done = subprocess.run([compiler(tmp_path, "print.cc", "toy_model.cc")], capture_output=True)
        assert done.returncode == 0 and done.stdout == (sound[0] / "toy-int8.tflite").read_bytes()

    def test_the_operators_are_those_of_the_file_and_no_others(self, sound):
        text = (sound[0] / "toy_operators.h").read_text()
        added = re.findall(r"resolver\.(\w+)\(\)", text)
        steps = graph_of((sound[0] / "toy-int8.tflite").read_bytes(), forms=True).steps
        assert sorted(added) == sorted({tflm.method(step.kind) for step in steps}) and len(added) == len(set(added))
        assert f"MicroMutableOpResolver<{len(added)}>" in text
        assert {"AddConv2D", "AddFullyConnected", "AddMaxPool2D", "AddSoftmax"} <= set(added)

    def test_the_example_gives_the_model_a_picture_and_prints_the_label(self, sound, images, compiler, tmp_path):
        folder = tmp_path / "code"
        shutil.copytree(sound[0], folder)
        program = compiler(folder, "toy_example.cc", "toy_model.cc")
        about = {**images.artifact.metadata, "precision": "int8"}
        device = tflm.opened(folder / "toy-int8.tflite", about)
        for picture in images.data.test.read(np.arange(6))[0]:
            scores = device.run_batch(picture[None])["scores"][0]
            printed, given = answering(program, folder, picture.tobytes(), [np.rint(scores * 256 - 128)])
            label, score = printed.split()
            assert label == device.labels[scores.argmax()] and float(score) == pytest.approx(scores.max(), abs=1e-3)
            assert given[:144] == (picture.astype(np.int16) - 128).astype(np.int8).tobytes()

    @pytest.mark.parametrize(
        ("content", "said"), [(b"\0" * 143, "144 bytes"), (b"\0" * 145, "144 bytes"), (None, "cannot be read")]
    )
    def test_the_example_says_what_it_needs(self, sound, compiler, tmp_path, content, said):
        folder = tmp_path / "code"
        shutil.copytree(sound[0], folder)
        program = compiler(folder, "toy_example.cc", "toy_model.cc")
        if content is not None:
            (folder / "input.bin").write_bytes(content)
        done = subprocess.run([program, "input.bin"], capture_output=True, text=True, cwd=folder)
        assert done.returncode == 1 and said in done.stderr

    @pytest.mark.parametrize(
        ("answer", "outputs", "printed"),
        [
            (Shares("scores"), {"scores": [-1, 1]}, "b 0.504\n"),
            (Shares("scores", below=0.5), {"scores": [-1, 1]}, "b 0.504\n"),
            (Shares("scores", below=0.6), {"scores": [-1, 1]}, "unknown 0.504\n"),
            (Shares("scores", finding=(0, 0.3)), {"scores": [-28, 28]}, "a 0.391\n"),
            (Shares("scores", finding=(0, 0.4)), {"scores": [-28, 28]}, "b 0.391\n"),
            (Shares("scores", finding=(1, 0.7)), {"scores": [-28, 28]}, "a 0.609\n"),
            (Shares("scores", finding=(1, 0.6), below=0.7), {"scores": [-28, 28]}, "unknown 0.609\n"),
            (Shares("scores", (0.5, 0.2)), {"scores": [-1, 1]}, "b 0.504\n"),
            (Numbers("scores", ("angle", "way"), ("°", "m")), {"scores": [0, 127]}, "angle 0.5 °\nway 0.996094 m\n"),
            (Map("scores", True), {"scores": [9, 1, 1, 1, 9, 1, 1, 9, 1, 1, 1, 9]}, "a 0.500\nb 0.250\n"),
            (Map("scores", False, (0.5, 0.9)), {"scores": [1, 1, -1, 120]}, "a 0.500\nb 0.500\n"),
            (None, {"scores": [-128, 127]}, "Scores 0\nScores 0.996094\n"),
            (
                Boxes("boxes", "scores", np.array([[4, 4, 8], [12, 4, 8]], np.float32), 0.3, 0.6),
                {"boxes": [-128] * 8, "scores": [-128, -100, 0, -100]},
                "a 0.500 8 0 16 8\n",
            ),
        ],
    )
    def test_each_form_of_an_answer_is_shown(self, sound, compiler, tmp_path, answer, outputs, printed):
        graph = graph_of((sound[0] / "toy-int8.tflite").read_bytes())
        (tensor, source) = graph.outputs["scores"]
        import dataclasses

        named = {
            name: (dataclasses.replace(tensor, index=place, shape=(1, len(values))), source)
            for place, (name, values) in enumerate(outputs.items())
        }
        graph = dataclasses.replace(graph, outputs=named, order=tuple(range(len(named))))
        described = cpp.Described(
            "1-é name", "x.tflite", b"abc", ["AddSoftmax"], graph, None, answer, ["a", "b"], 1024, "Said."
        )
        for name, text in cpp.code(described).items():
            (tmp_path / name).write_text(text)
        sources = [name for name in cpp.names("1-é name") if name.endswith(".cc")]
        program = compiler(tmp_path, *sources)
        given = np.linspace(-300, 300, 144).astype(np.float32)
        found, put = answering(program, tmp_path, given.tobytes(), [np.array(v) for v in outputs.values()])
        assert found == printed
        stored = np.frombuffer(put[:144], np.int8)
        assert np.abs(stored - np.clip(np.floor(given + 0.5) - 128, -128, 127)).max() <= 1

    @pytest.mark.parametrize("text", ['say "a"\\n', "naïve ????=日本", "tab\tand\nline", ""])
    def test_a_label_is_the_same_string_in_c(self, compiler, tmp_path, text):
        source = f"#include <cstdio>\nint main() {{ std::fputs({cpp.string(text)}, stdout); }}\n"
        (tmp_path / "main.cc").write_text(source)
        assert subprocess.run([compiler(tmp_path, "main.cc")], capture_output=True).stdout.decode() == text

    @pytest.mark.parametrize("value", [1.0, 0.00390625, 1 / 3, 1e-12, 3e38, -2.5])
    def test_a_number_is_the_same_float(self, value):
        assert np.float32(cpp.number(value).removesuffix("f")) == np.float32(value)
        assert re.fullmatch(r"-?\d+(\.\d+)?(e[-+]\d+)?f", cpp.number(value)) and cpp.number(value) != "1f"


class TestEthosU:
    def test_the_file_is_compiled_and_its_sizes_are_said(self, images, compiler, tmp_path):
        pytest.importorskip("ethosu.vela", reason="needs ethos-u-vela: pip install 'cnnkit[micro]'")
        verdict = exported(images, tmp_path, "ethos-u")["artifacts"]["int8"]
        assert verdict["passed"] and "toy-int8-vela.tflite" in verdict["beside"]
        assert all((tmp_path / name).is_file() for name in verdict["beside"])
        (said,) = verdict["told"]
        assert "ethos-u55-128" in said and "cannot be run here" in said and "Nothing stays on the processor" in said
        assert re.search(r"[\d,]+ bytes of SRAM, [\d,]+ of flash, and [\d,]+ multiply-adds", said)
        made = graph_of((tmp_path / "toy-int8-vela.tflite").read_bytes(), forms=True)
        assert [step.kind for step in made.steps] == ["CUSTOM"]
        assert re.findall(r"resolver\.(\w+)\(", (tmp_path / "toy_operators.h").read_text()) == ["AddEthosU"]
        compiler(tmp_path, "toy_example.cc", "toy_model.cc")

    def test_what_stays_on_the_processor_is_named(self, tmp_path):
        pytest.importorskip("ethosu.vela", reason="needs ethos-u-vela: pip install 'cnnkit[micro]'")
        from cnnkit.export.profiles.ethos_u import compiled

        model, about, profile = small(
            lambda x: keras.layers.Activation("elu", name="odd")(keras.layers.Conv2D(4, 3)(x))
        )
        content = convert.convert(
            model, "int8", np.random.default_rng(0).integers(0, 255, (8, 8, 8, 2)), about, profile
        )
        made = compiled(content, "x")
        kinds = {step.kind for step in graph_of(made.content, forms=True).steps}
        assert kinds >= {"CUSTOM", "ELU"} and "odd (ELU)" in made.left and not any("CONV" in name for name in made.left)

    def test_what_the_compiler_refuses_is_one_line(self):
        pytest.importorskip("ethosu.vela", reason="needs ethos-u-vela: pip install 'cnnkit[micro]'")
        from cnnkit.errors import CnnkitError
        from cnnkit.export.profiles.ethos_u import compiled

        with pytest.raises(CnnkitError, match=r"^ethos-u-vela cannot compile x\.tflite: ") as caught:
            compiled(b"no model at all", "x")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "module"), [("micro", "tflite_micro"), ("ethos-u", "ethosu.vela")])
def test_without_the_extra_it_is_said_what_to_install(images, monkeypatch, name, module):
    import sys

    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r'pip install "cnnkit\[micro\]"') as caught:
        profile_named(name)(images.artifact.model, images.artifact.metadata)
    assert "\n" not in str(caught.value)


def test_the_command_writes_all_of_it_into_a_folder_of_its_own(toy_run, tmp_path, monkeypatch):
    from cnnkit.verbs.export import export

    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    found = export(toys.recipe(toys.splits()), run, profile="micro")
    assert found.folder == run / "export" / "micro"
    names = {path.name for path in found.folder.iterdir()}
    assert names == {"gate.json", "toy-int8.tflite", *cpp.names("toy")}
    assert json.loads((found.folder / "gate.json").read_text())["interpreter"].startswith("TensorFlow Lite Micro 0.")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "toy_model.h").write_text("// mine")
    from cnnkit.errors import CnnkitError

    with pytest.raises(CnnkitError, match="toy_model.h would be overwritten"):
        export(toys.recipe(toys.splits()), run, profile="micro", out=mine)

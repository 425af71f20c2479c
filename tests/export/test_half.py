"""The float file in half precision: what is rounded, what overflows and where, and that it is said and refuses nothing."""

import keras
import numpy as np
import pytest
from keras import layers

from cnnkit import console
from cnnkit.cli import printing
from cnnkit.evaluation.artifacts import KerasArtifact, open_artifact
from cnnkit.export import convert, gate
from cnnkit.export.graph import graph_of, watched
from cnnkit.export.half import in_half
from cnnkit.report import sections
from tests import toys
from tests.test_gate import Case, small_text


@pytest.fixture(scope="module")
def images(toy_run):
    return Case(open_artifact(toy_run), toys.splits(80, 24, 60), toys.recipe().task)


def exported(case, folder, *precisions, **how):
    names = {"train": case.data.train, "held_out": case.data.test, "validation": case.data.validation}
    return gate.export(case.artifact, folder, task=case.task, precisions=precisions, **names, **how)


def louder(case, factor):
    """Return a case whose `conv2` puts out so many times as much; the last layer makes it good."""
    model = keras.models.clone_model(case.artifact.model)
    model.set_weights(case.artifact.model.get_weights())
    conv, logits = model.get_layer("conv2"), model.get_layer("logits")
    conv.set_weights([values * factor for values in conv.get_weights()])
    kernel, bias = logits.get_weights()
    logits.set_weights([kernel / factor, bias])
    return Case(KerasArtifact(case.artifact.path, model, case.artifact.metadata), case.data, case.task)


def test_constants_and_what_operators_put_out_are_rounded_and_sums_are_not():
    keras.utils.set_random_seed(0)
    given = keras.Input((4, 4, 1))
    x = layers.Flatten()(given)
    model = keras.Model(given, layers.Dense(3)(layers.Dense(300, activation="relu")(x)))
    content = in_half(convert.convert(model, "float32", np.zeros((1, 4, 4, 1)), toys.ABOUT | {"labels": list("abc")}))
    image = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 1)).astype(np.float32)
    interpreter = watched(content)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    found = [interpreter.get_tensor(step.outputs[0].index) for step in graph_of(content).steps if step.kind != "CAST"]
    small = [values.astype(np.float16).astype(np.float32) for values in model.get_weights()]
    hidden = np.maximum(image.reshape(1, -1) @ small[0] + small[1], 0).astype(np.float16).astype(np.float32)
    logits = hidden @ small[2] + small[3]
    np.testing.assert_allclose(found[-2], logits, rtol=1e-5)
    assert np.abs(logits - model(image)).max() > 1e-5 * np.abs(logits).max(), "rounding shows"
    (scores,) = interpreter.get_signature_runner()(**{"image": image}).values()
    np.testing.assert_array_equal(scores, scores.astype(np.float16))


def test_it_is_scored_once_beside_the_float_files_and_says_nothing_where_nothing_is_lost(images, tmp_path):
    document = exported(images, tmp_path, "float32", "float16")
    half = document["half"]
    assert half["lost"] == [] and half["beyond"] == "" and abs(half["difference"]) < 2
    assert not [line for line in document["notes"] if "half precision" in line]
    assert "half" not in exported(images, tmp_path, "int8")


def test_what_takes_no_numbers_is_left_out(tmp_path):
    assert "half" not in exported(small_text(several=False), tmp_path, "float32")


def test_numbers_that_half_precision_does_not_hold_are_named_and_the_file_passes(images, tmp_path, capsys):
    document = exported(louder(images, 2.0**17), tmp_path, "float32")
    assert document["artifacts"]["float32"]["passed"] and (tmp_path / "model-float32.tflite").exists()
    assert document["half"] == {"lost": ["its answers are no numbers"], "beyond": "conv2 (CONV_2D)"}
    (line,) = [line for line in document["notes"] if "half precision" in line]
    assert "its answers are no numbers" in line and "From conv2 (CONV_2D) on, numbers are beyond 65,504" in line
    console.begin()
    printing.gate(document)
    assert "LOST" in capsys.readouterr().out
    table = sections.export_gate(document, gate.compared(document)).blocks[0]
    assert [str(row[0]) for row in table.rows] == ["trained model", "float32", "in half precision"]


def test_a_loss_is_said_with_its_size_and_refuses_nothing(images, tmp_path, monkeypatch):
    whole = gate.Halved.run_batch

    def turned(device, inputs):
        return {name: np.roll(values, 1, -1) for name, values in whole(device, inputs).items()}

    monkeypatch.setattr(gate.Halved, "run_batch", turned)
    document = exported(images, tmp_path, "float16")
    assert document["artifacts"]["float16"]["passed"] and document["half"]["beyond"] == ""
    (line,) = [line for line in document["notes"] if "half precision" in line]
    assert document["half"]["lost"][0] in line and "points lost overall" in line and "beyond" not in line

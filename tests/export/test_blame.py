"""`export --explain`: a layer that loses what others keep is found, alone, by its name, and told of."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from cnnkit import console
from cnnkit.cli import printing
from cnnkit.errors import ConfigError, GateRefused
from cnnkit.evaluation.artifacts import KerasArtifact, open_artifact
from cnnkit.export import blame, gate
from cnnkit.export.convert import convert
from cnnkit.export.graph import graph_of
from cnnkit.verbs.export import export
from tests import toys
from tests.test_gate import Case, small_text


@pytest.fixture(scope="module")
def images(toy_run):
    return Case(open_artifact(toy_run), toys.splits(80, 24, 60), toys.recipe().task)


def planted(case, factor=3000.0):
    """Return a case of which one channel of `conv2` is so many times as loud: in eight bits the others are gone."""
    model = keras.models.clone_model(case.artifact.model)
    model.set_weights(case.artifact.model.get_weights())
    conv, logits = model.get_layer("conv2"), model.get_layer("logits")
    scale = np.where(np.arange(conv.filters) == 0, factor, 1.0)
    kernel, bias = conv.get_weights()
    conv.set_weights([kernel * scale, bias * scale])
    kernel, bias = logits.get_weights()
    logits.set_weights([kernel / scale[:, None], bias])
    return Case(KerasArtifact(case.artifact.path, model, case.artifact.metadata), case.data, case.task)


def losses(case, precision, count=8):
    model, about = case.artifact.model, case.artifact.metadata
    some = case.data.train.read(np.arange(24))[0]
    base, content = (convert(model, made, some, about) for made in ("float32", precision))
    return blame.losses(base, content, some[:count], {layer.name for layer in model._flatten_layers()})


@pytest.mark.parametrize("precision", ["int8", "int16x8"])
def test_layers_of_a_sound_file_lose_little_and_have_the_models_names(images, precision):
    rows = losses(images, precision)
    names = {layer.name for layer in images.artifact.model.layers}
    assert {row["layer"] for row in rows} <= {*names, "scores"} and {"norm", "conv2"} <= {row["layer"] for row in rows}
    assert [row["alone"] for row in rows] == sorted((row["alone"] for row in rows), reverse=True)
    assert all(0 < row["alone"] < (0.06 if precision == "int8" else 0.03) for row in rows)
    assert not {"MAX_POOL_2D", "REDUCE_MAX"} & {row["operator"] for row in rows}, "they move numbers"


def test_a_layer_that_loses_is_blamed_and_one_that_reads_what_is_lost_is_not(images):
    rows = losses(planted(images), "int8")
    assert rows[0]["layer"] == "conv2" and rows[0]["alone"] > 0.5 and blame.blamed(rows) == ["conv2"]
    behind = next(row for row in rows if row["layer"] == "logits")
    assert behind["alone"] < 0.3 and behind["alone"] < behind["so_far"]
    assert losses(planted(images), "int16x8")[0]["alone"] < rows[0]["alone"]


def test_texts_are_explained_too():
    rows = losses(small_text(several=False), "int8")
    assert {"CONV_2D", "FULLY_CONNECTED"} <= {row["operator"] for row in rows}


@pytest.mark.parametrize(
    ("tensor", "layers", "found"),
    [
        ("relu;device_1/conv_1/convolution", ["conv", "relu"], ["conv", "relu"]),
        ("device_1/backbone_1/block2_conv_1/convolution", ["backbone", "block2_conv"], ["block2_conv"]),
        ("device_1/conv_2_1/convolution", ["conv", "conv_2"], ["conv_2"]),
        ("StatefulPartitionedCall_1:0", ["conv"], []),
    ],
)
def test_operators_have_the_names_of_the_layers_that_they_compute(images, tensor, layers, found):
    content = convert(images.artifact.model, "float32", np.zeros((1, 12, 12, 1)), images.artifact.metadata)
    step = graph_of(content).steps[0]
    step = dataclasses.replace(step, outputs=(dataclasses.replace(step.outputs[0], name=tensor),))
    assert blame.names_of(step, layers) == found


def test_the_gate_writes_and_says_what_layers_lose_also_where_it_refuses(images, tmp_path, capsys):
    case = planted(images)
    names = {"train": case.data.train, "held_out": case.data.test, "validation": case.data.validation}
    with pytest.raises(GateRefused, match="Export with `explain`, which says which layers lose most"):
        gate.export(case.artifact, tmp_path, task=case.task, precisions=["int8"], tolerance=0.5, **names)
    with pytest.raises(GateRefused, match=r"\. Export another precision"):
        gate.export(case.artifact, tmp_path, task=case.task, precisions=["int8"], tolerance=0.5, explain=True, **names)
    document = json.loads((tmp_path / gate.GATE).read_text())
    about = document["artifacts"]["int8"]["explained"]
    assert about["layers"][0]["layer"] == "conv2"
    order = "What may help, in this order: try `precision` int16x8; `keep_float` conv2; train with `quantise_aware`"
    assert about["said"].startswith(f"Most is lost in conv2. {order}")
    console.begin()
    printing.gate(document)
    told = capsys.readouterr().out
    assert "layers of int8" in told and "Most is lost in conv2" in told


def test_float_files_round_nothing_that_could_be_explained(toy_run):
    with pytest.raises(ConfigError, match="`explain` is for files of integers. Name one as `precision`: int8, int16x8"):
        export(toys.recipe(), toy_run, precision="float32,float16", explain=True)

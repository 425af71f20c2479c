"""Digits are learnt: scores on held-out data above floors that a broken model, pipeline or augmentation does not reach."""

import pytest

from cnnkit import training
from cnnkit.evaluation.artifacts import KerasArtifact
from cnnkit.evaluation.scoring import score
from cnnkit.inputs.image.loading import load
from cnnkit.models.images import MODELS
from cnnkit.run import Run
from cnnkit_digits.cli import recipe


def accuracy(folder, data, model, limit=None, **changes):
    """Train and return the accuracy on the test split."""
    digits = recipe()
    splits = load(data, limit=limit)
    settings = digits.Settings(**{**digits.preset(model, len(splits.train)), "data": data, "model": model, **changes})
    run = Run.create(folder / model, "digits", settings)
    network = training.fit(digits, settings, splits, run)
    artifact = KerasArtifact(run.path, network, training.describe(digits, settings, splits.train))
    assert artifact.metadata["layout"] == "mnist"
    return score(artifact, splits.test, digits.task)["accuracy"]


def test_the_embedded_digits_are_learnt(tmp_path):
    assert accuracy(tmp_path, "digits", "default", epochs=6) > 0.97


@pytest.mark.slow  # the same model and settings as above, on other data
def test_mnist_is_learnt_from_a_few_thousand_images(tmp_path, research_data):
    research_data("mnist/mnist.npz")
    assert accuracy(tmp_path, "mnist", "default", limit=4000, epochs=5) > 0.965


@pytest.mark.slow
@pytest.mark.parametrize("model", [name for name in MODELS if name not in ("default", "backbone")])
def test_every_model_learns_the_embedded_digits(tmp_path, model):
    floors = {"micro": 0.9, "lenet5": 0.9, "simple_cnn": 0.93, "resnet": 0.95, "densenet": 0.93}
    assert accuracy(tmp_path, "digits", model, epochs=15) > floors[model]

"""Signs are learnt: scores on held-out data above floors that a broken model, pipeline or transfer does not reach.

These take minutes; `test_cli.py` and `test_detection.py` hold the models that they train to floors of their own.
"""

import dataclasses

import numpy as np
import pytest

from cnnkit import training
from cnnkit.evaluation.artifacts import KerasArtifact
from cnnkit.evaluation.scoring import score
from cnnkit.inputs.image.loading import load
from cnnkit.run import Run
from cnnkit_signs.cli import recognition


def accuracy(folder, splits, model, side, **changes):
    """Train at `side` px and return the accuracy on the test split."""
    signs = recognition()
    parts = {name: getattr(splits, name).with_shape((side, side, 3)) for name in ("train", "validation", "test")}
    splits = dataclasses.replace(splits, **parts)
    preset = signs.preset(model, len(splits.train), "weights" in changes)
    settings = recognition().Settings(**{**preset, "data": "signs", "model": model, **changes})
    run = Run.create(folder / model, "signs", settings)
    network = training.fit(signs, settings, splits, run)
    artifact = KerasArtifact(run.path, network, training.describe(signs, settings, splits.train))
    return score(artifact, splits.test, signs.task)["accuracy"]


@pytest.mark.slow
def test_the_drawn_signs_are_learnt(tmp_path):
    assert accuracy(tmp_path, load("drawn-signs"), "default", 48, epochs=12) > 0.8


@pytest.mark.slow
def test_a_loaded_backbone_tells_real_signs_of_tracks_it_never_saw(tmp_path, research_data):
    research_data("gtsrb-small")
    weights = research_data("weights/mobilenet_v2_0.35_224_no_top.weights.h5")
    whole = load("gtsrb-small", validation=0.2)

    def some(records):
        return records.take(np.flatnonzero(records.labels % 6 == 0))

    splits = dataclasses.replace(
        whole, train=some(whole.train), validation=some(whole.validation), test=some(whole.test)
    )
    reached = accuracy(tmp_path, splits, "backbone", 128, epochs=20, weights=str(weights))
    assert reached > 0.85  # 0.96 was measured

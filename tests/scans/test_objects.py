"""Cells that touch are told apart: trained, scored, exported, drawn."""

import numpy as np
import pytest

from cnnkit.device.objects import renumbered
from cnnkit.device.segmentation import Plan, separate
from cnnkit.tasks.segmentation import measures
from tests.tasks.segmentation.small_masks import save

SIDE = 64


def cells(seed):
    """A row or two of cells, bright in their middle, that touch their neighbours: uint8 (h, w), int32 (h, w)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    numbers = np.zeros((SIDE, SIDE), np.int32)
    light = np.full((SIDE, SIDE), 50.0)
    for row in rng.permutation([12, 34, 52])[:2]:
        column = rng.integers(2, 12)
        while column < SIDE - 2:
            radius = rng.uniform(6, 9)
            far = np.hypot(rows - row - rng.uniform(-1, 1), columns - column - radius) / radius
            inside = (far <= 1) & (numbers == 0)
            numbers[inside] = numbers.max() + 1
            light[inside] = 170 - 60 * far[inside] ** 2
            column += 2 * radius - 0.5
    return np.clip(light + rng.normal(0, 6, light.shape), 0, 255).astype(np.uint8), numbers


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on cells, and its folder."""
    from cnnkit.verbs.train import train
    from cnnkit_scans import cli

    root = tmp_path_factory.mktemp("cells")
    for k in range(20):
        picture, numbers = cells(k)
        save(root / "data" / "images" / f"{k:02}.png", picture)
        save(root / "data" / "masks" / f"{k:02}.png", numbers.astype(np.uint16))
    settings = {"data": str(root / "data"), "objects": True, "epochs": 2, "learning_rate": 1e-2, "elastic": 0.0}
    done = train(cli.segmentation(), settings, {"width": 8, "depth": 2}, out=root / "run")
    return done, root


def test_it_learns_to_tell_cells_apart(trained):
    done, _ = trained
    assert done.scores.headline.name == "ap50"
    assert done.scores["ap50"] > 0.75
    together = done.baseline["ap50"]
    assert together < 0.5 < done.scores["dice"], "what hangs together is merged"
    assert done.scores["count_error"] < 2


@pytest.fixture(scope="module")
def exported(trained):
    """Its float32 file, past the gate."""
    from cnnkit.verbs.export import export
    from cnnkit_scans import cli

    done, _ = trained
    return export(cli.segmentation(), done.run.path, precision="float32")


def test_an_exported_file_tells_the_same_objects_apart(trained, exported):
    from cnnkit.evaluation.artifacts import open_artifact

    keras_model = open_artifact(trained[0].run.path, "scans")
    device = open_artifact(exported.folder / "scans-float32.tflite", "scans")
    plan = Plan.from_dict(device.metadata["segmentation"])
    assert plan == Plan.from_dict(keras_model.metadata["segmentation"])
    assert plan.rim == 3
    assert exported.document["reference"]["headline"]["name"] == "ap50"
    for seed in (100, 101):
        picture, numbers = cells(seed)
        found = [separate(model, picture, plan, model.labels) for model in (keras_model, device)]
        assert (found[0] == found[1]).all()
        right, missed, invented = measures.matches(found[0], renumbered(numbers), measures.APART)
        assert right >= 0.7 * (right + missed + invented)
        merged = measures.components(found[0] > 0).max()
        assert merged < right, "they touch in the answer too"


def test_other_pictures_are_read_as_the_run_read_its_own(trained, exported):
    from cnnkit.verbs.evaluate import evaluate
    from cnnkit_scans import cli

    other = trained[1] / "other"
    for k in range(50, 53):
        picture, numbers = cells(k)
        save(other / "images" / f"{k}.png", picture)
        save(other / "masks" / f"{k}.png", numbers.astype(np.uint16))
    done = evaluate(cli.segmentation(), exported.folder / "scans-float32.tflite", data=str(other))
    assert done.scores.headline.name == "ap50"
    assert done.scores["ap50"] > 0.75
    assert done.baseline["ap50"] < 0.5

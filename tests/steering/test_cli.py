"""`cnnkit steering`: the contract of every app, the drives that it draws, and what is special about a steering wheel."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import cnnkit
import cnnkit_steering
from cnnkit_steering import drives
from cnnkit_steering.cli import main
from cnnkit_steering.model import on_backbone, pilot_net
from tests.contracts import AppContract, private_names

HOUSE = Path(cnnkit_steering.__file__).parent
CARD = """title = "A few drives"
task = "regression"
licence = "Apache-2.0"
reader = "road-drives"

[options]
frames = 40

[splits]
train = { drives = 6, seed = 0 }
validation = { drives = 3, seed = 1 }
test = { drives = 4, seed = 2 }
"""


class TestSteering(AppContract):
    app = "steering"
    group = main.command_line
    held_out_by_the_source = True

    @pytest.fixture(scope="class", autouse=True)
    def data(self, request, tmp_path_factory):
        card = tmp_path_factory.mktemp("drives") / "few.toml"
        card.write_text(CARD)
        request.cls.small = ("--data", str(card), "--epochs", "4")
        return card

    def inputs(self, folder):
        for k in range(3):
            cv2.imwrite(str(folder / f"{k}.png"), drives.frame(7, 0, k, 40)[..., ::-1])
        return [str(folder / f"{k}.png") for k in range(3)]

    def test_errors_are_in_degrees_and_beside_always_straight(self, home):
        scores = json.loads(Path("runs/steering/latest/run.json").read_text())["scores"]["test"]
        assert scores["count"] == 160 and scores["headline"]["unit"] == "degrees"
        assert "always 0 (straight)" in scores["always"]

    @pytest.mark.slow
    def test_roads_that_it_was_not_trained_on_are_steered_on(self, home, data):
        card = data.with_name("more.toml")
        card.write_text(CARD.replace("drives = 6", "drives = 20"))
        run = json.loads(self.run("train", "--data", card, "--epochs", "12", "--out", "more", "--json").stdout)["run"]
        scores = json.loads((Path(run) / "run.json").read_text())["scores"]["test"]
        assert scores["mean_absolute_error"] < 0.7 * scores["constant"]["value"]
        assert scores["mean_absolute_error"] < 0.7 * scores["baseline"]["mean_absolute_error"]

    def test_roads_are_mirrored_with_their_angle(self, home):
        assert json.loads(Path("runs/steering/latest/run.json").read_text())["settings"]["mirror"] is True


def test_a_frame_follows_from_its_numbers_alone():
    first = drives.frame(3, 1, 5, 30)
    assert first.shape == drives.SHAPE and first.dtype == np.uint8 and first.std() > 5
    drives.drive.cache_clear()
    drives.frame(3, 1, 9, 30)
    np.testing.assert_array_equal(drives.frame(3, 1, 5, 30), first)
    assert not np.array_equal(drives.frame(4, 1, 5, 30), first)


def test_a_bend_to_the_right_and_a_place_too_far_left_are_steered_to_the_right():
    straight, right = np.zeros(60), np.full(60, 0.02)
    assert drives._pursued(straight, 5.0, 0.0, 0.0) == pytest.approx(0)
    assert drives._pursued(right, 5.0, 0.0, 0.0) == pytest.approx(np.arctan(drives.WHEELBASE * 0.02), rel=0.15)
    assert drives._pursued(straight, 5.0, -0.5, 0.0) > 0 > drives._pursued(straight, 5.0, 0.5, 0.0)
    assert drives._pursued(straight, 5.0, 0.0, -0.05) > 0
    assert drives._pursued(-right, 5.0, 0.2, 0.0) == pytest.approx(-drives._pursued(right, 5.0, -0.2, 0.0))


def test_cars_stay_on_their_lane_and_turn_either_way():
    made = [drives.drive(0, number, 75) for number in range(8)]
    angles = np.concatenate([each.angle for each in made])
    assert np.abs(np.concatenate([each.aside for each in made])).max() < 1.6
    assert abs(angles.mean()) < 10 < angles.std() and (angles > 5).any() and (angles < -5).any()
    neighbours = np.concatenate([np.abs(np.diff(each.angle)) for each in made])
    assert np.median(neighbours) < 0.6 * angles.std()  # a sequence, and no heap of frames


def test_drives_are_not_torn_apart():
    data = cnnkit.load_data("road-drives", main, limit=200)
    assert data.train.records.values.units == ("degrees",) and data.train.records.values.names == ("angle",)
    assert len(data.test) == 30 * 40 and len(set(data.test.records.groups.tolist())) == 30


@pytest.mark.parametrize(
    ("build", "shape"), [(pilot_net, (53, 60, 3)), (pilot_net, (66, 200, 1)), (on_backbone, (60, 160, 3))]
)
def test_networks_answer_as_many_numbers_as_are_asked_for(build, shape):
    model = build(shape, 2)
    assert model.output_shape == (None, 2) and model.layers[-1].name == "logits"
    assert model(np.zeros((1, *shape), "float32")).shape == (1, 2)


def test_a_picture_that_is_too_small_is_refused():
    with pytest.raises(
        ValueError, match=r"^`pilot_net` needs sides of at least 53 px. Received: image_shape=\(52, 100, 3\)"
    ):
        pilot_net((52, 100, 3), 1)
    pilot_net((53, 53, 3), 1)


def test_the_app_is_made_of_public_names_and_short():
    files = [path for path in HOUSE.glob("*.py") if path.name != "drives.py"]
    assert sum(len(path.read_text().splitlines()) for path in files) <= 150
    for path in HOUSE.glob("*.py"):
        assert not private_names(path)

"""`train --resume` takes the words that a run was started with, whatever followed from its data, and no others."""

import pytest

from cnnkit.errors import ConfigError
from cnnkit.run import Run
from cnnkit.verbs.asked import resumable
from tests import toys


def build(image_shape, classes, *, width=8, strides=(8, 16), size=None):
    """Stand in for a builder with options that follow from the data."""


@pytest.fixture
def recipe():
    return toys.recipe(builders={"default": build, "other": build})


@pytest.fixture
def start(tmp_path, monkeypatch):
    def start(asked, **became):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "start.h5").write_bytes(b"weights")
        settings = toys.Settings(**{"epochs": 7, **{k: v for k, v in asked.items() if v != "auto"}, **became})
        return Run.create(tmp_path / "run", "toy", settings, asked=asked, asked_in=str(tmp_path)).path

    return start


WORDS = [
    {},
    {"epochs": 7},
    {"options": {"width": 12}},
    {"options": {"width": 12, "size": 500}},  # the data had fewer words then
    {"options": {"strides": [8, 16, 32]}},
    {"learning_rate": "auto"},
    {"weights": "start.h5", "minutes": 2.0, "epochs": 7},
    {"data": "some.csv"},
]


@pytest.mark.parametrize("words", WORDS)
def test_the_same_words_go_on_whatever_followed_from_the_data(recipe, start, words):
    options = {**words.get("options", {}), "strides": [8], "size": 321}
    path = start(words, options=options, learning_rate=0.0123, image_size=48)
    assert resumable(recipe, path, words).path == path
    assert resumable(recipe, path, {}).path == path, "none at all"
    assert resumable(recipe, path, Run.open(path).settings(recipe.Settings).to_dict()).path == path, (
        "all that it came to have"
    )


def test_defaults_may_be_spelled_out_and_a_file_named_from_elsewhere(recipe, start, tmp_path, monkeypatch):
    path = start({"weights": "start.h5"}, options={"strides": [8]})
    spelled = {"batch_size": 64, "model": "default", "options": {"width": 8}, "weights": str(tmp_path / "start.h5")}
    assert resumable(recipe, path, spelled).path == path
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert resumable(recipe, path, {"weights": "../start.h5"}).path == path


@pytest.mark.parametrize(
    "words, message",
    [
        ({"epochs": 8}, "started with epochs=7, not 8"),
        ({"options": {"width": 13}}, "started with options.width=12, not 13"),
        ({"options": {"strides": [4]}}, r"started with options.strides=\[8\], not \[4\]"),
        ({"options": {"unheard": 1}}, "started with options.unheard=None, not 1"),
        ({"learning_rate": 0.5}, "started with learning_rate='auto', not 0.5"),
        ({"model": "other"}, "started with model='default', not 'other'"),
        ({"weights": "other.h5"}, "started with weights='start.h5', not 'other.h5'"),
    ],
)
def test_other_words_are_refused_in_a_line(recipe, start, words, message):
    asked = {"epochs": 7, "options": {"width": 12}, "learning_rate": "auto", "weights": "start.h5"}
    path = start(asked, options={"width": 12, "strides": [8]}, learning_rate=0.0123)
    with pytest.raises(ConfigError, match=message):
        resumable(recipe, path, words)


def test_a_run_of_before_words_were_kept_is_compared_with_what_it_has(recipe, start):
    path = start({"options": {"width": 12}}, options={"width": 12, "strides": [8]})
    run = Run.open(path)
    del run.document["asked"], run.document["asked_in"]
    run.save()
    assert resumable(recipe, path, {"options": {"width": 12}}).path == path
    with pytest.raises(ConfigError, match="options.width=12, not 9"):
        resumable(recipe, path, {"options": {"width": 9}})

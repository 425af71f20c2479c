"""Settings are checked on the way in and survive the way round."""

import json

import pytest

from cnnkit import cli, config
from cnnkit.errors import ConfigError


def test_settings_survive_run_json(tmp_path):
    settings = config.Settings(data="digits", epochs=7, options={"width": 12}, minutes=2.5)
    (tmp_path / "run.json").write_text(json.dumps({"app": "digits", "settings": settings.to_dict()}))
    assert config.Settings(**config.read(tmp_path / "run.json")) == settings
    assert config.Settings(**config.read(tmp_path)) == settings


def test_toml_gives_settings(tmp_path):
    (tmp_path / "x.toml").write_text('model = "micro"\nepochs = 3\nlearning_rate = 1\n[options]\nwidth = 4\n')
    assert config.read(tmp_path / "x.toml") == {
        "model": "micro",
        "epochs": 3,
        "learning_rate": 1.0,
        "options": {"width": 4},
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("epoch = 3", r"no setting `epoch`.*epochs"),
        ('epochs = "three"', r"`epochs` needs int. Got 'three'"),
        ("epochs = true", r"`epochs` needs int. Got True"),
        ("epochs = 2.5", r"`epochs` needs int"),
        ("augment = 1", r"`augment` needs bool"),
        ("epochs = ", r"cannot be understood"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path, text, complaint):
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ConfigError, match=complaint) as caught:
        config.read(tmp_path / "x.toml")
    assert "x.toml" in str(caught.value)


def test_a_file_that_is_not_there_or_not_a_table_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        config.read(tmp_path / "none.toml")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ConfigError, match="Got list"):
        config.read(tmp_path / "list.json")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        config.read(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"learning_rate": -1.0},
        {"label_smoothing": 1.0},
        {"ema": 1.0},
        {"minutes": 0.0},
        {"limit": 0},
        {"validation": 0.95},
        {"seed": -1},
    ],
)
def test_a_value_out_of_range_is_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(ConfigError, match=name):
        config.Settings(**wrong)


def test_an_app_is_found_in_what_an_installed_package_registers(tmp_path):
    folder = tmp_path / "cnnkit_extra-1.0.dist-info"
    folder.mkdir()
    text = (
        "[console_scripts]\nleaf = other:main\n\n[cnnkit.apps]\nleaf = cnnkit_leaf.cli:main\n[more]\nbark = no:main\n"
    )
    (folder / "entry_points.txt").write_text(text, encoding="utf-8")
    folders = [str(tmp_path / "missing"), str(tmp_path)]
    assert cli.registered("leaf", folders) == "cnnkit_leaf.cli:main"
    assert cli.registered("bark", folders) is cli.registered("twig", folders) is None

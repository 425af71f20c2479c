"""Settings are checked on the way in and survive the way round."""

import dataclasses
import json
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

from cnnkit import cli, settings
from cnnkit.cli import options
from cnnkit.errors import ConfigError, FileSettingError
from cnnkit.settings import Room, joined, room, setting
from tests.contracts import _commands
from tests.toy_texts import Settings as OfTexts
from tests.toys import Settings


def test_settings_survive_run_json(tmp_path):
    made = Settings(data="digits", epochs=7, options={"width": 12}, minutes=2.5)
    (tmp_path / "run.json").write_text(json.dumps({"app": "digits", "settings": made.to_dict()}))
    assert Settings(**settings.read(tmp_path / "run.json", Settings)) == made
    assert Settings(**settings.read(tmp_path, Settings)) == made


def test_settings_of_another_kind_that_nobody_asked_for_are_left_out_of_an_earlier_run(tmp_path):
    of_all = {"epochs": 7, "words": 20_000, "tiles": None, "mirror": False}  # as an earlier version wrote them
    document = {"app": "digits", "settings": of_all, "asked": {"epochs": 7}}
    (tmp_path / "run.json").write_text(json.dumps(document))
    assert settings.read(tmp_path, Settings) == {"epochs": 7, "mirror": False}
    assert settings.read(tmp_path, OfTexts) == {"epochs": 7, "max_words": 20_000}
    (tmp_path / "run.json").write_text(json.dumps(document | {"asked": {"mirror": False}}))
    with pytest.raises(ConfigError, match="no setting `mirror`.*max_words"):
        settings.read(tmp_path, OfTexts)


def test_toml_gives_settings(tmp_path):
    (tmp_path / "x.toml").write_text('model = "micro"\nepochs = 3\nlearning_rate = 1\n[options]\nwidth = 4\n')
    assert settings.read(tmp_path / "x.toml", Settings) == {
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
        settings.read(tmp_path / "x.toml", Settings)
    assert "x.toml" in str(caught.value)


def test_a_file_that_is_not_there_or_not_a_table_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        settings.read(tmp_path / "none.toml")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ConfigError, match="Got list"):
        settings.read(tmp_path / "list.json")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        settings.read(tmp_path / "bad.toml")


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
        Settings(**wrong)


@room
class Tide(Room, title="Water"):
    level: float | None = setting(None, "Of the water.", above=0, most=9)
    rising: bool = setting(True, "Whether it rises.")
    name: str = setting("none", "Of the harbour.", metavar="HARBOUR")
    depth: int = setting(3, "Hidden.", least=1, option=False)


@room
class Boats(Room):
    name: str = setting("", "Of the boat.")


def test_settings_are_joined_from_rooms_and_no_two_rooms_have_the_same_name():
    with pytest.raises(TypeError, match="`name` is a setting of two rooms: Tide and Boats"):
        joined(Tide, Boats)
    assert joined(Tide) is joined(Tide) and len(settings.fields(joined(Tide, Tide))) == 4
    assert joined(Tide)(level=2.0).to_dict() == {"level": 2.0, "rising": True, "name": "none", "depth": 3}
    with pytest.raises(ConfigError, match=r"`level` must lie in \(0, 9\]. Got 0"):
        joined(Tide)(level=0)
    with pytest.raises(ConfigError, match="`depth` must be at least 1. Got 0"):
        dataclasses.replace(joined(Tide)(), depth=0)


@room
class Sails(Room):
    rig: str = setting("sloop", "Of the boat.", choices=("sloop", "ketch"))


def test_values_are_checked_where_they_are_read():
    kind = joined(Tide, Sails)
    with pytest.raises(FileSettingError, match="run.toml: `depth` must be at least 1. Got 0"):
        settings.checked(kind, {"depth": 0}, "run.toml")
    with pytest.raises(ConfigError, match="^`rig` needs one of sloop, ketch. Got 'junk'") as found:
        settings.checked(kind, {"rig": "junk"}, "train", of_file=False)
    assert not found.value.of_file, "the command line puts its option there"
    with pytest.raises(ConfigError, match="`rig` needs one of sloop, ketch"):
        kind(rig="junk")
    assert settings.checked(kind, {"rig": "ketch", "depth": 2}, "run.toml") == {"rig": "ketch", "depth": 2}


def test_a_setting_of_few_texts_is_an_option_that_takes_only_these():
    @click.command(cls=options.Sectioned)
    @options.later(lambda: options.of_rooms([Sails]))
    def command(**given):
        click.echo(given["rig"])

    assert CliRunner().invoke(command, ["--rig", "ketch"]).output == "ketch\n"
    found = CliRunner().invoke(command, ["--rig", "junk"])
    assert found.exit_code == 2
    assert "'junk' is not one of 'sloop', 'ketch'" in found.output


def test_options_are_made_from_settings_under_their_headings():
    @click.command(cls=options.Sectioned)
    @options.later(lambda: options.of_rooms([Tide], note=lambda name: f"  [{name}]"))
    @click.option("--seed", help="Usual.")
    @click.option("--width", help="Own.")
    def command(**given):
        click.echo(json.dumps(given, sort_keys=True))

    page = CliRunner().invoke(command, ["--help"]).output
    usual, rest = page.split("Water:")
    water, own = rest.split("Model:")
    assert "--seed" in usual and "--help" in usual and "--width" in own and "--depth" not in page
    assert "--level FLOAT RANGE" in water and "--no-rising" in water and "[level]" in water and "HARBOUR" in water
    given = json.loads(CliRunner().invoke(command, ["--level", "2", "--no-rising"]).output)
    assert given == {"level": 2.0, "name": None, "rising": False, "seed": None, "width": None}
    assert CliRunner().invoke(command, ["--level", "0"]).exit_code == 2


def test_a_message_names_settings_and_the_command_line_spells_options():
    @click.command()
    @click.option("--tile-scale")
    @click.option("--prepare/--no-prepare")
    @click.option("--skip-bad", is_flag=True)
    def command():
        """Do nothing."""

    def said(text):
        return options.spelled(text, command.params)

    assert said("`tile_scale` and `tile_scale=2 3`, not `tiles`.") == "--tile-scale and --tile-scale 2 3, not `tiles`."
    assert said("`prepare=False`, `prepare`, `prepare=True`, `skip_bad=True`") == (
        "--no-prepare, --prepare, --prepare, --skip-bad"
    )
    assert said("`data check` finds it") == "`data check` finds it"


@pytest.mark.parametrize(
    "app, makers",
    [
        ("digits", ["recipe"]),
        ("photos", []),
        ("signs", ["detection", "recognition"]),
        ("steering", []),
        ("text", ["classification", "tagging"]),
    ],
)
def test_the_options_of_train_are_the_settings_of_what_the_app_trains(app, makers):
    module = import_module(f"cnnkit_{app}.cli")
    train = getattr(module.main, "command_line", module.main).commands["train"]
    shown = {p.name for p in train.get_params(click.Context(train)) if isinstance(p, options.SettingOption)}
    made = [getattr(module, maker) for maker in makers] or list(module.main.recipes.values())  # of a `cnnkit.App`
    kinds = [make().Settings for make in made]
    have = {field.name for kind in kinds for field in settings.fields(kind) if field.metadata["option"]}
    assert shown == have


@pytest.mark.parametrize("app", ["digits", "photos", "scans", "signs", "steering", "text"])
def test_an_option_that_takes_a_number_takes_no_nan(app):
    """It is in no bounds, and a tolerance that is none would let any file pass."""
    main = import_module(f"cnnkit_{app}.cli").main
    numbers = [
        (p, context)
        for command in _commands(getattr(main, "command_line", main))
        for context in [click.Context(command)]
        for p in command.get_params(context)
        if isinstance(p.type, click.types.FloatParamType)
    ]
    assert len(numbers) > 5
    for p, context in numbers:
        with pytest.raises(click.BadParameter, match="not a number"):
            p.type.convert("nan", p, context)


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

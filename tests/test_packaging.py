"""What is installed: the wheel's names and data, and the light install that never needs TensorFlow."""

import json
import os
import subprocess
import sys
import textwrap
import venv
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import toys

ROOT = Path(__file__).parent.parent
HEAVY = ("tensorflow", "keras", "sklearn", "matplotlib", "jinja2", "scipy", "h5py", "jax")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling", reason="needs hatchling: pip install 'cnnkit[dev]'")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A digits model as exported, untrained, and a picture."""
    from cnnkit.export.convert import convert
    from cnnkit.models.images import MODELS

    folder = tmp_path_factory.mktemp("device")
    labels = [str(digit) for digit in range(10)]
    model = MODELS["default"]((28, 28, 1), 10)
    about = {**toys.ABOUT, "app": "digits", "labels": labels, "layout": "mnist"}
    content = convert(model, "int8", np.zeros((1, 28, 28, 1)), about)
    (folder / "x.tflite").write_bytes(content)
    picture = np.full((200, 160), 235, np.uint8)
    cv2.line(picture, (80, 40), (76, 160), 30, 9, cv2.LINE_AA)
    cv2.imwrite(str(folder / "one.png"), picture)
    return folder


def test_the_wheel_holds_the_core_the_apps_and_the_cards_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        templates = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("cnnkit/export/samples/**/*.jinja")}
        assert templates and templates <= set(names)
        metadata = next(name for name in names if name.endswith("entry_points.txt"))
        scripts = archive.read(metadata).decode()
    tops = {name.split("/")[0] for name in names}
    packages = {top for top in tops if not top.endswith(".dist-info")}
    assert packages == {
        "cnnkit",
        "cnnkit_digits",
        "cnnkit_photos",
        "cnnkit_scans",
        "cnnkit_signs",
        "cnnkit_steering",
        "cnnkit_text",
    }
    assert {"cnnkit/datasets/mnist.toml", "cnnkit_signs/datasets/drawn-signs.toml"} <= set(names)
    assert any(name.startswith("cnnkit/report/templates/") for name in names)
    scripts_of_pages = {path.relative_to(ROOT) for path in ROOT.glob("cnnkit/**/*.js")}
    assert {path.as_posix() for path in scripts_of_pages} | {"cnnkit/demo/static/index.html"} <= set(names)
    assert scripts_of_pages and "cnnkit_digits/demo/index.js" in names
    assert "cnnkit = cnnkit.cli:main" in scripts
    for app in ("digits", "photos", "signs", "steering", "text"):
        assert f"cnnkit-{app} = cnnkit_{app}.cli:main" in scripts and f"\n{app} = cnnkit_{app}.cli:main" in scripts
    assert not [name for name in names if "__pycache__" in name or name.endswith((".npz", ".keras", ".tflite"))]


def test_the_same_group_answers_to_both_commands():
    from click.testing import CliRunner

    from cnnkit.cli import main
    from cnnkit_digits.cli import main as digits

    listed = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    assert "digits Recognise handwritten digits." in listed
    assert "text Train, understand and ship small text classifiers." in listed
    through, own = CliRunner().invoke(main, ["digits", "--help"]), CliRunner().invoke(digits, ["--help"])
    assert through.output.split("Commands:")[1] == own.output.split("Commands:")[1]
    version = CliRunner().invoke(main, ["--version"]).output
    assert version.startswith("cnnkit, version ")


@pytest.mark.parametrize(
    "words",
    [["predict", "x.tflite", "one.png"], ["read", "x.tflite", "one.png"], ["bench", "x.tflite", "--runs", "3"]],
    ids=lambda words: words[0],
)
def test_what_a_device_does_runs_where_the_training_extra_cannot_be_imported(exported, words):
    code = textwrap.dedent(
        f"""
        import sys
        sys.modules.update(dict.fromkeys({HEAVY!r}))  # importing any of these now fails
        from cnnkit_digits.cli import main
        main({[*words, "--json"]!r})
        """
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=exported, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


@pytest.mark.parametrize("app", ["digits", "text"])
@pytest.mark.parametrize("words", [["train"], ["evaluate", "x.tflite"], ["export", "x.keras"], ["explain", "x.keras"]])
def test_a_command_that_lacks_the_training_extra_says_what_to_install(exported, words, app):
    code = textwrap.dedent(
        f"""
        import sys
        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {HEAVY!r}:
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        sys.meta_path.insert(0, Missing())
        from cnnkit_{app}.cli import main
        main({words!r})
        """
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=exported, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install "cnnkit[train]"' in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_bare_install_predicts_reads_and_benches_from_any_folder(wheel, exported, tmp_path):
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    packages = subprocess.run(
        [str(python), "-m", "pip", "list"], check=True, capture_output=True, text=True
    ).stdout.lower()
    assert not [name for name in HEAVY if f"{name} " in packages]
    size = sum(path.stat().st_size for path in (home / "lib").rglob("*") if path.is_file())
    assert size < 350e6  # with pip itself; wheels are stored unpacked here
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for words in (
        ["predict", "x.tflite", "one.png"],
        ["read", "x.tflite", "one.png"],
        ["bench", "x.tflite"],
        ["data", "list"],
    ):
        command = [
            str(home / "bin" / "cnnkit-digits"),
            *(str(exported / w) if "." in w else w for w in words),
            "--json",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
        if words[0] == "data":
            assert done.returncode == 1 and 'pip install "cnnkit[train]"' in done.stderr
        else:
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)

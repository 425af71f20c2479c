"""The files of a page: all that it names is there, its inputs are made up, and what cannot be run is said."""

import json
import re
import socket
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from click.testing import CliRunner

from cnnkit import cli
from cnnkit.demo.page import PAGE, contents, halves
from cnnkit.device.kinds import InputKind, TaskKind
from cnnkit.device.model import DeviceModel
from cnnkit.errors import ConfigError
from cnnkit.inputs.image.device import KIND as IMAGE
from cnnkit.registry import DEVICE, INPUTS, TASKS
from cnnkit.tasks.classification.device import KIND as CLASSIFICATION
from cnnkit.verbs import demo
from cnnkit_digits.cli import main
from tests import programs, toys
from tests.test_packaging import HEAVY


@pytest.fixture
def page(kept, digits_file):
    return demo.page("digits", digits_file, title="Try.", preparation=main.app.preparation())


def test_all_that_modules_import_is_in_the_page(page):
    for name, content in page.content.items():
        if not name.endswith(".js") or name.startswith("litert/"):
            continue
        for found in re.findall(r'(?:from|import\() ?"(\./|\.\./[./]*)([^"]+)"', content.decode()):
            folder = name.split("/")[:-1]
            up = found[0].count("../")
            wanted = "/".join([*folder[: len(folder) - up], found[1]])
            assert wanted in page.content, f"{name} imports {''.join(found)}"
    about = json.loads(page.content["model.json"])
    assert all(module in page.content for module in about["modules"].values())
    assert {"index.html", "base.css", "page.css", "model.tflite", "check.json", "check.bin"} <= set(page.content)


def test_nothing_in_the_page_names_another_host(page):
    for name, content in page.content.items():
        if name.endswith((".js", ".html", ".css")) and not name.startswith("litert/"):
            found = set(re.findall(r"https?://[^\s\"'<.]+", content.decode()))
            assert found <= {"http://localhost:8000"}, name
    html = page.content["index.html"].decode()
    assert (
        "connect-src 'self'" in html
        and "@" not in html
        and not re.search(r"<script(?![^>]* src=)|\sstyle=|\son\w+=", html)
    )


def test_the_page_says_what_the_file_is(page, digits_file):
    about, model = json.loads(page.content["model.json"]), DeviceModel.open(digits_file)
    assert (
        about["labels"] == list(model.labels)
        and about["shape"] == [28, 28, 1]
        and about["bytes"] == digits_file.stat().st_size
    )
    assert about["input"] == {"name": "image", "dtype": "float32", "scale": 0.0, "zero": 0} and about["outputs"] == {
        "scores": "scores"
    }
    assert about["modules"] == {
        "input": "inputs/image/index.js",
        "task": "tasks/classification/index.js",
        "app": "app/index.js",
    }


def test_what_it_is_checked_by_is_what_the_device_answers(page, digits_file):
    model, check, pool = (
        DeviceModel.open(digits_file),
        json.loads(page.content["check.json"]),
        page.content["check.bin"],
    )

    def array(about):
        count = int(np.prod(about["shape"]))
        return np.frombuffer(pool, about["dtype"], count, about["offset"]).reshape(about["shape"])

    assert len(check["entries"]) == 3
    for entry in check["entries"]:
        (run,) = entry["runs"]
        given = array(run["given"])
        scores = model.run(given)["scores"][0]
        assert np.array_equal(array(run["outputs"]["scores"]), scores)
        assert entry["answer"]["label"] == model.labels[int(scores.argmax())] and len(entry["answer"]["top"]) == 5
        (seen,) = IMAGE.windows(array(entry["sample"]), model.input_shape, main.app.preparation())
        assert np.array_equal(seen, given)


def test_the_folder_is_written_whole_and_again_but_never_over_what_is_not_ours(kept, digits_file, tmp_path):
    folder = tmp_path / "page"
    command = ["demo", str(digits_file), "--out", str(folder)]
    for _ in range(2):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0 and str(folder) in done.output
    assert (folder / "litert" / "core.js").is_file() and (
        folder / "model.tflite"
    ).read_bytes() == digits_file.read_bytes()
    (folder / "index.html").write_text("mine", encoding="utf-8")
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1 and "index.html would be overwritten" in done.output
    assert (folder / "index.html").read_text(encoding="utf-8") == "mine"
    done = CliRunner().invoke(main, ["demo", str(digits_file), "--out", str(digits_file)])
    assert done.exit_code == 1 and "is a file; a folder is needed" in done.output


def test_a_run_without_an_exported_model_is_told_to_export_one(toy_run):
    app = cli.app("Tell bars apart.", toys.recipe, name="toy", rooms=tuple)
    done = CliRunner().invoke(app, ["demo", str(toy_run)])
    assert (
        done.exit_code == 1
        and "has no exported model, which a browser runs. Make one with `cnnkit toy export`." in done.output
    )


def test_it_is_made_where_the_training_extra_cannot_be_imported(digits_file, tmp_path):
    code = f"""
import sys
sys.modules.update(dict.fromkeys({HEAVY!r}))  # importing any of these now fails
from cnnkit.demo import litertjs
litertjs.runtime = lambda tell: {{}}
from cnnkit_digits.cli import main
main(["demo", {str(digits_file)!r}, "--out", "page", "--json"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"folder": "page"} and (tmp_path / "page" / "check.json").is_file()


def test_the_command_serves_the_page_until_it_is_interrupted(kept, digits_file, monkeypatch):
    opened, seen = [], []
    monkeypatch.setattr("webbrowser.open", opened.append)

    class Interrupted:
        def wait(self):
            with urllib.request.urlopen(opened[-1]) as answer:
                seen.append(answer.read())
            raise KeyboardInterrupt

    monkeypatch.setattr(demo, "Event", Interrupted)
    done = CliRunner().invoke(main, ["demo", str(digits_file), "--port", "0", "--json"])
    assert done.exit_code == 0 and json.loads(done.stdout) == {"address": opened[0]}
    assert b'<script type="module" src="page.js">' in seen[0]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(main, ["demo", str(digits_file), "--port", str(port), "--no-open"])
    assert done.exit_code == 1 and f"--port {port} is in use by another program. Choose another" in done.output
    assert len(opened) == 1


class Bare(InputKind):
    name = "bare"


class Odd(TaskKind):
    name = "odd"


def test_a_kind_without_a_half_in_javascript_is_named():
    with pytest.raises(ConfigError, match="'bare' has no half in JavaScript"):
        halves(Bare(), CLASSIFICATION)
    with pytest.raises(ConfigError, match="'odd' has no half in JavaScript"):
        halves(IMAGE, Odd())
    with pytest.raises(ConfigError, match="lays inputs out by Python alone"):
        halves(IMAGE, CLASSIFICATION, object())


def test_numbers_that_litertjs_does_not_take_are_said(digits_file):
    model = DeviceModel.open(digits_file)
    model.input_dtype = np.dtype(np.int8)
    with pytest.raises(ConfigError, match=r"takes float32, int32 and uint8, and digits-float32.tflite takes int8"):
        contents(model, IMAGE, CLASSIFICATION, title="")


def test_what_all_models_share_names_no_kind():
    kinds = {*INPUTS.ours(), *TASKS.ours()}
    for path in PAGE.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not [kind for kind in kinds if re.search(rf"[\"'/]{kind}[\"'/]", text)], path


@pytest.mark.parametrize(
    ("registry", "name"), [(registry, name) for registry in (INPUTS, TASKS) for name in registry.ours()]
)
def test_each_half_exports_what_the_page_asks_of_it(registry, name, tmp_path):
    half = registry.half(name, DEVICE, name)
    if half.demo is None:
        assert name == "volume"  # no browser reads one
        return
    task = half if registry is TASKS else CLASSIFICATION
    inputs = half if registry is INPUTS else IMAGE
    modules, files = halves(inputs, task)
    shared = {path.name: path.read_bytes() for path in PAGE.glob("*.js")}
    module = modules["input" if registry is INPUTS else "task"]
    code = f'import * as half from "./{module}";\nexport default () => Object.keys(half);'
    exports = set(programs.javascript(tmp_path, {**files, **shared}, code, None))
    assert (
        {"mount", "sample"} <= exports if registry is INPUTS else {"show"} <= exports and exports & {"told", "answer"}
    )
    assert registry is TASKS or exports & {"windows", "answer"}

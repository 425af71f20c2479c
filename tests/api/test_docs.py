"""What the pages say runs as it stands: every block of Python, and the package of `docs/add-an-app.md`, built and installed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cnnkit

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def blocks(page, kind="python"):
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run_all(page, folder, monkeypatch):
    """Run the blocks of a page, one after the other, in one namespace; return that."""
    monkeypatch.chdir(folder)
    (folder / "docs").symlink_to(DOCS)
    names = {"__name__": page.stem}
    for number, block in enumerate(blocks(page), 1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)
    return names


@pytest.mark.slow
@pytest.mark.parametrize("page", ["python", "own-training-loop", "add-a-model"])
def test_a_page_runs_and_prints_nothing(page, tmp_path, monkeypatch, capsys):
    run_all(DOCS / f"{page}.md", tmp_path, monkeypatch)
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    names = run_all(ROOT / "README.md", tmp_path, monkeypatch)
    assert names["answer"]["label"] == "7"


def test_a_reader_of_another_package_is_found(tmp_path, monkeypatch):
    (block,) = blocks(DOCS / "add-a-reader.md")
    package, data = tmp_path / "package", tmp_path / "data"
    (package / "strips-0.dist-info").mkdir(parents=True)
    (package / "strips_format.py").write_text(block)
    (package / "strips-0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: strips\nVersion: 0\n")
    (package / "strips-0.dist-info" / "entry_points.txt").write_text(
        "[cnnkit.readers]\nstrips = strips_format:STRIPS\n"
    )
    data.mkdir()
    strip = np.random.default_rng(0).integers(0, 256, (8, 8 * 40), dtype=np.uint8)
    np.save(data / "strips.npy", strip)
    (data / "labels.txt").write_text("up down " * 20)
    monkeypatch.syspath_prepend(package)
    code = (
        f"import cnnkit; data = cnnkit.load_data({str(data)!r}, validation=0.1); "
        "print(data.labels, sum(map(len, data)), data.train.shape)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "('down', 'up') 40 (8, 8, 1)", done.stderr


def files_of(page):
    """Return the files that a page shows, by name: the paragraph above each begins with it, in backticks."""
    parts = re.split(r"^```(?:\w*)\n", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = {}
    for said, content in zip(parts[::2], parts[1::2]):
        named = re.match(r"`([\w./-]+\.\w+)`", said.strip().split("\n\n")[-1])
        if named:
            found[named[1]] = content
    return found


def test_the_page_on_apps_shows_a_whole_package():
    assert set(files_of(DOCS / "add-an-app.md")) == {
        "pyproject.toml",
        "cnnkit_shapes/__init__.py",
        "cnnkit_shapes/drawn.py",
        "cnnkit_shapes/datasets/drawn-shapes.toml",
    }


def test_it_imports_public_names_only():
    import ast

    for name, text in files_of(DOCS / "add-an-app.md").items():
        if name.endswith(".py"):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "cnnkit":
                    assert node.module == "cnnkit" and {alias.name for alias in node.names} <= set(cnnkit.__all__)
                if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "cnnkit":
                    assert node.attr in cnnkit.__all__


@pytest.mark.slow
def test_an_app_of_another_package_installs_trains_and_exports(tmp_path):
    pytest.importorskip("setuptools")
    source, installed, work = (tmp_path / name for name in ("source", "installed", "work"))
    work.mkdir()
    for name, text in files_of(DOCS / "add-an-app.md").items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    pip = [
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--disable-pip-version-check",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), *sys.path])}

    def run(*line):
        done = subprocess.run([sys.executable, *line], cwd=work, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run(*pip, "--target", str(installed), str(source))
    command = ("-c", "from cnnkit.cli import main; main()")
    assert "shapes" in run(*command, "--help")
    assert "Trained 3" in run(*command, "shapes", "train", "--out", "first")
    run(*command, "shapes", "export", "first", "--precision", "int8", "--out", "files")
    assert (work / "files" / "shapes-int8.tflite").is_file()
    last = blocks(DOCS / "add-an-app.md")[-1]
    assert "shapes-float32.tflite" in run("-c", last)

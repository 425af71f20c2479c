"""The house keeps its shape: layers, sole owners, independent apps."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "cnnkit"

# A module imports only from its own layer or from those above it.
LAYERS = {
    "errors": 0,
    "config": 0,
    "files": 0,
    "seals": 0,
    "h5_files": 0,
    "trials": 0,
    "quiet": 0,
    "keras_files": 0,
    "metrics": 0,
    "console": 1,
    "device": 1,
    "run": 1,
    "own_files": 1,
    "data": 2,
    "models": 2,
    "augment": 2,
    "losses": 2,
    "optimizers": 2,
    "ondevice": 2,
    "training": 3,
    "evaluation": 3,
    "explain": 3,
    "report": 3,
    "export": 3,
    "inputs": 4,
    "recipe": 4,
    "run_data": 4,
    "review": 4,
    "time_budget": 4,
    "workflow": 4,
    "cli": 4,
}
# `ondevice` opens a `.keras` where that is all there is; the import is inside the function that needs it.
EXCEPTIONS = {("ondevice", "evaluation")}


def sources(folder):
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def imports(path, top_level_only=False):
    """Yield (module, line) of every import in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def part(path):
    """The top-level part of the core a file belongs to."""
    return path.relative_to(CORE).parts[0].removesuffix(".py")


@pytest.mark.parametrize(
    "path", [p for p in sources(CORE) if part(p) != "__init__"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_layer_imports_only_those_above_it(path):
    own = part(path)
    assert own in LAYERS, f"give {own} a layer in this test and in docs/design.md"
    for module, line in imports(path):
        parts = module.split(".")
        if parts[0] != "cnnkit" or len(parts) < 2 or parts[1] not in LAYERS or (own, parts[1]) in EXCEPTIONS:
            continue
        assert LAYERS[parts[1]] <= LAYERS[own], f"{path}:{line}: {own} imports {parts[1]}, which is below it"


@pytest.mark.parametrize("path", sources(CORE), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_core_never_imports_an_app(path):
    assert not [module for module, _ in imports(path) if module.startswith("cnnkit_")]


@pytest.mark.parametrize("app", sorted(p for p in (ROOT / "apps").glob("cnnkit_*") if p.is_dir()), ids=lambda p: p.name)
def test_apps_do_not_import_each_other(app):
    for path in sources(app):
        others = [m for m, _ in imports(path) if m.startswith("cnnkit_") and m.split(".")[0] != app.name]
        assert not others, f"{path} imports {others}"


def test_the_device_layer_never_imports_tensorflow_or_keras():
    allowed = {"numpy", "cv2", "ai_edge_litert", "cnnkit"} | sys.stdlib_module_names
    for path in sources(CORE / "device"):
        foreign = {m.split(".")[0] for m, _ in imports(path)} - allowed
        assert not foreign, f"{path} imports {foreign}"


def _code(*folders):
    return [p for folder in folders for p in sources(ROOT / folder)]


def test_only_the_console_prints():
    for path in _code("cnnkit", "apps"):
        if path.name == "console.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{path}:{node.lineno} prints; use cnnkit.console"


def test_only_export_converts():
    for path in _code("cnnkit", "apps"):
        if "TFLiteConverter" in path.read_text(encoding="utf-8"):
            assert path.relative_to(CORE).parts[0] == "export", f"{path} converts; cnnkit.export does"


def test_nothing_pickles_or_calls_a_shell():
    for path in _code("cnnkit", "apps"):
        names = {module.split(".")[0] for module, _ in imports(path)}
        assert not names & {"pickle", "dill", "joblib", "shelve", "marshal"}, path
        text = path.read_text(encoding="utf-8")
        assert "shell=True" not in text and "os.system" not in text and "allow_pickle=True" not in text, path


def test_help_and_device_imports_stay_light():
    code = (
        "import sys, cnnkit.cli, cnnkit_digits.cli, cnnkit.ondevice, cnnkit_digits.reading, cnnkit_text.cli; "
        "print([m for m in ('tensorflow', 'keras', 'sklearn', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_naming_a_text_loads_no_opencv():
    code = (
        "import sys, cnnkit_text.cli, cnnkit.ondevice.texts, cnnkit.ondevice.opening, cnnkit.device.model; "
        "print([m for m in ('cv2', 'tensorflow', 'keras', 'sklearn', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_module_has_a_name_that_says_nothing():
    vague = {"utils", "util", "helpers", "helper", "misc", "common", "manager", "base"}
    assert not [path for path in _code("cnnkit", "apps") if path.stem in vague]


def test_the_repository_names_no_machine_of_ours():
    words = ("/work/", "/tmp/", "/root/", "farm-")
    for path in [
        *_code("cnnkit", "apps", "benchmarks"),
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("datasets/*.toml"),
    ]:
        text = path.read_text(encoding="utf-8")
        assert not [word for word in words if word in text], path

"""The house keeps its shape: layers, sole owners, independent apps."""

import ast
import fnmatch
import functools
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "cnnkit"

# A module imports only from its own layer or from those above it.
LAYERS = {
    "errors": 0,
    "late": 0,
    "excerpts": 0,
    "settings": 0,
    "reporter": 0,
    "shown": 0,
    "files": 0,
    "seals": 0,
    "h5_files": 0,
    "trials": 0,
    "quiet": 0,
    "keras_files": 0,
    "metrics": 0,
    "score": 0,
    "commands": 0,
    "console": 1,
    "device": 1,
    "run": 1,
    "results": 1,
    "own_files": 1,
    "plugins": 1,
    "registry": 1,
    "data": 2,
    "models": 2,
    "augment": 2,
    "optimizers": 2,
    "opening": 2,
    "training": 3,
    "evaluation": 3,
    "explain": 3,
    "report": 3,
    "export": 3,
    "demo": 3,
    "inputs": 4,
    "tasks": 4,
    "recipe": 4,
    "run_data": 4,
    "time_budget": 4,
    "verbs": 4,
    "app": 4,
    "kinds": 4,
    "cli": 4,
    "api": 4,
}
# `opening` opens a `.keras` where that is all there is; the import is inside the function that needs it.
EXCEPTIONS = {("opening", "evaluation")}

# Rooms: what belongs to one kind of input or task, as patterns below `cnnkit/` (a * also stands for folders). All other
# files are shared and know no kind. A folder below `inputs/` or `tasks/` is a room without being named here.
ROOMS = {
    "image": (
        "device/drawing.py",
        "device/image.py",
        "device/jpeg.py",
        "device/orientation.py",
        "device/preparation.py",
        "device/stored.py",
        "device/tags.py",
        "device/transparency.py",
        "augment/*",
        "models/backbones.py",
        "models/blocks.py",
        "models/classic.py",
        "models/efficientnet_lite.py",
        "models/images.py",
        "models/small.py",
    ),
    "volume": ("device/volumes/*",),
    "text": (
        "device/text*",
        "device/word_*",
        "models/text.py",
        "models/vectors.py",
    ),
    "detection": (
        "device/detection.py",
        "device/tracking.py",
        "models/detectors.py",
    ),
    "segmentation": (
        "device/contours.py",
        "device/objects.py",
        "device/segmentation.py",
        "models/unets.py",
    ),
}
# How shared code would know a kind: a string that is one of these, or a flag of this name that is asked for.
KINDS = {
    *(
        "box",
        "boxes",
        "classification",
        "detection",
        "image",
        "images",
        "masks",
        "multilabel",
        "regression",
        "segmentation",
    ),
    *("picture", "pictures", "text", "texts", "tokenizer", "vocabulary"),
}
SHAPE = re.compile(r"len\(.*shape\b.*\)$")  # its length, compared with a number
FLAGS = {"boxed", "boxes", "texts"}
FACES = {"cnnkit", "cnnkit.kinds", "cnnkit.models"}  # they show names that only type checkers import
APPS = {path.name.removeprefix("cnnkit_") for path in (ROOT / "apps").glob("cnnkit_*") if path.is_dir()} - KINDS
# Strings that are such a word and mean another thing: (file, string).
MEANT_OTHERWISE = {
    ("api/notebook.py", "text"),  # the sentence of a verdict
    ("cli/printing.py", "text"),  # the sentence of a verdict
    ("data/cards.py", " hexadecimal digits"),
    ("errors.py", "scans"),  # the extra that is installed
    ("evaluation/verdict.py", "text"),  # the sentence of a verdict
    ("export/profiles/mediapipe.py", "image"),  # what MediaPipe calls its input
    ("report/page.py", "text"),
    ("report/sections.py", "image"),  # what is drawn, whatever it is of
}


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


def _code(*folders):
    return [p for folder in folders for p in sources(ROOT / folder)]


@functools.cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    below = path.relative_to(ROOT / "apps" if path.is_relative_to(ROOT / "apps") else ROOT)
    return ".".join(below.with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the core and of the apps, by name."""
    return {module_name(path): path for path in _code("cnnkit", "apps")}


def packages_of(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[:depth]) for depth in range(1, len(parts))}


def statements(path: Path, loaded: bool) -> Iterator[ast.AST]:
    """Every node of a file; `loaded`: only those that run when the module is imported."""
    waiting = [tree_of(path)]
    while waiting:
        node = waiting.pop()
        yield node
        if loaded and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if loaded and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)


@functools.cache
def needs(module: str, loaded: bool = False) -> frozenset[str]:
    """The modules that a module of ours imports, those of others too; `loaded`: not counting imports in functions.

    Python runs the `__init__.py` of every package on the way to a module, so these are imported as well; those that the
    importing module lies in are there already, and count only where something is taken from them.
    """
    found: set[str] = set()
    for node in statements(modules()[module], loaded):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{module}: write where relative imports come from"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            parts = names & modules().keys()
            found |= parts | ({node.module} if parts < names else set())
    on_the_way = {package for name in found for package in packages_of(name)} - packages_of(module)
    return frozenset(found | on_the_way) - {module}


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The strongly connected parts of a graph that have more than one node (Tarjan 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in number:
                visit(other)
            if other in stack:
                lowest[node] = min(lowest[node], lowest[other])
        if lowest[node] == number[node]:
            part = stack[stack.index(node) :]
            del stack[-len(part) :]
            if len(part) > 1:
                found.append(sorted(part))

    for node in graph:
        if node not in number:
            visit(node)
    return found


def test_imports_make_no_circle():
    """Among modules, wherever they import; and among the parts of the core, where `a` imports from `b` and `b` from `a`."""
    graph = {name: set(needs(name, loaded=name in FACES)) & modules().keys() for name in modules()}
    rooms: dict[str, set[str]] = {}
    for name, others in graph.items():
        own, *rest = (".".join(module.split(".")[:2]) for module in (name, *sorted(others)))
        rooms.setdefault(own, set()).update(set(rest) - {own})
    found = circles(graph) + circles(rooms)
    assert not found, "\n".join(" - ".join(circle) for circle in found)


def room(path: Path) -> str | None:
    """The room that a file of the core lies in; None: it is shared."""
    name = path.relative_to(CORE).as_posix()
    first, second, *rest = (*name.split("/"), "")
    if first in ("inputs", "tasks") and any(rest):
        return second
    return next((kind for kind, patterns in ROOMS.items() if any(fnmatch.fnmatch(name, p) for p in patterns)), None)


def _asked(node: ast.AST) -> list[ast.AST]:
    """What a node decides by."""
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        return [node.test]
    if isinstance(node, ast.Compare):
        return [node]
    if isinstance(node, ast.BoolOp):
        return list(node.values[:-1])
    return list(node.ifs) if isinstance(node, ast.comprehension) else []


def branches(tree: ast.AST, name: str) -> dict[tuple[int, str], str]:
    """Where a file of this name knows a kind or an app: {(line, what): how}. Docstrings and comments may name them."""
    app_names = re.compile(rf"\b({'|'.join(sorted({name.removesuffix('s') for name in APPS}))})s?\b|\bcnnkit_\w+")
    nodes = list(ast.walk(tree))
    said = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
    found = {}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            if (name, node.value) in MEANT_OTHERWISE:
                continue
            if node.value.lower() in KINDS:
                found[node.lineno, node.value] = "names a kind"
            elif app_names.search(node.value):
                found[node.lineno, node.value] = "names an app"
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            pairs = [pair for two in itertools.pairwise(sides) for pair in (two, two[::-1])]
            if any(isinstance(one, ast.Constant) and SHAPE.match(ast.unparse(other)) for one, other in pairs):
                found[node.lineno, ast.unparse(node)] = "takes a shape for a kind"
        for test in _asked(node):
            for part in ast.walk(test):
                flag = part.id if isinstance(part, ast.Name) else part.attr if isinstance(part, ast.Attribute) else ""
                if flag in FLAGS:
                    found[part.lineno, flag] = "asks for a kind"
    return found


def test_shared_code_does_not_branch_on_a_kind_or_an_app():
    shared = {path.relative_to(CORE).as_posix(): path for path in sources(CORE) if room(path) is None}
    found = [
        f"cnnkit/{name}:{line} {how}: {what}"
        for name, path in shared.items()
        for (line, what), how in sorted(branches(tree_of(path), name).items())
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ('texts = "text" in metadata', "names a kind"),
        ('columns = {"image": 1}', "names a kind"),
        ("size = 8 if recipe.boxes else 4", "asks for a kind"),
        ("found = [each for each in all if not texts]", "asks for a kind"),
        ("if len(records.input_shape) == 1: pass", "takes a shape for a kind"),
        ('message = f"Run `cnnkit signs train`. {more}"', "names an app"),
        ('"""Of texts or boxes."""\ntext = read(path)  # an image\nprint(f"{text} of {len(shape)} axes")', None),
    ],
)
def test_a_branch_on_a_kind_is_found(code, how):
    assert list(branches(ast.parse(code), "any.py").values()) == ([how] if how else [])


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": set()}) == [["a", "b", "c"]]


def test_shared_code_imports_no_room():
    found = []
    for path in sources(CORE):
        if room(path) is None:
            others = sorted(needs(module_name(path), loaded=module_name(path) in FACES) & modules().keys())
            kinds = [name for name in others if name.startswith("cnnkit.") and room(modules()[name]) is not None]
            kinds = [name for name in kinds if not any(other.startswith(f"{name}.") for other in kinds)]
            found += [f"{path.relative_to(ROOT)} imports {name}" for name in kinds]
    assert not found, "\n".join(found)


def test_an_input_imports_no_other_room_and_a_task_no_other_task():
    """A task may know its input."""
    inputs = {"image", "text", "volume"} | {path.name for path in (CORE / "inputs").iterdir() if path.is_dir()}
    found = []
    for path in sources(CORE):
        own = room(path)
        for name in sorted(needs(module_name(path)) & modules().keys()) if own else ():
            other = room(modules()[name]) if name.startswith("cnnkit.") else None
            if other not in (None, own) and (own in inputs or other not in inputs):
                found.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not found, "\n".join(found)


def device_halves():
    """What runs on a device: `device/`, and in each room the files that a device loads."""
    return [path for path in sources(CORE) if part(path) == "device" or path.name in ("device.py", "view.py")]


@pytest.mark.parametrize("path", device_halves(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_device_half_never_loads_tensorflow_or_keras(path):
    """Nor does anything that it loads, packages on the way there included."""
    allowed = {"numpy", "cv2", "ai_edge_litert", "cnnkit"} | sys.stdlib_module_names
    waiting, seen = [module_name(path)], set()
    while waiting:
        module = waiting.pop()
        others = needs(module, loaded=True) | packages_of(module)
        foreign = {name.split(".")[0] for name in others} - allowed
        assert not foreign, f"{path} loads {module}, which imports {foreign}"
        seen.add(module)
        waiting += [name for name in others if name in modules() and name not in seen]
    extras = {"SimpleITK", "highdicom", "pydicom", "tifffile"}
    inside = {name.split(".")[0] for name in needs(module_name(path))} - allowed - extras
    assert not inside, f"{path} imports {inside}"


def test_only_the_console_prints():
    for path in _code("cnnkit", "apps"):
        if path.name == "console.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{path}:{node.lineno} prints; use cnnkit.console"


# Beside the command line: what warns from below where no reporter reaches.
WARN_FROM_BELOW = {"plugins.py", "data/cards.py", "data/fetch.py"}
ON_REQUEST = {"api/telling.py"}  # `verbose=True`


def test_only_the_command_line_imports_the_console():
    """Verbs and kinds tell the reporter that they are given."""
    found = {
        path.relative_to(CORE).as_posix()
        for path in sources(CORE)
        if part(path) != "cli" and any(name == "cnnkit.console" for name, _ in imports(path))
    }
    assert found == WARN_FROM_BELOW | ON_REQUEST


@pytest.mark.parametrize("path", sorted(CORE.glob("*/*/commands.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_kind_says_of_its_commands_loads_click_alone(path):
    waiting, seen = [module_name(path)], set()
    while waiting:
        module = waiting.pop()
        others = needs(module, loaded=True) | packages_of(module)
        foreign = {name.split(".")[0] for name in others} - {"click", "cnnkit"} - sys.stdlib_module_names
        assert not foreign, f"{path} loads {module}, which imports {foreign}"
        seen.add(module)
        waiting += [name for name in others if name in modules() and name not in seen]


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
        "import sys, cnnkit_digits.cli, cnnkit_signs.cli, cnnkit_text.cli, cnnkit_digits.reading, cnnkit.verbs.bench; "
        "print([m for m in ('tensorflow', 'keras', 'sklearn', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_naming_a_text_loads_no_opencv():
    code = (
        "import sys, cnnkit_text.cli, cnnkit.verbs.predict, cnnkit.inputs.text.predict, cnnkit.device.model; "
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
        *ROOT.glob("apps/*/datasets/*.toml"),
    ]:
        text = path.read_text(encoding="utf-8")
        assert not [word for word in words if word in text], path

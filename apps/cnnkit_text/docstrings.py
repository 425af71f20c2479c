"""Real texts without a download: which library does this docstring come from?

Design choices:
- Docstrings are read from the sources of installed packages, parsed and never imported or run. The libraries are those that
  training needs anyway, and Python's own.
- A text is the first 60 words of a docstring, without code. The libraries' names and the abbreviations that people
  import them by (np, plt, tf) are cut out of all texts: otherwise a model would learn to look for them.
- Copies are dropped: texts with the same first ten words, within a library and across, digits aside.
- A source file is a group that no division tears apart, so the test asks about modules that training has not seen, not
  about the sister of a function that it has.
- Files are taken in an order by the hash of their path, until there are enough texts: parts of every package, always the same
  for the same versions. Other versions have other docstrings, so scores differ a little between machines.
"""

import ast
import importlib.util
import os
import re
import sysconfig
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cnnkit.data.records import Progress
from cnnkit.data.tags import narrow
from cnnkit.errors import MissingExtra
from cnnkit.inputs.text.files import Read
from cnnkit.inputs.text.index import Found, text_hash
from cnnkit.inputs.text.sources import ListTexts

MOST = 1000  # texts of a library
LEAST = 200  # below this a library is left out
LIBRARIES = {  # what it is called, and its folder; None is Python's own library
    "fonttools": "fontTools",
    "keras": "keras",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "python": None,
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "tensorflow": "tensorflow",
}
_MOST_WORDS = 60
_LEAST_WORDS = 8
_MOST_BYTES = 60_000  # of a file; parsing is what takes time
_LEAST_DOCSTRINGS = 3  # of a file
_SKIPPED = {  # tests, and copies of other libraries; tensorflow/python/keras is an old Keras
    *(
        "test",
        "tests",
        "testing",
        "site-packages",
        "dist-packages",
        "_vendor",
        "vendor",
        "externals",
        "extern",
        "idlelib",
    ),
    *(
        "array_api_compat",
        "array_api_extra",
        "lib2to3",
        "ensurepip",
        "_pyinstaller",
        "pydoc_data",
        "tf_keras",
        "turtledemo",
    ),
    *("__pycache__", "lib-dynload"),
}
_NAMES = re.compile(
    r"\b(?:numpy|np|npt|scipy|sp|scikits?[- ]?learn|scikit|sklearn|matplotlib|mpl|pyplot|plt|pylab|keras|tensorflow|tf|tfl|tflite"
    r"|xla|python|cpython|pythonic|fonttools|ttlib|otlib)(?=\b|_)[\d.]*",
    re.IGNORECASE,
)
_MARKS = re.compile(r":[a-z:]+:`|[`*]|\|")  # of reStructuredText and Markdown


def read(most: int = MOST, *, progress: Progress | None = None) -> Read:
    """Gather docstrings of the libraries that are installed.

    Args:
        most: texts of a library, at most.
        progress: called while it goes.

    Raises:
        MissingExtra: fewer than three libraries are there.
    """
    gathered: list[tuple[str, str, int, int]] = []  # text, name, code, group
    seen: set[str] = set()
    labels: list[str] = []
    numbers: dict[str, int] = {}
    for done, (label, package) in enumerate(LIBRARIES.items()):
        if progress:
            progress(f"Reading docstrings of {label}", done, len(LIBRARIES))
        root = folder(package)
        rows = list(_rows(root, most, seen)) if root else []
        if len(rows) < min(LEAST, most):
            continue
        for text, place, file in rows:
            group = numbers.setdefault(f"{label}/{file}", len(numbers))
            gathered.append((text, f"{label}: {place}", len(labels), group))
        labels.append(label)
    if len(labels) < 3:
        raise MissingExtra(
            'The embedded texts are docstrings of the libraries that training needs. Run `pip install "cnnkit[train]"`.'
        )
    texts, names, codes, groups = zip(*gathered, strict=True)
    hashes = np.array([text_hash(text.encode()) for text in texts], np.int64)
    found = Found(ListTexts(texts, names), narrow(np.array(codes)), tuple(labels), None, hashes)
    note = f"First 60 words of docstrings in the sources of {len(labels)} installed libraries, their names cut out."
    return Read(found, (note,), np.array(groups, np.int64))


def folder(package: str | None) -> Path | None:
    """Return where a package's sources are, without importing it; None where it is not installed."""
    if package is None:
        return Path(sysconfig.get_paths()["stdlib"])
    try:
        spec = importlib.util.find_spec(package)  # of a name without a dot: nothing is executed
    except (ImportError, ValueError):
        return None
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


def _rows(root: Path, most: int, seen: set[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (text, place, group) of at most `most` docstrings, the same for the same sources."""
    count = 0
    for path in _sources(root):
        place = path.relative_to(root).as_posix()
        for name, raw in _docstrings(path):
            text = shorten(raw)
            words = re.findall(r"[a-z]+", text.lower())
            key = " ".join(words[:10])
            if len(words) < _LEAST_WORDS or key in seen:
                continue
            seen.add(key)
            yield text, f"{place}, {name}", place
            count += 1
            if count == most:
                return


def _sources(root: Path) -> list[Path]:
    """List the source files of a library by the hash of their path."""
    found: list[Path] = []
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if "." not in name and name not in _SKIPPED]
        own = [name for name in names if name.endswith(".py") and not name.endswith("_test.py")]
        found += [Path(parent, name) for name in own if not name.startswith(("test_", "conftest"))]
    old_keras = root / "python" / "keras"
    kept = [path for path in found if not path.is_symlink() and not path.is_relative_to(old_keras)]
    return sorted(kept, key=lambda path: (zlib.crc32(path.relative_to(root).as_posix().encode()), path.name))


def _docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (name, docstring) of a module and what it defines; nothing where it is too large or does not parse."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return
        source = path.read_bytes()
        if source.count(b'"""') < 2 * _LEAST_DOCSTRINGS:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in other people's strings
            tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    stack: list[tuple[str, ast.AST]] = [("", tree)]
    while stack:
        below, node = stack.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            name = below + getattr(node, "name", "")
            if text:
                yield name or "the module", text
            if isinstance(node, ast.Module | ast.ClassDef):
                inner = f"{name}." if name else ""
                stack += [(inner, child) for child in reversed(node.body)]


def shorten(text: str) -> str:
    """Return the first 60 words of a docstring in one line, without code, headings' underlines, markup or a library's name."""
    words: list[str] = []
    for line in text.splitlines():
        line = line.strip()
        if line.startswith((">>>", "... ", ".. ", "```")) or not set(line) - set("-=~^*"):
            continue
        words += _NAMES.sub(" ", _MARKS.sub(" ", line)).split()
        if len(words) >= _MOST_WORDS:
            break
    return " ".join(words[:_MOST_WORDS])

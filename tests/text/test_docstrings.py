"""Docstrings as data: read from sources that are never run, without the libraries' names."""

import re
import sys

import numpy as np
import pytest

from cnnkit.errors import MissingExtra
from cnnkit.inputs.text.loading import load
from cnnkit_text import docstrings

TRAP = "raise SystemExit('it was run')\n"


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Write packages of modules with docstrings; returns their folder."""
    for package in ("aaa", "bbb", "ccc"):
        for module in range(6):
            path = tmp_path / package / f"part{module}.py"
            path.parent.mkdir(exist_ok=True)
            about = f"{chr(97 + module) * 4} of {package} things for all who need it, as NumPy does."
            functions = "".join(f'def f{k}():\n    """Make {chr(97 + k) * 3} {about}"""\n' for k in range(8))
            path.write_text(TRAP + functions)
        (tmp_path / package / "__init__.py").write_text(TRAP)
        (tmp_path / package / "tests").mkdir()
        (tmp_path / package / "tests" / "test_a.py").write_text((tmp_path / package / "part0.py").read_text())
        (tmp_path / package / "broken.py").write_text("def (\n" + '"""x"""' * 9)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(docstrings, "LEAST", 20)
    monkeypatch.setattr(docstrings, "LIBRARIES", {name: name for name in ("aaa", "bbb", "ccc")})
    return tmp_path


def test_sources_are_read_and_not_run_and_twice_alike(library):
    read, again = docstrings.read(40), docstrings.read(40)
    texts = read.found.texts.read(np.arange(len(read.found.texts)))
    assert np.bincount(read.found.codes).tolist() == [40, 40, 40] and read.found.names == ("aaa", "bbb", "ccc")
    assert texts == again.found.texts.read(np.arange(120)) and not {"aaa", "bbb", "ccc"} & set(sys.modules)
    assert not any("NumPy" in text or "tests" in read.found.texts.name(k) for k, text in enumerate(texts))


def test_a_module_is_on_one_side(library, tmp_path):
    splits = load("docstrings", validation=0.2)
    sides = [
        {part.name(k).split(",")[0] for k in range(len(part))}
        for part in (splits.train, splits.validation, splits.test)
    ]
    assert all(sides) and not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def test_too_few_libraries_say_what_to_install(library, monkeypatch):
    monkeypatch.setattr(docstrings, "LIBRARIES", {"aaa": "aaa", "nowhere": "nowhere_at_all"})
    with pytest.raises(MissingExtra, match=r"cnnkit\[train\]"):
        docstrings.read(40)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("Sum it.\n\n    >>> import numpy as np\n    >>> np.sum(x)\n\n    See `np.sum`.", "Sum it. See sum ."),
        ("Head\n====\n\nTensorFlow's :class:`tf.Tensor` of scikit-learn", "Head 's Tensor of"),
        ("word " * 90, " ".join(["word"] * 60)),
    ],
)
def test_a_text_is_sixty_words_without_code_and_names(text, short):
    assert docstrings.shorten(text) == short


@pytest.mark.slow
def test_the_real_libraries_have_enough_and_no_text_names_one():
    read = docstrings.read()
    assert len(read.found.names) >= 7 and np.bincount(read.found.codes).min() >= 400
    names = re.compile(
        r"\b(numpy|np|scipy|sklearn|matplotlib|plt|keras|tensorflow|tf|python|fonttools)\b", re.IGNORECASE
    )
    texts = read.found.texts.read(np.arange(len(read.found.texts)))
    assert not [text for text in texts if names.search(text)]

"""The builders by their public names: listed, documented, and every example in a docstring runs as it stands."""

import doctest
import re
import subprocess
import sys

import pytest

import cnnkit
from cnnkit import models


def test_they_are_listed_and_type_checkers_see_the_same():
    import ast
    from pathlib import Path

    tree = ast.parse(Path(models.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    assert {alias.name for node in block.body for alias in node.names} == set(models.BUILDERS) == set(dir(models))


def test_listing_them_loads_no_keras():
    code = "import sys, cnnkit; print(len(dir(cnnkit.models)) > 10, 'keras' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True False False"


def test_a_name_near_one_is_asked_for():
    with pytest.raises(AttributeError, match="no builder 'lenet'. Is 'lenet5' meant?"):
        models.lenet  # noqa: B018


def test_a_builder_stays_one_when_the_module_that_holds_it_is_imported():
    import importlib

    for module in set(models.BUILDERS.values()):
        importlib.import_module(module)
    assert all(callable(getattr(models, name)) for name in models.BUILDERS)


@pytest.mark.parametrize("name", sorted(models.BUILDERS))
def test_its_docstring_says_all_and_its_example_runs(name):
    builder = getattr(models, name)
    for word in ("Args:", "Returns:", r"Sources?:", "Example:", r"keras\.Model"):
        assert re.search(word, builder.__doc__), f"{name} lacks {word}"
    assert re.search(r"\[0, 255\]|int32 ids", builder.__doc__) and re.search(r"\(b, ", builder.__doc__)
    (test,) = doctest.DocTestFinder(recurse=False).find(builder, name, globs={"cnnkit": cnnkit})
    said = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert test.examples and not said, "".join(said)

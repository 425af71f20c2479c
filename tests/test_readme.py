"""The README's commands run as they stand, and its links lead somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("apps/*/README.md")),
    *sorted(ROOT.glob("*/README.md")),
    *sorted(ROOT.glob("docs/*.md")),
]


def commands(page):
    """Return the commands of the blocks marked `<!-- tested -->`."""
    blocks = re.findall(r"<!-- tested -->\n```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if line.split("#")[0].strip()]


def test_the_readme_has_commands_to_test():
    assert len(commands(ROOT / "README.md")) >= 6


def pages_with_commands():
    """Yield the pages that have commands; those of the apps take minutes."""
    for page in PAGES:
        if commands(page):
            marks = [pytest.mark.slow] if page.parent.parent.name == "apps" else []
            yield pytest.param(page, marks=marks, id=str(page.relative_to(ROOT)))


@pytest.mark.parametrize("page", pages_with_commands())
def test_its_commands_run_one_after_another(page, tmp_path):
    for name in ("docs", "datasets"):
        (tmp_path / name).symlink_to(ROOT / name)
    for command in commands(page):
        words = shlex.split(command)
        assert words[0] == "cnnkit" and words[1] in ("digits", "photos", "signs", "text"), command
        run = [sys.executable, "-m", f"cnnkit_{words[1]}.cli", *words[2:]]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        if words[2] == "read":
            assert len(re.findall(r"\d+ \W+\d+%", done.stdout)) >= 8, done.stdout
        if words[1:3] == ["signs", "predict"] and "--out" in words:
            copy = tmp_path / words[words.index("--out") + 1] / Path(words[3]).name
            assert copy.is_file() and copy.name in done.stdout
        elif words[1:3] == ["signs", "predict"]:
            assert re.search(r"stop\.jpg\s*\W\s*stop ", done.stdout), done.stdout
        if words[1:3] == ["digits", "predict"]:
            assert re.search(r"seven\.jpg\s*\W\s*7 ", done.stdout), done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_make_targets_of_the_documents_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"^make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert f"\n{target}:" in makefile, f"{page}: make {target}"


def test_the_reference_is_that_of_the_commands():
    import importlib.util

    specification = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == module.reference(), "run `make docs`"


def test_the_tables_are_those_of_the_benchmarks():
    import importlib.util

    specification = importlib.util.spec_from_file_location("table", ROOT / "benchmarks" / "table.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    for page in module.PAGES:
        text = page.read_text(encoding="utf-8")
        assert "\n<!-- /" in text, f"{page} has no table"
        assert text == module.page(text), f"{page}: run `python benchmarks/table.py`"

"""The notebooks of the docs: well-formed, without outputs, and run as they stand."""

import json
import re

import pytest

from tests.api.test_docs import DOCS

BOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


def test_there_is_one_an_app():
    assert {"digits", "photos", "scans", "signs", "steering", "text"} == {book.stem for book in BOOKS}


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
class TestNotebook:
    def test_it_is_valid_and_has_no_outputs(self, book):
        nbformat = pytest.importorskip("nbformat")
        document = json.loads(book.read_text(encoding="utf-8"))
        nbformat.validate(document)
        cells = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
        assert cells and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)

    def test_it_shows_the_whole_way(self, book):
        text = book.read_text(encoding="utf-8")
        for call in ("load_data", "cnnkit.train", "run.export", "load_model", "model.predict", "run.report"):
            assert call in text, f"{book.name} has no {call}"
        assert not re.search(r"/(home|root|work|tmp)/", text)

    @pytest.mark.slow
    def test_it_runs(self, book, tmp_path):
        nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
        pytest.importorskip("ipykernel")
        document = nbformat.read(book, as_version=4)
        nbclient.NotebookClient(document, timeout=540, resources={"metadata": {"path": str(tmp_path)}}).execute()
        outputs = [output for cell in document.cells for output in cell.get("outputs", ())]
        assert any("text/html" in output.get("data", {}) for output in outputs)
        assert all(output.get("name") != "stderr" for output in outputs)

"""What a person sees of records, scores and progress: as `repr`, in a notebook; nothing where nobody asked."""

import re
import sys
import types

import cv2
import numpy as np
import pytest

import cnnkit
from cnnkit.api import notebook, telling
from cnnkit.api.runs import Scored


def boxes(folder):
    """A data set of one picture size, 80 x 60 px, with a dog of known place in each."""
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for number in range(16):
        picture = np.random.default_rng(number).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        (folder / "labels" / f"{number}.txt").write_text("0 0.5 0.5 0.25 0.5\n" * 1)
    (folder / "data.yaml").write_text("train: images\nnames: [dog, cat]\n")
    return cnnkit.load_data(folder)


class TestSamples:
    def test_a_picture_with_a_label(self):
        part = cnnkit.load_data("digits", limit=30).train
        code = part[0][1]
        assert int(code) == part.labels.index(part[0].words)
        assert part[0].words in repr(part[0]) and "uint8 (28, 28)" in repr(part[0])
        assert "<img" in part[0]._repr_html_() and part[-1].name == part[len(part) - 1].name

    def test_boxes_are_in_px_of_the_picture(self, tmp_path):
        sample = boxes(tmp_path).train[0]
        np.testing.assert_allclose(sample.target["boxes"], [[30, 15, 50, 45]], atol=1e-4)
        assert sample.input.shape == (60, 80, 3) and sample.words == "dog" and "<img" in sample._repr_html_()

    def test_a_mask_has_the_size_of_its_picture(self, tmp_path):
        from tests.tasks.segmentation import small_masks

        small_masks.pairs(tmp_path, count=16)
        sample = cnnkit.load_data(tmp_path).train[0]
        assert sample.input.shape[:2] == sample.target.shape and "<img" in sample._repr_html_() and sample.words

    def test_a_record_is_read_once_to_be_looked_at_and_once_to_be_shown(self, tmp_path, monkeypatch):
        from cnnkit.tasks.segmentation.records import MaskRecords
        from tests.tasks.segmentation import small_masks

        small_masks.pairs(tmp_path, count=16)
        part = cnnkit.load_data(tmp_path).train
        reads = {"mask": [], "native": []}
        for what, seen in reads.items():
            plain = getattr(MaskRecords, what)
            monkeypatch.setattr(
                MaskRecords, what, lambda self, index, p=plain, s=seen: s.append(index) or p(self, index)
            )
        every = list(part)
        assert reads == {"mask": list(range(len(part))), "native": list(range(len(part)))}
        words = [sample.words for sample in every]
        for seen in reads.values():
            seen.clear()
        assert [sample.words for sample in every] == words and not reads["mask"]
        assert "<img" in every[0]._repr_html_()
        assert reads == {"mask": [0], "native": [0]}

    def test_a_record_alone_is_as_large_as_it_has_pixels_within_bounds(self):
        asked = []
        records = types.SimpleNamespace(
            words=lambda index: "a", drawn=lambda index, side: asked.append(side) or np.zeros((side, side, 3), np.uint8)
        )
        for shape in ((), (60, 80, 3), (300, 200, 3), (40, 250, 250, 1), (4000, 3000)):
            notebook.of_record(types.SimpleNamespace(records=records), 0, shape)
        assert asked == [112, 112, 300, 250, 320]

    def test_a_text(self, tmp_path):
        (tmp_path / "a.csv").write_text("label,text\n" + "yes,<b>good</b> one\nno,a bad one\n" * 20)
        sample = cnnkit.load_data(tmp_path / "a.csv", "text").train[0]
        assert isinstance(sample.input, str) and sample.words in ("yes", "no") and sample.input in repr(sample)
        assert "<img" not in sample._repr_html_() and "<b>good" not in sample._repr_html_()

    @pytest.mark.parametrize(("index", "error"), [(10**6, IndexError), ("a", TypeError), (1.5, TypeError)])
    def test_what_is_no_record_is_refused(self, index, error):
        with pytest.raises(error):
            cnnkit.load_data("digits", limit=30).train[index]

    def test_a_numpy_number_counts_as_one(self):
        part = cnnkit.load_data("digits", limit=30).train
        assert part[np.int64(3)].name == part[3].name


class TestScores:
    def test_a_table_has_the_baseline_the_interval_and_each_label(self):
        scores = Scored(
            accuracy=0.5,
            accuracy_interval=[0.4, 0.6],
            count=10,
            headline={"name": "accuracy", "unit": "%", "better": "more"},
            baseline={"name": "<plain>", "accuracy": 0.25, "accuracy_interval": [0.1, 0.3]},
            per_class={"<cat>": {"recall": 0.5, "support": 4, "f1": None}},
            verdict={"text": "Better."},
        )
        shown = scores._repr_html_()
        for part in ("50.00", "40.00 to 60.00", "25.00", "&lt;plain&gt;", "&lt;cat&gt;", "0.500", "Better."):
            assert part in shown
        assert "<plain>" not in shown and scores == dict(scores)

    def test_scores_without_a_headline_are_a_table_too(self):
        assert "loss" in notebook.of_scores({"loss": 1.0})


class Cell:
    """A display of a notebook that keeps what it was told."""

    def __init__(self):
        self.shown = []

    def display(self, data, raw, display_id):
        self.shown.append(data)
        return self

    def update(self, data, raw):
        self.shown.append(data)


class TestProgress:
    @pytest.fixture
    def cell(self, monkeypatch):
        cell = Cell()
        monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(display=cell))
        monkeypatch.setattr(telling, "EVERY", 0.0)
        return cell

    def test_one_output_is_written_anew(self, cell, monkeypatch):
        monkeypatch.setattr(telling, "LONG", 0.0)
        tell = telling.Notebook()
        with tell.progress("Training <x>", 4) as update:
            update(1, "loss 2")
            assert "<progress" in cell.shown[-1]["text/html"] and "25 % loss 2" in cell.shown[-1]["text/plain"]
            update(8)
        last = cell.shown[-1]
        assert "<progress" not in last["text/html"] and "Training &lt;x&gt;: 0 s; loss 2" in last["text/html"]
        tell.warning("Mind.")
        assert "Warning: Mind." in cell.shown[-1]["text/plain"] and "Training" in cell.shown[-1]["text/plain"]

    def test_short_work_leaves_no_line(self, cell):
        tell = telling.Notebook()
        with tell.progress("Loading", 1):
            pass
        assert cell.shown == []
        with tell.progress("Loading", 1) as update:
            update(1)
        assert not re.search("Loading", cell.shown[-1]["text/html"])

    def test_out_of_a_notebook_nothing_is_said(self, capfd):
        tell = telling.teller(None)
        with tell.progress("Training", 1) as update:
            update(1)
        tell.warning("Mind.")
        tell.message("Hear.")
        assert capfd.readouterr() == ("", "") and tell.warnings == ["Mind."] and tell.messages == ["Hear."]

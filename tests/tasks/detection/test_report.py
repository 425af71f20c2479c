"""The report of a detector: every section from real scores, on a page that stays well-formed, escaped and small."""

import json

import numpy as np
import pytest

from cnnkit.device.detection import Detections, nothing
from cnnkit.registry import TASKS, TRAINING
from cnnkit.report import figures, page, sections
from cnnkit.tasks.detection import coco
from cnnkit.tasks.detection import report as detection
from cnnkit.tasks.detection.coco import Truth
from cnnkit.tasks.detection.images import Boxes
from tests.test_report import EVIL, Page

pytest.importorskip("pycocotools")


def made_up(labels, *, images=30, seed=0, unseen=0):
    """Images, what was found in them and what is there; some of everything that can go wrong."""
    rng = np.random.default_rng(seed)
    pictures, found, truth = [], [], []
    known = len(labels) - unseen
    for _ in range(images):
        pictures.append(rng.integers(0, 256, (120, 200, 3), np.uint8))
        count = rng.integers(1, 5)
        sizes = rng.uniform(8, 60, (count, 1))
        corners = rng.uniform(0, 1, (count, 2)) * (np.array([200, 120]) - sizes)
        boxes, codes = np.concatenate([corners, corners + sizes], 1), rng.integers(0, known, count)
        seen = rng.random(count) < 0.8
        names = np.where(rng.random(count) < 0.85, codes, rng.integers(0, known, count))[seen]
        alarms = rng.uniform(0, 60, (2, 2))
        told = np.concatenate([boxes[seen], np.concatenate([alarms, alarms + 30], 1)])
        scores = np.concatenate([rng.uniform(0.3, 1, len(names)), rng.uniform(0, 0.9, 2)])
        codes_told = np.concatenate([names, rng.integers(0, known, 2)])
        found.append(Detections(told.astype(np.float32), scores.astype(np.float32), codes_told.astype(np.int32)))
        truth.append(Truth(boxes, codes.astype(np.int32), np.zeros(count, bool)))
    return pictures, found, truth


def report(labels, **options):
    """The scores and sections of made-up answers."""
    pictures, found, truth = made_up(labels, **options)
    scores = json.loads(json.dumps(coco.score(found, truth, labels, bootstrap=20)))
    worst = [{**e, "picture": pictures[e["image"]]} for e in coco.top_losses(found, truth, labels, scores["threshold"])]
    own = TASKS.half("detection", TRAINING, "a run").sections(scores, labels)
    return scores, [*own, detection.errors(worst)]


def rendered(labels, scores, made):
    run = {"app": "signs", "data": {"labels": list(labels)}, "scores": {"test": scores}}
    silent = TASKS.half("detection", TRAINING, "a run").silent(labels, Boxes.record, {})
    return page.render(run=run, made=made, record=Boxes.record, silent=silent)


class TestPage:
    @pytest.fixture(scope="class")
    def three(self):
        labels = ["prohibitory", "danger", "mandatory"]
        return rendered(labels, *report(labels))

    def test_it_has_every_section_and_every_picture_is_described(self, three):
        read = Page(three)
        names = [attributes["id"] for tag, attributes in read.tags if tag == "section"]
        expected = ["confusions", "classes", "precision-and-recall", "by-size", "errors", "model-card"]
        assert names == expected
        images = [attributes for tag, attributes in read.tags if tag == "img"]
        assert len(images) == 24 and all(attributes["alt"] for attributes in images)
        charts = [attributes for _, attributes in read.tags if attributes.get("role") == "img"]
        assert len(charts) == 3 and all("AP50" in attributes["aria-label"] for attributes in charts)

    def test_its_headline_is_the_ap50_with_its_interval(self, three):
        words = Page(three).words
        assert "AP50" in words and "95 % interval" in words
        assert "It looks for its 3 classes only" in words and "always answers with one" not in words

    def test_misses_and_false_alarms_are_named_in_the_confusions(self, three):
        words = Page(three).words
        assert "nothing (missed)" in words and "nothing (false alarm)" in words and "background" in words

    def test_labels_and_names_are_escaped(self):
        labels = [EVIL, "one", "two"]
        read = Page(rendered(labels, *report(labels)))
        assert not [tag for tag, attributes in read.tags if "onerror" in attributes or tag == "script"]

    def test_many_classes_show_the_weakest_and_stay_small(self):
        labels = [f"sign {n}" for n in range(43)]
        scores, made = report(labels, images=60, unseen=2)
        text = rendered(labels, scores, made)
        assert len(text) < 1_000_000
        charts = made[2].blocks[0].charts
        assert len(charts) == detection.CURVES
        assert "weakest are shown" in made[2].text and "the mean of all classes" in made[2].text
        assert "sign 42" in Page(text).words  # a class without boxes has a row without scores

    def test_the_same_scores_give_the_same_bytes(self):
        labels = ["a", "b"]
        assert rendered(labels, *report(labels)) == rendered(labels, *report(labels))


class TestSections:
    @pytest.mark.parametrize("labels", [["sign"], ["sign", "light"]])
    def test_few_classes_share_a_chart(self, labels):
        _, made = report(labels)
        (chart,) = made[2].blocks[0].charts
        assert {name for _, name in chart.legend} == (set(labels) if len(labels) > 1 else set())
        assert chart.svg.count("<path") > 4

    def test_without_boxes_there_is_still_a_page(self):
        scores = coco.score([nothing()], [Truth(np.zeros((0, 4)), np.zeros(0, np.int32), np.zeros(0, bool))], ["a"])
        text = rendered(["a"], scores, [detection.errors([])])
        assert "precision-and-recall" not in text and "AP50" in Page(text).words

    def test_when_nothing_is_found_the_classes_are_named(self):
        labels = ["a", "b", "c"]
        _, _, truth = made_up(labels)
        scores = coco.score([nothing()] * len(truth), truth, labels)
        made = TASKS.half("detection", TRAINING, "a run").sections(scores, labels)
        assert "Never found under their own name: a, b, c." in made[2].text
        assert [block.kind for block in made[2].blocks] == ["facts"]
        assert Page(rendered(labels, scores, made)).words

    def test_errors_are_grouped_by_kind(self):
        image = np.zeros((50, 80), np.uint8)
        common = {"picture": image, "image": 3, "box": [10.0, 10.0, 30.0, 32.0]}
        entries = [
            {**common, "kind": "missed", "score": None, "label": "stop", "found": None},
            {**common, "kind": "false alarm", "score": 0.91, "label": None, "found": "yield"},
            {**common, "kind": "wrong class", "score": 0.8, "label": "stop", "found": "yield"},
            {**common, "kind": "missed", "picture": None, "score": None, "label": "stop", "found": None},
        ]
        blocks = detection.errors(entries).blocks
        assert [block.title.split(":")[0] for block in blocks] == ["False alarms", "Wrong names", "Missed"]
        assert [block.pictures[0].title for block in blocks] == ["yield", "stop read as yield", "stop"]
        assert "20\u00d722" in blocks[2].pictures[0].note and len(blocks[2].pictures) == 1
        assert detection.errors([]) is None

    def test_the_table_of_sizes_says_from_where_on_objects_are_found(self):
        rows = [
            {"side": "0 to 16", "boxes": 9, "recall": 0.3, "ap50": 0.2},
            {"side": "16 to 32", "boxes": 50, "recall": 0.92, "ap50": 0.9},
            {"side": "32 to 64", "boxes": 40, "recall": 0.98, "ap50": 0.97},
            {"side": "64 to 128", "boxes": 0, "recall": None, "ap50": None},
        ]
        section = detection.sizes({"sizes": rows})
        assert section.text.endswith("From 16 px on nine of ten are found.")
        assert [cell.text for cell in section.blocks[0].rows[3][2:]] == ["\u2013", "\u2013"]
        assert detection.sizes({}) is None

    def test_a_class_without_records_has_no_scores_and_is_not_the_weakest(self):
        classes = {
            "none": {"ap50": None, "ap": None, "recall": None, "precision": None, "support": 0},
            "weak": {"ap50": 0.4, "ap": 0.3, "recall": 0.5, "precision": 0.6, "support": 8},
            "good": {"ap50": 0.9, "ap": 0.7, "recall": 0.9, "precision": 0.9, "support": 8},
        }
        section = sections.per_class({"per_class": classes})
        assert "The weakest class is marked: weak." in section.text
        assert [cell.text for cell in section.blocks[0].rows[0][1:]] == ["\u2013"] * 4 + ["0"]
        assert section.blocks[0].columns[-1] == "objects"
        only = sections.per_class({"per_class": {"none": classes["none"]}})
        assert "weakest" not in only.text

    def test_confusions_of_a_detector_have_one_more_row(self):
        matrix, table = detection.confusion({"confusion": [[8, 1, 2], [0, 5, 0], [3, 0, 0]]}, ["a", "b"]).blocks
        assert matrix.labels == ["a", "b", "background"]
        assert table.rows[0] == ["nothing (false alarm)", "a", "3", ""]
        assert table.rows[1][:3] == ["a", "nothing (missed)", "2"]


class TestPictures:
    @pytest.mark.parametrize("shape", [(60, 90, 3), (60, 90, 1), (60, 90), (12, 300, 3), (5, 5, 3)])
    @pytest.mark.parametrize("box", [(1, 1, 4, 4), (-20, -20, 10, 10), (80, 50, 400, 400), (30, 30, 30, 30)])
    def test_a_crop_lies_inside_the_image(self, shape, box):
        image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        before = image.copy()
        part = detection.crop(image, box)
        assert part.dtype == np.uint8 and part.shape[2] == 3 and max(part.shape) == detection.CROP
        np.testing.assert_array_equal(image, before)

    def test_a_crop_shows_the_box_and_what_is_around_it(self):
        image = np.zeros((400, 400, 3), np.uint8)
        image[200:240, 100:140] = 255
        part = detection.crop(image, (100, 200, 140, 240), detection.MISSED)
        white, line = (part == 255).all(2), (part == detection.MISSED).all(2)
        middle = detection.CROP // 2
        assert white[middle, middle] and not white[5, 5]
        assert 0.15 < white.mean() < 0.25  # 1 / 2.2^2
        assert line.any() and not (line & white).any()

    def test_curves_are_drawn_to_where_they_end(self):
        curve = {"recall": [0.0, 0.5, 1.0], "precision": [1.0, 0.5, 0.0]}
        nothing_right = {"recall": [0.0, 1.0], "precision": [0.0, 0.0]}
        svg = figures.precision_recall([(curve, "one", (0.5, 0.5)), (nothing_right, "two", None)], behind=[curve])
        assert "var(--one)" in svg and "var(--two)" in svg and svg.startswith("<svg")

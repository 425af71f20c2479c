"""Scores of detections: a case worked out by hand, the reference on random ones, and the edges."""

import json

import numpy as np
import pytest

from cnnkit.device.detection import Detections, nothing
from cnnkit.errors import MissingExtra
from cnnkit.tasks.detection import coco
from cnnkit.tasks.detection.coco import Truth

pytest.importorskip("pycocotools")

LABELS = ["a", "b", "c"]


def told(*rows):
    """Detections from rows of left, top, right, bottom, score, code."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int32))


def there(*rows, ignored=()):
    """Boxes from rows of left, top, right, bottom, code; `ignored`: the numbers of those."""
    table = np.array(rows, np.float64).reshape(-1, 5)
    mask = np.isin(np.arange(len(table)), ignored)
    return Truth(table[:, :4].copy(), table[:, 4].astype(np.int32), mask)


def random_case(seed, *, images=12, classes=3, ties=False, ignored=0.0, alarms=4):
    """Boxes, most of them found with some error, some under a wrong name, beside false alarms."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(images):
        count = rng.integers(0, 5)
        corner, size = rng.uniform(0, 300, (count, 2)), rng.uniform(8, 150, (count, 2))
        boxes, mask = np.concatenate([corner, corner + size], 1), rng.random(count) < ignored
        codes = rng.integers(0, classes, count)
        copies = np.repeat(np.arange(count), rng.integers(0, 3, count))
        extra = rng.integers(0, alarms + 1)
        corner = rng.uniform(0, 300, (extra, 2))
        other = np.concatenate([corner, corner + rng.uniform(8, 150, (extra, 2))], 1)
        shaken = boxes[copies] + rng.uniform(-1, 1, (len(copies), 4)) * np.tile(size[copies], 2) * 0.18
        names = np.where(rng.random(len(copies)) < 0.8, codes[copies], rng.integers(0, classes, len(copies)))
        scores = rng.random(len(copies) + extra)
        found.append(
            Detections(
                np.concatenate([shaken, other]).astype(np.float32),
                (scores.round(1) if ties else scores).astype(np.float32),
                np.concatenate([names, rng.integers(0, classes, extra)]).astype(np.int32),
            )
        )
        codes = np.where(mask & (rng.random(count) < 0.3), -1, codes)
        truth.append(Truth(boxes, codes.astype(np.int32), mask))
    return found, truth


def own_ap50(found, truth, classes, weights=None):
    """Average precision of each class as the bootstrap works it out."""
    found = [coco._limited(entry) for entry in found]
    ranked = coco._ranked(found, truth, coco.matches(found, truth), classes)
    weights = np.ones((len(found), 1), np.int32) if weights is None else weights
    return np.stack([coco._average_precisions(entry, weights) for entry in ranked])


class TestByHand:
    """Two images, class a with 4 boxes of 40 x 40 px, class b with 1 of 20 x 20; c has none.

    Detections of a, the highest score first (r: recall, p: precision):
        0.9 box 1 exactly                  right   r 1/4  p 1/1
        0.8 nothing there                  wrong   r 1/4  p 1/2
        0.7 box 2, 10 px to the right      right   r 2/4  p 2/3   IoU 30*40 / (2*1600 - 1200) = 0.6
        0.6 box 2 again                    wrong   r 2/4  p 2/4
        0.5 box 3 exactly                  right   r 3/4  p 3/5
        0.4 b's box, called a              wrong   r 3/4  p 3/6
    Box 4 is never found. At IoU 0.5 the hull is 1 up to recall 0.25, 2/3 up to 0.5, 3/5 up to 0.75, 0 beyond; of the 101
    recalls 26, 25, 25 and 25 lie there: AP50 = (26 + 25 * 2/3 + 25 * 3/5) / 101.
    At IoU 0.65 and above the one at 0.7 misses box 2, but the one at 0.6 finds it: p 1/1, 1/2, 1/3, 2/4, 3/5, 3/6, whose
    hull is 1 up to 0.25 and 3/5 up to 0.75: (26 + 50 * 3/5) / 101. That holds for 7 of the 10 thresholds (0.65 to 0.95).
    b is never found under its name: 0.
    """

    def case(self):
        truth = [
            there((0, 0, 40, 40, 0), (100, 0, 140, 40, 0)),
            there((0, 0, 40, 40, 0), (100, 0, 140, 40, 0), (200, 0, 220, 20, 1)),
        ]
        found = [
            told((0, 0, 40, 40, 0.9, 0), (110, 0, 150, 40, 0.7, 0), (100, 0, 140, 40, 0.6, 0)),
            told((300, 300, 340, 340, 0.8, 0), (0, 0, 40, 40, 0.5, 0), (200, 0, 220, 20, 0.4, 0)),
        ]
        return found, truth

    def test_average_precision(self):
        scores = coco.score(*self.case(), LABELS, threshold=0.45)
        at50, above = (26 + 25 * 2 / 3 + 25 * 3 / 5) / 101, (26 + 50 * 3 / 5) / 101
        assert scores["per_class"]["a"]["ap50"] == pytest.approx(at50, abs=1e-9)
        assert scores["per_class"]["a"]["ap"] == pytest.approx((3 * at50 + 7 * above) / 10, abs=1e-9)
        assert scores["ap50"] == pytest.approx(at50 / 2, abs=1e-9)  # b has 0, c is left out
        assert scores["ap75"] == pytest.approx(above / 2, abs=1e-9)
        assert scores["per_class"]["c"] == {"ap50": None, "ap": None, "recall": None, "precision": None, "support": 0}

    def test_sizes(self):
        scores = coco.score(*self.case(), LABELS, threshold=0.45)
        assert scores["ap50_small"] == 0  # b's box, and no box of a
        # b has no medium box; a's false alarm on b's small one came after the last right answer, and is left out here
        assert scores["ap50_medium"] == pytest.approx(scores["per_class"]["a"]["ap50"], abs=1e-9)
        assert scores["ap_large"] is None and scores["ap50_large"] is None
        rows = {row["side"]: row for row in scores["sizes"]}
        assert list(rows) == ["0 to 16", "16 to 32", "32 to 64", "64 to 128", "128 and more"]
        assert [row["boxes"] for row in scores["sizes"]] == [0, 1, 4, 0, 0]
        assert rows["32 to 64"]["recall"] == 0.75 and rows["16 to 32"]["recall"] == 0
        assert rows["0 to 16"] == {"side": "0 to 16", "boxes": 0, "recall": None, "ap50": None}

    def test_at_a_threshold(self):
        scores = coco.score(*self.case(), LABELS, threshold=0.45)
        assert scores["confusion"] == [[3, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0], [2, 0, 0, 0]]
        assert (scores["precision"], scores["recall"], scores["f1"]) == (3 / 5, 3 / 5, 3 / 5)
        assert (scores["count"], scores["boxes"], scores["threshold"]) == (2, 5, 0.45)
        lower = coco.score(*self.case(), LABELS, threshold=0.4)
        assert lower["confusion"] == [[3, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0], [2, 0, 0, 0]]  # b found, called a

    def test_the_best_threshold(self):
        # F1 after each: 2/6, 2/7, 4/8, 4/9, 6/10, 6/11
        assert coco.best_threshold(*self.case(), LABELS) == pytest.approx(0.45, abs=1e-7)
        assert coco.score(*self.case(), LABELS)["f1"] == 6 / 10

    def test_the_worst(self):
        errors = coco.top_losses(*self.case(), LABELS, 0.35)
        assert [(e["kind"], e["image"], e["label"], e["found"]) for e in errors] == [
            ("false alarm", 1, None, "a"),
            ("false alarm", 0, None, "a"),
            ("wrong class", 1, "b", "a"),
            ("missed", 1, "a", None),
        ]
        assert errors[0]["box"] == [300, 300, 340, 340] and errors[0]["score"] == pytest.approx(0.8)
        assert errors[-1]["box"] == [100, 0, 140, 40] and errors[-1]["score"] is None
        assert [e["kind"] for e in coco.top_losses(*self.case(), LABELS, 0.35, count=2)] == ["false alarm", "missed"]
        assert len(coco.top_losses(*self.case(), LABELS, 0.35, count=3)) == 3
        json.dumps(errors)


class TestAgainstTheReference:
    @pytest.mark.parametrize("seed", range(24))
    def test_own_accumulation_equals_it(self, seed):
        found, truth = random_case(seed, ties=seed % 2 == 1, ignored=0.25 * (seed % 3))
        scores = coco.score(found, truth, LABELS, bootstrap=0)
        json.dumps(scores, allow_nan=False)
        for label, own in zip(LABELS, own_ap50(found, truth, 3)[:, 0]):
            expected = scores["per_class"][label]["ap50"]
            assert np.isnan(own) if expected is None else own == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize("seed", range(6))
    def test_weights_equal_images_that_come_again(self, seed):
        found, truth = random_case(seed, ignored=0.1)
        drawn = np.sort(np.random.default_rng(seed).integers(0, len(found), len(found)))
        weights = np.bincount(drawn, minlength=len(found))[:, None]
        again = coco.score([found[i] for i in drawn], [truth[i] for i in drawn], LABELS, bootstrap=0)
        for label, own in zip(LABELS, own_ap50(found, truth, 3, weights)[:, 0]):
            expected = again["per_class"][label]["ap50"]
            assert np.isnan(own) if expected is None else own == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize("iou", [0.5, 0.75])
    def test_matches_equal_it_box_by_box(self, iou):
        for seed in range(6):
            found, truth = random_case(seed, ignored=0.2)
            ranked = coco._ranked(
                [coco._limited(e) for e in found],
                truth,
                coco.matches([coco._limited(e) for e in found], truth, iou),
                3,
            )
            precision, _ = coco._reference(found, truth, 3, np.array([iou]), [(0, 1e10)])
            for code, entry in enumerate(ranked):
                own = coco._average_precisions(entry, np.ones((len(found), 1), np.int32))[0]
                expected = precision[0, :, code, 0]
                assert np.isnan(own) if expected[0] == -1 else own == pytest.approx(expected.mean(), abs=1e-9)

    def test_a_threshold_agrees_with_the_curve(self):
        found, truth = random_case(3)
        scores = coco.score(found, truth, LABELS, bootstrap=0)
        best = scores["f1"]
        for threshold in np.linspace(0, 1, 11):
            assert coco.score(found, truth, LABELS, threshold=threshold, bootstrap=0)["f1"] <= best + 1e-12
        matrix = np.array(scores["confusion"])
        for code, values in enumerate(scores["per_class"].values()):
            assert values["support"] == matrix[code].sum()
            assert values["recall"] == matrix[code, code] / matrix[code].sum()
            assert values["precision"] == matrix[code, code] / matrix[:, code].sum()
        assert scores["boxes"] == matrix[:-1].sum() == sum(row["boxes"] for row in scores["sizes"])


class TestInterval:
    def test_it_holds_the_score_and_narrows_with_images(self):
        few, many = (coco.score(*random_case(0, images=count), LABELS) for count in (10, 80))
        for scores in (few, many):
            low, high = scores["ap50_interval"]
            assert 0 <= low <= scores["ap50"] <= high <= 1
        width = [high - low for low, high in (few["ap50_interval"], many["ap50_interval"])]
        assert width[1] < 0.7 * width[0]
        assert few == coco.score(*random_case(0, images=10), LABELS)

    def test_a_perfect_score_is_no_certainty(self):
        truth = [there((0, 0, 40, 40, 0)) for _ in range(10)]
        scores = coco.score([told((0, 0, 40, 40, 0.9, 0))] * 10, truth, LABELS)
        low, high = scores["ap50_interval"]
        assert scores["ap50"] == pytest.approx(1) and high == pytest.approx(1)
        assert 0.6 < low < 0.8  # Wilson's, 10 of 10

    def test_many_detections_are_resampled_in_parts(self, monkeypatch):
        found, truth = random_case(1)
        whole = coco.score(found, truth, LABELS, bootstrap=40)["ap50_interval"]
        monkeypatch.setattr(coco, "AT_ONCE", 60)
        assert coco.score(found, truth, LABELS, bootstrap=40)["ap50_interval"] == whole


class TestEdges:
    def test_nothing_found(self):
        _, truth = random_case(0)
        scores = coco.score([nothing()] * len(truth), truth, LABELS)
        assert scores["ap50"] == scores["recall"] == scores["precision"] == scores["f1"] == 0
        assert scores["threshold"] == 0.5
        assert scores["ap50_interval"][0] == 0 and 0 < scores["ap50_interval"][1] < 0.3
        assert coco.top_losses([nothing()] * len(truth), truth, LABELS, 0.5)[0]["kind"] == "missed"

    def test_no_boxes_at_all(self):
        found, _ = random_case(0)
        truth = [there()] * len(found)
        scores = coco.score(found, truth, LABELS)
        assert (scores["ap50"], scores["ap50_interval"], scores["boxes"]) == (0.0, [0.0, 1.0], 0)
        assert scores["ap_small"] is None and scores["curves"] == {}
        json.dumps(scores, allow_nan=False)

    def test_no_images(self):
        assert coco.score([], [], LABELS)["count"] == 0

    def test_images_without_boxes_count_their_false_alarms(self):
        truth = [there((0, 0, 40, 40, 0)), there()]
        found = [told((0, 0, 40, 40, 0.8, 0)), told((0, 0, 40, 40, 0.9, 0))]
        assert coco.score(found, truth, LABELS)["ap50"] == pytest.approx(0.5)

    def test_an_ignored_box_is_neither_to_be_found_nor_wrong_to_find(self):
        truth = [there((0, 0, 40, 40, 0), (100, 0, 200, 100, 0), ignored=[1])]
        found = [told((120, 20, 140, 40, 0.9, 0), (150, 50, 170, 70, 0.85, 0), (0, 0, 40, 40, 0.8, 0))]
        scores = coco.score(found, truth, LABELS, threshold=0.5)
        assert scores["ap50"] == pytest.approx(1)
        assert scores["confusion"][0] == [1, 0, 0, 0] and scores["confusion"][3] == [0, 0, 0, 0]
        assert coco.top_losses(found, truth, LABELS, 0.5) == []
        other = [entry._replace(codes=np.array([1, 1, 0], np.int32)) for entry in found]
        assert coco.score(other, truth, LABELS, threshold=0.5)["confusion"][3] == [0, 2, 0, 0]
        anything = [truth[0]._replace(codes=np.array([0, -1], np.int32))]
        assert coco.score(other, anything, LABELS, threshold=0.5)["confusion"][3] == [0, 0, 0, 0]

    def test_only_ignored_boxes(self):
        scores = coco.score([told((0, 0, 40, 40, 0.9, 0))], [there((0, 0, 40, 40, 0), ignored=[0])], LABELS)
        assert scores["boxes"] == 0 and scores["ap50"] == 0 and scores["per_class"]["a"]["support"] == 0
        assert np.sum(scores["confusion"]) == 0

    def test_more_than_a_hundred_detections(self):
        truth = [there((0, 0, 40, 40, 0), (100, 0, 140, 40, 0))]
        alarms = [(300 + n, 300, 340 + n, 340, 0.9 - n / 1000, 0) for n in range(120)]
        found = [told((0, 0, 40, 40, 0.95, 0), *alarms, (100, 0, 140, 40, 0.1, 0))]
        scores = coco.score(found, truth, LABELS, threshold=0.0)
        assert scores["per_class"]["a"]["recall"] == 0.5  # the other comes after the first hundred
        assert own_ap50(found, truth, 3)[0, 0] == pytest.approx(scores["per_class"]["a"]["ap50"], abs=1e-9)

    def test_the_order_of_detections_does_not_matter(self):
        found, truth = random_case(5)
        turned = [entry.take(slice(None, None, -1)) for entry in found]
        assert coco.score(found, truth, LABELS) == coco.score(turned, truth, LABELS)

    def test_right_names_come_before_wrong_ones(self):
        truth = [there((0, 0, 40, 40, 0))]
        found = [told((0, 0, 40, 40, 0.9, 1), (0, 0, 40, 40, 0.8, 0))]
        assert coco.score(found, truth, LABELS, threshold=0.5)["confusion"][0] == [1, 0, 0, 0]
        (match,) = coco.matches(found, truth, across=True)
        assert match.boxes.tolist() == [-1, 0]

    def test_input_that_does_not_fit_is_refused(self):
        with pytest.raises(ValueError, match="one entry an image"):
            coco.score([nothing()], [], LABELS)
        with pytest.raises(ValueError, match="none of 3 labels"):
            coco.score([told((0, 0, 1, 1, 0.5, 3))], [there()], LABELS)
        with pytest.raises(ValueError, match="ignored boxes only"):
            coco.score([nothing()], [there((0, 0, 1, 1, -1))], LABELS)

    def test_a_missing_package_is_named(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "pycocotools.coco", None)
        with pytest.raises(MissingExtra, match=r"cnnkit\[train\]"):
            coco.score([nothing()], [there()], LABELS)

    def test_it_prints_nothing(self, capsys):
        coco.score(*random_case(0), LABELS)
        assert capsys.readouterr().out == ""

"""The report on masks: sections from scores worked out by hand, on a page that stays well-formed, escaped and small."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from cnnkit.device.segmentation import Plan
from cnnkit.registry import TASKS, TRAINING
from cnnkit.report import blocks, page
from cnnkit.tasks.segmentation import NOTICE, report
from cnnkit.tasks.segmentation.images import Masked
from cnnkit.tasks.segmentation.masks import alone
from cnnkit.tasks.segmentation.scoring import Case, Segmentation
from tests.tasks.segmentation.test_views import records
from tests.test_report import EVIL, Page

THIN = blocks.THIN


def codes(*boxes, side=8):
    """A code map with boxes (code, top, bottom, left, right)."""
    found = np.zeros((side, side), np.uint8)
    for code, top, bottom, left, right in boxes:
        found[top:bottom, left:right] = code
    return found


def four(spacing=None, second=None):
    """Half drawn, drawn right, neither there nor drawn, missed: Dice 0.5, 1, none, 0."""
    truth = [codes((1, 2, 4, 2, 6)), codes((1, 0, 2, 0, 2)), codes(), codes((1, 5, 7, 5, 7))]
    found = [codes((1, 2, 4, 4, 8)), codes((1, 0, 2, 0, 2)), codes(), codes()]
    cases = [
        Case(mask, None, spacing, number, f"/data/a/{number}.png", second if number == 0 else None)
        for number, mask in enumerate(truth)
    ]
    return found, cases


def scored(found, cases, labels=("vessel",)):
    """Scores as `run.json` has them."""
    return json.loads(json.dumps(Segmentation(alone(len(labels))).score(found, cases, labels)))


def made(found, cases, labels=("vessel",), notes=()):
    """The sections made of pictures, by title."""
    test = records([np.full((8, 8), 90, np.uint8)] * len(cases), [case.codes for case in cases], labels)
    splits = SimpleNamespace(test=test, card={"notes": list(notes)})
    task, artifact = Segmentation(alone(len(labels))), SimpleNamespace(labels=labels)
    sections = report.made(task, splits, artifact, scored(found, cases, labels), found, cases)
    return {section.title: section for section in sections if section is not None}


def texts(table):
    return [[cell.text for cell in table.cells(row)] for row in table.rows]


class TestNumbers:
    def test_the_table_of_labels_has_what_was_worked_out_by_hand(self):
        overlap, objects = report.labels(scored(*four())).blocks
        (row,) = texts(overlap)
        assert row[0] == "vessel" and row[1] == f"50.0{THIN}%"  # of 0.5, 1 and 0
        assert row[3] == f"{100 * (1 / 3 + 1) / 3:.1f}{THIN}%"  # IoU of 4 in 12, 1, 0
        assert row[5] == row[6].replace("75.0", "50.0") == f"50.0{THIN}%"  # sensitivity; precision has no case 4
        assert overlap.columns[4] == "surface Dice at 2 px" and overlap.columns[7] == "HD95 mean, px"
        distances = [2.0, 0.0, np.hypot(8, 8)]
        assert row[7:] == [f"{np.mean(distances):.1f}", "2.0"]
        assert texts(objects) == [["vessel", "3", "1", "2", "1", "0", f"66.7{THIN}%"]]

    def test_of_several_labels_the_weakest_is_marked(self):
        truth = [codes((1, 0, 4, 0, 4), (2, 4, 8, 4, 8))] * 2
        found = [codes((1, 0, 4, 0, 4), (2, 6, 8, 4, 8))] * 2
        cases = [Case(mask, None, None, k, str(k)) for k, mask in enumerate(truth)]
        overlap, _ = report.labels(scored(found, cases, ("a", "b"))).blocks
        assert [overlap.cells(row)[1].tone for row in overlap.rows] == ["", "bad"]

    def test_each_case_is_a_dot_and_mean_and_median_are_said(self):
        section = report.cases(scored(*four()))
        (chart,) = section.blocks[0].charts
        assert chart.title == "vessel: 3 cases"  # one is left out
        assert [name for _, name in chart.legend] == [f"mean 50.0{THIN}%", f"median 50.0{THIN}%"]
        assert chart.svg.count("<use") >= 3 and f"33{THIN}% of them 0" in chart.description

    def test_of_many_cases_the_extremes_are_drawn_and_the_mean_is_of_all(self, monkeypatch):
        drawn = []
        monkeypatch.setattr(report.figures, "spread", lambda values, name: drawn.append(values) or "<svg></svg>")
        rows = [[value, 4.0, 4.0] for value in np.linspace(0, 1, 1001)[::-1]]
        section = report.cases({"per_case": {"a": rows}})
        assert len(drawn[0]) == report.DOTS and drawn[0][0] == 0 and drawn[0][-1] == 1
        assert f"mean 50.0{THIN}%" in section.blocks[0].charts[0].description and "More than" not in section.text

    def test_limits_of_agreement_are_those_worked_out_by_hand(self):
        low, middle, high = report.agreement(np.array([8, 4, 4]), np.array([8, 4, 0]))
        assert middle == pytest.approx(-4 / 3)
        assert (low, high) == pytest.approx((-4 / 3 - 1.96 * np.sqrt(16 / 3), -4 / 3 + 1.96 * np.sqrt(16 / 3)))

    def test_areas_leave_out_cases_without_the_label_and_say_the_unit(self):
        charts, table = report.areas(scored(*four())).blocks
        assert texts(table) == [["vessel", "3", "\u22121.33", "\u22125.86 to +3.19", f"\u221225{THIN}%"]]
        assert "px" in charts.charts[0].axes
        charts, table = report.areas(scored(*four(spacing=(0.5, 4.0)))).blocks  # mm: a pixel has 2 mm^2
        assert texts(table)[0][2] == "\u22122.67" and "mm\u00b2" in charts.charts[0].axes

    def test_one_case_has_no_limits(self):
        found, cases = four()
        assert report.areas(scored(found[:1], cases[:1])) is None

    def test_of_many_labels_the_weakest_are_drawn(self):
        rows = {f"label {k}": [[k / 20, 4.0, 4.0 + k], [k / 20, 4.0, 4.0]] for k in range(20)}
        for section in (report.cases({"per_case": rows}), report.areas({"per_case": rows})):
            assert len(section.blocks[0].charts) == report.CHARTS and "the 12 weakest" in section.text
            assert section.blocks[0].charts[0].title.startswith("label 0")

    def test_units_are_px_where_one_distance_is_unknown(self):
        found, cases = four(spacing=(2.0, 2.0))
        assert scored(found, cases)["units"]["hd95"] == "mm" and scored(found, cases)["tolerance"] == "2 mm"
        unknown = Case(cases[0].codes, None, None, 0, "x")
        mixed = scored(found, [unknown, *cases[1:]])
        assert mixed["units"]["hd95"] == "px" and mixed["per_case"] == scored(*four())["per_case"]

    def test_conventions_say_unit_tolerance_and_what_was_left_out(self):
        (lines,) = report.conventions(scored(*four())).blocks
        words = " ".join(lines.lines)
        for said in (
            "(1 here",
            "no further than 2 px",
            "in px",
            "Nikolov",
            "the larger of the two",
            "diagonal",
            "IoU of 0.1",
        ):
            assert said in words
        assert "4 are told apart here, one a picture." in words
        assert "in mm" in " ".join(report.conventions(scored(*four(spacing=(1.0, 1.0)))).blocks[0].lines)


class TestSecondObserver:
    def test_a_second_observer_is_scored_against_the_truth(self):
        found, cases = four(second=codes((1, 2, 4, 3, 7)))  # three quarters of the first
        (beside,) = scored(found, cases)["beside"]
        assert beside["dice"] == pytest.approx(0.75) and beside["count"] == 1
        assert beside["name"] == "a second observer, of 1 of the 4 pictures"

    def test_without_one_there_is_no_row(self):
        assert scored(*four())["beside"] == []

    def test_where_all_have_one_it_has_an_interval(self):
        _, cases = four()
        cases = [Case(c.codes, None, None, c.patient, c.name, c.codes) for c in cases]
        (beside,) = scored(four()[0], cases)["beside"]
        assert beside["name"] == "a second observer" and beside["dice_interval"] == [1, 1]


class TestPictures:
    def test_the_worst_come_first_and_who_is_empty_is_neither(self):
        worst = made(*four())["Worst and best cases"].blocks[1]
        assert [picture.title for picture in worst.pictures] == ["3.png", "0.png", "1.png"]
        assert [picture.note for picture in worst.pictures] == [f"Dice {n}{THIN}%" for n in ("0.0", "50.0", "100.0")]
        assert all("/data" not in picture.title + picture.description for picture in worst.pictures)

    def test_of_many_cases_six_are_the_worst_and_three_the_best(self):
        truth = [codes((1, 0, 1, 0, 8))] * 12
        found = [codes((1, 0, 1, 0, k % 8 + 1)) for k in range(12)]  # 8 px there, 1 to 8 of them drawn
        cases = [Case(mask, None, None, k, f"{k}.png") for k, mask in enumerate(truth)]
        _, worst, best = made(found, cases)["Worst and best cases"].blocks
        assert [picture.title for picture in worst.pictures] == [f"{k}.png" for k in (0, 8, 1, 9, 2, 10)]
        assert [picture.title for picture in best.pictures] == ["7.png", "6.png", "5.png"]

    def test_several_labels_are_told_apart_and_each_has_its_dice(self):
        truth = [codes((1, 0, 4, 0, 4), (2, 4, 8, 4, 8))]
        section = made(truth, [Case(truth[0], None, None, 0, "a.png")], ("organ", "lesion"))["Worst and best cases"]
        assert [name for _, name in section.blocks[0].colours] == [
            "organ",
            "lesion",
            "truth alone",
            "answer alone",
            "both alike",
        ]
        assert f"(organ 100{THIN}%, lesion 100{THIN}%)" in section.blocks[1].pictures[0].note

    def test_truth_and_answer_have_their_colours_and_the_picture_stays(self):
        picture = np.zeros((60, 60, 3), np.uint8)
        truth, answer = codes((1, 20, 40, 10, 30), side=60), codes((1, 20, 40, 25, 45), side=60)
        drawn = report.triptych(picture, truth, answer, alone(1))
        assert not picture.any()
        side = report.PANEL
        parts = [drawn[:, k * (side + report.GAP) : k * (side + report.GAP) + side] for k in range(3)]
        paints = (report.TRUTH, report.ANSWER, report.BOTH)
        has = [[bool((part == paint).all(2).any()) for paint in paints] for part in parts]
        assert has == [[True, False, False], [False, True, False], [True, True, True]]

    def test_ignored_pixels_are_drawn_in_neither(self):
        truth = np.full((60, 60), 255, np.uint8)
        drawn = report.triptych(np.zeros((60, 60), np.uint8), truth, np.ones((60, 60), np.uint8), alone(1))
        assert not (drawn == report.ANSWER).all(2).any()

    @pytest.mark.parametrize("kind", [np.uint16, np.float32])
    def test_pictures_of_any_values_are_drawn(self, kind):
        picture = np.random.default_rng(0).integers(0, 4000, (30, 50, 5)).astype(kind)
        assert report.triptych(picture, codes(side=50)[:30], codes(side=50)[:30], alone(2)).dtype == np.uint8

    def test_a_cut_lies_inside_and_is_no_smaller_than_it_may_be(self):
        mask = np.zeros((400, 300), bool)
        mask[395:400, 0:3] = True
        assert report.around(mask) == (slice(352, 400), slice(0, 48))
        mask[100:300, 100:200] = True
        rows, columns = report.around(mask)
        assert rows == slice(10, 400) and columns == slice(0, 260)
        assert report.around(np.zeros((9, 7), bool)) == (slice(0, 9), slice(0, 7))

    def test_names_lose_their_folders_but_stay_apart(self):
        assert report.shortened(["/x/a/1.png", "/x/b/2.png"]) == ["1.png", "2.png"]
        assert report.shortened(["/x/a/1.png", "/x/b/1.png"]) == ["a/1.png", "b/1.png"]
        (long,) = report.shortened(["/x/" + "n" * 90 + ".png"])
        assert len(long) == 40 and long.endswith(".png")


class TestPage:
    def rendered(self, labels=("vessel",), second=None):
        found, cases = four(second=second)
        truth = {"title": "DRIVE", "labels": list(labels)}
        scores = scored(found, cases, labels)
        scores["baseline"] = {"name": "Otsu", "dice": 0.3, "dice_interval": [0.2, 0.4]}
        own = TASKS.half("segmentation", TRAINING, "a run").sections(scores, labels)
        pictures = made(found, cases, labels, notes=[f"Input: 64 px {EVIL}"]).values()
        run = {"app": "scans", "data": truth, "scores": {"test": scores}}
        return page.render(run=run, made=[*own, *pictures], record=Masked.record, notice=NOTICE)

    def test_it_has_every_section_and_every_picture_is_described(self):
        read = Page(self.rendered())
        names = [attributes["id"] for tag, attributes in read.tags if tag == "section"]
        assert names[:3] == ["labels", "case-by-case", "area-against-truth"]
        assert names[3:] == ["worst-and-best-cases", "how-it-is-measured", "why-it-is-seen-so", "model-card"]
        images = [attributes for tag, attributes in read.tags if tag == "img"]
        assert len(images) == 3 and all(attributes["alt"] for attributes in images)
        charts = [attributes for _, attributes in read.tags if attributes.get("role") == "img"]
        assert len(charts) == 2 and all(attributes["aria-label"] for attributes in charts)

    def test_the_notice_stands_near_the_top_and_on_the_card(self):
        text = self.rendered()
        assert 0 < text.index(NOTICE) < text.index("<nav")
        assert f"Notice {NOTICE}" in Page(text).words

    def test_a_second_observer_stands_beside_model_and_baseline(self):
        words = Page(self.rendered(second=codes((1, 2, 4, 3, 7)))).words.replace(THIN, " ")
        assert "a second observer, of 1 of the 4 pictures 75.00 %" in words and "Otsu 30.00 % 20.0 % to 40.0 %" in words

    def test_labels_and_notes_are_escaped_and_the_page_repeats(self):
        text = self.rendered((EVIL,))
        assert not [tag for tag, attributes in Page(text).tags if "onerror" in attributes or tag == "script"]
        assert text == self.rendered((EVIL,))

    def test_an_empty_test_split_of_labels_still_makes_a_page(self):
        cases = [Case(codes(), None, None, k, str(k)) for k in range(2)]
        scores = Segmentation(alone(1)).score([codes(), codes()], cases, ["a"])
        assert [section.title for section in report.sections(scores) if section] == ["Labels"]
        assert report.extremes(scores, None, [codes()] * 2, cases, alone(1), ["a"]) is None


def test_samples_have_a_legend_of_their_labels(tmp_path):
    class Recipe:
        task = Segmentation(alone(2))

        @staticmethod
        def views(own, settings):
            return lambda indices, step: own.read(indices)

    class Splits:
        train = records(
            [np.full((32, 32), 90, np.uint8)] * 3, [codes((1, 0, 9, 0, 9), side=32)] * 3, ("a_b", "_$c$"), Plan()
        )

    class Settings:
        seed = 0

    found = Masked().show(Recipe, Splits, Settings, tmp_path / "samples.png")
    assert (tmp_path / "samples.png").stat().st_size > 5000 and found.document["picture"].endswith("samples.png")

"""The report: self-contained, escaped, reproducible, and right about the numbers it shows."""

import base64
import html.parser
import json
import os
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest

from cnnkit import metrics
from cnnkit.errors import CnnkitError
from cnnkit.inputs.image import report as images
from cnnkit.inputs.image.images import Images
from cnnkit.registry import TASKS, TRAINING
from cnnkit.report import blocks, drawing, figures, page, sections
from cnnkit.report.blocks import Matrix, Section, Table
from cnnkit.score import Score, Scores
from cnnkit.tasks.classification import report as classification

VOID = {"meta", "img", "br", "link", "input", "hr"}
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;"


def run_document(labels=("zero", "one", "two"), *, count=300, wrong=9, seed=0):
    """A `run.json` with real scores of made-up answers."""
    rng = np.random.default_rng(seed)
    targets = np.arange(count) % len(labels)
    answers = targets.copy()
    answers[:wrong] = (answers[:wrong] + 1) % len(labels)
    confidences = rng.uniform(0.5, 1, count)
    right = answers == targets
    matrix = metrics.confusion(targets, answers, len(labels))
    values = metrics.per_class(matrix)
    scores = {
        "accuracy": float(right.mean()),
        "accuracy_interval": list(metrics.wilson(int(right.sum()), count)),
        "macro_f1": float(values["f1"].mean()),
        "ece": metrics.expected_calibration_error(confidences, right),
        "count": count,
        "per_class": {label: {k: v[i].item() for k, v in values.items()} for i, label in enumerate(labels)},
        "confusion": matrix.tolist(),
        "reliability": metrics.reliability(confidences, right),
        "units": {"ece": ""},
        "baseline": {"name": "logistic regression", "accuracy": 0.9, "accuracy_interval": [0.86, 0.93]},
    }
    return {
        "app": "digits",
        "created": "2026-01-02T03:04:05+00:00",
        "settings": {"epochs": 3, "learning_rate": 0.002, "limit": None, "options": {"width": 8}, "skip_bad": False},
        "versions": {"cnnkit": "0.1.0", "keras": "3.15.1"},
        "machine": {"system": "Linux", "processor": "a processor", "cores": 2},
        "data": {
            "name": "digits",
            "title": "Handwritten digits",
            "licence": "CC BY 4.0",
            "source": "https://example.org/digits",
            "citation": "Someone 1998",
            "fingerprint": "ab" * 32,
            "sizes": {"train": 1200, "validation": 297, "test": count},
            "labels": list(labels),
            "shape": [8, 8, 1],
        },
        "model": {"name": "small_cnn", "parameters": 12_345},
        "training": {"epochs": 3, "seconds": 95.2, "best_epoch": 2, "stopped": "all epochs done"},
        "scores": {"test": scores},
    }


def everything(labels=("zero", "one", "two")):
    """All that `render` takes but a model."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (4, 8, 8, 1), np.uint8)
    history = [
        {"epoch": n, "loss": 2.0 / n, "accuracy": 0.8 + n / 20, "val_loss": 1.8 / n, "val_accuracy": 0.82 + n / 20}
        | {"learning_rate": 0.002 / n, "seconds": 30.0 * n}
        for n in (1, 2, 3)
    ]
    entry = {"bytes": 54_321, "score": 0.968, "difference": -0.2, "worst_class": labels[0]}
    refused = {"worst_class_difference": -1.4, "passed": False, "refused": [f"1.40 points lost in class {labels[0]}"]}
    passed = {"worst_class_difference": -0.1, "passed": True, "refused": []}
    return {
        "run": run_document(labels),
        "history": history,
        "gate": {
            "tolerance": 0.5,
            "records": 300,
            "reference": {"score": 0.97},
            "artifacts": {"float32": {**entry, **passed}, "int8": {**entry, **refused, "bytes": 20_001}},
        },
        "worst": [
            {"name": "a.png", "true": labels[0], "predicted": labels[1], "confidence": 0.991, "image": images[0]},
            {"name": "b.png", "true": 2, "predicted": 1, "confidence": 0.8, "image": images[1]},
        ],
        "samples": (images, [labels[i % len(labels)] for i in range(4)], np.stack([images, 255 - images])),
        "intended_use": "Reading single digits.",
        "limits": "Only digits.",
    }


def rendered(run, *, worst=(), samples=None, evidence=(), extra=(), **parts):
    """The page of a classifier of images, its sections made as the task and the inputs make them."""
    scores = run.get("scores", {}).get("test", {})
    labels = run.get("data", {}).get("labels", [])
    own = TASKS.half("classification", TRAINING, "a run").sections(scores, labels)
    return page.render(
        run=run,
        made=[*own, images.top_losses(worst, labels), *extra, images.evidence(evidence)],
        samples=images.samples(*samples) if samples else None,
        record=Images.record,
        **parts,
    )


def test_the_gate_s_section_states_its_tolerances():
    document = everything()["gate"]
    text = sections.export_gate(document, Score("accuracy", 0.97)).text
    assert "loses more than 0.5 points overall or in a class, and more than chance would, is refused" in text
    reference = {"score": 0.97, "threshold": 0.3}
    boxes = {**document, "tolerance": 1.0, "class_tolerance": 3.0, "reference": reference}
    section = sections.export_gate(boxes, Score("ap50", 0.97))
    assert "more than 1 point overall or 3 in a class, and more than chance would, is refused" in section.text
    assert "AP50" in section.blocks[0].columns


def test_weights_that_are_the_last_and_not_the_best_are_said_so():
    history = [{"epoch": k, "loss": 1.0, "val_loss": loss} for k, loss in ((1, 0.5), (2, 0.4), (3, 0.6))]
    texts = {best: sections.training({"training": {"best_epoch": best}}, history).text for best in (2, 3)}
    assert "epoch 2, marked, where the validation loss was lowest" in texts[2]
    assert "epoch 3, marked, the last" in texts[3] and "lowest" not in texts[3]


class Page(html.parser.HTMLParser):
    """Reads a page: its tags in order, its visible text; complains about tags that do not close."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def full():
    return rendered(**everything())


class TestPage:
    def test_it_is_well_formed_and_has_every_section(self, full):
        read = Page(full)
        headings = [attributes["id"] for tag, attributes in read.tags if tag == "section"]
        expected = ["training", "confusions", "classes", "calibration", "worst-errors", "export-gate", "samples"]
        assert headings == [*expected, "model-card", "to-repeat-it"]
        links = [attributes["href"] for tag, attributes in read.tags if tag == "a"]
        assert links == [f"#{name}" for name in headings]

    def test_it_shows_the_headline_with_its_interval_beside_the_baseline(self, full):
        words = Page(full).words.replace("\u202f", " ")
        low, high = metrics.wilson(291, 300)
        assert f"97.00 % 95 % interval {100 * low:.2f} % to {100 * high:.2f} %" in words
        assert "logistic regression 90.00 % 86.0 % to 93.0 %" in words
        assert "7.0 points better than the baseline" in words

    def test_it_asks_for_nothing_from_outside(self, full):
        read = Page(full)
        policy = next(a["content"] for tag, a in read.tags if a.get("http-equiv") == "Content-Security-Policy")
        assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        for tag, attributes in read.tags:
            assert tag not in {"script", "link", "iframe", "object", "embed"}
            for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                assert attributes.get(name, "#").startswith(("#", "data:image/")), (tag, attributes)
        assert "@import" not in full
        assert not re.search(r"url\((?!#)", full)
        assert "<?xml" not in full
        assert "<!DOCTYPE svg" not in full

    def test_every_picture_and_chart_is_described(self, full):
        read = Page(full)
        images = [attributes for tag, attributes in read.tags if tag == "img"]
        assert len(images) == 2 + 4 * 3
        assert all(attributes["alt"] for attributes in images)
        charts = [a for _, a in read.tags if a.get("role") == "img"]
        assert len(charts) == full.count("<svg") == 4
        assert all(attributes["aria-label"] for attributes in charts)
        assert ("html", {"lang": "en"}) in read.tags

    def test_identifiers_are_unique_and_every_reference_has_one(self, full):
        names = re.findall(r' id="([^"]+)"', full)
        assert len(names) == len(set(names))
        assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', full)) <= set(names)

    def test_labels_names_and_settings_are_escaped(self):
        parts = everything(labels=(EVIL, "one", "two"))
        run = parts["run"]
        run["data"] |= dict.fromkeys(("title", "licence", "source", "citation", "name"), EVIL)
        run["model"]["name"] = run["app"] = run["training"]["stopped"] = EVIL
        run["settings"][EVIL] = EVIL
        run["scores"]["test"]["baseline"]["name"] = EVIL
        parts["worst"][0]["name"] = EVIL
        parts["intended_use"] = parts["limits"] = EVIL
        layers = [{"name": EVIL, "kind": EVIL, "padding": EVIL, "formula": EVIL, "parameters": 1, "multiply_adds": 1}]
        layers[0] |= dict.fromkeys(["kernel", "stride", "output_size", "receptive_field"])
        evidence = [{"image": np.zeros((8, 8, 3)), "label": EVIL, "predicted": EVIL, "confidence": 1.0}]
        extra = [Section(EVIL, EVIL, [Table([EVIL], [[EVIL]], caption=EVIL), blocks.Facts(EVIL, {EVIL: EVIL})])]
        text = rendered(**parts, layers=layers, evidence=evidence, extra=extra)
        assert "<script" not in text
        read = Page(text)
        assert not [tag for tag, attributes in read.tags if "onerror" in attributes or tag == "script"]
        assert sum(EVIL in piece for piece in read.text) > 20  # shown, as text

    def test_the_same_run_gives_the_same_bytes_in_another_process(self, full, tmp_path):
        script = "import sys; sys.path.insert(0, sys.argv[1]); import test_report as t; "
        script += "open(sys.argv[2], 'w', encoding='utf-8', newline='').write(t.rendered(**t.everything()))"
        other = tmp_path / "other.html"
        environment = {**os.environ, "PYTHONHASHSEED": "7"}
        folder = os.path.dirname(__file__)  # noqa: PTH120
        subprocess.run([sys.executable, "-c", script, folder, str(other)], check=True, env=environment, cwd=os.getcwd())  # noqa: PTH109
        assert other.read_text(encoding="utf-8") == full

    def test_it_stays_below_a_megabyte_with_many_photos(self):
        rng = np.random.default_rng(0)
        parts = everything()
        photo = cv2.GaussianBlur(rng.integers(0, 256, (480, 640, 3), np.uint8), (0, 0), 2)
        photo = cv2.normalize(photo, None, 0, 255, cv2.NORM_MINMAX)
        entry = {"true": 0, "predicted": 1, "confidence": 0.9, "name": "photo"}
        parts["worst"] = [{**entry, "image": photo} for _ in range(24)]
        parts["samples"] = (np.stack([photo] * 8), ["one"] * 8, np.stack([[photo] * 8] * 5))
        assert len(rendered(**parts).encode()) < 1_000_000

    def test_a_run_without_scores_still_has_a_page(self):
        words = Page(rendered(run={"app": "scans"})).words
        assert "no scores yet" in words

    def test_it_is_written_atomically_and_errors_are_one_line(self, tmp_path):
        target = tmp_path / "deep" / "report.html"
        page.write(target, run=run_document())
        assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
        assert [path.name for path in target.parent.iterdir()] == ["report.html"]
        with pytest.raises(CnnkitError) as error:
            page.write(target / "below-a-file.html", run=run_document())
        assert "\n" not in str(error.value)

    def test_it_knows_light_dark_print_and_phones(self, full):
        for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 520px", "prefers-reduced-motion"):
            assert rule in full
        assert 'name="viewport"' in full

    def test_colours_of_charts_are_the_pages(self, full):
        assert "var(--one)" in full
        for colour in drawing.VARIABLES.values():
            assert colour not in full
        assert "DejaVu" not in full

    def test_making_a_page_does_not_load_keras(self):
        script = "import sys; from cnnkit.report import page, figures, drawing; page.render(run={}); "
        script += (
            "print([name for name in ('keras', 'tensorflow', 'matplotlib.pyplot', 'sklearn') if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
        assert done.stdout.strip() == "[]"

    def test_the_plain_data_may_come_from_json(self, full):
        parts = everything()
        for name in ("run", "history", "gate"):
            parts[name] = json.loads(json.dumps(parts[name]))
        assert rendered(**parts) == full


class TestWithAModel:
    @pytest.fixture(scope="class")
    def with_model(self):
        import keras
        from keras import layers

        from cnnkit import explain
        from cnnkit.inputs.image.explain import images

        keras.utils.set_random_seed(0)
        image = keras.Input((8, 8, 1), name="image")
        x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(image)
        x = layers.GlobalAveragePooling2D(name="mean")(x)
        model, parts = keras.Model(image, layers.Dense(3, name="logits")(x)), everything()
        evidence = images.examples(model, parts["run"]["data"]["labels"], parts["worst"], parts["samples"])
        return rendered(**parts, layers=explain.layer_table(model), evidence=evidence)

    def test_it_shows_the_layers_with_their_formulas_and_totals(self, with_model):
        words = Page(with_model).words
        assert "floor((8 + 2\u00b71 \u2212 3)/1) + 1 = 8" in words
        assert f"total {4 * 9 + 4 + 4 * 3 + 3} {64 * 9 * 4 + 12:,}" in words

    def test_it_shows_evidence_for_samples_and_errors(self, with_model):
        read = Page(with_model)
        described = [a["alt"] for tag, a in read.tags if tag == "img" and a["alt"].startswith("Grad-CAM")]
        assert len(described) == 4 + 2


class TestSections:
    def test_scores_of_any_task_get_a_table(self):
        classes = {"anterior": {"dice": 0.91, "hd95": 1.3}}
        scores = Scores(Score("dice", 0.9, interval=(0.85, 0.94)), count=9, per_class=classes, units={"hd95": "mm"})
        words = Page(rendered(run={"app": "scans", "scores": {"test": scores}})).words.replace("\u202f", " ")
        assert "Dice 90.00 % 95 % interval 85.00 % to 94.00 %" in words
        assert "anterior 91.00 % 1.30" in words and "class dice HD95, mm" in words

    def test_a_number_of_which_less_is_better_is_shown_in_its_unit(self):
        about = {"unit": "years", "better": "less"}
        scores = Scores(
            Score("mean_absolute_error", 2.0, interval=(1.5, 2.5), **about),
            Score("r2", 0.61, unit=""),
            Score("largest_error", 11.25, **about),
            count=120,
        )
        other = Scores(Score("mean_absolute_error", 4.5, interval=(4.0, 5.0), **about), count=120)
        constant = {"name": "always answering the mean", "value": 7.0, "sure": True}
        reference = {"headline": scores["headline"], "score": 2.0, "count": 120, "per_class": {}, "class_count": {}}
        entry = {"bytes": 900, "score": 2.02, "difference": 0.02, "worst_class": "", "worst_class_difference": 0.0}
        entry |= {"worst_class_count": 0, "passed": True}
        gate = {"tolerance": 0.05, "records": 120, "reference": reference, "artifacts": {"int8": entry}}
        test = {**scores, "constant": constant, "baseline": {"name": "ridge", **other}}
        text = rendered(run={"app": "ages", "scores": {"test": json.loads(json.dumps(test))}}, gate=gate)
        words = Page(text).words.replace("\u202f", " ")
        assert "Mean absolute error 2 years on 120 held-out records" in words
        assert (
            "the true value lies between 1.5 years and 2.5 years. That is 2.5 years better than the baseline." in words
        )
        assert "R2 0.610" in words and "Largest error 11.25 years" in words
        assert "loses more than 0.05 years overall or in a class" in words and "int8, +0.02 years" in words
        assert "differences below about 0.5 years say nothing" in words and 'class="verdict"' not in text
        assert "2.0000 years (95 % interval 1.5000 to 2.5000)" in words and "4.5000 years, ridge" in words

    def test_an_app_adds_sections_of_its_own(self):
        extra = [Section("Boxes", "What it finds.", [Table(["size", "AP"], [["small", "0.31"]], numbers=[1])])]
        words = Page(rendered(run=run_document(), extra=extra)).words
        assert "Boxes What it finds. size AP small 0.31" in words

    def test_confusions_are_counted_and_ranked(self):
        counts = [[90, 7, 3], [0, 100, 0], [1, 0, 99]]
        matrix, table = classification.confusion({"confusion": counts}, ["a", "b", "c"]).blocks
        assert isinstance(matrix, Matrix)
        assert [row[:3] for row in table.rows] == [["a", "b", "7"], ["a", "c", "3"], ["c", "a", "1"]]

    def test_many_classes_are_a_picture_not_a_thousand_cells(self):
        labels = [f"class {n}" for n in range(60)]
        section = classification.confusion({"confusion": np.eye(60, dtype=int).tolist()}, labels)
        assert section.blocks[0].kind == "pictures"
        assert "60 classes" in section.blocks[0].pictures[0].description

    def test_the_weakest_classes_stay_when_a_table_is_cut(self):
        classes = {f"class {n}": {"f1": 1 - n / 200, "support": 5} for n in range(90)}
        section = sections.per_class({"per_class": classes})
        shown = [row[0] for row in section.blocks[0].rows]
        assert len(shown) == sections.TABLE_CLASSES
        assert shown[0] == "class 89"
        assert "class 0" not in shown

    def test_a_small_lead_is_called_what_it_is(self):
        run = run_document()
        run["scores"]["test"]["baseline"] |= {"accuracy": 0.965, "accuracy_interval": [0.94, 0.98]}
        assert "may be chance" in Page(rendered(run=run)).words
        run["scores"]["test"]["baseline"] |= {"accuracy": 0.99, "accuracy_interval": [0.97, 1.0]}
        assert "2.0 points worse than the baseline" in Page(rendered(run=run)).words

    def test_a_refused_file_is_never_the_headline_size(self):
        parts = everything()
        tiles = sections.tiles(parts["run"], parts["run"]["scores"]["test"], parts["gate"])
        device = next(tile for tile in tiles if tile.name == "On the device")
        assert device.value == f"54.3{blocks.THIN}kB"  # not the 20 kB of the refused int8
        words = Page(rendered(**parts)).words
        assert "1.40 points lost in class zero" in words

    def test_a_perfect_model_has_no_errors_to_show(self):
        run = run_document(wrong=0)
        read = Page(rendered(run=run, worst=[]))
        assert "worst-errors" not in [a.get("id") for _, a in read.tags]
        assert "100.00" in read.words

    def test_one_epoch_is_a_table_not_a_chart_of_one_point(self):
        text = rendered(run={"app": "digits"}, history=[{"epoch": 1, "loss": 1.25, "accuracy": 0.5}])
        assert "<svg" not in text
        assert "1.25" in Page(text).words

    def test_loaded_weights_are_accounted_for(self):
        parts = everything()
        parts["run"]["weights"] = {
            "file": "somewhere/net.weights.h5",
            "parameters": 410208,
            "layers": {"conv": 410000, "norm": 208},
            "left": {"logits": "not in the file"},
            "notes": ["conv: summed."],
        }
        text = Page(rendered(**parts)).words
        assert "410,208 parameters of 2 layers from net.weights.h5" in text
        assert "logits" in text and "conv: summed." in text

    def test_a_run_without_validation_does_not_speak_of_its_loss(self):
        parts = everything()
        parts["history"] = [{k: v for k, v in row.items() if not k.startswith("val_")} for row in parts["history"]]
        text = Page(rendered(**parts)).words
        assert "those of the last epoch" in text and "validation loss was lowest" not in text

    def test_phases_of_training_are_shown(self):
        parts = everything()
        parts["run"]["training"]["phases"] = [
            {"name": "head only", "start": 1, "end": 1},
            {"name": "all layers", "start": 2, "end": 3},
        ]
        assert "head only 1 to 1 all layers 2 to 3" in Page(rendered(**parts)).words

    @pytest.mark.parametrize(("name", "several"), [("accuracy", False), ("exact", True)])
    def test_what_is_sure_is_measured_on_both_sides(self, name, several):
        scores = {name: 0.8, "sure": {"confidence": 0.75, "answered": 0.6, "accuracy": 0.95}}
        section = sections.sure(scores)
        assert ("several labels" in section.text) == several
        assert list(section.blocks[0].pairs.values()) == [
            "75.0\u202f% confidence on",
            "60.0\u202f%",
            "95.0\u202f%",
            "57.5\u202f%",  # (0.8 - 0.6 * 0.95) / 0.4
        ]
        none = sections.sure({"sure": {"confidence": 0.99, "answered": 0.0, "accuracy": None}}).blocks[0].pairs
        assert none["Of these right"] == "no answer is that sure"


class TestCharts:
    def test_gaps_infinities_and_zeros_are_drawn_around(self):
        rows = [{"epoch": n, "loss": value} for n, value in enumerate([2.0, float("nan"), 0.0, 1.0], 1)]
        assert "<path" in figures.curve(rows, ["loss"])
        assert figures.curve([{"epoch": 1}, {"epoch": 2}], ["loss"]).startswith("<svg")

    def test_a_curve_shows_both_series_and_the_best_epoch(self):
        rows = [{"epoch": n, "accuracy": 0.9 + n / 100, "val_accuracy": 0.91 + n / 100} for n in range(1, 6)]
        plain = figures.curve(rows, ["accuracy", "val_accuracy"])
        assert "var(--one)" in plain
        assert "var(--two)" in plain
        assert len(figures.curve(rows, ["accuracy", "val_accuracy"], best=3)) > len(plain)

    def test_reliability_is_drawn_for_a_single_bin(self):
        assert "<path" in figures.reliability([{"confidence": 0.9, "accuracy": 1.0, "count": 1}])

    def test_a_temperature_and_what_it_did_are_said(self):
        scores = run_document()["scores"]["test"]
        about = {"by_chance": [0.01, 0.04], "temperature": 1.25, "before": {"ece": 0.1234, "nll": 0.4321}}
        more = {"ece": 0.03, "ece_interval": [0.02, 0.05], "nll": 0.2, "nll_interval": [0.1, 0.3], "calibration": about}
        said = str(sections.calibration({**scores, **more}))
        for part in ("0.0300 (0.0200 to 0.0500)", "0.2000 (0.1000 to 0.3000) nats", "no more than that", "1.250"):
            assert part in said, part
        assert "ECE 0.1234, NLL 0.4321" in said
        assert "is more than that" in str(sections.calibration({**scores, **more, "ece": 0.05}))
        assert "By chance" not in str(sections.calibration(scores)), "as older runs have it"
        assert sections.calibration({**scores, "reliability": []}) is None

    def test_files_say_how_true_their_scores_are(self):
        gate = everything()["gate"]
        plain = sections.export_gate(gate, Score("accuracy", 0.97)).blocks[0]
        assert "ECE, NLL" not in plain.columns
        gate["artifacts"]["int8"]["calibration"] = {"ece": 0.0123, "nll": 0.0456}
        table = sections.export_gate(gate, Score("accuracy", 0.97)).blocks[0]
        column = table.columns.index("ECE, NLL")
        assert [row[column] for row in table.rows] == ["", "", "0.0123, 0.0456"]
        assert all(len(row) == len(found.columns) for found in (plain, table) for row in found.rows)

    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_samples_are_drawn_with_and_without_augmentation(self, channels, tmp_path):
        images = np.random.default_rng(0).integers(0, 256, (3, 8, 12, channels), np.uint8)
        for rounds in (np.stack([images, images]), np.zeros((0, *images.shape), np.uint8)):
            figure = figures.samples(images, ["a", "$b$", "c"], rounds)
            assert len(figure.axes) == 3 * (1 + len(rounds))
            drawing.save(figure, tmp_path / "samples.png")
            assert (tmp_path / "samples.png").stat().st_size > 2000


class TestBlocks:
    def test_scales_begin_below_everything_on_them(self):
        for lowest in (0.0, 0.3, 0.85, 0.9, 0.93, 0.985, 0.991, 0.9999, 1.0):
            start = blocks.scale_start([lowest, 1.0])
            assert 0 <= start <= lowest
            assert start < 1

    def test_pictures_keep_their_pixels(self):
        image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
        for array in (image, image[..., :1], image[..., 0]):
            kind, content = blocks.picture(array).split(",")
            assert kind == "data:image/png;base64"
            decoded = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_UNCHANGED)
            if decoded.ndim == 3:
                decoded = decoded[..., ::-1]
            np.testing.assert_array_equal(decoded, array.squeeze())

    def test_numbers_are_written_for_people(self):
        thin = blocks.THIN
        assert blocks.percent(0.98765) == f"98.77{thin}%"
        assert blocks.percent(float("nan")) == "unknown"
        assert [blocks.points(value) for value in (0.124, -0.3, -0.001)] == ["+0.12", f"{blocks.MINUS}0.30", "0.00"]
        assert [blocks.size(count) for count in (999, 81_920, 2_500_000)] == [
            f"999{thin}B",
            f"81.9{thin}kB",
            f"2.50{thin}MB",
        ]
        assert [blocks.duration(s) for s in (2.34, 59.7, 95, 7_260)] == [
            f"2.3{thin}s",
            f"1{thin}min 0{thin}s",
            f"1{thin}min 35{thin}s",
            f"2{thin}h 1{thin}min",
        ]
        assert blocks.plain({"width": 8, "on": True, "none": None}) == "width 8, on yes, none not set"

    def test_a_rare_confusion_is_still_seen(self):
        matrix = Matrix(["a", "b"], [[999, 1], [0, 0]])
        assert matrix.shares[0] == [0.999, 0.001]
        assert matrix.shares[1] == [0, 0]
        assert matrix.tint(0.001) > 0.1
        assert matrix.tint(0) == 0

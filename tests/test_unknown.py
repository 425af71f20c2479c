"""`benchmarks/unknown.py`: each set of pictures is answered once, and pages say what it measured."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from cnnkit.tasks.classification import device

ROOT = Path(__file__).parent.parent


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))  # as a script has it
    specification = importlib.util.spec_from_file_location("unknown", ROOT / "benchmarks" / "unknown.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_each_set_of_pictures_is_answered_once(script):
    rng = np.random.default_rng(0)
    labels, parts = rng.integers(0, 4, 200), rng.integers(0, 3, 200)
    features = (rng.normal(size=(200, 6)) + 3 * np.eye(4, 6)[labels]).astype(np.float32)
    far, asked = np.full((9, 6), 40, np.float32) + rng.normal(size=(9, 6)), []

    def fit(some, codes):
        answers = script.head(some, codes)
        return lambda pictures: asked.append(len(pictures)) or answers(pictures)

    runs = [script.measured(fit, features, labels, parts, out, far) for out in ((3,), (0,))]
    assert len(asked) == 2 * 5, "training, validation, test, classes left out, and another kind"
    found = script.together(runs)
    near = [run["scores"]["neighbour"]["near"]["auroc"] for run in runs]
    assert found["scores"]["neighbour"]["near"]["auroc"] == round(np.mean(near), 4)
    assert found["scores"]["neighbour"]["near"]["auroc_spread"] == round(np.std(near, ddof=1), 4)
    assert found["scores"]["mahalanobis"]["far"] == {"auroc": 1, "accepted": 0, "found": 1, "auroc_spread": 0}


def test_pages_say_what_was_measured():
    document = json.loads((ROOT / "benchmarks/results/unknown.json").read_text(encoding="utf-8"))

    def ends(score, kind, what):
        values = [entry["scores"][score][kind][what] for entry in document["data"].values()]
        return min(values), max(values)

    page, comment = (" ".join(text.split()) for text in ((ROOT / "docs/python.md").read_text("utf-8"), device.__doc__))
    near, far = (
        "{:.0f} to {:.0f} %".format(*np.multiply(100, ends("highest", kind, "found"))) for kind in ("near", "far")
    )
    assert f"it found out {near} of the pictures of classes left out, and {far} of pictures of another kind" in page
    near, far = ("{:.2f} to {:.2f}".format(*ends("highest", kind, "auroc")) for kind in ("near", "far"))
    assert f"ROC curve {near} for pictures of other classes, {far} for pictures of another kind" in comment
    near, (least, _) = "{:.2f} to {:.2f}".format(*ends("neighbour", "near", "auroc")), ends("neighbour", "far", "auroc")
    assert f"training picture among the features has {near}, and {np.floor(100 * least) / 100:.2f} or more" in comment

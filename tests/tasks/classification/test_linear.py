"""The linear model beside a network: of one label and of several, and how often it is fitted."""

import numpy as np
import pytest

from cnnkit.tasks.classification import tagging
from cnnkit.tasks.classification.linear import linear
from tests import toy_texts, toys


def test_of_one_label_a_class_that_it_never_saw_has_no_score():
    data = toys.splits()
    labels = data.train.targets(np.arange(len(data.train)))
    name, scores = linear(data.train.take(np.flatnonzero(labels != 1)))
    found = scores(data.test)
    assert name.startswith("logistic regression on") and found.shape == (len(data.test), 3)
    assert not found[:, 1].any() and found.sum(1) == pytest.approx(1)


def test_of_several_labels_each_has_a_model_of_its_own():
    data = toy_texts.splits(60, 9, 9, make=toy_texts.tagged)
    name, scores = linear(data.train)
    truth, found = data.train.targets(np.arange(60)), scores(data.train)
    assert name.startswith("logistic regression of each label on") and found.shape == truth.shape
    assert found[truth > 0.5].mean() > found[truth < 0.5].mean()


@pytest.mark.parametrize(("held", "whole", "fits"), [(9, False, 1), (9, True, 2), (0, True, 1), (0, False, 1)])
def test_no_fit_of_several_labels_is_thrown_away(monkeypatch, held, whole, fits):
    data, done = toy_texts.splits(60, 9, 9, make=toy_texts.tagged), []
    monkeypatch.setattr(tagging, "linear", lambda records: done.append(len(records)) or linear(records))
    validation = data.validation.take(np.arange(held))
    tagging.Tagging().baseline(data.train, data.test, validation, whole=data.train if whole else None)
    assert len(done) == fits

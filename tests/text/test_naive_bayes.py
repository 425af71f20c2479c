"""Naive Bayes of words: counted where a text was asked for the label."""

import numpy as np

from cnnkit.data.asked import UNASKED
from cnnkit_text import naive_bayes


def test_naive_bayes_counts_those_that_were_asked():
    ids, ends = np.array([3, 4, 3, 4, 3, 4]), np.array([1, 2, 3, 4, 5, 6])
    known = np.array([[1, 1], [0, 0], [1, 1], [0, 0]], np.float32)
    later = np.concatenate([known, np.array([[1, UNASKED], [0, UNASKED]], np.float32)])
    few, more = (naive_bayes.priors(ids[: len(t)], ends[: len(t)], t, 5).words for t in (known, later))
    assert np.allclose(more[:, 1], few[:, 1]) and (more[3:, 0] != few[3:, 0]).all()

"""Word vectors that start alike where words are spelled alike."""

import numpy as np
import pytest

from cnnkit.models.spelling import spelled

WORDS = ["<PAD>", "<UNKNOWN>", "inventor", "inventors", "speed", ""]


def table():
    return np.random.default_rng(1).uniform(-0.3, 0.3, (7, 400)).astype(np.float32)


def likeness(vectors, first, second):
    a, b = vectors[first], vectors[second]
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_words_of_one_spelling_start_alike_and_others_do_not():
    found = spelled(table(), WORDS, 0.5)
    assert likeness(found, 2, 3) > 0.25 and abs(likeness(found, 2, 4)) < 0.15
    assert likeness(spelled(table(), WORDS, 1.0), 2, 3) > likeness(found, 2, 3) + 0.2


def test_the_variance_stays_and_so_do_rows_without_a_word():
    before, after = table(), spelled(table(), WORDS, 0.5)
    assert after.dtype == np.float32 and after.shape == before.shape
    assert after[2:5].std() == pytest.approx(before.std(), rel=0.1)
    assert np.array_equal(after[[0, 1, 5, 6]], before[[0, 1, 5, 6]])


def test_it_is_a_function_of_the_seed_and_a_share_of_nothing_changes_nothing():
    first, again, other = (spelled(table(), WORDS, 0.5, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    np.testing.assert_array_equal(spelled(table(), WORDS, 0.0), table())


def test_a_share_beyond_all_is_refused():
    with pytest.raises(ValueError, match=r"`share` lies in \[0, 1\]\. Received: share=1\.5\."):
        spelled(table(), WORDS, 1.5)

"""What words are spelled of."""

import numpy as np
import pytest

from cnnkit.models.spelling import MOST, pieces

WORDS = ["<PAD>", "<UNKNOWN>", "inventor", "inventors", "banana", "a", ""]


def shared(rows, first, second):
    a, b = (set(rows[place]) - {0} for place in (first, second))
    return len(a & b) / len(a | b)


def test_words_that_are_spelled_alike_share_their_ngrams():
    rows = pieces(WORDS, 8, 8009)
    assert rows.shape == (8, MOST) and rows.dtype == np.int32
    assert shared(rows, 2, 3) > 0.6 and shared(rows, 2, 4) == 0
    assert np.array_equal(rows, pieces(WORDS, 8, 8009))


def test_ngrams_fill_a_row_from_the_left_the_shorter_first():
    rows = pieces(WORDS, 8, 8009)
    counts = (rows > 0).sum(1)
    # <inventor> has 8 + 7 + 6 of 3, 4 and 5 characters, <inventors> 9 + 8 + 7, <banana> 6 + 5 + 4; <a> is one whole, each time
    assert counts.tolist() == [0, 0, 21, 24, 15, 3, 0, 0], "special rows, and rows without a word, have none"
    assert all((row[:count] > 0).all() and not row[count:].any() for row, count in zip(rows, counts))
    assert len(set(rows[5]) - {0}) == 1
    assert rows.max() < 8009
    long = pieces([*WORDS[:2], "x" * 10 + "yz" * 20], 3, 50)
    assert (long[2] > 0).all() and long.max() < 50


def test_words_that_differ_by_case_share_their_ngrams_and_those_with_a_capital_one_more():
    rows = pieces([*WORDS[:2], "Turkey", "turkey", "Rome"], 5, 80_009)
    assert set(rows[3]) - set(rows[2]) <= {0}, "all of turkey's"
    (capital,) = set(rows[2]) & set(rows[4]) - {0}
    assert rows[2, 0] == rows[4, 0] == capital not in rows[3]


def test_buckets_are_checked():
    assert set(pieces(WORDS, 7, 2).ravel()) == {0, 1}
    with pytest.raises(ValueError, match=r"`buckets` are at least 2\. Received: buckets=1\."):
        pieces(WORDS, 7, 1)

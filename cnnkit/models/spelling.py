"""What a word is spelled of: the n-grams whose vectors it shares with other words in training.

Design choices:
- Half of the words of a small set are there once. A network that has learnt what to make of "inventor" then makes something
  similar of "inventors", whose own vector has hardly been trained.
- n-grams are for training only: the vector of each word of the vocabulary is then put together once, so the exported network is
  as large and as fast as without, and reads the same ids.

Source: Bojanowski et al. 2017, arXiv:1607.04606, whose vectors are sums over n-grams of 3 to 6 characters.
"""

from collections.abc import Sequence

import numpy as np

from cnnkit.device.text import FIRST, fnv1a, ngrams

LENGTHS = (3, 4, 5)  # characters of an n-gram, the marks of a word's ends included
CAPITAL = "<^"  # what words share whose first letter is upper-case, where case is kept
MOST = 24  # n-grams of a word, the shorter ones first; all of a word of nine letters


def pieces(words: Sequence[str], size: int, buckets: int) -> np.ndarray:
    """Return the rows of the n-grams of each word.

    Args:
        words: the vocabulary, a word a row.
        size: rows wanted; special rows, and those without a word, have no n-grams.
        buckets: rows that n-grams are hashed to; row 0 is none.

    Returns:
        int32 (size, `MOST`), in [0, buckets), 0 behind the last n-gram.
    """
    if buckets < 2:
        raise ValueError(f"`buckets` are at least 2. Received: buckets={buckets}.")
    rows = np.zeros((size, MOST), np.int32)
    for place, word in enumerate(words[FIRST:size], FIRST):
        if not word:
            continue
        grams = [CAPITAL] * word[:1].isupper() + [gram for n in LENGTHS for gram in ngrams(word, n)]
        grams = grams[:MOST]
        rows[place, : len(grams)] = [1 + fnv1a(gram) % (buckets - 1) for gram in grams]
    return rows

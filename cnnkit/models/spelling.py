"""Word vectors to start from, before any training: words that are spelled alike get vectors that are alike.

Design choices:
- Half of the words of a small set are there once. A network whose filters have learnt what to make of "inventor" then makes
  something similar of "inventors", whose own vector has hardly been trained.
- Only the start is spelled: each word keeps a vector of its own, so the exported network is as large and as fast as before, and
  reads the same ids.

Source: Bojanowski et al. 2017, arXiv:1607.04606, whose vectors are sums over n-grams of 3 to 6 characters throughout.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from cnnkit.device.text import FIRST, ngrams

LENGTHS = (3, 4, 5)  # characters of an n-gram, the marks of a word's ends included
BUCKETS = 20_011  # rows of random numbers that n-grams are hashed to


def spelled(table: np.ndarray, words: Sequence[str], share: float, *, seed: int = 0) -> np.ndarray:
    """Mix into random vectors what their words are spelled like, at the same variance.

    Args:
        table: float32 (size, width), random vectors.
        words: the vocabulary, a word a row; the special rows before it and rows after it stay as they are.
        share: of the variance that comes from the spelling, in [0, 1].
        seed: of the rows of n-grams.

    Returns:
        float32 (size, width).
    """
    if not 0 <= share <= 1:
        raise ValueError(f"`share` lies in [0, 1]. Received: share={share}.")
    rows = np.random.default_rng(seed).normal(0, table.std(), (BUCKETS, table.shape[1])).astype(np.float32)
    mixed = np.array(table, np.float32)
    for place, word in enumerate(words[FIRST:], FIRST):
        if word:
            hashes = [
                zlib.crc32(gram.encode("utf-8", "replace")) % BUCKETS for n in LENGTHS for gram in ngrams(word, n)
            ]
            own = rows[hashes].sum(0) / len(hashes) ** 0.5
            mixed[place] = (1 - share) ** 0.5 * table[place] + share**0.5 * own
    return mixed

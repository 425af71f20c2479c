"""Spellings that training texts lack of words that they have: the endings that a vocabulary's own words change between.

Design choices:
- Nothing is known of any language. Where "actor" and "actors", "novel" and "novels" are in a vocabulary, r may be followed by s
  and l too, so "tutors" is taken for "tutor" if that is there alone. How sure this is: the share of the words with the one ending
  that have the other form as well.
- An ending counts together with the letter before it: y becomes ies after r, but ys after a.
- Words of small sets are mostly there once, and a question that was never seen has one in eight that was not (TREC's
  inner folds: 12.8 % of the words, with these spellings 11.6 %). A device that only looks words up in a table, as MediaPipe
  does, can read these spellings, since several may have one id.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence

STEM, ENDING = 3, 3  # letters of a stem at least, of an ending at most
PAIRS, SHARE = 5, 0.1  # words that have both forms, at least, and their share of those that have the one


def other_spellings(words: Sequence[str], count: int, known: Collection[str] = ()) -> dict[str, str]:
    """Return spellings that are not among these words, each with the word that it is taken for, the likeliest first.

    Args:
        words: the most frequent first.
        count: spellings at most.
        known: what is no new spelling either.
    """
    if count < 1:
        return {}
    both: Counter[tuple[str, str, str]] = Counter()
    have: Counter[tuple[str, str]] = Counter()
    endings: defaultdict[str, list[str]] = defaultdict(list)
    for word in words:
        for stem, ending in _parts(word):
            endings[stem].append(ending)
            have[stem[-1], ending] += 1
    for stem, found in endings.items():
        for one in found:
            for other in found:
                if one[:1] != other[:1]:  # else their common letters belong to a longer stem
                    both[stem[-1], one, other] += 1
    changes: defaultdict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
    for (letter, one, other), pairs in both.items():
        share = pairs / have[letter, one]
        if pairs >= PAIRS and share >= SHARE:
            changes[letter, one].append((-share, other))
    candidates = [
        (share, place, stem + other)
        for place, word in enumerate(words)
        for stem, ending in _parts(word)
        for share, other in changes.get((stem[-1], ending), ())
    ]
    own, made = set(words), dict[str, str]()
    for _, place, spelling in sorted(candidates):
        if spelling not in own and spelling not in known and spelling not in made:
            made[spelling] = words[place]
            if len(made) == count:
                break
    return made


def _parts(word: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to divide a word into stem and ending, which may be empty; none of what is not all letters."""
    if word.isalpha():
        for end in range(max(STEM, len(word) - ENDING), len(word) + 1):
            yield word[:end], word[end:]

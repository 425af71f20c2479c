"""Text from data as it may be shown: what no terminal could hold replaced, and the part of a long text that matters.

Text from data may hold anything; what would steer a terminal or cannot be written as UTF-8 is replaced before it is shown, one
character by one, so that places stay.
"""

import re
from collections.abc import Sequence

Span = tuple[int, int]
Piece = tuple[str, float | None]

GAP = " \u2026 "
AROUND = 60  # characters that an excerpt keeps on each side of a word that matters
# Control characters but tab and line feed, marks that turn the direction of what follows, surrogates, and what is no character.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    """Return a text that any terminal and any file can hold, of the same length."""
    return _UNPRINTABLE.sub("\ufffd", text)


def excerpt(text: str, marked: Sequence[tuple[int, int, float]], most: int = 600) -> list[Piece]:
    """Return a text in pieces, shortened around the words that matter most.

    Args:
        text: any.
        marked: places (start, end, value), in order, none over another.
        most: characters of the result, about; a shorter text stays whole.

    Returns:
        Pieces (text, value), value None between the marked places; `GAP` stands for what is left out. All `printable`.
    """
    kept = _kept(text, marked, most)
    pieces: list[Piece] = []
    last = 0
    for start, end in kept:
        if start > last:
            pieces.append((GAP, None))
        place = start
        for first, stop, value in marked:
            first, stop = max(first, start), min(stop, end)
            if first >= stop:
                continue
            if first > place:
                pieces.append((printable(text[place:first]), None))
            pieces.append((printable(text[first:stop]), value))
            place = stop
        if place < end:
            pieces.append((printable(text[place:end]), None))
        last = end
    if last < len(text):
        pieces.append((GAP, None))
    return pieces


def _kept(text: str, marked: Sequence[tuple[int, int, float]], most: int) -> list[Span]:
    """Return the parts of a text to show: as many characters around the strongest words as fit."""
    if len(text) <= most:
        return [(0, len(text))] if text else []
    kept: list[Span] = [(0, _edge(text, most // 3, 1))]  # how it begins
    for first, stop, value in sorted(marked, key=lambda place: -abs(place[2])):
        around = (_edge(text, max(0, first - AROUND), -1), _edge(text, min(len(text), stop + AROUND), 1))
        merged: list[Span] = []
        for start, end in sorted([*kept, around]):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        if not value or sum(end - start for start, end in merged) > most:
            break
        kept = merged
    return kept


def _edge(text: str, place: int, step: int) -> int:
    """Move a cut outwards to white space, by ten characters at most; where there is none, leave it."""
    for distance in range(11):
        at = place + step * distance
        if at <= 0 or at >= len(text) or text[at - (step < 0)].isspace():
            return min(max(at, 0), len(text))
    return place

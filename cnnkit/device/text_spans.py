"""Where the words of a text stand, and which ids are theirs.

Design choices:
- Words are those of `cnnkit.device.text.spans`, which reads the very table that makes the ids.
- For a model of characters a word is what stands between white space: a full stop is an id of its own, and may decide.
"""

import dataclasses
import re

from cnnkit.device.text import Tokenizer, spans

Span = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Placed:
    """A text as a model reads it.

    Attributes:
        ids: of the text, at most as many as one input holds.
        words: where each word stands that is read, in part at least: (start, end).
        owners: of each id the number of its word; -1: a character between words.
        unread: words behind the last that is read.
    """

    ids: list[int]
    words: list[Span]
    owners: list[int]
    unread: int


def placed(tokenizer: Tokenizer, text: str, length: int | None = None) -> Placed:
    """Return the ids of a text with the words they come from.

    Args:
        tokenizer: makes the ids; `ids` are those of `tokenizer.ids(text)`.
        text: any.
        length: the most ids; default, and most: those of the tokenizer.
    """
    length = tokenizer.length if length is None else min(length, tokenizer.length)
    if tokenizer.kind == "characters":
        found = [match.span() for match in re.finditer(r"\S+", text)]
        read = [(start, min(end, length)) for start, end in found if start < length]
        ids = tokenizer.ids(text)[:length]
        owners = [-1] * len(ids)
        for number, (start, end) in enumerate(read):
            owners[start:end] = [number] * (end - start)
        return Placed(ids, read, owners, len(found) - len(read))
    found = spans(text, tokenizer.apart)
    if not tokenizer.buckets:
        read = found[:length]
        return Placed(tokenizer.ids(text)[:length], read, list(range(len(read))), len(found) - len(read))
    ids, owners, read = [], [], []
    for start, end in found:
        if len(ids) >= length:
            break
        own = tokenizer.ids(text[start:end])[: length - len(ids)]
        owners += [len(read)] * len(own)
        ids += own
        read.append((start, end))
    return Placed(ids, read, owners, len(found) - len(read))

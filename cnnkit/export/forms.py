"""What inputs and answers are, in forms that the programs of others know: a kind says which of these is its own.

Design choices:
- Other programs have their own tasks, metadata and code. A profile (`cnnkit.export.profiles`) speaks to them of these forms and
  knows no kind; a kind says one form and knows no program. What has no form here is for our own programs only.
- Forms hold plain values alone. What is said in them for people goes on after "pictures are" (`cut`) or "it" (`why`).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Unlike:
    """An input or an answer that other programs know nothing like.

    Attributes:
        why: for people.
    """

    why: str


@dataclasses.dataclass(frozen=True)
class Pixels:
    """An input (h, w, channels) of numbers in [0, 255], of 1 (grey) or 3 channels (RGB): as a camera has them.

    Attributes:
        cut: how a picture of another size or aspect meets it, where more is done than to stretch it; for people. "": stretched.
    """

    cut: str = ""


@dataclasses.dataclass(frozen=True)
class Tokens:
    """An input (length,) of int32: ids of the words of a text, 0 behind the last.

    Attributes:
        delimiter: regular expression (RE2) of what separates words.
        vocabulary: lines `word id`; `<PAD>`, `<UNKNOWN>` and perhaps `<START>` among the words.
        file: what that file is called.
        how: the tokenizer's plain values: `kind`, `length`, `size`, `buckets`, `ngram`, and `apart`, a class of characters of a
            regular expression, each of which is a word; "": none is.
        alphabet: of one that reads characters.
        known: share of a text's words that have to be in the vocabulary for its answer to be sure.
    """

    delimiter: str
    vocabulary: str
    file: str
    how: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    alphabet: str = ""
    known: float = 0.0


@dataclasses.dataclass(frozen=True)
class Shares:
    """An answer (labels,) of numbers in [0, 1], one a label.

    Attributes:
        output: its name.
        thresholds: from which number on each label counts, where the answer is not just the label with the largest.
        below: the largest number below which the input shows none of the labels; None: it always shows one.
        finding: place of the label that is looked for, and its threshold; the other of two labels is the answer else.
        sure: from which confidence on an answer is sure; None: nobody says.
        rare: places of labels that make an answer unsure.
    """

    output: str
    thresholds: tuple[float, ...] | None = None
    below: float | None = None
    finding: tuple[int, float] | None = None
    sure: float | None = None
    rare: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Boxes:
    """Answers (cells, 4) of raw boxes, as `cnnkit.device.detection.decode` reads them, and (cells, labels) in [0, 1].

    Attributes:
        places, scores: names of the two outputs.
        cells: float32 (cells, 3): centre x, centre y, stride, px of the input.
        threshold: score from which a box counts.
        iou: above which two boxes of a label are one object.
        how: plain values: how a picture meets the model, as `cnnkit.device.detection.Plan` has them.
        cut: as `Pixels` has it.
    """

    places: str
    scores: str
    cells: np.ndarray
    threshold: float
    iou: float
    how: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    cut: str = ""


@dataclasses.dataclass(frozen=True)
class Map:
    """An answer (h, w, channels) of numbers in [0, 1]: what each pixel of the input is.

    Attributes:
        output: its name.
        exclusive: whether a pixel has one label: the numbers of a pixel sum to 1, the first is that of no label, and a channel
            follows for each label; otherwise there is a channel for each label and no more.
        thresholds: of channels that are not exclusive, from which a pixel has its label.
        paired: metadata of a file that has a channel of no label before that of the only one.
        how: plain values: how a picture meets the model, as `cnnkit.device.segmentation.Plan` has them.
        cut: as `Pixels` has it.
    """

    output: str
    exclusive: bool
    thresholds: tuple[float, ...] = ()
    paired: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    how: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    cut: str = ""


@dataclasses.dataclass(frozen=True)
class Numbers:
    """An answer of numbers of any size.

    Attributes:
        output: its name.
        names, units: of each.
        half: by how much each may lie off as often as `level` says; (): not known.
        level: in (0, 1).
    """

    output: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    half: tuple[float, ...] = ()
    level: float = 0.0


Given = Pixels | Tokens
Answer = Shares | Boxes | Map | Numbers

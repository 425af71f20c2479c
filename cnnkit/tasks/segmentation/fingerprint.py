"""What a data set of masks is like, and how a network should see it therefore: whole or in windows, how large, and why.

Design choices:
- What decides is the thinnest of what is to be found: a vessel that shrinks below two px is gone, a polyp of a hundred px is
  found in a picture of a quarter of the size, sixteen times sooner. Where a picture at a bearable size keeps what is thin, it is
  seen whole; else through windows, at the scale that keeps it, and no finer than the picture is.
- All is measured on training pictures, some spread over them where there are many, on masks and not on pictures, but for values.
- Overlap is learnt of each whole picture where nearly all have every label, so that small things count as large ones do
  (`benchmarks/scans.py overlap` trains with both).
- Each choice can be made by the user instead, and is then said to be theirs.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.device.segmentation import ALIKE, AS_IS, EACH, TAILS, Plan
from cnnkit.tasks.segmentation import objects
from cnnkit.tasks.segmentation.masks import IGNORE, overlapping

LOOKED_AT = 120  # training pictures
THIN = 2.5  # px of the input that what is thin should be wide in a whole picture
WIDE = 4.0  # and in windows, which cost no more for being finer
SMALL, SMALL_IN_WINDOWS = 12.0, 16.0  # px of the input that small objects which are told apart should have across
WHOLE = 256  # px, longest side of an input for whole pictures
WINDOW = 192  # px, side of a window
STEP = 32  # sides are multiples of it, px
GRID = 16  # places along an axis, at which it is counted where labels lie
APART = 0.15  # of correlations, from which labels lie elsewhere in mirrored pictures
FEWEST = 8  # pictures, below which nobody can tell
VIEWS = 320  # that an epoch has at least
BETWEEN = "what lies between labels"
OFTEN = 0.02  # share of the pixels: a label that has fewer is rare
STEPS = 4 * 224**2  # px of a step of training, about
OFTEN_THERE = 0.9  # share of the pictures that have a label, from which overlap in each means something
BATCHES = (2, 8)  # pictures of a step, at least and at most


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """What a data set is like.

    Attributes:
        count: pictures looked at.
        sides: height and width, px: the median of each.
        channels: of the pictures.
        kind: type of their values, such as "uint8".
        low, high: percentiles (`TAILS`) of each channel, the median over pictures.
        spread: by how much the pictures' own range of values varies: the deviation of its logarithm.
        share: of the pixels that each label has, over all pictures.
        pieces: of each label in a picture that has it, the median.
        thin: px: nine tenths of the pixels of each label lie in parts at least so wide.
        gap: the same of what lies between labels.
        oriented: for each axis, whether labels lie elsewhere in pictures that are mirrored along it.
        empty: share of the pictures without any label.
        spacing: mm, the median; None: not known.
        across: diameters of objects, px, where they are told apart: that which a tenth are below, and the median; None: no
            object was asked for.
        seldom: the label that the fewest pictures have, and the share of them that have it; None: not known.
        several: pieces that look like several objects in one, and all pieces, in masks that do not tell objects apart.
        lengths: px, the longest sides of pictures: the least, the median, the most.
        slender: longest side over shortest of the most slender picture.
    """

    count: int
    sides: tuple[int, int]
    channels: int
    kind: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    spread: float
    share: dict[str, float]
    pieces: dict[str, float]
    thin: dict[str, float]
    gap: float
    oriented: tuple[bool, ...]
    empty: float
    spacing: tuple[float, ...] | None
    across: tuple[float, float] | None = None
    seldom: tuple[str, float] | None = None
    several: tuple[int, int] = (0, 0)
    lengths: tuple[int, ...] = ()
    slender: float = 0.0

    def lines(self) -> list[str]:
        """Return what was found, for a person."""
        height, width = self.sides
        found = [
            f"Pictures: {width}x{height} px (median), {self.channels} channel{'s' * (self.channels != 1)}, {self.kind}; "
            f"{self.empty:.0%} without any label."
        ]
        for label, share in self.share.items():
            if not share:
                continue
            found.append(
                f"{label}: {share:.2%} of the pixels, {self.pieces[label]:.0f} piece{'s' * (self.pieces[label] != 1)} a picture, "
                f"parts from {self.thin[label]:.1f} px wide."
            )
        if self.across is not None:
            found.append(f"Objects: {self.across[1]:.0f} px across (median), a tenth below {self.across[0]:.0f} px.")
        return found


def measure(
    records: Any,
    most: int = LOOKED_AT,
    progress: Callable[[int], None] = lambda done: None,
    *,
    apart: bool = False,
) -> Fingerprint:
    """Look at training pictures and their masks, at most so many, spread over all; `apart`: and at the objects in them."""
    import cv2

    chosen = np.unique(np.linspace(0, len(records) - 1, min(most, len(records))).astype(int))
    labels, regions = records.label_names, records.regions
    sides, channels, kinds, lows, highs, spacings = [], [], set(), [], [], []
    pixels, counted, empty = np.zeros(len(labels)), 0, 0
    pieces: list[list[int]] = [[] for _ in labels]
    thin: list[list[float]] = [[] for _ in labels]
    gaps: list[float] = []
    across: list[np.ndarray] = []
    untold: list[np.ndarray] = []
    where: list[np.ndarray] = []
    for done, index in enumerate(chosen.tolist(), 1):
        picture, mask = records.native(index), records.mask(index)
        sides.append(mask.shape)
        channels.append(1 if picture.ndim == 2 else picture.shape[2])
        kinds.add(str(picture.dtype))
        low, high = np.percentile(picture[::2, ::2].reshape(-1, channels[-1]), TAILS, axis=0)
        lows.append(low)
        highs.append(high)
        spacings.append(records.spacing(index))
        counted += int((mask != IGNORE).sum())
        found = False
        where.append(_where(mask, regions))
        for place, region in enumerate(regions):
            plane = np.isin(mask, region).astype(np.uint8)
            area = int(plane.sum())
            pixels[place] += area
            if area:
                found = True
                pieces[place].append(cv2.connectedComponents(plane, connectivity=8)[0] - 1)
                thin[place].append(width_of(plane))
        empty += not found
        if (mask == 0).any():
            gaps.append(width_of((mask == 0).astype(np.uint8)))
        if apart:
            across.append(objects.diameters(records.numbered(index)))
            untold += [np.isin(mask, regions[0])] if records.objects(index) is None else []
        progress(done)
    many = max(set(channels), key=channels.count)
    lows = [low for low, count in zip(lows, channels, strict=True) if count == many]
    highs = [high for high, count in zip(highs, channels, strict=True) if count == many]
    ranges = np.log(np.maximum(np.array(highs) - np.array(lows), 1e-3)).mean(1)
    known = [spacing for spacing in spacings if spacing is not None]
    height, width = np.median(np.array(sides), axis=0)
    longest, shortest = np.array(sides).max(1), np.array(sides).min(1)
    every = np.concatenate(across) if across else np.zeros(0)
    return Fingerprint(
        count=len(chosen),
        sides=(int(height), int(width)),
        channels=many,
        kind=", ".join(sorted(kinds)),
        low=tuple(np.median(lows, axis=0).tolist()),
        high=tuple(np.median(highs, axis=0).tolist()),
        spread=float(ranges.std()),
        share={label: float(part) for label, part in zip(labels, pixels / max(1, counted), strict=True)},
        pieces={label: float(np.median(found)) if found else 0.0 for label, found in zip(labels, pieces, strict=True)},
        thin={label: float(np.median(found)) if found else 0.0 for label, found in zip(labels, thin, strict=True)},
        gap=float(np.median(gaps)) if gaps else 0.0,
        oriented=tuple(oriented(np.stack(where), axis) for axis in (0, 1)),
        empty=empty / max(1, len(chosen)),
        spacing=tuple(np.median(known, axis=0).tolist()) if known else None,
        across=(float(np.percentile(every, 10)), float(np.median(every))) if len(every) else None,
        seldom=seldom(pieces, labels, len(chosen)),
        several=objects.merged(untold),
        lengths=tuple(int(value) for value in (longest.min(), np.median(longest), longest.max())),
        slender=round(float((longest / np.maximum(shortest, 1)).max()), 3),
    )


def _where(mask: np.ndarray, regions: Sequence[Sequence[int]]) -> np.ndarray:
    """Return how much of each label lies where, float32 (labels, GRID, GRID)."""
    import cv2

    planes = [np.isin(mask, region).astype(np.float32) for region in regions]
    return np.stack([cv2.resize(plane, (GRID, GRID), interpolation=cv2.INTER_AREA) for plane in planes])


def oriented(where: np.ndarray, axis: int) -> bool:
    """Return whether labels lie elsewhere in mirrored pictures.

    The mean of half of the pictures is compared with that of the other half, as it is and mirrored: where the first two are much
    more alike, a mirrored picture is one that never comes.

    Args:
        where: float (pictures, labels, *sides), how much of each label lies where.
        axis: of the sides, along which is mirrored.
    """
    if len(where) < FEWEST:
        return False
    one, other = where[::2].mean(0), where[1::2].mean(0)
    alike = [_correlation(one, found) for found in (other, np.flip(other, axis + 1))]
    return alike[0] - alike[1] > APART


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one.ravel() - one.mean(), other.ravel() - other.mean()
    length = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum() / length) if length else 0.0


def width_of(plane: np.ndarray) -> float:
    """Return how wide the thinner parts of a mask are, px: those that a tenth of its pixels lie in or a little more.

    Opening the mask with ever larger squares takes away what is thinner: the width is where a tenth is gone.
    """
    import cv2

    plane = np.pad(plane, 1)
    area = int(plane.sum())
    before, width = 1.0, 1
    while True:
        wider = width + (1 if width < 12 else 4)
        left = int(cv2.morphologyEx(plane, cv2.MORPH_OPEN, np.ones((wider, wider), np.uint8)).sum()) / area
        if left < 0.9 or wider > 64:
            # between the two widths, by how much of the tenth was gone at each
            part = (before - 0.9) / max(before - left, 1e-6)
            return float(width + min(1.0, max(0.0, part)) * (wider - width))
        before, width = left, wider


@dataclasses.dataclass(frozen=True)
class Choice:
    """How pictures meet the network.

    Attributes:
        plan: the same.
        shape: of the network's input, px and channels.
        passes: times that an epoch sees each picture.
        focus: share of the windows around a pixel of a label.
        flips: axes along which views may be mirrored.
        why: a line on each choice.
        advice: settings of training, by name: `batch_size`, of a network from nothing, and `loss`.
    """

    plan: Plan
    shape: tuple[int, ...]
    passes: int
    focus: float
    flips: tuple[int, ...]
    why: tuple[str, ...]
    advice: Mapping[str, Any]


def choose(
    facts: Fingerprint,
    count: int,
    regions: Sequence[Sequence[int]],
    order: Sequence[int] = (),
    *,
    side: int | None = None,
    patches: bool | None = None,
    scale: float | None = None,
    values: str | None = None,
) -> Choice:
    """Choose how pictures meet the network.

    Args:
        facts: of the training pictures.
        count: of training pictures.
        regions: the codes of each label.
        order: as `Plan.order`.
        side: of the network's square input, px, where it is given; a multiple of 32.
        patches: whether windows are cut, where it is given.
        scale: px of the input for one of the picture, where it is given; windows are then cut.
        values: how values become bytes, where it is given.
    """
    why = []
    longest = max(facts.sides)
    widths = {label: width for label, width in (*facts.thin.items(), (BETWEEN, facts.gap)) if width}
    label = min(widths, key=lambda name: widths[name]) if widths else ""
    thinnest = widths.get(label, float(longest))
    keeps = THIN / thinnest  # the smallest scale at which it is still so wide
    if facts.across is not None and facts.across[0] * keeps < SMALL:
        label, thinnest, keeps = "objects", facts.across[0], SMALL / facts.across[0]
    keeps = min(1.0, keeps)
    if patches is None and scale is None:
        patches = max(keeps * longest, 1) > WHOLE if longest > WHOLE else False
        if patches:
            why.append(
                f"Windows: of the thin parts of {label}, {thinnest:.1f} px wide, an input of {WHOLE} px for whole pictures of "
                f"{longest} px would leave {thinnest * WHOLE / longest:.1f} px."
            )
        else:
            why.append(
                f"Whole pictures: they are small, {longest} px."
                if longest <= WHOLE
                else f"Whole pictures, made smaller: the thin parts of {label}, {thinnest:.1f} px wide, are still seen."
            )
    else:
        patches = scale is not None or bool(patches)
        why.append(f"{'Windows' if patches else 'Whole pictures'}, as asked.")
    if patches:
        if scale is None:
            finest = SMALL_IN_WINDOWS / facts.across[0] if facts.across is not None else 0.0
            scale = min(1.0, max(WIDE / min(widths.values(), default=longest), WINDOW / longest, finest))
            scale = 1.0 if scale > 0.8 else round(scale, 2)
        span = scale * min(facts.sides)
        fitting = max(STEP, STEP * int(span // STEP))
        side = side or min(WINDOW, fitting)
        why.append(f"Scale {scale:g}: {side} px of the input for {side / scale:.0f} px of a picture.")
    elif side is None:
        needed = min(WHOLE, longest, max(STEP * 6, keeps * longest))
        side = STEP * -(-int(np.ceil(needed)) // STEP)
        why.append(f"Input: {side} px.")
    else:
        why.append(f"Input: {side} px, as asked.")
    plan = Plan(scale=scale if patches else None, spacing=facts.spacing, lengths=facts.lengths, slender=facts.slender)
    plan, line = _valued(plan, facts, values)
    why.append(line)
    if facts.across is not None:
        plan = dataclasses.replace(plan, rim=objects.rim_of(facts.across[1] * (plan.scale or min(1, side / longest))))
        why.append(f"Objects are told apart by a border, {plan.rim} px of the input wide.")
    plan = told_apart(plan, regions, order, why)
    passes, focus = repeated(count, "pictures", why), focused(facts.share, patches, why)
    flips = tuple(axis for axis, turned in enumerate(facts.oriented) if patches or not turned)
    if len(flips) < len(facts.oriented):
        axes = " and ".join(name for axis, name in enumerate(("up and down", "left and right")) if axis not in flips)
        why.append(f"Views are not mirrored {axes}: labels lie elsewhere in pictures that are.")
    shape = (side, side, facts.channels)
    advice, lines = advised(facts, (side, side), patches, STEPS, BATCHES)
    return Choice(plan, shape, passes, focus, flips, (*why, *lines), advice)


def told_apart(plan: Plan, regions: Sequence[Sequence[int]], order: Sequence[int], why: list[str]) -> Plan:
    """Return a plan that knows of labels that overlap."""
    if not overlapping(regions):
        return plan
    why.append("Labels overlap: each is asked for on its own.")
    return dataclasses.replace(plan, regions=tuple(map(tuple, regions)), order=tuple(order))


def repeated(count: int, noun: str, why: list[str]) -> int:
    """Return how often an epoch sees each of so many inputs."""
    passes = max(1, -(-VIEWS // max(1, count)))
    if passes > 1:
        why.append(f"{count} {noun} are few: an epoch sees each {passes} times, each time otherwise.")
    return passes


def focused(share: Mapping[str, float], patches: bool, why: list[str]) -> float:
    """Return the share of the windows around a label, from the share of all places that each label has."""
    rare = [name for name, part in share.items() if 0 < part < OFTEN]
    focus = 0.5 if rare else 0.33
    if patches:
        often = f"{', '.join(rare)} {'are' if len(rare) > 1 else 'is'} rare" if rare else "no label is rare"
        why.append(f"{focus:.0%} of the windows lie around a label: {often}.")
    return focus


def advised(
    facts: Any, sides: Sequence[int], patches: bool, step: int, bounds: tuple[int, int]
) -> tuple[dict[str, Any], list[str]]:
    """Return settings of training that suit the masks, and why.

    Args:
        facts: a fingerprint.
        sides: of the network's input.
        patches: whether it sees windows.
        step: px or voxels that a step of training has, about.
        bounds: inputs of a step, at least and at most.
    """
    least, most = bounds
    size = int(np.prod(sides))
    batch = int(np.clip(2 ** round(math.log2(step / size)), least, most))
    why = [f"{batch} inputs a step, of {size / 1000:,.0f} thousand places each; from loaded weights twice as many."]
    label, had = facts.seldom or ("a label", 0.0)
    if patches or had < OFTEN_THERE:
        reason = "windows often have none of a label" if patches else f"{1 - had:.0%} of them do not have {label}"
        why.append(f"Overlap is learnt of all inputs of a step together: {reason}.")
        return {"batch_size": batch, "loss": "batch-dice"}, why
    why.append("Overlap is learnt of each input on its own, so that small and large things count alike.")
    return {"batch_size": batch, "loss": "dice"}, why


def seldom(pieces: Sequence[Sequence[Any]], labels: Sequence[str], count: int) -> tuple[str, float] | None:
    """Return the label that the fewest inputs have, and the share that have it; None where there are none.

    Args:
        pieces: of each label, an entry an input that has it.
        labels: their names.
        count: of inputs.
    """
    if not labels or not count:
        return None
    least = min(range(len(labels)), key=lambda place: len(pieces[place]))
    return labels[least], len(pieces[least]) / count


def _valued(plan: Plan, facts: Fingerprint, values: str | None) -> tuple[Plan, str]:
    """Return a plan that says how values become bytes, and why."""
    asked = ", as asked" if values else ""
    if values is None:
        values = AS_IS if facts.kind == "uint8" else EACH if facts.spread > 0.35 else ALIKE
    if values == ALIKE:
        plan = dataclasses.replace(plan, values=ALIKE, low=facts.low, high=facts.high)
        low, high = (", ".join(f"{value:g}" for value in ends) for ends in (facts.low, facts.high))
        return plan, f"Values from {low} to {high} become 0 to 255{asked or ': the pictures have about one range'}."
    if values == EACH:
        why = asked or ": the pictures' ranges differ"
        return dataclasses.replace(plan, values=EACH), f"Each picture's own range of values becomes 0 to 255{why}."
    return plan, f"Values stay as they are{asked or ': they are bytes'}."

"""What a data set of volumes is like, and how a network should see it therefore; as `cnnkit.tasks.segmentation.fingerprint`.

Design choices:
- A voxel of the input has one size, that of the median volume. Where a window of that would show a small part of a volume alone,
  it is made coarser, as far as what is thin stays `WIDE` voxels wide: what surrounds a thing says what it is.
- A window holds `VOXELS` at most, so that a step of training and a window on a device stay affordable.
- A thick axis is spared: it is halved only once the others are as coarse, and until then convolutions do not look along it. Of
  very thick slices that is a network of slices, each on its own.
- Values of CT mean something in every volume alike (Hounsfield units); those of other devices do not, so each volume is brought
  to its own range.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnkit.device.resampling import resampled, sampled
from cnnkit.device.segmentation import ALIKE, EACH, TAILS, Plan, pieces_of
from cnnkit.errors import ConfigError
from cnnkit.tasks.segmentation.fingerprint import (
    FEWEST,
    Choice,
    advised,
    focused,
    oriented,
    repeated,
    seldom,
    told_apart,
    width_of,
)
from cnnkit.tasks.segmentation.masks import IGNORE

LOOKED_AT = 60  # training volumes
VOXELS = 96_000  # of a window, about; a step of training has two
BATCHES = (2, 8)  # volumes of a step, at least and at most
STEP = 8  # sides are multiples of it, voxels
HALVED = 3  # times, at most, that maps are
FEW = 4  # places along an axis that the coarsest map has at least
LEAST = 16  # side of a window along an axis that is not thick, voxels
WIDE = 4.0  # voxels that what is thin stays wide, where voxels are made coarser
GRID = 8  # places along an axis, at which it is counted where labels lie
AXES = ("up and down", "front and back", "left and right")
FLIPS = {"none": (), "vertical": (0,), "horizontal": (2,), "both": (0, 2)}
WHOLE = 0.7  # of a volume's side that a window covers, from which labels lie in it where they lie in the volume
FOREGROUND = 10_000  # voxels of labels whose values are looked at, of a volume
OBJECTS_OF_VOLUMES = "`objects`: objects are told apart in pictures only, not in volumes. Leave it out."
CT = -500.0  # a value below which says that values are Hounsfield units


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """What volumes are like.

    Attributes:
        count: volumes looked at.
        sides: of the median volume, voxels along each axis.
        spacing: of the median volume, mm along each axis.
        spacings: the least and the largest along each axis, mm.
        channels: of the volumes.
        kind: type of their values, such as "int16".
        low, high: percentiles (`TAILS`) of each channel: of CT of what labels have, else of all, the median over volumes.
        hounsfield: whether values are Hounsfield units.
        share: of the voxels that each label has, over all volumes.
        pieces: of each label in a volume that has it, the median.
        millilitres: of each label in a volume that has it, the median.
        thin: mm: nine tenths of each label lie in parts at least so wide, in slices.
        oriented: for each axis, whether labels lie elsewhere in volumes that are mirrored along it.
        empty: share of the volumes without any label.
        seldom: as of pictures.
        lengths: mm, the longest sides of volumes: the least, the median, the most.
    """

    count: int
    sides: tuple[int, ...]
    spacing: tuple[float, ...]
    spacings: tuple[tuple[float, float], ...]
    channels: int
    kind: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    hounsfield: bool
    share: dict[str, float]
    pieces: dict[str, float]
    millilitres: dict[str, float]
    thin: dict[str, float]
    oriented: tuple[bool, ...]
    empty: float
    seldom: tuple[str, float] | None = None
    several: tuple[int, int] = (0, 0)
    lengths: tuple[int, ...] = ()

    def lines(self) -> list[str]:
        """Return what was found, for a person."""
        values = "Hounsfield units" if self.hounsfield else self.kind
        found = [
            f"Volumes: {_times(self.sides)} voxels of {_times(self.spacing)} mm (median; slices first), {self.channels} "
            f"channel{'s' * (self.channels != 1)}, {values}; {self.empty:.0%} without any label."
        ]
        for label, share in self.share.items():
            if share:
                found.append(
                    f"{label}: {share:.2%} of the voxels, {self.millilitres[label]:.3g} ml and {self.pieces[label]:.0f} "
                    f"piece{'s' * (self.pieces[label] != 1)} a volume, parts from {self.thin[label]:.1f} mm wide."
                )
        return found


def measure(
    records: Any,
    most: int = LOOKED_AT,
    progress: Callable[[int], None] = lambda done: None,
    *,
    apart: bool = False,
) -> Fingerprint:
    """Look at training volumes and their masks, at most so many, spread over all.

    Raises:
        ConfigError: objects are to be told `apart`.
    """
    if apart:
        raise ConfigError(OBJECTS_OF_VOLUMES)
    chosen = np.unique(np.linspace(0, len(records) - 1, min(most, len(records))).astype(int))
    labels, regions = records.label_names, records.regions
    sides, spacings, channels, kinds, lows, highs, least = [], [], [], set(), [], [], 0.0
    inside: list[np.ndarray] = []
    voxels, counted, empty = np.zeros(len(labels)), 0, 0
    pieces: list[list[int]] = [[] for _ in labels]
    sizes: list[list[float]] = [[] for _ in labels]
    thin: list[list[float]] = [[] for _ in labels]
    where: list[np.ndarray] = []
    for done, index in enumerate(chosen.tolist(), 1):
        volume, mask, spacing = records.native(index), records.mask(index), records.spacing(index)
        sides.append(mask.shape)
        spacings.append(spacing)
        channels.append(volume.shape[-1])
        kinds.add(str(volume.dtype))
        some = sampled(volume)
        least = min(least, float(some.min()))
        low, high = np.percentile(some, TAILS, axis=0)
        lows.append(low)
        highs.append(high)
        counted += int((mask != IGNORE).sum())
        planes = [np.isin(mask, region) for region in regions]
        labelled = volume[np.logical_or.reduce(planes)]
        inside.append(labelled[:: max(1, len(labelled) // FOREGROUND)].astype(np.float32))
        where.append(np.stack([_coarse(plane) for plane in planes]))
        empty += not len(labelled)
        for place, plane in enumerate(planes):
            count = int(plane.sum())
            voxels[place] += count
            if count:
                pieces[place].append(int(pieces_of(plane.astype(np.uint8)).max()))
                sizes[place].append(count * float(np.prod(spacing)) / 1000)
                thin[place].append(_thin(plane, spacing))
        progress(done)
    many = max(set(channels), key=channels.count)
    same = [k for k, count in enumerate(channels) if count == many]
    hounsfield = least < CT and many == 1
    if hounsfield and any(map(len, inside)):
        low, high = np.percentile(np.concatenate([inside[k] for k in same]), TAILS, axis=0)
    else:
        low, high = np.median([lows[k] for k in same], axis=0), np.median([highs[k] for k in same], axis=0)
    spans = np.array(spacings)
    longest = (np.array(sides) * spans).max(1)
    return Fingerprint(
        count=len(chosen),
        sides=tuple(int(side) for side in np.median(np.array(sides), axis=0)),
        spacing=tuple(np.median(spans, axis=0).tolist()),
        spacings=tuple(zip(spans.min(0).tolist(), spans.max(0).tolist(), strict=True)),
        channels=many,
        kind=", ".join(sorted(kinds)),
        low=tuple(np.asarray(low).tolist()),
        high=tuple(np.asarray(high).tolist()),
        hounsfield=hounsfield,
        share=dict(zip(labels, (voxels / max(1, counted)).tolist(), strict=True)),
        pieces={label: float(np.median(found)) if found else 0.0 for label, found in zip(labels, pieces, strict=True)},
        millilitres={label: float(np.median(had)) if had else 0.0 for label, had in zip(labels, sizes, strict=True)},
        thin={label: float(np.median(found)) if found else 0.0 for label, found in zip(labels, thin, strict=True)},
        oriented=tuple(oriented(np.stack(where), axis) for axis in range(3)),
        empty=empty / max(1, len(chosen)),
        seldom=seldom(pieces, labels, len(chosen)),
        lengths=tuple(round(float(value)) for value in (longest.min(), np.median(longest), longest.max())),
    )


def _coarse(plane: np.ndarray) -> np.ndarray:
    """Return how much of a label lies where: float32 (GRID, GRID, GRID)."""
    found = plane.astype(np.float32)
    for axis in range(3):
        found = resampled(found, axis, GRID)
    return found


def _thin(plane: np.ndarray, spacing: Sequence[float]) -> float:
    """Return how wide the thinner parts of a label are in the slice that shows most of it, mm."""
    slices = plane.any(axis=(1, 2))
    fullest = int(plane.sum(axis=(1, 2)).argmax()) if slices.any() else 0
    return width_of(plane[fullest].astype(np.uint8)) * float(min(spacing[1:]))


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
    """Choose how volumes meet the network; arguments as for pictures.

    Args:
        facts: of the training volumes.
        count: of training volumes.
        regions: the codes of each label.
        order: as `Plan.order`.
        side: of the network's input along each axis, voxels, where it is given.
        patches: False is refused: a volume is always seen in windows, which may be as large as it is.
        scale: voxels of the input for one of the median volume, where it is given.
        values: how values become 0 to 255, where it is given.

    Raises:
        ConfigError: what means nothing for volumes.
    """
    if patches is False:
        raise ConfigError("`patches=False`: volumes are never shrunk to fit the input whole. Leave it out.")
    why = []
    spacing = np.array(facts.spacing)
    extent = np.array(facts.sides, float)
    if scale is not None:
        voxel = spacing / scale
        why.append(f"Voxels of {_times(voxel)} mm, as asked.")
    else:
        voxel, line = _voxel(facts, spacing, extent)
        why.append(line)
    seen = np.round(extent * spacing / voxel, 3)  # 48 * 3.1744 / 3.1744 is above 48
    sides = _sides(seen, voxel) if side is None else (side,) * 3
    covered = [min(1.0, part / whole) for part, whole in zip(sides, seen, strict=True)]
    shown = (
        "a whole volume" if min(covered) == 1 else f"{_times([100 * part for part in covered])} % of a volume's sides"
    )
    why.append(f"Input: {_times(sides)} voxels{', as asked' if side else ''}: {shown}.")
    flat = sum(1 in kernel for kernel in levels(sides, voxel)[1])
    if flat:
        alone = "each map" if flat > HALVED else f"the finest {flat} map{'s' * (flat > 1)}"
        why.append(
            f"Voxels are {voxel.max() / voxel.min():.1f} times as long as wide: {alone} of the network look at slices alone."
        )
    plan = Plan(
        scale=1.0, spacing=facts.spacing, lengths=facts.lengths, voxel=tuple(round(float(size), 4) for size in voxel)
    )
    plan, line = _valued(plan, facts, values)
    why.append(line)
    plan = told_apart(plan, regions, order, why)
    passes, focus = repeated(count, "volumes", why), focused(facts.share, min(covered) < 1, why)
    flips = tuple(
        axis
        for axis, turned in enumerate(facts.oriented)
        if count >= FEWEST and not (turned and covered[axis] >= WHOLE)
    )
    if len(flips) < 3:
        axes = " and ".join(name for axis, name in enumerate(AXES) if axis not in flips)
        said = (
            "labels lie elsewhere in volumes that are"
            if count >= FEWEST
            else "too few volumes to tell whether they may be"
        )
        why.append(f"Views are not mirrored {axes}: {said}.")
    advice, lines = advised(facts, sides, min(covered) < 1, 2 * VOXELS, BATCHES)
    return Choice(plan, (*sides, facts.channels), passes, focus, flips, (*why, *lines), advice)


def _voxel(facts: Fingerprint, spacing: np.ndarray, extent: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the size of a voxel of the input, mm, and why."""
    alike = all(most - least < 0.02 * most for least, most in facts.spacings)
    label = min((name for name in facts.thin if facts.thin[name]), key=lambda name: facts.thin[name], default="")
    finest = float(spacing.min())
    allowed = max(1.0, facts.thin[label] / (WIDE * finest)) if label else 1.0
    wanted = float(np.prod(extent) / VOXELS) ** (1 / 3)
    coarser = min(allowed, wanted)
    if coarser < 1.1:
        own = "all volumes have these" if alike else "as the median volume; the others are resampled"
        return spacing, f"Voxels of {_times(spacing)} mm: {own}."
    voxel = np.maximum(spacing, finest * coarser)  # a thick axis is coarse enough
    return voxel, (
        f"Voxels of {_times(voxel)} mm, of volumes of {_times(spacing)} mm: a window then shows more, and the thin parts of "
        f"{label}, {facts.thin[label]:.1f} mm wide, are still seen."
    )


def _sides(extent: np.ndarray, voxel: np.ndarray) -> tuple[int, ...]:
    """Return the sides of a window: those of a volume, or cut down from the longest to `VOXELS`."""
    step = np.prod(levels((1024,) * 3, voxel)[0], axis=0)
    sides = np.maximum(step, step * np.ceil(extent / step)).astype(int)
    while np.prod(sides) > VOXELS * 1.1:
        place = int(sides.argmax())
        if sides[place] <= LEAST:
            break
        sides[place] -= step[place]
    return tuple(sides.tolist())


def levels(
    sides: Sequence[int], voxel: Sequence[float] | np.ndarray
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Return what each step to a coarser map divides the sides by, and the size of the convolutions of each map.

    Args:
        sides: of a window, voxels.
        voxel: mm along each axis.

    Returns:
        `strides` and `kernels` of `cnnkit.models.unet`.
    """
    size, left = np.array(voxel, float), np.array(sides)
    strides: list[tuple[int, ...]] = []
    kernels = [_kernel(size)]
    while len(strides) < HALVED:
        halved = (size < 2 * size.min()) & (left >= 2 * FEW) & (left % 2 == 0)
        if strides and not halved.any():
            break
        stride = np.where(halved, 2, 1)
        size, left = size * stride, left // stride
        strides.append(tuple(stride.tolist()))
        kernels.append(_kernel(size))
    return tuple(strides), tuple(kernels)


def _kernel(voxel: np.ndarray) -> tuple[int, ...]:
    return tuple(np.where(voxel < 2 * voxel.min(), 3, 1).tolist())


def _valued(plan: Plan, facts: Fingerprint, values: str | None) -> tuple[Plan, str]:
    """Return a plan that says how values become 0 to 255, and why."""
    asked = ", as asked" if values else ""
    values = values or (ALIKE if facts.hounsfield else EACH)
    if values == ALIKE:
        plan = dataclasses.replace(plan, values=ALIKE, low=facts.low, high=facts.high)
        low, high = (", ".join(f"{value:g}" for value in ends) for ends in (facts.low, facts.high))
        why = asked or ": Hounsfield units, those of the labels"
        return plan, f"Values from {low} to {high} become 0 to 255{why}."
    if values == EACH:
        why = asked or ": values of such scans mean nothing from one to the next"
        return dataclasses.replace(plan, values=EACH), f"Each volume's own range of values becomes 0 to 255{why}."
    return plan, "Values stay as they are, as asked: from 0 to 255."


def _times(numbers: Sequence[float] | np.ndarray) -> str:
    return "x".join(f"{number:.3g}" if number < 1000 else f"{number:.0f}" for number in numbers)

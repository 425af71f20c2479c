"""Which pixels or voxels belong to what, by a model of any precision: scaling, windows, blending, decoding, in NumPy and OpenCV.

Design choices:
- One plan, which travels inside the file, says how a picture meets the network: fitted whole into its input, or seen through
  windows at a fixed scale. Training cuts its views the same way, and Keras and the exported file run this same code.
- A picture far more slender than those of training, fitted in whole, would shrink until nothing is left of what is thin. It meets
  the network in windows along its longer side, at the scale that pictures of training had.
- A picture becomes bytes: as it is, or its values from `low` to `high` spread over 0 to 255, of all pictures alike or of each
  by its own percentiles. So a file of int8 takes what a camera gives, and twelve bits in sixteen are not lost.
- Volumes are numbers from 0 to 255, too, but not rounded. A voxel of the input has one size in mm, so what is resampled follows
  from the spacing of each volume; a part of it is, when a window needs it (`cnnkit.device.resampling`).
- Beyond its edges a picture is mirrored, in training too.
- Scores are brought back to the size of the picture before they become codes, block by block (`cnnkit.device.windows`). The
  axes of a volume along which rows and columns of windows follow one another are those of which memory holds least.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from cnnkit.device.objects import apart
from cnnkit.device.resampling import Resampled, as_values, sampled
from cnnkit.device.windows import AT_ONCE, OVERLAP, Block, blended, held_least, resized, there

AS_IS, ALIKE, EACH = "as it is", "alike", "each"
SOLID_AT_ONCE = 2  # windows of volumes that a model is given together
TAILS = (0.5, 99.5)  # percentiles of a picture that become 0 and 255
SLENDER = 1.5  # times as slender as any picture of training, from which a picture is not fitted in whole
FAR = 3.0  # times as large or as small as any, from which nobody knows what is found in it


@dataclass(frozen=True)
class Plan:
    """How pictures meet a network, and how its scores become a code map.

    Attributes:
        scale: px of the network's input for one of the picture; None: the whole picture is fitted in.
        overlap: share of a window that the next one covers again.
        values: "as it is" for pictures of bytes; "alike": `low` to `high` of all pictures become 0 to 255; "each": a picture's
            own percentiles do.
        low, high: a value a channel, of "alike".
        mirrors: axes along which a picture is mirrored and looked at again; () for none.
        regions: codes of each label's pixels where labels overlap; (): each label has its own code and no pixel two labels.
        order: of regions: which code each writes, over those before it.
        threshold: with one label, the score from which a pixel has it; of regions, each label's.
        smallest: px of the picture, by label: smaller pieces are left out.
        largest: labels of which only the largest piece counts.
        files: of a picture, one a channel, whose names end in _0000, _0001 and so on; 1: a file has all channels.
        spacing: of training pictures, mm of a px along each axis; None: not known.
        rim: px of the network's input that the border of an object is wide, where objects of the only label are told apart: the
            network then scores background, inside and border; 0: they are not.
        seed: score of the inside from which a pixel speaks for an object of its own.
        lengths: px, of volumes mm, the longest sides of training pictures: the least, the median, the most; (): not known.
        slender: longest side over shortest of the most slender of them; 0: not known.
        mirrored: axes along which training saw views mirrored; None: not known.
        voxel: of a network of volumes, mm that a voxel of its input has along each axis; None: it takes pictures.
        background: whether a pixel has a score of no label before that of the only one, as programs of others want it.
    """

    scale: float | None = None
    overlap: float = OVERLAP
    values: str = AS_IS
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    mirrors: tuple[int, ...] = ()
    regions: tuple[tuple[int, ...], ...] = ()
    order: tuple[int, ...] = ()
    threshold: float = 0.5
    smallest: Mapping[str, int] | None = None
    largest: tuple[str, ...] = ()
    files: int = 1
    spacing: tuple[float, ...] | None = None
    rim: int = 0
    seed: float = 0.7
    lengths: tuple[int, ...] = ()
    slender: float = 0.0
    mirrored: tuple[int, ...] | None = None
    voxel: tuple[float, ...] | None = None
    background: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as `cnnkit.json` holds them."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Plan":
        """Return the plan that `to_dict` described; unknown keys are left out."""
        known = {key: value for key, value in values.items() if key in cls.__dataclass_fields__}
        for key in ("low", "high", "mirrors", "order", "largest", "spacing", "lengths", "mirrored", "voxel"):
            if known.get(key) is not None:
                known[key] = tuple(known[key])
        if "regions" in known:
            known["regions"] = tuple(tuple(int(code) for code in region) for region in known["regions"])
        return cls(**known)

    @property
    def noun(self) -> str:
        """What meets the network: "picture" or "volume"."""
        return "picture" if self.voxel is None else "volume"

    def channels(self, labels: int) -> int:
        """Return how many scores a pixel has: of labels that stand alone or overlap one each, else one of the background too."""
        if self.rim:
            return 3
        alone = self.regions or labels == 1
        return labels if alone and not self.background else labels + 1

    def seen(self, shape: Sequence[int]) -> str:
        """Say how pictures meet a network of this shape, for people; goes on after "pictures are"."""
        window = "x".join(map(str, reversed(shape[:-1])))
        fitted = "fitted in whole, their aspect kept"
        parts = [
            fitted if self.scale is None else f"seen through windows of {window} px at a scale of {self.scale:.3g}"
        ]
        parts += ["spread over the values from 0 to 255"] * (self.values != AS_IS)
        parts += ["mirrored and looked at again"] * bool(self.mirrors)
        return ", ".join(parts)

    def codes_of(self, labels: int) -> tuple[tuple[int, ...], ...]:
        """Return the regions of so many labels, also where each has its own code."""
        return self.regions or tuple((code,) for code in range(1, labels + 1))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return dict(value) if isinstance(value, Mapping) else value


# Pictures -------------------------------------------------------------------------------------------------------------


def stretch(picture: np.ndarray, plan: Plan) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the values of each channel that become 0 and 255, float32 (channels,) each; None: a picture stays as it is.

    Args:
        picture: uint8, uint16 or float (h, w) or (h, w, c); of volumes any numbers (d, h, w, c).
        plan: how it meets the network.

    Raises:
        ValueError: its values are of another range than those that the plan was made for, so that hardly anything would be left.
    """
    if plan.values == AS_IS and picture.dtype != np.uint8 and picture.size:
        least, most = float(picture.min()), float(picture.max())
        shares = picture.dtype.kind == "f" and 0 <= least < most <= 1
        if least < -1 or most > 256 or shares:
            raise ValueError(f"its values lie from {least:g} to {most:g}, and the model takes bytes, 0 to 255")
    if plan.values == ALIKE and picture.dtype == np.uint8 and max(plan.high) - min(plan.low) > 4 * 255:
        raise ValueError(f"it has bytes, and the model takes values of {min(plan.low):g} to {max(plan.high):g}")
    if plan.values == ALIKE:
        return np.asarray(plan.low, np.float32), np.asarray(plan.high, np.float32)
    if plan.values == EACH:
        some = sampled(picture)
        low, high = np.percentile(some, TAILS, axis=0)
        return low.astype(np.float32), high.astype(np.float32)
    return None


def as_bytes(picture: np.ndarray, limits: tuple[np.ndarray, np.ndarray] | None, channels: int) -> np.ndarray:
    """Return a picture, or a part of one, as a network takes it: uint8 (h, w, channels); or a volume as pictures.

    Args:
        picture: (h, w), (h, w, c) or (d, h, w, c): c is the number of channels, or one of them is 1 and the other 3.
        limits: as `stretch` returns them.
        channels: of the network.

    Raises:
        ValueError: the picture has another number of channels.
    """
    picture = picture[..., None] if picture.ndim == 2 else picture
    if limits is not None:
        low, high = limits
        spread = (picture.astype(np.float32) - low) * (255 / np.maximum(high - low, 1e-6))
        picture = np.clip(np.rint(spread), 0, 255).astype(np.uint8)
    elif picture.dtype != np.uint8:
        picture = np.clip(np.rint(picture.astype(np.float32)), 0, 255).astype(np.uint8)
    if picture.shape[-1] == channels:
        return picture
    if picture.shape[-1] == 1:
        return np.repeat(picture, channels, axis=-1)
    if picture.shape[-1] == 3 and channels == 1 and picture.ndim == 3:
        return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
    raise ValueError(f"it has {picture.shape[-1]} channels, the model takes {channels}")


def scale_of(extent: Sequence[int], sides: Sequence[int], plan: Plan) -> float:
    """Return px of the network's input for one of a picture of this extent."""
    if plan.scale is not None:
        return plan.scale
    fitted = [side / length for side, length in zip(sides, extent, strict=True)]
    if not _too_slender(extent, plan):
        return min(fitted)
    return float(np.clip(min(sides) / plan.lengths[1], min(fitted), max(fitted)))


def _too_slender(extent: Sequence[int], plan: Plan) -> bool:
    known = plan.scale is None and plan.lengths and plan.slender
    return bool(known) and max(extent) > SLENDER * plan.slender * min(extent)


def unlike(extent: Sequence[int], plan: Plan, spacing: Sequence[float] | None = None) -> str:
    """Say that a picture's size is far from that of any picture of training; "" where it is not, or that is not known.

    Args:
        extent: (h, w), or (d, h, w) of a volume.
        plan: how it meets the network.
        spacing: of a volume's voxels, mm.
    """
    if not plan.lengths:
        return ""
    least, _, most = plan.lengths
    if plan.voxel is not None and spacing is not None:
        length = max(side * step for side, step in zip(extent, spacing, strict=True))
        if length > FAR * most or FAR * length < least:
            return (
                f"it is {length:.0f} mm long, training volumes {_span(least, most)} mm. What they did not show is answered "
                "all the same: cut out what shows as much as they do"
            )
        step, wanted = max(zip(spacing, plan.voxel, strict=True), key=lambda pair: pair[0] / pair[1])
        if step > FAR * wanted:
            return (
                f"its voxels are {step:.3g} mm long, those of the network {wanted:.3g} mm: what lies between is guessed"
            )
        return ""
    in_windows = plan.scale is not None or _too_slender(extent, plan)
    own = min(extent) if in_windows else max(extent)
    if own <= FAR * most and FAR * max(extent) >= least:
        return ""
    size = f"it has {extent[1]}x{extent[0]} px, the longest side of training pictures {_span(least, most)}"
    if in_windows:
        return f"{size}. Right only if a pixel shows as much as theirs do; else resize it"
    return f"{size}, and is seen whole. Right only if it shows as much as they do; else cut it"


def _span(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least} to {most}"


def scaled(picture: np.ndarray, scale: float) -> np.ndarray:
    """Return a picture at another scale, in its own type: by area where it shrinks, linearly where it grows."""
    if scale == 1:
        return picture
    height, width = (max(1, round(scale * side)) for side in picture.shape[:2])
    if (height, width) == picture.shape[:2]:
        return picture
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(picture, (width, height), interpolation=how)


# Answers --------------------------------------------------------------------------------------------------------------


def scores(
    model: Any, picture: np.ndarray, plan: Plan, *, spacing: Sequence[float] | None = None, at_once: int | None = None
) -> Iterator[Block]:
    """Yield the scores of a picture's pixels, or a volume's voxels, in blocks that fill it, each place once.

    Args:
        model: has `input_shape` (*sides, c) and `run_batch((n, *sides, c))` -> {"scores": (n, *sides, channels)} in [0, 1];
            it is given uint8 of pictures, float32 in [0, 255] of volumes.
        picture: uint8, uint16 or float (h, w) or (h, w, c); of volumes any numbers (d, h, w, c).
        plan: how it meets the model.
        spacing: of a volume's voxels, mm along each axis.
        at_once: windows that the model is given together; None: 8 of pictures, 2 of volumes, which are as large.

    Yields:
        (where it begins along each axis, float32 (*sides, channels)); `windows.there` says where it lies.

    Raises:
        ValueError: it does not fit the model.
    """
    *sides, channels = model.input_shape
    limits = stretch(picture, plan)
    if plan.voxel is None:
        own, extent, page, cut = _of_picture(picture, sides, channels, plan, limits)
    else:
        own, extent, page, cut = _of_volume(picture, sides, channels, plan, limits, spacing)
    order = tuple(range(len(page))) if plan.voxel is None else held_least(page, sides, plan.overlap)
    back = tuple(np.argsort(order).tolist())
    at_once = at_once or (AT_ONCE if plan.voxel is None else SOLID_AT_ONCE)

    def ordered(lengths: Sides) -> Sides:
        return [lengths[axis] for axis in order]

    def answer(places: list[tuple[int, ...]]) -> np.ndarray:
        seen = np.stack([cut(tuple(place[axis] for axis in back)) for place in places])
        found = model.run_batch(seen)["scores"]
        ways = _mirrored(plan.mirrors)
        for axes in ways:
            other = model.run_batch(np.ascontiguousarray(np.flip(seen, axes)))["scores"]
            found = found + np.flip(other, axes)
        found = found / (1 + len(ways)) if ways else found
        return found.transpose(0, *(axis + 1 for axis in order), -1)

    blocks = blended(ordered(page), ordered(sides), answer, overlap=plan.overlap, at_once=at_once)
    inner = _cut(blocks, ordered(extent))
    for place, block in resized(inner, ordered(extent), ordered(own)):
        yield tuple(place[axis] for axis in back), block.transpose(*back, -1)


Cut = Callable[[tuple[int, ...]], np.ndarray]
Sides = Sequence[int]


def _of_picture(
    picture: np.ndarray, sides: Sides, channels: int, plan: Plan, limits: Any
) -> tuple[Sides, Sides, Sides, Cut]:
    """Return a picture's own extent, its extent at the plan's scale, that with its margin, and what cuts windows."""
    small = scaled(picture, scale_of(picture.shape[:2], sides, plan))
    extent = small.shape[:2]
    page = [max(length, side) for length, side in zip(extent, sides, strict=True)]
    if tuple(page) != extent:
        below, beside = (length - side for length, side in zip(page, extent, strict=True))
        small = cv2.copyMakeBorder(small, 0, below, 0, beside, cv2.BORDER_REFLECT)

    def cut(place: tuple[int, ...]) -> np.ndarray:
        top, left = place
        return as_bytes(small[top : top + sides[0], left : left + sides[1]], limits, channels)

    return picture.shape[:2], extent, page, cut


def _of_volume(
    volume: np.ndarray, sides: Sides, channels: int, plan: Plan, limits: Any, spacing: Sequence[float] | None
) -> tuple[Sides, Sides, Sides, Cut]:
    """Return the same of a volume (d, h, w, c)."""
    if volume.shape[-1] != channels:
        raise ValueError(f"it has {volume.shape[-1]} channels, the model takes {channels}")
    own = volume.shape[:-1]
    extent = extent_at(own, spacing, plan)
    page = [max(length, side) for length, side in zip(extent, sides, strict=True)]
    parts = Resampled(volume, extent)
    return own, extent, page, lambda place: as_values(parts.cut(place, sides), limits)


def extent_at(extent: Sequence[int], spacing: Sequence[float] | None, plan: Plan) -> tuple[int, ...]:
    """Return the extent of a volume in voxels of the plan's size.

    Raises:
        ValueError: its spacing is not known.
    """
    assert plan.voxel is not None
    if spacing is None:
        raise ValueError("it does not say how large its voxels are")
    factors = [have / want for have, want in zip(spacing, plan.voxel, strict=True)]
    return tuple(max(1, round(length * factor)) for length, factor in zip(extent, factors, strict=True))


def first(picture: np.ndarray, plan: Plan, shape: Sequence[int]) -> np.ndarray:
    """Return the window of a picture that a network sees first: uint8 (*shape)."""
    *sides, channels = shape
    return _of_picture(picture, sides, channels, plan, stretch(picture, plan))[3]((0, 0))


def _mirrored(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Return all sets of axes of a batch that an input is mirrored along, besides none."""
    found: list[tuple[int, ...]] = [()]
    for axis in axes:
        found += [(*some, axis + 1) for some in found]
    return found[1:]


def _cut(blocks: Iterator[Block], extent: Sequence[int]) -> Iterator[Block]:
    """Leave out what was added beyond the edges of a picture."""
    for place, block in blocks:
        if all(low < length for low, length in zip(place, extent, strict=True)):
            yield place, block[tuple(slice(length - low) for low, length in zip(place, extent, strict=True))]


def segment(model: Any, picture: np.ndarray, plan: Plan, labels: Sequence[str], **options: Any) -> np.ndarray:
    """Return what pixels or voxels belong to: uint8 (*sides), 0 for nothing, k + 1 for the k-th label.

    Where labels overlap, the codes are those of the plan's `order`. Arguments as `scores`.
    """
    if plan.rim:
        return (separate(model, picture, plan, labels, **options) > 0).astype(np.uint8)
    codes = np.empty(picture.shape[:2] if plan.voxel is None else picture.shape[:-1], np.uint8)
    for place, block in scores(model, picture, plan, **options):
        codes[there(place, block)] = decoded(block, plan)
    return cleaned(codes, plan, labels)


def separate(model: Any, picture: np.ndarray, plan: Plan, labels: Sequence[str], **options: Any) -> np.ndarray:
    """Return which object each pixel of a picture is of: int32 (h, w), from 1 without gaps, 0 for none. Arguments as `scores`."""
    return parted(*levels(model, picture, plan, **options), plan, labels)


def levels(model: Any, picture: np.ndarray, plan: Plan, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return how surely each pixel is inside of an object, and inside or border: uint8 (h, w) each, 255 for 1."""
    inside, whole = np.empty((2, *picture.shape[:2]), np.uint8)
    for place, block in scores(model, picture, plan, **options):
        own = there(place, block)
        inside[own] = np.rint(255 * np.clip(block[..., 1], 0, 1))
        whole[own] = np.rint(255 * np.clip(block[..., 1] + block[..., 2], 0, 1))
    return inside, whole


def parted(inside: np.ndarray, whole: np.ndarray, plan: Plan, labels: Sequence[str]) -> np.ndarray:
    """Tell objects apart by what `levels` returns, as the plan says: int32 (h, w)."""
    smallest = (plan.smallest or {}).get(labels[0], 0)
    return apart(inside, whole, seed=plan.seed, threshold=plan.threshold, smallest=smallest)


def decoded(block: np.ndarray, plan: Plan) -> np.ndarray:
    """Return the codes of scores float (..., channels): uint8 (...)."""
    if plan.regions:
        codes = np.zeros(block.shape[:-1], np.uint8)
        for number, code in enumerate(plan.order or range(1, len(plan.regions) + 1)):
            codes[block[..., number + plan.background] >= plan.threshold] = code
        return codes
    if plan.rim:
        return (block[..., 1] + block[..., 2] >= plan.threshold).astype(np.uint8)
    if block.shape[-1] == 1 or plan.background:
        return (block[..., -1] >= plan.threshold).astype(np.uint8)
    return block.argmax(-1).astype(np.uint8)


def extent_of(codes: np.ndarray, region: Sequence[int], rows: int = 256) -> tuple[int, int]:
    """Return how many pixels or voxels have a code of a region, and how many pieces hang together, corners included.

    Args:
        codes: uint8 (*sides).
        region: codes.
        rows: of a picture that are looked at together, so that memory does not grow with it; of a volume slices are.
    """
    if codes.ndim == 3:
        numbered, area = _Numbered(), 0
        for numbers in numbered(_has(codes, region)):
            area += int(np.count_nonzero(numbers))
        return area, len(np.unique(numbered.roots())) - 1
    area, parents = 0, [0]
    last: np.ndarray | None = None  # the pieces of the row above
    for top in range(0, len(codes), rows):
        plane = np.isin(codes[top : top + rows], region).astype(np.uint8)
        area += int(plane.sum())
        count, found = cv2.connectedComponents(plane, connectivity=8)
        first, offset = len(parents), len(parents) - 1
        parents += range(first, first + count - 1)
        above, last = last, np.where(found[-1] > 0, found[-1] + offset, 0)
        if above is not None:
            below = np.where(found[0] > 0, found[0] + offset, 0)
            pairs = [(above, below), (above[1:], below[:-1]), (above[:-1], below[1:])]
            touching = np.concatenate([np.stack(pair, 1)[(pair[0] > 0) & (pair[1] > 0)] for pair in pairs])
            for one, other in np.unique(touching, axis=0).tolist():
                parents[_root(parents, one)] = _root(parents, other)
    return area, sum(parent == piece for piece, parent in enumerate(parents)) - 1


def _root(parents: list[int], piece: int) -> int:
    while parents[piece] != piece:
        parents[piece] = parents[parents[piece]]
        piece = parents[piece]
    return piece


def pieces_of(plane: np.ndarray) -> np.ndarray:
    """Return what hangs together, corners included: int32 (*sides), numbered from 1, 0 where `plane`, uint8, is 0."""
    if plane.ndim == 2:
        return cv2.connectedComponents(plane, connectivity=8)[1]
    numbered = _Numbered()
    found = np.stack(list(numbered(plane)))
    return np.unique(numbered.roots(), return_inverse=True)[1].astype(np.int32)[found]


def _has(codes: np.ndarray, region: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield where slices have a code of a region, uint8 (h, w) each."""
    table = np.isin(np.arange(256), region).astype(np.uint8)
    for part in codes:
        yield table[part]


class _Numbered:
    """Pieces of a volume, slice by slice: memory holds two of these. A piece may have several numbers, and one root."""

    def __init__(self) -> None:
        self._parents = [0]

    def __call__(self, planes: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the numbers of slices, int32 (h, w), 0 where they, uint8 (h, w), are 0."""
        parents, above = self._parents, None
        for plane in planes:
            count, own = cv2.connectedComponents(np.ascontiguousarray(plane), connectivity=8)
            numbers = np.where(own > 0, own + len(parents) - 1, 0).astype(np.int32)
            parents += range(len(parents), len(parents) + count - 1)
            if above is not None and count > 1:
                _join(parents, above, numbers)
            yield numbers
            above = numbers

    def roots(self) -> np.ndarray:
        """Return the root of each number up to now, 0 of 0."""
        return np.array([_root(self._parents, piece) for piece in range(len(self._parents))])


def _join(parents: list[int], above: np.ndarray, below: np.ndarray) -> None:
    """Join the pieces of two slices, int32 (h, w) each, that touch, corners included."""
    padded = np.pad(above, 1)
    height, width = below.shape
    for down, along in np.ndindex(3, 3):
        near = padded[down : down + height, along : along + width]
        touching = (near > 0) & (below > 0)
        pairs = np.unique(np.stack([near[touching], below[touching]], 1), axis=0)
        for one, other in pairs.tolist():
            parents[_root(parents, one)] = _root(parents, other)


def cleaned(codes: np.ndarray, plan: Plan, labels: Sequence[str]) -> np.ndarray:
    """Leave out pieces that the plan says cannot be: all but the largest, or those that are too small."""
    smallest, left = plan.smallest or {}, codes
    for label, region in zip(labels, plan.codes_of(len(labels)), strict=True):
        if label not in plan.largest and not smallest.get(label):
            continue
        left = left.copy() if left is codes else left
        parts = left if left.ndim == 3 else left[None]  # a picture is a volume of one slice
        numbered = _Numbered()
        counts: dict[int, int] = {}
        for numbers in numbered(_has(parts, region)):
            found, areas = np.unique(numbers[numbers > 0], return_counts=True)
            counts |= zip(found.tolist(), areas.tolist(), strict=True)
        pieces = np.unique(numbered.roots(), return_inverse=True)[1]
        areas = np.bincount(pieces, [counts.get(number, 0) for number in range(len(pieces))])
        keep = areas >= max(1, smallest.get(label, 0))
        if label in plan.largest and len(areas) > 1:
            keep &= np.arange(len(areas)) == areas.argmax()
        keep[0] = True
        for part, numbers in zip(parts, _Numbered()(_has(parts, region)), strict=True):
            part[~keep[pieces[numbers]]] = 0
    return left

"""From the sizes of boxes to how a detector should see the images: input size, strides, tiles. It says why.

Design choices:
- What decides is the small tenth of the boxes: an object needs some pixels in the detector's input, and shrinking a photo
  takes them away. Where a whole image fitted into an input of bearable size leaves enough, that is cheapest. Otherwise
  the image is cut into tiles at full resolution, and enlarged where even that is not enough.
- Tiles overlap by the size of nearly all objects, so that each is seen whole by one of them; where the largest are too large
  for that, the whole image is looked at once more.
- Photos whose small objects want more pixels are enlarged in tiles (`tile_scale`) and looked at once whole: a detector that had
  learnt from parts of 320 px had AP50 0.834 on held-out training images that way, 0.820 with the whole photo enlarged to 608 px.
  Objects larger than a part are never learnt at that size.
"""

from dataclasses import dataclass

import numpy as np

from cnnkit.device.detection import Plan

ENOUGH = 14.0  # px of the input that the small tenth of the boxes should have: nearly two cells of stride 8
WHOLE_SIDES = (256, 320, 416, 512)  # of an input for whole images, px; beyond, tiles cost less than they gain
TILE = 320  # px, side of a tile
ENLARGED = 2.0  # most by which an image is enlarged: there is nothing more to see
FINE = 10.0  # px: where the small tenth stays below, the maps begin at stride 4


@dataclass(frozen=True)
class Choice:
    """A plan, the side of the input in px, and the reasons, a line each."""

    plan: Plan
    side: int
    why: tuple[str, ...]


def choose(
    extents: np.ndarray,
    images: np.ndarray,
    longest: np.ndarray,
    *,
    side: int | None = None,
    tiles: bool | None = None,
    scale: float | None = None,
) -> Choice:
    """Choose how images meet a detector.

    Args:
        extents: float (k,), the square root of each box's area, px of its image.
        images: float (k,), the longer side of each box's image, px.
        longest: float (k,), the longer side of each box, px.
        side: of the input, where it is given; a multiple of 32.
        tiles: whether to cut tiles, where it is given.
        scale: px of a tile for one of the image, where it is given; tiles are then cut.
    """
    if not len(extents):
        return Choice(Plan(), side or WHOLE_SIDES[1], ("No boxes to choose by.",))
    small, middle, large = np.quantile(extents, [0.1, 0.5, 0.9])
    why = [
        f"Boxes: {len(extents):,}; a tenth is smaller than {small:.0f} px, half than {middle:.0f} px, nine tenths than "
        f"{large:.0f} px (square root of the area); images: {np.median(images):.0f} px on their longer side."
    ]
    share = float(np.quantile(extents / images, 0.1))  # the small tenth, as a part of the image
    sides = (side,) if side else WHOLE_SIDES
    fitting = next((s for s in sides if share * s >= ENOUGH), None)
    if scale is not None:
        tiles = True
    if tiles is None:
        tiles = fitting is None and share * sides[-1] < 0.75 * ENOUGH
    if not tiles:
        chosen = fitting or sides[-1]
        left = share * chosen
        why.append(
            f"Whole images, fitted into {chosen} px: the small tenth then has {left:.0f} px "
            f"({'at least' if left >= ENOUGH else 'less than'} the {ENOUGH:.0f} px that it should)."
        )
        return Choice(Plan(_strides(left, why)), chosen, tuple(why))
    chosen = side or TILE
    scale = float(np.clip(ENOUGH / small, 1.0, ENLARGED)) if scale is None else scale
    reach = float(np.quantile(longest, 0.95)) * scale
    overlap = float(min(chosen // 2, max(32, -(-reach // 16) * 16)))
    whole = float(np.quantile(longest, 0.99)) * scale > overlap
    fitted = (
        f"fewer than the {ENOUGH:.0f} px that it should"
        if fitting is None
        else "which is enough, but tiles are asked for"
    )
    why.append(
        f"Tiles of {chosen} px at {scale:.3g} times the images' resolution: fitted whole into {fitting or sides[-1]} px, "
        f"the small tenth would have {share * (fitting or sides[-1]):.0f} px, {fitted}; in a tile it has {small * scale:.0f}."
    )
    why.append(
        f"Neighbouring tiles share {overlap:.0f} px, so that {'most' if whole else 'nearly all'} objects lie whole in one"
        + ("; the few larger ones are looked for in the whole image too." if whole else ".")
    )
    return Choice(Plan(_strides(small * scale, why), scale, overlap, whole), chosen, tuple(why))


def _strides(small: float, why: list[str]) -> tuple[int, ...]:
    if small >= FINE:
        why.append("Maps at strides 8, 16 and 32.")
        return (8, 16, 32)
    why.append(f"Maps at strides 4, 8 and 16, as the small tenth has fewer than {FINE:.0f} px.")
    return (4, 8, 16)

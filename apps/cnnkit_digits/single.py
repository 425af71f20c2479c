"""One digit in a picture, laid out as MNIST lays out its digits: white on black, 20 px in 28, centre of mass in the middle.

A picture that is laid out so already goes in as it is, whichever of ink and paper is the darker; its size alone says nothing.
All 70,000 of MNIST and all 1,797 embedded ones are.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cnnkit.device.image import fit_image
from cnnkit.device.preparation import LAYOUT
from cnnkit_digits.glyphs import normalised, stroke_width, tight

LONGEST = 400  # px; a single digit needs no more
SEEN = 25  # of 255: paler ink does not count in the size of a digit
SIDES = (18, 20)  # px, the longest side; of MNIST's 70,000 digits one has 18, 19 have 19, the others 20
MIDDLE = (12.95, 14.55)  # px, the centre of mass; MNIST's lie from 13.48 to 14.5, scikit-learn's digits from 13 to 14


class DigitLayout:
    """How MNIST lays out a digit; a `cnnkit.device.preparation.Preparation`."""

    layout = "mnist"
    shape = (28, 28, 1)
    demo = Path(__file__).with_name("demo")
    about = "laid out as MNIST's are (the digit cut out, white on black, 20 px high or wide, centred) where they are not yet"

    def __call__(self, image: np.ndarray) -> np.ndarray | None:
        """Cut the digit out of a picture and normalise it as MNIST does.

        Args:
            image: uint8 (h, w), (h, w, 3) RGB or (h, w, 4) RGBA: dark on light or light on dark, uneven light allowed.

        Returns:
            uint8 (28, 28, 1), white on black; None where there is no ink.
        """
        if image.shape[:2] == self.shape[:2]:
            plane = fit_image(image, self.shape)
            for same in (plane, 255 - plane):
                if self.laid_out(same[None])[0]:
                    return same
        digit = _digit(image)
        return None if digit is None else digit[..., None]

    def laid_out(self, images: np.ndarray) -> np.ndarray:
        """Say which pictures uint8 (n, 28, 28, 1) are as MNIST's: bool (n,)."""
        ink = images[..., 0]
        good = np.ones(len(ink), bool)
        longest = np.zeros(len(ink), np.int64)
        amount = np.maximum(ink.sum((1, 2), dtype=np.int64), 1)
        places = np.arange(ink.shape[1])
        for axis in (1, 2):  # along columns, along rows
            there = (ink > SEEN).any(axis)
            longest = np.maximum(longest, there.shape[1] - there.argmax(1) - there[:, ::-1].argmax(1))
            good &= there.any(1)
            centre = (ink.sum(axis, dtype=np.int64) @ places) / amount
            good &= (centre >= MIDDLE[0]) & (centre <= MIDDLE[1])
        return good & (longest >= SIDES[0]) & (longest <= SIDES[1])


DIGIT = DigitLayout()


def describe(records: Any, model: str) -> dict[str, Any]:
    """Say whether these records are laid out as MNIST's digits are, or, by most of 200 of them, were so already."""
    if records.prepared:
        return {LAYOUT: DIGIT.layout}
    if not len(records):
        return {}
    images, _ = records.with_shape(DIGIT.shape).read(np.unique(np.linspace(0, len(records) - 1, 200).astype(int)))
    return {LAYOUT: DIGIT.layout} if DIGIT.laid_out(images).mean() > 0.5 else {}


def _digit(image: np.ndarray) -> np.ndarray | None:
    height, width = image.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    plane = fit_image(image, (max(1, round(height * scale)), max(1, round(width * scale)), 1))[..., 0].astype(
        np.float32
    )
    edge = np.median(np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]]))
    if edge > np.median(plane) or edge > 127:
        plane = 255 - plane
    side = max(plane.shape) // 2 * 2 + 1
    shade = cv2.GaussianBlur(cv2.erode(plane, np.ones((max(3, side // 8),) * 2)), (0, 0), max(1.0, side / 8))
    ink = np.clip(plane - shade, 0, None)
    peak = float(np.percentile(ink, 99.5))
    if peak < 12:  # of 255: an empty picture
        return None
    ink = np.clip(ink / peak, 0, 1)
    level, mask = cv2.threshold((ink * 255).astype(np.uint8), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    count, names, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return None
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = np.isin(names, 1 + np.flatnonzero(areas >= 0.06 * areas.max()))
    kept = cv2.dilate(kept.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    glyph = tight(
        np.where(kept, np.clip((ink - 0.5 * level / 255) / max(0.05, 1 - level / 255), 0, 1), 0).astype(np.float32)
    )
    return None if glyph is None else normalised(glyph.ink, stroke_width(glyph))

"""Small pictures with masks: discs, written as their users would."""

from pathlib import Path

import cv2
import numpy as np

from cnnkit.data import cards, loading
from cnnkit.data.reading import Part


def disc(k=0, height=40, width=56, radius=8):
    """A disc that lies elsewhere for each k: bool (height, width)."""
    rows, columns = np.mgrid[:height, :width]
    return np.hypot(rows - 12 - k % 4 * 4, columns - 14 - k % 7 * 4) < radius


def picture(mask, seed=0):
    """A grey picture that shows a mask: uint8 (h, w)."""
    return np.clip(70 + 90 * mask + np.random.default_rng(seed).normal(0, 9, mask.shape), 0, 255).astype(np.uint8)


def save(path: Path, pixels):
    """Write grey or RGB pixels by the suffix of the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    assert cv2.imwrite(str(path), pixels)
    return path


def pairs(root: Path, count=4, picture_name="images/{}.png", mask_name="masks/{}.png", value=255):
    """Write pictures of discs and their masks; returns the masks, bool each."""
    masks = [disc(k) for k in range(count)]
    for k, mask in enumerate(masks):
        save(root / picture_name.format(k), picture(mask, k))
        save(root / mask_name.format(k), mask.astype(np.uint8) * np.uint8(value))
    return masks


def card(root: Path, *, splits: dict | None = None, reader="masks", **options):
    """Write a card for a folder beside it, with options of the reader; returns its path."""

    def toml(value):
        if isinstance(value, dict):
            return "{" + ", ".join(f'"{key}" = {toml(each)}' for key, each in value.items()) + "}"
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(toml, value))}]"
        return str(value).lower() if isinstance(value, bool) else f"'{value}'" if isinstance(value, str) else str(value)

    lines = ['task = "segmentation"', f'reader = "{reader}"', f"path = '{root}'"]
    if splits:
        lines += ["[splits]", *(f"{split} = {toml({'path': '.', **table})}" for split, table in splits.items())]
    lines += ["[options]", *(f"{key} = {toml(value)}" for key, value in options.items())]
    path = root.parent / f"{root.name}-card.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def parts(source, *, skip=False) -> dict[str, Part]:
    """Read a data set, and refuse what cannot be used unless it may be skipped."""
    found = loading.read_parts(cards.load(source, "segmentation"), task="segmentation", verify=skip)[1]
    loading.left_out(found, skip, "images")
    return found


def train(source, *, skip=False) -> Part:
    return parts(source, skip=skip)["train"]


def names(part: Part):
    """The names of a part's files, in order."""
    return [Path(part.images.name(index)).name for index in range(len(part.images))]


def masks_of(part: Part):
    """name -> code map."""
    return {name: part.more.native(index) for index, name in enumerate(names(part))}


def reasons(part: Part):
    """Why something was read otherwise, with how many files."""
    return [f"{row.count} {row.reason}" for row in part.entries]

"""From the name of a data set with boxes to its splits, and to how a detector should see it.

Design choices:
- As in `loading`, what cannot be trained on is refused before anything is built; here that is no box at all, labels that
  the card does not have, annotations that cannot be read.
- A class without boxes in training stays where the card names it, with a warning: its column learns to say no.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data import cards, fetch, inventory, loading
from cnnkit.data.findings import Finding
from cnnkit.data.records import Progress, Records, Splits
from cnnkit.device.detection import Plan, areas
from cnnkit.errors import ConfigError, DataError
from cnnkit.tasks.detection.checks import check_boxes
from cnnkit.tasks.detection.formats import annotations
from cnnkit.tasks.detection.plan import choose
from cnnkit.tasks.detection.records import BoxRecords


def load(
    source: Path | str,
    *,
    image_size: int | None = None,
    tiles: bool | None = None,
    tile_scale: float | None = None,
    strides: Sequence[int] | None = None,
    **how: Any,
) -> Splits:
    """Load a data set for detection, divided.

    Args:
        source: name of a card, or path of a card, a folder or a data file.
        image_size: side of the detector's input, px, a multiple of 32; None: chosen from the training boxes.
        tiles: whether images are cut into tiles; None: chosen too.
        tile_scale: px of a tile for one of the image, with tiles; None: chosen too.
        strides: of the detector's maps, where it is there already; None: chosen too.
        how: as the attributes of `cnnkit.data.loading.Asked`.

    Returns:
        `Splits` of `BoxRecords`; `card["notes"]` says in lines why the images are seen as they are.

    Raises:
        DataError: no such data, or data that cannot be trained on.
        ConfigError: a size that is no multiple of 32, a scale without tiles, parts to hold out that leave nothing.
    """
    if image_size is not None and image_size % 32:
        raise ConfigError(f"`image_size` of a detector is a multiple of 32 px. Got {image_size}.")
    if tile_scale is not None and tiles is False:
        raise ConfigError("`tile_scale` is the scale of tiles, and `tiles=False` wants none. Leave one of them out.")
    asked = loading.Asked(**how)
    card, parts, held_out = asked.read(source, "detection")
    notes = loading.left_out(parts, asked.skip_bad, "images")
    names, codes = loading.align_labels(card, parts)
    if not names:
        raise DataError(_no_box(card.title))
    records: dict[str, Records] = {}
    for split, part in parts.items():
        boxes = part.more.with_codes(codes[split])
        records[split] = BoxRecords(
            part.images, boxes.strata(len(names)), names, groups=part.groups, boxes=boxes, plan=Plan()
        )
    divided = loading.divide(records, held_out, seed=asked.split_seed)
    train: Any = loading.limited(divided.train, asked.limit, asked.seed)
    counts = train.counts() if len(train) else np.zeros(len(names), int)
    if not counts.sum():
        raise DataError(_no_box(card.title, _of_boxes({"train": train})[1].count))
    empty = [name for name, count in zip(names, counts) if not count]
    if empty:
        notes.append(f"There is no training box of {loading.some(empty)}.")
    choice = choose(*_sizes(train), side=image_size, tiles=tiles, scale=tile_scale)
    if strides:
        told = f"Maps at strides {', '.join(map(str, strides))}, as the model's settings say."
        plan = replace(choice.plan, strides=tuple(strides))
        choice = replace(choice, plan=plan, why=(*choice.why[:-1], told))
    shape = (choice.side, choice.side, 3)
    seen: dict[str, Any] = {**divided.parts, "train": train}
    seen = {split: part.with_plan(choice.plan, shape) for split, part in seen.items()}
    boxes = sum(int(part.counts().sum()) for part in seen.values())
    # what cannot be used are images, annotations or single rows, so they are counted apart
    entries = [row for part in parts.values() for row in (*inventory.unusable(part.bad, "annotations"), *part.entries)]
    entries += [*loading.over_limit(len(divided.train) - len(train), "images"), *_of_boxes(seen)]
    told = f"Boxes to be found: {boxes:,}, of {len(names)} classes."
    about = {
        **loading.about(asked, card, parts, seen, "images", entries, [told]),
        "notes": list(choice.why),
        "warnings": notes,
    }
    return Splits(**seen, card=about)


def _of_boxes(seen: dict[str, Any]) -> list[inventory.Entry]:
    """Count images without a box and boxes that are ignored, over all splits."""
    counts = {"background": 0, "ignored": 0}
    names: dict[str, list[str]] = {"background": [], "ignored": []}
    for part in seen.values():
        for index in range(len(part)):
            ignored = part.boxes(index)[2]
            fate = "background" if not len(ignored) else "ignored" if ignored.any() else ""
            if fate:
                counts[fate] += int(ignored.sum()) if len(ignored) else 1
                if len(names[fate]) < inventory.EXAMPLES:
                    names[fate].append(part.name(index))
    return [
        inventory.entry("background", "images", "without a box", names["background"], counts["background"]),
        inventory.entry(
            "ignored", "boxes", "that are called difficult, a crowd or a group", names["ignored"], counts["ignored"]
        ),
    ]


def check(source: Path | str, *, looked: list[str] | None = None, progress: Progress | None = None) -> list[Finding]:
    """Look for what spoils the training of a detector; as that of images. Drawn scenes have nothing to look for.

    `looked` takes lines on what was looked at.

    Raises:
        DataError: there is no such data, it is not for detection, or none of it can be read.
    """
    card = cards.load(source)
    if card.task != "detection":
        raise DataError(f"{card.title} is for {card.task}; this looks at boxes.")
    root, form = fetch.provide(card, progress=progress)
    found = {}
    for split, table in form.tables.items():
        if form.reader in annotations.FORMATS and root is not None:
            path = root / str(table.get("path", "."))
            found[split] = annotations.read(
                path, form.reader, split=table.get("split"), skip_bad=True, verify=True, progress=progress
            )
    if looked is not None:
        for split, part in found.items():
            boxes = [box for picture in part.pictures for box in picture.boxes]
            alone = sum(not picture.boxes for picture in part.pictures)
            looked.append(
                f"{split}: {len(part.pictures):,} images, {alone:,} of them without a box; {len(boxes):,} boxes of "
                f"{len(part.labels)} classes ({loading.some(part.labels)}), {sum(box.ignored for box in boxes):,} ignored."
            )
            left = [row for row in part.entries if row.count]
            looked += inventory.lines(inventory.describe("images", {split: len(part.pictures)}, left))[1:]
    return check_boxes(found)


def _no_box(title: str, ignored: int = 0) -> str:
    excused = f": all {ignored:,} of training are called difficult, a crowd or a group, and ignored" if ignored else ""
    return f"{title} has no box to train on{excused}. Annotate some images, or hold out less."


def _sizes(records: BoxRecords) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each box that is to be found the root of its area, its image's longer side, its own longer side, px."""
    rows: list[np.ndarray] = []
    for index in range(len(records)):
        corners, _, ignored = records.boxes(index)
        corners = corners[~ignored]
        longest = (corners[:, 2:] - corners[:, :2]).max(1, initial=0)
        side = np.full(len(corners), max(records.size(index)))
        rows.append(np.stack([np.sqrt(areas(corners)), side, longest]))
    extents, images, sides = np.concatenate(rows, axis=1)
    return extents, images, sides

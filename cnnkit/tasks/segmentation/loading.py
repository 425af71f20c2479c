"""From the name of a data set with masks to its splits, and to how a network should see it.

Design choices:
- As with other data, what cannot be trained on is refused before anything is built; here that is no label at all, masks that
  do not fit their pictures, values that mean nothing.
- What the training pictures are like is measured here (`fingerprint`), for the size of the input follows from it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cnnkit.data import cards, loading
from cnnkit.data.cards import Card
from cnnkit.data.records import Splits
from cnnkit.device.segmentation import ALIKE, AS_IS, EACH, Plan
from cnnkit.errors import ConfigError, DataError
from cnnkit.inputs.image.loading import fates, told, with_options
from cnnkit.tasks.segmentation import fingerprint
from cnnkit.tasks.segmentation.fingerprint import STEP
from cnnkit.tasks.segmentation.masks import Regions, overlapping
from cnnkit.tasks.segmentation.objects import OFTEN
from cnnkit.tasks.segmentation.records import MaskRecords, Renamed
from cnnkit.tasks.segmentation.volumes import fingerprint as of_volumes
from cnnkit.tasks.segmentation.volumes.records import VolumeRecords
from cnnkit.tasks.segmentation.volumes.sources import has_volumes

VALUES = (AS_IS, ALIKE, EACH)
FLIPS = {"none": (), "vertical": (0,), "horizontal": (1,), "both": (0, 1)}
LOOKED_AT = 20  # masks, to find out whether their values are numbers of objects
WHOLE = 1.5  # pieces of a value, below which it is the number of an object
MERGED = "look like several objects that touch: each is learnt as one. Give masks with a number for each object."
OFTEN_ENOUGH = 3  # masks that have a value, from which it is looked at alone


def load(
    source: Path | str,
    *,
    image_size: int | None = None,
    patches: bool | None = None,
    scale: float | None = None,
    values: str | None = None,
    groups: str | None = None,
    objects: bool = False,
    flips: str | None = None,
    **how: Any,
) -> Splits:
    """Load a data set for segmentation, divided.

    Args:
        source: name of a card, or path of a card, a folder or a data file.
        image_size: side of the network's square input, px, a multiple of 32; None: chosen from the training masks.
        patches: whether windows are cut; None: chosen too.
        scale: px of the input for one of the picture, with windows; None: chosen too.
        values: how values become bytes, one of `VALUES`; None: chosen too.
        groups: which pictures are of one patient: "none", or a regular expression; None: found out.
        objects: whether objects of the only label are told apart.
        flips: how views are mirrored, one of `FLIPS`; None: chosen too.
        how: as the attributes of `cnnkit.data.loading.Asked`.

    Returns:
        `Splits` of `MaskRecords`; `card["notes"]` says in lines why the pictures are seen as they are.

    Raises:
        DataError: no such data, or data that cannot be trained on.
        ConfigError: a size that is no multiple of 32, a scale without windows, parts to hold out that leave nothing, objects
            of several labels.
    """
    if image_size is not None and image_size % of_volumes.STEP:
        raise ConfigError(f"`image_size` is a multiple of {STEP} px here, of volumes of 8. Got {image_size}.")
    if scale is not None and patches is False:
        raise ConfigError("`scale` is that of windows, and `patches=False` wants none. Leave one of them out.")
    if values is not None and values not in VALUES:
        raise ConfigError(f"`values` needs one of {', '.join(VALUES)}. Got {values!r}.")
    asked = loading.Asked(**how)
    card = source if isinstance(source, Card) else cards.load(source, "segmentation")
    card = with_options(card, {"groups": groups}, lenient=asked.whole)
    card, parts, held_out = asked.read(card, "segmentation")
    names, _ = loading.align_labels(card, parts)
    taken = ""
    if objects and len(names) > 1 and all(name.isdecimal() for name in names):  # nobody named these values
        numbers = loading.with_options(card, {"objects": True}, lambda option, form: "", lenient=True)
        numbers, others, held = asked.read(numbers, "segmentation")
        if _are_numbers(others["train"].more, card.title):
            taken = (
                f"The values {loading.some(names)} of the masks are taken for the numbers of objects, as each hangs together. If "
                "they are labels, name them in a card, `values = { NAME = 1 }`: objects are told apart of one label alone."
            )
            card, parts, held_out = numbers, others, held
            names, _ = loading.align_labels(card, parts)
    in_volumes = has_volumes(parts["train"].images)
    step = of_volumes.STEP if in_volumes else STEP
    if image_size is not None and image_size % step:
        raise ConfigError(
            f"`image_size` is a multiple of {step} {'voxels' if in_volumes else 'px'} here. Got {image_size}."
        )
    left = loading.left_out(parts, asked.skip_bad, "volumes" if in_volumes else "images")
    notes = [*left, *([taken] if taken else [])]
    if not names:
        raise DataError(f"{card.title} has no label to learn: every mask is empty. Draw some, or name other masks.")
    if objects:
        check_only(card, names, parts["train"].more.regions)
    kind: type[MaskRecords] = VolumeRecords if in_volumes else MaskRecords
    measuring: Any = of_volumes if in_volumes else fingerprint
    shape = (32,) * (3 if in_volumes else 2) + (1,)
    records = {}
    for split, part in parts.items():
        masks = part.more if tuple(part.more.names) == names else Renamed(part.more, names)
        found = kind(part.images, None, names, groups=part.groups, masks=masks, plan=Plan(), input_shape=shape)
        records[split] = found._changed(labels=strata(found))
    if asked.folds is None:
        divided = loading.divide(records, held_out, seed=asked.split_seed)
    else:
        divided = loading.in_folds(records, asked, own_folds(parts["train"]))
    train: Any = loading.limited(divided.train, asked.limit, asked.seed)
    if not len(train):
        raise DataError(f"Nothing of {card.title} is left to train on. Ask for less validation and test.")
    counts = train.counts()
    if not counts.any() and not asked.whole:
        raise DataError(f"No training mask of {card.title} has anything in it. Hold out less, or look at the masks.")
    empty = [name for name, count in zip(names, counts, strict=True) if not count]
    if empty:
        notes.append(f"No {'' if asked.whole else 'training '}mask has {loading.some(empty)}.")
    alike: Any = (
        train if asked.folds is None else records["train"]
    )  # of all folds, so that their models can be put together
    facts = measuring.measure(alike, apart=objects)
    if facts.several[0] > OFTEN * facts.several[1]:
        notes.append(
            f"The masks of {card.title} do not tell objects apart: {facts.several[0]:,} of {facts.several[1]:,} pieces {MERGED}"
        )
    choice = measuring.choose(
        facts,
        len(alike),
        train.regions,
        getattr(parts["train"].more, "order", ()),
        side=image_size,
        patches=patches,
        scale=scale,
        values=values,
    )
    if flips is not None:
        choice = replace(choice, flips=(of_volumes.FLIPS if in_volumes else FLIPS)[flips])
    choice = replace(choice, plan=replace(choice.plan, mirrored=choice.flips))
    if len(channels := getattr(parts["train"].images, "channels", ())) > 1:
        choice = replace(choice, plan=replace(choice.plan, files=len(channels)))
    seen: dict[str, Any] = {**divided.parts, "train": train}
    seen = {split: part.with_plan(choice.plan, choice.shape) for split, part in seen.items()}
    seen["train"] = seen["train"].with_plan(
        choice.plan,
        choice.shape,
        passes=choice.passes,
        focus=choice.focus,
        flips=choice.flips,
        advice=choice.advice,
    )
    entries = [
        *fates(parts, "volumes" if in_volumes else "images"),
        *loading.over_limit(loading.over(records["train"], divided, train), kind.noun),
    ]
    about = {
        **loading.about(asked, card, parts, seen, kind.noun, entries, told(parts, asked)),
        "notes": [*facts.lines(), *choice.why],
        "warnings": notes,
        **divided.card,
    }
    if about["private"]:
        about["nameless"] = notes[len(left) :]  # what is left out the inventory counts
    return Splits(**seen, card=about)


def check_only(card: Card, names: Sequence[str], regions: Regions) -> None:
    """Refuse objects of several labels."""
    if overlapping(regions):
        raise ConfigError(
            f"`objects`: the labels {loading.some(names)} of {card.title} overlap. Leave `objects` out, or one label in."
        )
    if len(names) > 1:
        raise ConfigError(
            f"`objects` takes one label, and {card.title} has {len(names)}: {loading.some(names)}. Leave it out, or name one "
            "label by `values` in a card."
        )


def _are_numbers(masks: Any, title: str) -> bool:
    """Say whether values of some masks are numbers of objects: most hang together, as values of labels do not.

    Raises:
        ConfigError: most do, and one lies in several pieces wherever it is.
    """
    pieces: dict[int, list[int]] = {}
    for index in np.unique(np.linspace(0, len(masks) - 1, min(LOOKED_AT, len(masks))).astype(int)).tolist():
        numbers = masks.numbers(index) if hasattr(masks, "numbers") else None
        if numbers is None:
            return False
        for value in np.unique(numbers[numbers != 0]).tolist():
            count = cv2.connectedComponents((numbers == value).astype(np.uint8))[0] - 1
            pieces.setdefault(value, []).append(count)
    every = [count for counts in pieces.values() for count in counts]
    if not every or float(np.mean(every)) >= WHOLE:
        return False
    for value, counts in pieces.items():
        several = sum(count > 1 for count in counts)
        if len(counts) >= OFTEN_ENOUGH and 2 * several > len(counts):
            raise ConfigError(
                f"`objects`: the values of the masks of {title} hang together, as numbers of objects do, but {value} is in "
                f"several pieces in {several} of {len(counts)} masks, as a label is. Say which in a card: `objects = true`, or "
                "`values = { NAME = 1 }`."
            )
    return True


def own_folds(part: Any) -> list[list[int]]:
    """Return which records the source itself holds out in each of its folds; [] where it has none, or they do not fit.

    Raises:
        DataError: a case is held out in no fold, or a fold has none.
    """
    known = getattr(part.more, "folds", None)
    if not known:
        return []
    places = {key: index for index, key in enumerate(part.more.keys)}
    held = [[places.pop(name) for name in names if name in places] for _, names in known]
    if places:
        raise DataError(f"The file of folds holds {next(iter(places))} out in none of them. Mend or remove it.")
    if not all(held):
        raise DataError(f"Fold {held.index([])} of the file of folds has no case that there is. Mend or remove it.")
    return held


def strata(records: MaskRecords) -> np.ndarray:
    """Return the rarest label of each picture, 0 where it has none: int32 (n,)."""
    codes = [np.unique(records.mask(index)) for index in range(len(records))]
    has = np.array([[np.isin(found, region).any() for region in records.regions] for found in codes], bool)
    counts = has.sum(0)
    order = np.argsort(counts, kind="stable")
    found = np.zeros(len(records), np.int32)
    for place in order[::-1]:
        found[has[:, place]] = place
    return found

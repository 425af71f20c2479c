"""From the name of a data set of images, with a label each, to its splits."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data import cards, inventory, loading, readers
from cnnkit.data.cards import Card
from cnnkit.data.reading import Part
from cnnkit.data.records import Progress, Records, Shape, Splits
from cnnkit.device.preparation import Preparation
from cnnkit.errors import ConfigError, DataError
from cnnkit.inputs.image.prepared import PreparedImages
from cnnkit.inputs.image.records import ImageRecords


def load(
    source: Path | str,
    *,
    seed: int = 0,
    validation: float | None = None,
    test: float | None = None,
    limit: int | None = None,
    shape: Shape | None = None,
    skip_bad: bool = False,
    split_seed: int = 0,
    verify: bool = False,
    whole: bool = False,
    preparation: Preparation | None = None,
    prepare: bool | None = None,
    label: str | int | None = None,
    groups: str | None = None,
    progress: Progress | None = None,
) -> Splits:
    """Load a data set for classification, divided.

    Args:
        source: name of a card, or path of a card, a folder or a data file.
        seed: chooses the images that `limit` keeps.
        validation: part of all but the source's own test split to hold out; None for 0.1. Not used where the source has
            a validation split.
        test: part to hold out where the source has no test split; None for what the card says, else 0.2.
        limit: most training images, stratified; a smaller limit keeps a subset of a larger one.
        shape: (height, width, channels) to read at; None for the card's, else what suits the data.
        skip_bad: decode every image once and leave out those that cannot be used, instead of an error.
        split_seed: another seed, another division.
        verify: decode every image once, so that a damaged one is known now and not in the middle of training.
        whole: hold nothing out, and take classes that could not be trained on: all of it is to be scored.
        preparation: what the app does to a picture; each is then read as `predict` prepares it.
        prepare: whether it is done; None: unless the card says that its pictures are prepared.
        label: the column of a table that holds the labels: its name, or its number from 0; -1 is the last. None: found out.
        groups: which images of a folder belong together: "none", or a regular expression, as `groups.find`. None: found out.
        progress: called as progress(what, done, total).

    Returns:
        `Splits`; `card["warnings"]` lists what was left out and what is odd.

    Raises:
        DataError: no such data, or data that cannot be trained on.
        ConfigError: parts to hold out that leave nothing.
    """
    loading.check_held_out(validation, test)
    if whole:
        validation = test = 0
    card = with_options(source, {"label": label, "groups": groups}, lenient=whole)
    stated = stated_shape(card)
    card, parts, held_out = loading.read_parts(
        card, task="classification", verify=verify or skip_bad, progress=progress
    )
    notes = loading.left_out(parts, skip_bad)
    names, codes = loading.align_labels(card, parts, held_out)
    if preparation is not None and (not card.prepared if prepare is None else prepare):
        for part in parts.values():
            part.images = PreparedImages(part.images, preparation)
        shape = shape or preparation.shape
    else:
        preparation = None
    shape = shape or stated or parts["train"].images.shape
    records = {
        split: ImageRecords(part.images, codes[split], names, groups=part.groups, input_shape=shape)
        for split, part in parts.items()
    }
    if not whole:
        _check_classes(card, records["train"])
    asked = {split: part for split, part in (("test", test), ("validation", validation)) if part is not None}
    divided = loading.divide(records, {**held_out, **asked}, seed=split_seed)
    train = loading.limited(divided.train, limit, seed)
    if not len(train):
        raise DataError(f"Nothing of {card.title} is left to train on. Ask for less validation and test.")
    about: dict[str, Any] = {
        **card.describe(),
        "labels": list(names),
        "input_shape": list(shape),
        "images": {"train": len(train), "validation": len(divided.validation), "test": len(divided.test)},
        "splits": {
            split: "the source's own" if split in parts else f"held out, seed {split_seed}"
            for split in ("validation", "test")
        },
        "notes": []
        if preparation is None
        else [f"Pictures are {preparation.about}. --no-prepare takes them as they are."],
        "warnings": notes + _tiny_classes(divided),
        "inventory": inventory.describe(
            "images",
            {"train": len(train), "validation": len(divided.validation), "test": len(divided.test)},
            fates(parts, "images", len(divided.train) - len(train)),
            told(parts, whole=whole),
        ),
    }
    return replace(divided, train=train, card=about)


def stated_shape(card: Card) -> Shape | None:
    """Return the (height, width, channels) at which a card wants its images read, px; None where it does not say.

    Raises:
        DataError: it is no such shape.
    """
    shape = card.more.get("image_shape")
    if shape is None:
        return None
    if not (isinstance(shape, list) and len(shape) == 3 and all(type(n) is int and n > 0 for n in shape)):
        raise card.wrong("`image_shape` is [height, width, channels] in px")
    height, width, channels = shape
    return height, width, channels


def with_options(source: Path | str | Card, options: Mapping[str, Any], *, lenient: bool = False) -> Card:
    """Find a data set of images, with some options of its reader set.

    Args:
        source: as `load`.
        options: None where one is not given.
        lenient: leave out what the reader has no use for, instead of an error.

    Raises:
        ConfigError: an option that the reader does not have.
    """
    card = source if isinstance(source, Card) else cards.load(source)
    given = {key: value for key, value in options.items() if value is not None}
    forms = []
    for form in card.forms:
        unknown = sorted(given.keys() - readers.find(form.reader).options)
        if unknown and not lenient:
            what = {"label": "no columns to choose from", "groups": "no files to group"}[unknown[0]]
            raise ConfigError(f"`{unknown[0]}={given[unknown[0]]}`: {card.title} has {what}. Leave the option out.")
        forms.append(replace(form, options={**form.options, **{k: v for k, v in given.items() if k not in unknown}}))
    return replace(card, forms=tuple(forms)) if given else card


def fates(parts: dict[str, Part], what: str, over_limit: int = 0) -> list[inventory.Entry]:
    """Return the entries of the inventory that all kinds of data have: what the readers left out, and what a limit did."""
    found = []
    for part in parts.values():
        found += inventory.unusable(part.bad, what)
        if part.ignored:
            found.append(inventory.entry("left out", "files", "that are no images by their names", part.ignored))
        found += part.entries
    if over_limit:
        found.append(inventory.Entry("left out", over_limit, what, "of training, by the limit asked for"))
    return found


def told(parts: dict[str, Part], *, whole: bool = False) -> list[str]:
    """Return what readers found out; of groups only where something is cut from training."""
    notes = [line for part in parts.values() for line in part.notes]
    cut = not whole and parts.keys() < {"train", "validation", "test"}
    return [*notes, parts["train"].group_note] if cut and parts["train"].group_note else notes


def _check_classes(card: Card, records: Records) -> None:
    counts = records.counts()
    empty = [name for name, count in zip(records.label_names, counts) if count == 0]
    if empty:
        raise DataError(
            f"{card.title} has no training image of {loading.some(empty)}. Add some, or remove the class"
            f"{' from the labels of the card' if card.labels else ''}."
        )
    if np.count_nonzero(counts) < 2:
        raise DataError(f"{card.title} has one class only, {records.label_names[0]}; there is nothing to tell apart.")


def _tiny_classes(divided: Splits) -> list[str]:
    """Name classes that training has and a held-out split has not."""
    notes = []
    for split in ("validation", "test"):
        held: Records = getattr(divided, split)
        missing = [name for name, count in zip(held.label_names, held.counts()) if count == 0]
        if len(held) and missing:
            notes.append(f"The {split} split has no image of {loading.some(missing)}: too few to hold any out.")
    return notes

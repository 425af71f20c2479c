"""From the name of a data set of images, with a label each or several, to its splits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data import cards, inventory, loading
from cnnkit.data.asked import asked as asked_for
from cnnkit.data.cards import Card, Form
from cnnkit.data.reading import Part
from cnnkit.data.records import Records, Shape, Splits
from cnnkit.data.tags import Tags
from cnnkit.device.preparation import Preparation
from cnnkit.errors import DataError
from cnnkit.inputs.image.prepared import prepare_parts
from cnnkit.inputs.image.records import ImageRecords


def load(
    source: Path | str,
    *,
    preparation: Preparation | None = None,
    prepare: bool | None = None,
    label: str | int | None = None,
    separator: str | None = None,
    groups: str | None = None,
    **how: Any,
) -> Splits:
    """Load a data set for classification, divided.

    Args:
        source: name of a card, or path of a card, a folder or a data file.
        preparation: what the app does to a picture; each is then read as `predict` prepares it.
        prepare: whether it is done; None: unless the card says that its pictures are prepared.
        label: the column of a table that holds the labels: its name, or its number from 0; -1 is the last. Several, of 0 and 1,
            with commas. None: found out.
        separator: between several labels in one cell, such as "|"; "none": a cell is one label. None: found out.
        groups: which images of a folder belong together: "none", or a regular expression, as `groups.find`. None: found out.
        how: as the attributes of `cnnkit.data.loading.Asked`.

    Returns:
        `Splits`; `card["warnings"]` lists what was left out and what is odd.

    Raises:
        DataError: no such data, or data that cannot be trained on.
        ConfigError: parts to hold out that leave nothing.
    """
    asked = loading.Asked(**how)
    card = with_options(source, {"label": label, "separator": separator, "groups": groups}, lenient=asked.whole)
    shape: Shape | None = stated_shape(card)
    card, parts, held_out = asked.read(card, "classification")
    notes = loading.left_out(parts, asked.skip_bad, "images")
    names, codes = loading.align_labels(card, parts)
    made, plan = prepare_parts(card, parts, preparation, prepare)
    shape = made or shape or parts["train"].images.shape
    records = as_records(parts, names, codes, shape)
    if not asked.whole:
        _check_classes(card, records["train"])
    if asked.folds is None or asked.whole:
        divided = loading.divide(records, held_out, seed=asked.split_seed)
    else:
        divided = loading.in_folds(records, asked, validation=held_out.get("validation", loading.VALIDATION))
    train = loading.limited(divided.train, asked.limit, asked.seed)
    if not len(train):
        raise DataError(f"Nothing of {card.title} is left to train on. Ask for less validation and test.")
    seen = {**divided.parts, "train": train}
    entries = [*fates(parts), *loading.over_limit(loading.over(records["train"], divided, train), "images")]
    about = {
        **loading.about(asked, card, parts, seen, "images", entries, told(parts, asked)),
        **divided.card,
        "notes": plan,
        "warnings": notes + loading.missing_classes(seen, "image"),
    }
    return Splits(**seen, card=about)


def as_records(
    parts: Mapping[str, Part], names: tuple[str, ...], codes: Mapping[str, np.ndarray], shape: Shape | None
) -> dict[str, Records]:
    """Make records of the parts of a source, labels being `codes` of `names`; of several labels an image, if a part has such."""
    several = any(part.more is not None for part in parts.values())
    records: dict[str, Records] = {}
    for split, part in parts.items():
        labels, tags, known = codes[split], None, None
        if several:
            ends = np.arange(1, len(part.images) + 1) if part.more is None else part.more.ends
            tags = Tags(labels, ends)
            labels = tags.strata(len(names))
            if part.more is not None and part.more.asked is not None:
                rows = np.ones((len(part.images), len(names)), bool)
                there = [(k, names.index(name)) for k, name in enumerate(part.names) if name in names]
                rows[:, [place for _, place in there]] = part.more.asked[:, [k for k, _ in there]]
                known = asked_for(rows)
        records[split] = ImageRecords(
            part.images, labels, names, groups=part.groups, input_shape=shape, tags=tags, asked=known
        )
    return records


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
    """Find a data set of images, `source` as `load`, with options as `loading.with_options`."""
    card = cards.load(source)

    def refusal(option: str, form: Form) -> str:
        columns = "no columns to choose from"
        what = {"label": columns, "separator": columns, "groups": "no files to group"}[option]
        return f"`{option}={options[option]}`: {card.title} has {what}. Leave the option out."

    return loading.with_options(card, options, refusal, lenient=lenient)


def fates(parts: dict[str, Part], what: str = "images") -> list[inventory.Entry]:
    """Return the entries of the inventory about what the readers left out; `what` the records are."""
    found = []
    for part in parts.values():
        found += inventory.unusable(part.bad, what)
        if part.ignored:
            found.append(inventory.entry("left out", "files", "that are no images by their names", part.ignored))
        found += part.entries
    return found


def told(parts: dict[str, Part], asked: loading.Asked | None = None) -> list[str]:
    """Return what readers found out; of groups only where something is cut from training."""
    notes = [line for part in parts.values() for line in part.notes]
    asked = asked or loading.Asked()
    cut = not asked.whole and (asked.folds is not None or parts.keys() < {"train", "validation", "test"})
    return [*notes, parts["train"].group_note] if cut and parts["train"].group_note else notes


def _check_classes(card: Card, records: Records) -> None:
    counts = records.counts()
    empty = [name for name, count in zip(records.label_names, counts) if count == 0]
    if empty:
        raise DataError(
            f"{card.title} has no training image of {loading.some(empty)}. Add some, or remove the class"
            f"{' from the labels of the card' if card.labels else ''}."
        )
    if np.count_nonzero(counts) < 2 and not (records.multi_label and len(counts) > 1):
        raise DataError(f"{card.title} has one class only, {records.label_names[0]}; there is nothing to tell apart.")

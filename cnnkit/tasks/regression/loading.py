"""From the name of a data set of pictures with numbers to its splits.

Design choices:
- What cannot be trained on is refused before anything is built: no number, the same number everywhere, lines that cannot be
  used. These
  can be left out (`skip_bad`), and are then counted by their kind.
- Splits are by what belongs together or by time; `cnnkit.tasks.regression.division` says how.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data import cards, inventory, loading
from cnnkit.data.cards import Card, Form
from cnnkit.data.reading import Part
from cnnkit.data.records import Shape, Splits
from cnnkit.device.preparation import Preparation
from cnnkit.errors import ConfigError, DataError
from cnnkit.inputs.image.loading import fates, stated_shape
from cnnkit.inputs.image.prepared import prepare_parts
from cnnkit.tasks.regression import division
from cnnkit.tasks.regression.device import figure
from cnnkit.tasks.regression.readers import TASK, by_reason, clauses, said
from cnnkit.tasks.regression.records import Numbers, ValueRecords, Values
from cnnkit.tasks.regression.tables import counted


def load(
    source: Path | str | Card,
    *,
    preparation: Preparation | None = None,
    prepare: bool | None = None,
    unit: str | None = None,
    negate: str | None = None,
    by_time: bool = True,
    gap: int | None = None,
    image: str | None = None,
    values: str | None = None,
    group: str | None = None,
    time: str | None = None,
    side_angle: float | None = None,
    **how: Any,
) -> Splits:
    """Load a data set of pictures with numbers, divided.

    Args:
        source: name of a card, or path of a card, a folder or a table.
        preparation: what the app does to a picture; each is then read as `predict` prepares it.
        prepare: whether it is done; None: unless the card says that its pictures are prepared.
        unit: of the values, of several with commas between them; None: as the data says.
        negate: which values change sign in a mirrored picture: names with commas between them, "all" or "none"; None: as the
            data says.
        by_time, gap: as `division.divided`.
        image, values, group, time, side_angle: as the settings of these names.
        how: as the attributes of `cnnkit.data.loading.Asked`.

    Returns:
        `Splits` of `ValueRecords`; `card["warnings"]` lists what was left out and what is odd.

    Raises:
        DataError: no such data, or data that cannot be trained on.
        ConfigError: parts to hold out that leave nothing, an option that the data has no use for.
    """
    asked = loading.Asked(**how)
    if asked.folds is not None:
        raise ConfigError("`folds` is nothing that numbers of pictures have. Leave it out.")
    given = {"image": image, "values": values, "group": group, "time": time, "side_angle": side_angle}
    card, parts, held_out = asked.read(with_options(source, given, lenient=asked.whole), TASK)
    refuse_bad(card, parts, asked.skip_bad)
    about: dict[str, Any] = {"unit": unit, "negate": negate, "by_time": by_time, "gap": gap}
    return of_parts(card, parts, held_out, asked, preparation=preparation, prepare=prepare, **about)


def of_parts(
    card: Card,
    parts: Mapping[str, Part],
    held_out: Mapping[str, float],
    asked: loading.Asked,
    *,
    preparation: Preparation | None = None,
    prepare: bool | None = None,
    unit: str | None = None,
    negate: str | None = None,
    by_time: bool = True,
    gap: int | None = None,
) -> Splits:
    """Divide a data set that is read, without its lines that cannot be used.

    Args:
        card, parts, held_out: as `Asked.read` returns them.
        asked: how they were read.
        preparation, prepare, unit, negate, by_time, gap: as `load`, which says also what is returned and raised.
    """
    about = described(parts["train"], unit, negate)
    shape: Shape | None = stated_shape(card)
    made, notes = prepare_parts(card, parts, preparation, prepare)
    shape = made or shape or parts["train"].images.shape
    records = {split: _records(card, part, about, shape) for split, part in parts.items()}
    if not asked.whole:
        check_values(card, records["train"])
    divided, lines, lost = _divided(card, parts, records, held_out, asked, by_time, gap)
    train = loading.limited(divided.train, asked.limit, asked.seed)
    if not len(train):
        raise DataError(f"Nothing of {card.title} is left to train on. Ask for less validation and test.")
    seen = {**divided.parts, "train": train}
    entries = [
        *fates(_without_bad(parts)),
        *_entries(parts),
        *loading.over_limit(len(divided.train) - len(train), "images"),
        *lost,
    ]
    told = [*dict.fromkeys(note for part in parts.values() for note in part.notes), *lines]
    return Splits(
        **seen,
        card={
            **loading.about(asked, card, parts, seen, "images", entries, told),
            "notes": notes,
            "warnings": [f"Left out: {clause}." for clause in clauses(bad_of(parts))],
        },
    )


def with_options(source: Path | str | Card, given: Mapping[str, Any], *, lenient: bool = False) -> Card:
    """Find a data set of pictures with numbers, with options as `cnnkit.data.loading.with_options`."""
    card = cards.load(source, TASK)

    def refusal(option: str, form: Form) -> str:
        return f"`{option}={given[option]}`: {card.title} is read without it. Leave the option out."

    return loading.with_options(card, given, refusal, lenient=lenient)


def bad_of(parts: Mapping[str, Part]) -> list[tuple[str, str]]:
    """Return (name, reason) of all lines that cannot be used."""
    return [row for part in parts.values() for row in part.bad]


def refuse_bad(card: Card, parts: Mapping[str, Part], skip_bad: bool) -> None:
    """Refuse lines that cannot be used where leaving them out was not asked for."""
    bad = bad_of(parts)
    if bad and not skip_bad:
        total = len(bad) + sum(len(part.images) for part in parts.values())
        raise DataError(
            f"{len(bad):,} of {total:,} lines of {card.title} cannot be used: {said(bad)}. Mend them, or go on without them with "
            "`skip_bad`."
        )


def _without_bad(parts: Mapping[str, Part]) -> dict[str, Part]:
    """Return parts without what `_entries` says by its kind."""
    return {split: dataclasses.replace(part, bad=[]) for split, part in parts.items()}


def _entries(parts: Mapping[str, Part]) -> list[inventory.Entry]:
    """Return the entries of the inventory about lines that cannot be used, one a kind."""
    kinds = by_reason(bad_of(parts))
    return [inventory.entry("left out", "images", f"whose line {reason}", names) for reason, names in kinds.items()]


def described(part: Part, unit: str | None, negate: str | None) -> Values:
    """Say what the values of a data set are; as `load`.

    Raises:
        ConfigError: more or fewer units than values, or a value to negate that there is not.
    """
    names, more = tuple(part.names), part.more or {}
    units = tuple(text.strip() for text in unit.split(",")) if unit is not None else tuple(more.get("units") or ())
    if not units:
        units = ("",) * len(names)
    elif len(units) == 1:
        units *= len(names)
    if len(units) != len(names):
        raise ConfigError(
            f"`unit={unit}` has {len(units)} units, and there are {len(names)} values: {', '.join(names)}."
        )
    negated = more.get("negated")
    if negate is not None:
        lower = [name.lower() for name in names]
        chosen = {"all": lower, "none": []}.get(
            negate.lower(), [n.strip().lower() for n in negate.split(",") if n.strip()]
        )
        unknown = [name for name in chosen if name not in lower]
        if unknown:
            raise ConfigError(f"`negate={negate}`: there is no value {unknown[0]!r}, but {', '.join(names)}.")
        negated = [name in chosen for name in lower]
    return Values(names, units, None if negated is None else tuple(bool(value) for value in negated))


def numbers_of(card: Card, part: Part, values: Values) -> np.ndarray:
    """Return the numbers of a split, float64 (n, k).

    Raises:
        DataError: they are none, or others than those of training.
    """
    if tuple(part.names) != values.names:
        raise DataError(
            f"One split of {card.title} has the values {', '.join(part.names)}, training {', '.join(values.names)}. Choose with "
            "`values`."
        )
    found = np.asarray(part.codes, np.float64).reshape(len(part.images), len(values.names))
    if not np.isfinite(found).all():
        raise DataError(f"{card.title} has values that are NaN or infinite. Mend its reader.")
    return found


def _records(card: Card, part: Part, values: Values, shape: Shape) -> ValueRecords:
    numbers = Numbers(numbers_of(card, part, values), values)
    return ValueRecords(part.images, targets=numbers, groups=part.groups, input_shape=shape)


def check_values(card: Card, records: ValueRecords) -> None:
    """Refuse values that are the same everywhere."""
    numbers = records.numbers()
    for name, column in zip(records.values.names, numbers.T, strict=True):
        if len(column) and np.ptp(column) == 0:
            raise DataError(
                f"The values `{name}` of {card.title} are all {figure(column[0], 6)}: there is nothing to learn. "
                "Choose others with `values`."
            )


def _divided(
    card: Card,
    parts: Mapping[str, Part],
    records: Mapping[str, ValueRecords],
    held_out: Mapping[str, float],
    asked: loading.Asked,
    by_time: bool,
    gap: int | None,
) -> tuple[Splits, list[str], list[inventory.Entry]]:
    """Divide what a source has; pictures of side cameras are for training alone.

    Returns:
        the splits; lines on how; entries of the inventory on what is in none of them.
    """
    part, every = parts["train"], records["train"]
    more = part.more or {}
    count = len(every)
    side = np.asarray(more["side"], bool) if more.get("side") is not None else np.zeros(count, bool)
    places = more.get("places")
    if places is None:
        places = _places(part.groups, count)
    share = {
        split: 0.0 if split in records else held_out.get(split, usual)
        for split, usual in (("test", loading.HELD_OUT), ("validation", loading.VALIDATION))
    }
    split, blocks, note = division.divided(
        part.groups, np.asarray(places), **share, seed=asked.split_seed, by_time=by_time, gap=gap
    )
    chosen = {
        "train": np.flatnonzero(split == division.TRAIN),
        "validation": np.flatnonzero((split == division.VALIDATION) & ~side),
        "test": np.flatnonzero((split == division.TEST) & ~side),
    }
    if asked.whole:  # all is scored, and side cameras have an angle that nobody measured
        chosen["train"] = np.flatnonzero(~side)
    grouped = every if blocks is None else every._changed(groups=blocks)
    found = {name: grouped.take(places) for name, places in chosen.items()}
    found |= {name: _of_middle(parts[name], records[name]) for name in records if name != "train"}
    lost = int((split == division.GAP).sum())
    used = asked.whole | np.isin(split, (division.VALIDATION, division.TEST))
    beside = int((side & used).sum())
    entries = []
    if lost:
        entries.append(inventory.Entry("left out", lost, "images", "too near in time to what is held out"))
    if beside:
        entries.append(inventory.Entry("left out", beside, "images", "of side cameras, in what is scored"))
    return Splits(found["train"], found["validation"], found["test"]), [note] if note else [], entries


def _of_middle(part: Part, records: ValueRecords) -> ValueRecords:
    side = (part.more or {}).get("side")
    return records if side is None else records.take(np.flatnonzero(~np.asarray(side, bool)))


def _places(groups: np.ndarray | None, count: int) -> np.ndarray:
    """Return where each record is among those of its group, in the order they come."""
    return np.arange(count) if groups is None else counted([str(group) for group in groups])


def names_said(values: Values) -> Sequence[str]:
    """Return the values with their units, as people call them."""
    return [f"{name} ({unit})" if unit else name for name, unit in zip(values.names, values.units, strict=True)]

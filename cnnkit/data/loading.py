"""From the name of a data set to its splits: find or fetch, read, settle the labels, divide.

Design choices:
- What cannot be trained on is refused here, before anything is built: a class without images, a single class, labels
  that the card does not have, files that cannot be used. Those can be left out (`skip_bad`), and are then named.
- Labels are settled once for all splits: by the card's list where it has one, else by what training has.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data import cards, fetch, inventory, readers, splits
from cnnkit.data.cards import Card, Form
from cnnkit.data.reading import Part, Request
from cnnkit.data.records import Progress, Records, Splits
from cnnkit.errors import ConfigError, DataError
from cnnkit.registry import INPUTS, TASKS, TRAINING

HELD_OUT = 0.2  # of a data set without a test split of its own
VALIDATION = 0.1
_NAMED = 5  # files in an error


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How a data set of any kind is to be loaded.

    Attributes:
        seed: chooses the training records that `limit` keeps.
        validation: part of all but the source's own test split to hold out; None for 0.1. Not used where the source has
            a validation split.
        test: part to hold out where the source has no test split; None for what the card says, else 0.2.
        limit: most training records, stratified; a smaller limit keeps a subset of a larger one.
        skip_bad: look through every record once and leave out those that cannot be used, instead of an error.
        split_seed: another seed, another division.
        whole: hold nothing out, and take classes that could not be trained on: all of it is to be scored.
        folds: what would be trained on is cut into so many parts; None: it is not.
        fold: which of these parts is the test split, and all others the training split; None: all are the training split.
        progress: called as progress(what, done, total).
    """

    seed: int = 0
    validation: float | None = None
    test: float | None = None
    limit: int | None = None
    skip_bad: bool = False
    split_seed: int = 0
    whole: bool = False
    folds: int | None = None
    fold: int | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        """Refuse parts to hold out that leave nothing to train on."""
        if self.fold is not None and (self.folds is None or self.fold >= self.folds):
            raise ConfigError(f"`fold` is one of `folds`, counted from 0. Got fold={self.fold}, folds={self.folds}.")
        for name, part in (("validation", self.validation), ("test", self.test)):
            if part is not None and not 0 <= part < 1:
                raise ConfigError(f"`{name}` is the part to hold out, from 0 up to but not 1. Received: {part}.")
        if (self.validation or 0) + (self.test or 0) >= 1:
            raise ConfigError(
                f"`validation` {self.validation} and `test` {self.test} leave nothing to train on. Hold out less."
            )

    def read(self, source: Path | str | Card, task: str) -> tuple[Card, dict[str, Part], dict[str, float]]:
        """Return a data set as `read_parts`; the parts to hold out are those asked for, else the card's."""
        card, parts, held_out = read_parts(source, task=task, verify=self.skip_bad, progress=self.progress)
        for split, part in (("test", self.test), ("validation", self.validation)):
            if self.whole or part is not None:
                held_out[split] = 0 if self.whole else part or 0
        return card, parts, held_out


def load(source: Path | str, *, task: str = "", **how: Any) -> Splits:
    """Load a data set of any kind, divided: what it is for decides which kind reads it.

    Args:
        source: name of a card, or path of a card, a folder or a file.
        task: what it is for, where the same folder or file may be of two kinds; as `cnnkit.data.cards.load`.
        how: as the attributes of `Asked`; and what else the `load` of that kind takes.

    Raises:
        DataError: no such data, data that cannot be trained on, or that no kind here is for.
        ConfigError: parts to hold out that leave nothing.
    """
    card = cards.load(source, task)
    return reading_of(card).load(card, **how)


def kinds() -> list[Any]:
    """Return the training halves of our kinds, each a `Readable`: of inputs, then of tasks."""
    return [registry.half(name, TRAINING, name) for registry in (INPUTS, TASKS) for name in registry.ours()]


def reading_of(card: Card) -> Any:
    """Return the training half of the kind that reads what a card is for.

    Raises:
        DataError: no kind here does.
    """
    reading = next((kind for kind in kinds() if kind.reads == card.task), None)
    if reading is None:
        raise DataError(f"{card.title} is for {card.task}, which is not known here. Install the app that it is for.")
    return reading


def about(
    asked: Asked,
    card: Card,
    parts: Mapping[str, Part],
    seen: Mapping[str, Records],
    what: str,
    entries: Iterable[inventory.Entry],
    notes: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the card of splits: what is known of a data set, as plain JSON values.

    Args:
        asked: how it was loaded.
        card, parts: as `Asked.read` returns them.
        seen: the splits as they are learnt from and scored.
        what, entries, notes: as `inventory.describe`.
    """
    origins = {
        split: "the source's own" if split in parts else f"held out, seed {asked.split_seed}"
        for split in ("validation", "test")
    }
    if asked.fold is not None:
        origins["test"] = f"fold {asked.fold} of {asked.folds}, seed {asked.split_seed}"
    return {
        **card.describe(),
        "splits": origins,
        "inventory": inventory.describe(what, {split: len(part) for split, part in seen.items()}, entries, notes),
        "private": readers.find(card.forms[0].reader).private,
    }


def limited(train: Any, limit: int | None, seed: int) -> Any:
    """Return at most `limit` records, stratified; a smaller limit keeps a subset of a larger one."""
    return train if limit is None or limit >= len(train) else train.take(_kept(train, limit, seed))


def _kept(train: Any, limit: int, seed: int) -> np.ndarray:
    return np.sort(splits.spread(train.labels, seed=seed)[:limit])


def check_divided(divided: Splits) -> None:
    """Refuse a data set of which nothing could be held out for the test: it could be trained on, but not scored.

    Raises:
        DataError: saying whether groups are why, and what to do.
    """
    if len(divided.test) or "folds" in divided.card:  # of folds each is a test
        return
    title = divided.card.get("title", "The data")
    groups = divided.train.groups
    if groups is None:
        raise DataError(
            f"{title} has too few records to hold any out for the test. Add some, or a test split of its own."
        )
    most = int(np.bincount(np.unique(np.stack([divided.train.labels, groups]), axis=1)[0]).max())
    raise DataError(
        f"{title} cannot be divided: no class has more than {most} group{'s' * (most != 1)} (track, scene), and a group is never "
        "torn apart, so there is nothing to test on. Add others, give test data of its own in a folder test beside train, or "
        "say `groups=none` if they are no groups."
    )


def read_parts(
    source: Path | str | Card,
    *,
    task: str,
    verify: bool = False,
    progress: Progress | None = None,
) -> tuple[Card, dict[str, Part], dict[str, float]]:
    """Find or fetch a data set and read its splits as they are.

    Returns:
        the card, with the form that was read; "train" and what other splits the source has -> `Part`; other splits ->
        the part to hold out.
    """
    card = source if isinstance(source, Card) else cards.load(source)
    if card.task != task:
        raise DataError(f"{card.title} is for {card.task}; this command is for {task}.")
    root, form = fetch.provide(card, progress=progress)
    _check_form(card, form)
    reader = readers.find(form.reader)
    own = form.tables
    if not reader.needs:
        own.setdefault("train", {})
    if "train" not in own:
        raise DataError(f"The card {card.name} needs `train` under [splits].")
    parts: dict[str, Part] = {}
    for split in sorted(own, key=lambda split: split != "train"):  # it decides what is black and white
        first = parts.get("train")
        decided = first.value_range if first is not None else None
        parts[split] = reader.read(Request(root, own[split], dict(form.options), verify, progress, decided, first))
    if reader.left is not None and root is not None and card.root == root:
        parts["train"].entries += reader.left(root, list(own.values()))
    card = replace(card, forms=(form,))
    return card, parts, {split: part for split, part in form.splits.items() if split not in form.tables}


def divide(records: Mapping[str, Records], held_out: dict[str, float], *, seed: int = 0) -> Splits:
    """Divide what a source has: its own splits stay, the parts of `held_out` (else the usual) are cut from "train"."""
    return splits.make(
        records["train"],
        test=records.get("test", held_out.get("test", HELD_OUT)),
        validation=records.get("validation", held_out.get("validation", VALIDATION)),
        seed=seed,
    )


def fold(records: Any, asked: Asked, own: Sequence[Sequence[int]] = ()) -> np.ndarray:
    """Return in which fold each record is held out: int (n,).

    Args:
        records: what is to be cut into folds.
        asked: into how many.
        own: the records that the source itself holds out in each fold, where it has folds.

    Raises:
        ConfigError: there are fewer records, or groups, than folds.
    """
    assert asked.folds is not None
    if own:
        if len(own) != asked.folds:
            raise ConfigError(
                f"The data has {len(own)} folds of its own. Set `folds={len(own)}`, or remove its file of folds."
            )
        found = np.full(len(records), -1)
        for number, places in enumerate(own):
            found[list(places)] = number
        return found
    found = splits.folds(records, asked.folds, seed=asked.split_seed)
    if len(np.unique(found)) < asked.folds:
        what = "records" if records.groups is None else "groups"
        raise ConfigError(f"`folds={asked.folds}` leaves a fold empty: there are too few {what}. Ask for fewer folds.")
    return found


def in_folds(
    records: Mapping[str, Any],
    asked: Asked,
    own: Sequence[Sequence[int]] = (),
    *,
    validation: float | None = None,
) -> Splits:
    """Divide for cross-validation: the source's own test split stays, unless one fold is asked for alone.

    Args:
        records: of the source's own splits.
        asked: which fold; at most `limit` records are cut into folds.
        own: as `fold`.
        validation: the part of a fold's training records that it holds out to choose by, where the source has no validation
            split; None: a fold chooses nothing, and the source's is left out too.

    Returns:
        `Splits`; `card["folds"]` says in which fold each record is held out.
    """
    every = records["train"]
    held = fold(every, asked, own)
    if asked.limit is not None and asked.limit < len(every):
        kept = _kept(every, asked.limit, asked.seed)
        every, held = every.take(kept), held[kept]
        if len(np.unique(held)) < (asked.folds or 0):
            raise ConfigError(f"`limit={asked.limit}` leaves a fold empty. Ask for more records, or fewer `folds`.")
    nothing = every.take(np.zeros(0, int))
    choosing = nothing if validation is None else records.get("validation", nothing)
    card = {"folds": held.tolist()}
    if asked.fold is None:
        return Splits(every, choosing, records.get("test", nothing), card)
    test, rest = every.take(np.flatnonzero(held == asked.fold)), every.take(np.flatnonzero(held != asked.fold))
    if validation and not len(choosing):
        divided = splits.make(rest, test=test, validation=validation, seed=asked.split_seed)
        return Splits(divided.train, divided.validation, test, card)
    return Splits(rest, choosing, test, card)


def align_labels(card: Card, parts: dict[str, Part]) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Agree on the label names of all splits.

    A source's label is looked up in the card's list; where the list has no such name, a whole number counts from
    `first_label`. Without a list, training decides.

    Returns:
        the names, and for each split int32 (n,) codes.

    Raises:
        DataError: a split has labels that are not in the list.
    """
    first = card.forms[0].options.get("first_label", 0)
    names = card.labels or parts["train"].names
    codes = {}
    for split, part in parts.items():
        places = [_place(name, names, first if card.labels else None) for name in part.names]
        outside = [name for name, place in zip(part.names, places) if place is None]
        if outside:
            whose = "the card" if card.labels else "the training split"
            raise DataError(
                f"The {split} split of {card.title} has labels that {whose} does not have: {some(outside)}. "
                f"{whose.capitalize()} has {some(names, 12)}."
            )
        codes[split] = np.array([place or 0 for place in places], np.int32)[part.codes]
    return names, codes


def _place(name: str, names: tuple[str, ...], first: int | None) -> int | None:
    """Find a source's label in the list of names, by number where `first` shifts the numbers."""
    if not first and name in names:
        return names.index(name)
    if first is not None and name.lstrip("-").isdigit() and 0 <= int(name) - first < len(names):
        return int(name) - first
    return names.index(name) if name in names else None


def _check_form(card: Card, form: Form) -> None:
    """Refuse keys that the reader does not know: a misspelt one would be silently ignored."""
    reader = readers.find(form.reader)
    keys = reader.keys.union(reader.needs)
    tables = [(f"[splits] {split}", table, keys) for split, table in form.tables.items()]
    for what, given, allowed in (*tables, ("[options]", form.options, reader.options)):
        unknown = sorted(set(given) - allowed)
        if unknown:
            may = ", ".join(sorted(allowed)) or "nothing"
            raise DataError(
                f"The card {card.name}: {what} of the reader {form.reader} may have {may}, not {unknown[0]}."
            )
    first = form.options.get("first_label", 0)
    if type(first) is not int:
        raise DataError(f"The card {card.name}: the option `first_label` is a whole number, not {first!r}.")


def with_options(
    card: Card, options: Mapping[str, Any], refusal: Callable[[str, Form], str], *, lenient: bool = False
) -> Card:
    """Return a card with some options of its readers set.

    Args:
        card: what is to be read.
        options: None where one is not given.
        refusal: (option, form) -> the error of an option that the reader of this form does not have.
        lenient: leave out what a reader has no use for, instead of an error.

    Raises:
        ConfigError: an option that the reader does not have.
    """
    given = {key: value for key, value in options.items() if value is not None}
    forms = []
    for form in card.forms:
        unknown = sorted(given.keys() - readers.find(form.reader).options)
        if unknown and not lenient:
            raise ConfigError(refusal(unknown[0], form))
        forms.append(replace(form, options={**form.options, **{k: v for k, v in given.items() if k not in unknown}}))
    return replace(card, forms=tuple(forms)) if given else card


def over(every: Any, divided: Splits, train: Any) -> int:
    """Return how many records a limit left out of training: of `every` before it was cut into folds, or of what was divided."""
    return len(every) - len(divided.card["folds"]) if "folds" in divided.card else len(divided.train) - len(train)


def over_limit(count: int, what: str) -> list[inventory.Entry]:
    """Return the entry of the training records that a limit left out."""
    return [inventory.Entry("left out", count, what, "of training, by the limit asked for")] if count else []


def missing_classes(held_out: Mapping[str, Records], what: str) -> list[str]:
    """Name classes that training has and a held-out split has not; `what` one of its records is."""
    notes = []
    for split in ("validation", "test"):
        held = held_out[split]
        missing = [name for name, count in zip(held.label_names, held.counts()) if count == 0]
        if len(held) and missing:
            notes.append(f"The {split} split has no {what} of {some(missing)}: too few to hold any out.")
    return notes


def left_out(parts: dict[str, Part], skip_bad: bool, what: str) -> list[str]:
    """Return a warning for each file that cannot be used, `what` it is to be; refuse where leaving out was not asked for."""
    bad = [row for part in parts.values() for row in part.bad]
    total = sum(len(part.images) for part in parts.values()) + len(bad)
    rows = [f"{path} ({reason})" for path, reason in bad]
    if bad and not skip_bad:
        raise DataError(
            f"{len(bad)} of {total:,} {what} cannot be used: {some(rows)}. Repair or delete them, or go on without "
            "them with `skip_bad`."
        )
    return [f"Left out {row}." for row in rows]


def some(names: Any, most: int = _NAMED) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

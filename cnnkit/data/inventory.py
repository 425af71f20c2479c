"""What became of a data set: how much was found and used, what was left out and why, what is learnt as background.

Design choices:
- A reader says what it did not use as entries: a count, what they are, why, a few examples. It never leaves anything out
  without one. Counts, not lists: a million files left out cost nothing.
- The loader adds what follows from the division, and puts all of it on the card as plain JSON values, `card["inventory"]`.
  `train` prints its lines before it begins and keeps it in `run.json`; `data check` says the same.

    part.entries.append(entry("left out", "images", "without a line in labels.csv", names))
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cnnkit.errors import DataError

EXAMPLES = 5  # names kept of an entry; the first three are printed
_HEADS = {  # what an entry may be -> how its line begins
    "left out": "Left out",
    "background": "Learnt as background",
    "ignored": "Ignored, neither learnt nor counted as wrong",
    "changed": "Read otherwise than written",
}


@dataclass(frozen=True)
class Entry:
    """A number of things with one fate.

    Attributes:
        status: "left out" (of training, validation and test), "background" (images that are to teach "nothing here"),
            "ignored" (boxes that are neither to be found nor wrong to find), "changed" (used, but not as it is written).
        count: of how many.
        what: they are, in the plural: "images", "files", "boxes", "texts", "rows".
        reason: completes "3 files ...": "that are no images by their names".
        examples: some of them, as a person calls them.
    """

    status: str
    count: int
    what: str
    reason: str
    examples: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.status not in _HEADS:
            raise ValueError(f"`status` is one of {', '.join(_HEADS)}. Received: {self.status!r}.")


def entry(status: str, what: str, reason: str, names: Sequence[str], count: int | None = None) -> Entry:
    """Return an entry about things with these names; `count` where there are more of them than names."""
    return Entry(status, len(names) if count is None else count, what, reason, tuple(names[:EXAMPLES]))


def unusable(bad: Sequence[tuple[str, str]], what: str, count: int | None = None) -> list[Entry]:
    """Return the entry of what cannot be used, from (name, reason) of each; none for none."""
    names = [f"{name} ({reason})" for name, reason in bad]
    return [entry("left out", what, "that cannot be used", names, count)] if bad else []


def none_usable(noun: str, where: str, bad: Sequence[tuple[str, str]]) -> DataError:
    """Return the error that nothing of a data set can be used.

    Args:
        noun: one record of it.
        where: the data set, with a preposition.
        bad: (name, reason) of each.
    """
    (name, reason), *more = bad
    others = f" and {len(more):,} more" if more else ""
    return DataError(f"No {noun} {where} can be used: {name} ({reason}){others}. Repair or replace them.")


def describe(what: str, used: Mapping[str, int], entries: Iterable[Entry], notes: Iterable[str] = ()) -> dict[str, Any]:
    """Return the inventory of a data set as plain JSON values.

    Args:
        what: its records are, in the plural.
        used: split -> number of records.
        entries: of all splits; those with the same fate, kind and reason are put together.
        notes: lines on what was found out and not told, such as what belongs together.

    Returns:
        what; found, the number of records used and left out; used; entries; notes.
    """
    together = _together(entries)
    left = sum(row.count for row in together if row.status == "left out" and row.what == what)
    return {
        "what": what,
        "found": sum(used.values()) + left,
        "used": dict(used),
        "entries": [{**asdict(row), "examples": list(row.examples)} for row in together],
        "notes": list(dict.fromkeys(notes)),
    }


def nameless(inventory: Mapping[str, Any]) -> dict[str, Any]:
    """Return an inventory without its examples, for a file that is to name nobody."""
    rows = [{**row, "examples": []} for row in inventory.get("entries", ())]
    return {**inventory, "entries": rows} if inventory else {}


def joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inventory of two data sets together; an empty one says nothing."""
    if not first or not second:
        return dict(first or second)
    used = {split: first["used"].get(split, 0) + second["used"].get(split, 0) for split in second["used"]}
    rows = [_entry(row) for row in (*first["entries"], *second["entries"])]
    return describe(second["what"], used, rows, [*first["notes"], *second["notes"]])


def lines(inventory: Mapping[str, Any]) -> list[str]:
    """Return an inventory in a few lines; an empty one has none."""
    if not inventory:
        return []
    used = inventory["used"]
    splits = ", ".join(f"{count:,} {split}" for split, count in used.items() if count)
    told = [f"Data: {inventory['found']:,} {inventory['what']} found, {sum(used.values()):,} used ({splits})."]
    return told + fates(map(_entry, inventory["entries"])) + list(inventory["notes"])


def fates(entries: Iterable[Entry]) -> list[str]:
    """Return entries in a line for each fate."""
    rows = _together(entries)
    parts = {head: [_told(row) for row in rows if row.status == status] for status, head in _HEADS.items()}
    return [f"{head}: {'; '.join(part)}." for head, part in parts.items() if part]


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(**{**row, "examples": tuple(row["examples"])})


def _told(row: Entry) -> str:
    what = row.what if row.count != 1 else _singular(row.what)
    shown = ", ".join(row.examples[:3]) + (", ..." if row.count > min(3, len(row.examples)) else "")
    return f"{row.count:,} {what} {row.reason}" + (f" ({shown})" if row.examples else "")


def _singular(what: str) -> str:
    for ending, one in (("ies", "y"), ("xes", "x"), ("sses", "ss")):
        if what.endswith(ending):
            return what.removesuffix(ending) + one
    return what.removesuffix("s")


def _together(entries: Iterable[Entry]) -> list[Entry]:
    found: dict[tuple[str, str, str], Entry] = {}
    for row in entries:
        key = row.status, row.what, row.reason
        before = found.get(key)
        if before:
            examples = (*before.examples, *row.examples)[:EXAMPLES]
            row = Entry(*key[:1], before.count + row.count, *key[1:], examples)
        if row.count:
            found[key] = row
    return list(found.values())

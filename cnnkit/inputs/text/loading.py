"""From the name of a data set of texts to its splits, with one tokenizer, and the reasons in plain lines.

Design choices:
- As in `loading`, what cannot be trained on is refused before anything is built: no text, no label, one class only, a class
  that is there once, texts that cannot be used. Those can be left out (`skip_bad`), and are then named.
- The vocabulary is learnt from the training split alone; validation and test meet unknown words as a device does.
- A source's own splits stay as they are. What is held out is stratified, and copies of a text stay on one side.
- What was found out and not told (columns, encoding, vocabulary, length) is said in `card["notes"]`.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data import cards, inventory, loading, splits
from cnnkit.data.cards import Card, Form
from cnnkit.data.reading import Part
from cnnkit.data.records import Progress, Splits
from cnnkit.data.tags import Tags
from cnnkit.errors import ConfigError, DataError
from cnnkit.inputs.text import division
from cnnkit.inputs.text.index import Found
from cnnkit.inputs.text.records import TextRecords

_ORDER = ("train", "validation", "test")


def load(
    source: Path | str,
    *,
    text: str | int | None = None,
    label: str | int | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    max_length: int | None = None,
    tokenizer: Any = None,
    fold: tuple[int, int] | None = None,
    **more: Any,
) -> Splits:
    """Load a data set of texts, divided, with a tokenizer.

    Args:
        source: name of a card, or path of a card, a folder or a file.
        text, label: which columns of a table, or fields of JSON lines; names, or numbers from 0. None: found out.
        separator: between several labels in one cell, such as "|".
        encoding: "utf-8", "cp1252" or "latin-1"; None: found out.
        max_length: as `cnnkit.device.text.learn`.
        tokenizer: one that is there already; then what `learn` takes is not used.
        fold: (k, n): test is fold k of n, k from 1 to n, validation a tenth of the rest.
        more: how it is loaded, as the attributes of `cnnkit.data.loading.Asked`; and what else `learn` takes.

    Returns:
        `Splits` of `TextRecords`; `card["notes"]` says in lines what was found out, `card["warnings"]` what was left out.

    Raises:
        DataError: no such data, or data that cannot be trained on.
        ConfigError: parts to hold out that leave nothing, a fold that is not there.
    """
    how = {field.name: more.pop(field.name) for field in fields(loading.Asked) if field.name in more}
    asked = loading.Asked(**how)
    if fold is not None and not (fold[1] >= 2 and 1 <= fold[0] <= fold[1]):
        raise ConfigError(f"A fold is (k, n) with k from 1 to n, and n at least 2. Got {fold[0]} of {fold[1]}.")
    given = {"text": text, "label": label, "separator": separator, "encoding": encoding}
    card, parts, held_out = asked.read(with_options(source, given), "text")
    warnings = _left_out(parts, asked.skip_bad)
    records = as_records(card, parts)
    if not asked.whole:
        check_classes(card, records["train"])
    if fold is not None and "test" in parts:
        raise ConfigError(f"{card.title} has a test split of its own, so there is nothing to fold.")
    found = {split: part.more.found for split, part in parts.items()}
    groups = division.groups_of(parts["train"].groups, found["train"].hashes)
    warnings += _seen_twice(found)
    for here in found.values():
        here.hashes = np.zeros(0, np.int64)  # 8 bytes a text that nobody needs any more
    divided, together = divide(records, groups, held_out, seed=asked.split_seed, fold=fold)
    del groups
    warnings += loading.missing_classes(divided, "text")
    train = loading.limited(divided["train"], asked.limit, asked.seed)
    entries = [*_fates(parts), *loading.over_limit(len(divided["train"]) - len(train), "texts")]
    if not len(train):
        raise DataError(f"Nothing of {card.title} is left to train on. Ask for less validation and test.")
    plan = [*_beside(card), *_format_lines(parts, found, records["train"])]
    records.clear()  # the undivided ones
    if together:
        plan.append(together)
    if tokenizer is None:
        from cnnkit.device.text import learn

        learnt = learn(_told(train, asked.progress), max_length=max_length, **more)
        tokenizer = learnt.tokenizer
        plan += _tokenizer_lines(learnt, asked_length=max_length)
    else:
        plan.append(f"The tokenizer of the model that is continued: {tokenizer.size:,} ids, {tokenizer.length} a text.")
    train = train.with_tokenizer(tokenizer)
    rest = {split: divided[split].with_tokenizer(tokenizer).sharing(train) for split in ("validation", "test")}
    if rest["test"].source is rest["validation"].source is not train.source:
        rest["test"] = rest["test"].sharing(rest["validation"])
    seen = {"train": train, **rest}
    about = {
        **loading.about(asked, card, parts, seen, "texts", entries),
        "notes": plan,
        "warnings": warnings,
    }
    if fold is not None:
        about["splits"]["test"] = f"fold {fold[0]} of {fold[1]}, seed {asked.split_seed}"
    return Splits(**seen, card=about)


def with_options(source: Path | str, options: Mapping[str, Any]) -> Card:
    """Find a data set of texts, with some options of its reader set; as `loading.with_options`."""
    card = cards.load(source, task="text")

    def refusal(option: str, form: Form) -> str:
        return f"{card.title} has no columns or encoding to choose: `{option}` does not fit {form.reader}."

    return card if card.task != "text" else loading.with_options(card, options, refusal)


def as_records(card: Card, parts: dict[str, Part]) -> dict[str, TextRecords]:
    """Make records of the parts of a source, their labels settled.

    Raises:
        DataError: there is no labelled text, or a split has labels that training does not have.
    """
    found = {split: part.more.found for split, part in parts.items()}
    for split, here in found.items():
        if not len(here.texts):
            raise DataError(f"The {split} split of {card.title} holds no text with a label.")
    names, codes = loading.align_labels(card, parts)
    several = any(here.ends is not None for here in found.values())
    records = {}
    for split, here in found.items():
        tags = None
        labels = codes[split]
        if several:
            ends = np.arange(1, len(here.texts) + 1) if here.ends is None else here.ends
            tags = Tags(labels, ends)
            labels = tags.strata(len(names))
        records[split] = TextRecords(here.texts, labels, names, tags=tags)
    return records


def divide(
    records: dict[str, TextRecords],
    groups: np.ndarray | None,
    held_out: dict[str, float],
    *,
    seed: int,
    fold: tuple[int, int] | None = None,
) -> tuple[dict[str, TextRecords], str]:
    """Divide what a source has; its own splits stay.

    Returns:
        the splits, and a line about texts that were kept together, empty where there are none.
    """
    every = records["train"]
    labels = every.labels
    rest = splits.places(len(every))
    found = {split: part for split, part in records.items() if split != "train"}
    for split, usual in (("test", loading.HELD_OUT), ("validation", loading.VALIDATION)):
        if split in found:
            continue
        here, known = labels[rest], None if groups is None else groups[rest]
        if split == "test" and fold is not None:
            chosen = division.fold(here, known, *fold, seed=seed)
        else:
            part = held_out.get(split, usual)
            whole = len(rest) if fold is not None else len(every)
            chosen = division.hold_out(here, known, part * whole / max(1, len(rest)), seed=seed)
        found[split] = every.take(rest[chosen])
        rest = rest[~chosen]
    found["train"] = every.take(rest) if len(rest) < len(every) else every
    together = ""
    if groups is not None and len(rest) < len(every):
        extra = len(groups) - 1 - int(groups.max())
        together = f"{extra:,} texts are copies or neighbours of others; those stay on one side of the division."
    return {split: found[split] for split in _ORDER}, together


def check_classes(card: Card, records: TextRecords) -> None:
    """Refuse classes that cannot be learnt.

    Raises:
        DataError: a class without a text, one class only, a class with one text.
    """
    counts = records.counts()
    names = records.label_names
    if np.count_nonzero(counts) < 2 and not (records.multi_label and len(names) > 1):
        raise DataError(
            f"{card.title} has one class only, {names[int(counts.argmax())]}; there is nothing to tell apart."
        )
    for most, what in ((0, "no training text"), (1, "one training text only")):
        few = [name for name, count in zip(names, counts) if count == most]
        if few:
            raise DataError(
                f"{card.title} has {what} of {loading.some(few)}. Add some, or remove the class"
                f"{' from the labels of the card' if card.labels and not most else ''}."
            )


def _fates(parts: dict[str, Part]) -> list[inventory.Entry]:
    """Return what became of texts that are in no split, as the readers left them."""
    found: list[inventory.Entry] = []
    for part in parts.values():
        found += inventory.unusable(part.bad, "texts", part.more.found.bad_count)
        found += part.entries
    return found


def _left_out(parts: dict[str, Part], skip_bad: bool) -> list[str]:
    """Return a line for what is left out; refuse where that was not asked for."""
    bad = [row for part in parts.values() for row in part.bad]
    count = sum(part.more.found.bad_count for part in parts.values())
    if not count:
        return []
    total = sum(len(part.images) for part in parts.values()) + count
    rows = [f"{place} ({reason})" for place, reason in bad[:5]]
    named = ", ".join(rows) + (f" and {count - len(rows):,} more" if count > len(rows) else "")
    if not skip_bad:
        raise DataError(
            f"{count:,} of {total:,} texts cannot be used: {named}. Repair or delete them, or go on without them with `skip_bad`."
        )
    return [f"Left out {count:,} texts: {named}."]


def _seen_twice(found: dict[str, Found]) -> list[str]:
    """Say how many texts of a source's own held-out splits are in its training split too."""
    notes = []
    ranked = np.sort(found["train"].hashes) if len(found) > 1 else np.zeros(0, np.int64)
    for split in ("validation", "test"):
        if split in found:
            places = np.searchsorted(ranked, found[split].hashes)
            same = int((ranked[np.minimum(places, len(ranked) - 1)] == found[split].hashes).sum())
            if same:
                notes.append(
                    f"{same:,} of {len(found[split].hashes):,} texts of the {split} split are in training too."
                )
    return notes


def _beside(card: Card) -> list[str]:
    """Say which files a file brought with it: `reviews.test.csv` beside `reviews.train.csv` is its test."""
    if card.root is None or Path(card.source).is_dir():
        return []
    names = {split: table["file"] for split, table in card.forms[0].tables.items()}
    told = ", ".join(f"{name} as {split}" for split, name in names.items() if split != "train")
    return [f"Beside {names['train']} there is {told}."] if told else []


def _format_lines(parts: dict[str, Part], found: dict[str, Found], train: TextRecords) -> list[str]:
    lines = list(parts["train"].more.notes)
    kinds = {split: here.encoding for split, here in found.items()}
    beyond = [f"{kind} ({split})" for split, kind in kinds.items() if kind not in ("ASCII", kinds["train"])]
    lines.append(f"Read as {', '.join([kinds['train'], *beyond])}.")
    counts = train.counts()
    few, many = int(counts.min()), int(counts.max())
    spans = f"{few:,} texts each" if few == many else f"{few:,} to {many:,} texts"
    what = "labels, several a text" if train.multi_label else "classes"
    lines.append(f"{len(counts)} {what}: {loading.some(train.label_names, 12)}; {spans} before dividing.")
    return lines


def _tokenizer_lines(learnt: Any, *, asked_length: int | None) -> list[str]:
    made = learnt.tokenizer
    if made.kind == "characters":
        lines = [f"Characters: {learnt.kept} known of {learnt.distinct} seen, {learnt.known:.1%} of all in training."]
        if learnt.known < 0.5:
            lines.append(
                "Its characters are those of English: these texts say little to it. A model of words reads any script."
            )
    else:
        lines = [
            f"Vocabulary of the training texts: {learnt.kept:,} of {learnt.distinct:,} words, which are {learnt.known:.1%} of "
            f"all {learnt.tokens:,} there"
            + (f"; others in {made.buckets:,} buckets of {made.ngram}-grams." if made.buckets else ".")
        ]
    if made.apart:
        lines.append(
            "These texts have no spaces between words, so each character is read as one. MediaPipe's own tokenizer does not "
            "divide them: there, put a space around each before."
        )
    why = "as asked" if asked_length else f"the longest has {max(learnt.lengths):,}"
    lines.append(
        f"{made.length} {made.kind} of a text are read ({why}); {learnt.cut:.1%} of the training texts are longer."
    )
    return lines


def _told(records: TextRecords, progress: Progress | None) -> Any:
    """Yield the texts, telling how far it is."""
    for done, text in enumerate(records.every_text()):
        if progress and done % 65536 == 65535:
            progress("Counting words", done + 1, len(records))
        yield text

"""Texts in lists, with a label or several each, kept as JSON lines (`cnnkit.data.kept`)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import files
from cnnkit.data.kept import Kept, Pairs, is_words
from cnnkit.errors import DataError


def kept(parts: Pairs, labels: Sequence[str]) -> Kept | None:
    """Return how these texts become files; None: they are no texts.

    Args:
        parts: inputs: lists or arrays of `str`; targets: of each a label, `str` or int, or a list of labels.
        labels: what whole numbers are called, from 0; none: as they are.

    Raises:
        DataError: labels that cannot be used.
    """
    if not all(is_words(inputs) for inputs, _ in parts.values()):
        return None
    rows = {
        split: [
            {"text": str(text), "label": _label(target, labels, split)}
            for text, target in zip(inputs, targets, strict=True)
        ]
        for split, (inputs, targets) in parts.items()
    }

    def write(folder: Path) -> None:
        for split, lines in rows.items():
            files.write_text(folder / f"{split}.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))

    tables = {split: {"file": f"{split}.jsonl"} for split in parts}
    return Kept("text", "text-jsonl", f"{len(rows['train']):,} texts", tables, list(rows.values()), write)


def _label(target: Any, labels: Sequence[str], split: str) -> str | list[str]:
    if isinstance(target, list | tuple) or (isinstance(target, np.ndarray) and target.ndim):
        return [str(_label(one, labels, split)) for one in target]
    if isinstance(target, str):
        return str(target)
    if isinstance(target, bool | np.bool_) or not isinstance(target, int | np.integer):
        raise DataError(f"The targets of {split} hold {target!r}. A label is a text or a whole number.")
    if labels and not 0 <= target < len(labels):
        raise DataError(f"The targets of {split} hold {target}, and `labels` names {len(labels)}. Name all of them.")
    return str(labels[int(target)]) if labels else str(int(target))

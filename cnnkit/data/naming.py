"""What names of files and folders say: which split they are for, and in which order classes come."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnkit.data import walks

SPLITS = {  # what the folders of the splits are called, in lower case
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid"),
    "test": ("test", "testing"),
}
WORDS = {**SPLITS, "validation": ("dev", *SPLITS["validation"])}  # and their files, and cells of tables
COLUMNS = ("split", "set", "subset", "partition")  # of tables, whose cells are such words


def split_of_word(word: str) -> str | None:
    """Return the split that a word is for, such as a cell of a table; None where it is for none."""
    return next((split for split, words in WORDS.items() if word.strip().lower() in words), None)


def split_of_name(name: str) -> str | None:
    """Return the split that a file's name says: "mnist_train.csv" is "train"; None where it says none, or two.

    Only whole words count, between what is no letter or digit, or where a small letter meets a capital: neither `latest.csv` nor
    `contrast.csv` says anything.
    """
    parts = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower())
    words = {re.sub(r"\d+$", "", part) or part for part in parts}
    found = [split for split, spellings in WORDS.items() if words & set(spellings)]
    return found[0] if len(found) == 1 else None


def _has_folders(folder: Path) -> bool:
    return any(path.is_dir() and not walks.is_system(path.name) for path in folder.iterdir())


def split_folders(root: Path, holds: Callable[[Path], bool] = _has_folders) -> dict[str, str]:
    """Find which subfolders of `root` are splits: {"train": "Training", ...}; empty where it has no training folder.

    Args:
        root: a folder.
        holds: whether a folder holds data of the kind that is looked for: class folders, unless said otherwise.

    A folder called train that holds images and no folders is a class, between car and tram; a test folder of loose images
    beside class folders of training has no labels, so it is no split.
    """
    names = {
        path.name.lower(): path.name for path in root.iterdir() if path.is_dir() and not walks.is_system(path.name)
    }
    found = {}
    for split, spellings in SPLITS.items():
        match = [names[spelling] for spelling in spellings if spelling in names]
        if match:
            found[split] = match[0]
    held = {split: name for split, name in found.items() if holds(root / name)}
    return held if "train" in held else {}


def class_order(names: list[str]) -> Callable[[str], Any]:
    """Sort key of class names: by number where all are whole numbers, else by text."""
    numbers = all(re.fullmatch(r"-?\d+", name) for name in names)
    return (lambda name: (int(name), name)) if numbers else (lambda name: name)

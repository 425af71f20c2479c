"""Cases: a picture, its channels and pages, and the files of its masks; what all layouts find them as."""

from dataclasses import dataclass, field
from pathlib import Path

from cnnkit.data.inventory import Entry
from cnnkit.data.naming import class_order

VALUES, CLASSES, OBJECTS = "values", "classes", "objects"  # what a mask's file holds: all labels, one, or one object


_DOUBLE = (".nii.gz", ".seg.nrrd", ".seg.nhdr")


def stem_of(name: str) -> str:
    """Return the name of a file, without its folders and its suffix; `.nii.gz` and `.seg.nrrd` are one."""
    name = name.rpartition("/")[2]
    double = next((suffix for suffix in _DOUBLE if name.lower().endswith(suffix)), "")
    return name[: -len(double)] if double else name.rpartition(".")[0] or name


@dataclass(frozen=True)
class Case:
    """A picture with its masks.

    Attributes:
        pictures: paths below the root, with /; one, or one for each channel.
        masks: (path, label) of each file; the label is "" where the file's values say it.
        page: of these files, counted from 0; None: they have one.
        ignore: of the mask whose zeros are left out of loss and scores, "" where there is none.
        second: of the mask of a second observer.
        patient: who or what the picture is of, "" where that is not known.
        key: what folds call it, "" for its picture's name without suffix.
        alias: what files of ours call it, where names may be of patients.
    """

    pictures: tuple[str, ...]
    masks: tuple[tuple[str, str], ...]
    page: int | None = None
    ignore: str = ""
    second: str = ""
    patient: str = ""
    key: str = ""
    alias: str = ""

    @property
    def name(self) -> str:
        """What a person calls it: its picture's path, and its page."""
        return self.pictures[0] + ("" if self.page is None else f", page {self.page + 1}")


@dataclass
class Layout:
    """The cases of a data set.

    Attributes:
        root: the folder that all paths are below.
        splits: "train", "validation", "test" -> its cases, in natural order of their names.
        holds: `VALUES`, `CLASSES` or `OBJECTS`.
        bad: split -> (file, reason) of what has no partner, or several.
        entries: of the inventory.
    """

    root: Path
    splits: dict[str, list[Case]] = field(default_factory=dict)
    holds: str = VALUES
    bad: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        """The labels that files hold one each of."""
        found = sorted({label for cases in self.splits.values() for case in cases for _, label in case.masks if label})
        return sorted(found, key=class_order(found))

"""A table (.csv) that says which mask belongs to which picture, of which patient, in which split."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from cnnkit.data import naming, walks
from cnnkit.data.cards import inside
from cnnkit.device.image import SUFFIXES
from cnnkit.errors import DataError
from cnnkit.files import printable
from cnnkit.tasks.segmentation.formats.cases import Case, Layout

MOST_BYTES = 64 * 2**20
PATIENTS = "patients.csv"
_COLUMNS = {
    "picture": ("image", "images", "img", "picture", "file", "filename", "name", "image_path", "image_file", "input"),
    "mask": (
        "mask",
        "masks",
        "label",
        "seg",
        "segmentation",
        "mask_path",
        "mask_file",
        "label_path",
        "annotation",
        "target",
    ),
    "patient": ("patient", "patient_id", "patientid", "subject", "subject_id", "case", "case_id", "group", "study"),
    "split": naming.COLUMNS,
    "ignore": ("ignore", "fov", "roi"),
}


def table_of(path: Path) -> Path | None:
    """Return the table of pictures and masks that a path is, or that lies in a folder; None where there is none, or several."""
    files = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    found = [file for file in files if file.suffix.lower() == ".csv" and not walks.is_system(file.name) and _fits(file)]
    return found[0] if len(found) == 1 else None


def _fits(file: Path) -> bool:
    try:
        columns, rows = _rows(file)
    except DataError:
        return False
    first = next(rows, None)
    masks = columns.get("mask")
    if first is None or masks is None or "picture" not in columns:
        return False
    return len(first[1]) > masks and Path(first[1][masks].strip()).suffix.lower() in SUFFIXES


def _rows(file: Path) -> tuple[dict[str, int], Iterator[tuple[int, list[str]]]]:
    """Return the columns by what they are, and (line, cells) of each row."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{printable(str(file))} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise DataError(f"{printable(str(file))} is not UTF-8 text. Save it as such.") from None
    if len(data) > MOST_BYTES:
        raise DataError(f"{printable(str(file))} is larger than the {MOST_BYTES:,} bytes that such a table may have.")
    header = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=header.count))
    try:
        names = [cell.strip().lower() for cell in next(lines, [])]
        rows = [(lines.line_num, row) for row in lines if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DataError(f"{printable(str(file))} is no table ({error}).") from None
    columns = {
        what: next(names.index(name) for name in known if name in names)
        for what, known in _COLUMNS.items()
        if any(name in names for name in known)
    }
    return columns, iter(rows)


def find(file: Path) -> Layout:
    """Read a table with the columns image and mask, and, if there are any, patient, split and ignore.

    Raises:
        DataError: it cannot be read, or a column is missing.
    """
    columns, rows = _rows(file)
    if not {"picture", "mask"} <= columns.keys():
        raise DataError(f"{printable(str(file))} needs the columns image and mask, and may have patient and split.")
    layout = Layout(file.parent)
    lines: dict[str, int] = {}
    for line, row in rows:
        cells = {what: row[k].strip().replace("\\", "/") if k < len(row) else "" for what, k in columns.items()}
        split = naming.split_of_word(cells.get("split", ""))
        if cells.get("split") and split is None:
            raise DataError(
                f"{printable(str(file))}, line {line}: {cells['split']!r} is no split (train, validation, test)."
            )
        bad = layout.bad.setdefault(split or "train", [])
        cases = layout.splits.setdefault(split or "train", [])
        picture, mask, ignore = cells["picture"], cells["mask"], cells.get("ignore", "")
        reason = _fault(file.parent, picture) or (_fault(file.parent, mask) if mask else "it has no mask")
        if not reason and picture in lines:
            reason = f"it stands in line {lines[picture]} too"
        if not reason and ignore:
            reason = _fault(file.parent, ignore)
        if reason:
            bad.append((picture or f"{file.name}, line {line}", f"line {line}: {reason}"))
            continue
        lines[picture] = line
        cases.append(Case((picture,), ((mask, ""),), ignore=ignore, patient=cells.get("patient", "")))
    layout.splits = {split: layout.splits[split] for split in naming.SPLITS if split in layout.splits}
    return layout


def _fault(root: Path, name: str) -> str:
    if not name or not inside(name):
        return f"{name!r} is no path below the table's folder"
    return "" if (root / name).is_file() else f"there is no file {name}"


def patients(root: Path) -> dict[str, str]:
    """Read who pictures are of from `patients.csv` in a folder: {name of the picture: patient}; {} where there is none.

    A name is a path below the folder or the file's name, with or without its suffix, as the table has it.
    """
    file = root / PATIENTS
    if not file.is_file():
        return {}
    columns, rows = _rows(file)
    if not {"picture", "patient"} <= columns.keys():
        raise DataError(f"{printable(str(file))} needs the columns image and patient.")
    picture, patient = columns["picture"], columns["patient"]
    return {
        row[picture].strip().replace("\\", "/"): row[patient].strip()
        for _, row in rows
        if len(row) > max(picture, patient) and row[patient].strip()
    }

"""DICOM files anonymised into a new folder, and looked through before anybody gets them.

Design choices:
- Everything is read first. What cannot be cleared by rules is refused: names burned into pixels, pictures of screens and of
  ultrasound, documents. One refused file stops the whole, unless it is to be left out.
- Each file is written into a folder beside the new one, and its bytes are searched for what identified (`identifying.py`).
  The new folder appears when all of it is there and clean, or not at all.
- Files are `case_0001/study_01/series_01/0001.dcm`. Cases are counted in an order of chance, and one patient's studies are one
  case. Which case is who is written nowhere.
- Names of files may be those of patients, so messages count files, in the order of their paths; `names` shows paths.

Source: DICOM PS3.15 (2026c), annex E.
"""

import contextlib
import os
import random
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnkit import files
from cnnkit.device.volumes import dicom, dicom_file
from cnnkit.device.volumes.faults import VolumeError, shown
from cnnkit.errors import DataError
from cnnkit.inputs.volume import profile
from cnnkit.inputs.volume.identifying import Identifying
from cnnkit.reporter import SILENT, Reporter
from cnnkit.shown import Shown, Table

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_SCANS = {f"{_STORAGE}{end}" for end in ("2", "2.1", "2.2", "4", "4.1", "4.4", "128", "128.1", "130")}  # CT, MR, PET
_PICTURES = {f"{_STORAGE}{end}" for end in ("1", "1.1", "1.1.1", "1.2", "1.2.1", "5", "20", "12.1", "12.2", "13.1.3")}
_OF_PICTURES = {f"{_STORAGE}{end}" for end in ("30", "66.4", "66.7", "481.2", "481.3")}  # SEG, RTSTRUCT, ...
_STRUCTURES = f"{_STORAGE}481.3"
_ULTRASOUND = {f"{_STORAGE}{end}" for end in ("3", "3.1", "6", "6.1", "6.2", "6.3")}
_DIRECTORY = "1.2.840.10008.1.3.10"
_OF_SCREENS = ("SCREEN", "SAVE", "DOSE", "PROTOCOL")  # in an ImageType: pictures of text
_EXAMINED = {"CT", "MR", "PT"}


@dataclass
class _File:
    number: int
    path: Path
    study: str = ""
    series: str = ""
    patient: tuple[str, ...] = ()


@dataclass
class _Looked:
    files: list[_File] = field(default_factory=list)
    refused: list[tuple[_File, str]] = field(default_factory=list)
    others: int = 0  # files that are no DICOM
    total: int = 0
    identifying: dict[str, Identifying] = field(default_factory=dict)  # of each study
    unsaid: int = 0  # pictures that do not say whether text is burned in
    scans: int = 0


def anonymise(
    source: Path, out: Path, *, skip_bad: bool = False, names: bool = False, tell: Reporter = SILENT
) -> Shown:
    """Anonymise the DICOM files of a folder and of those in it.

    Args:
        source: a folder.
        out: the new folder, which is not there or empty, and not in the other.
        skip_bad: leave out what is refused instead of refusing all.
        names: show paths of files in messages.
        tell: hears of progress, and of what no rule can see.

    Returns:
        what was done; no value and no name of the input is in it.

    Raises:
        DataError: a folder cannot be used, a file is refused or damaged, or a file holds something that identifies still.
        MissingExtra: dicom-anonymizer or pydicom is not installed.
    """
    profile.needed()
    _folders(source, out)
    with _still():
        looked = _look(source, names, tell)
        _refuse(looked, skip_bad, names, source)
        _warn(looked, tell)
        with _made(out) as folder:
            document, rows = _write(looked, folder, source, names, tell)
    columns = ["case", "studies", "series", "files", "attributes removed", "replaced or emptied"]
    clean = not any(one.says(str(out)) for one in looked.identifying.values())
    document = {"out": shown(out) if clean else "", "tables": profile.TABLES, **document, "cases": rows}
    lines: list[str | Table] = [Table(columns, [list(row.values()) for row in rows])]
    left_out = [f"{looked.others:,} that are no DICOM"] * (looked.others > 0)
    left_out += [f"{len(looked.refused):,} that are refused"] * bool(looked.refused)
    lines.append(
        f"{_count(document['files'], 'file')} in {shown(out) if clean else 'OUT'}. Each was searched for the values that "
        f"identified in its study, {document['values']:,} in all: none is left."
        + (f" Left out: {' and '.join(left_out)}." if left_out else "")
    )
    lines.append(
        "Which case is who was written nowhere. Text in pixels is not seen: look at the pictures before you share them."
    )
    return Shown(document, lines)


# What is there ---------------------------------------------------------------------------------------------------------


def _folders(source: Path, out: Path) -> None:
    if not source.is_dir():
        raise DataError("IN is not a folder. Name the folder that holds the DICOM files.")
    a, b = source.resolve(), Path(os.path.abspath(out))  # noqa: PTH100 - a link is refused below
    if out.is_symlink():
        raise DataError("OUT is a link. Name a folder that is not there yet.")
    b = b.parent.resolve() / b.name
    if a == b or b.is_relative_to(a) or a.is_relative_to(b):
        raise DataError("OUT and IN lie in one another. Write to a folder beside the input.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError("OUT is there already and not empty. Name a folder that is not there yet.")


def _look(source: Path, names: bool, tell: Reporter) -> _Looked:
    looked = _Looked()
    paths = sorted(_paths(source), key=lambda path: path.relative_to(source).as_posix())
    looked.total = len(paths)
    with tell.progress("Looking", len(paths), "files") as update:
        for number, path in enumerate(paths, 1):
            _look_at(_File(number, path), looked)
            update(number)
    if not looked.files and not looked.refused:
        raise DataError(
            f"IN holds {looked.total:,} files, and none is DICOM. Name the folder that holds the DICOM files."
        )
    return looked


def _paths(source: Path) -> Iterator[Path]:
    try:
        for folder, below, inside in os.walk(source, onerror=_raise):
            for name in (*below, *inside):
                if (Path(folder) / name).is_symlink():
                    raise DataError(
                        "IN holds a link to another place. Put the file itself there, or take the link away."
                    )
            yield from (Path(folder) / name for name in inside if (Path(folder) / name).is_file())
    except OSError as error:
        raise DataError(f"A folder in IN cannot be read: {error.strerror}. Check its permissions.") from None


def _raise(error: OSError) -> None:
    raise error


def _look_at(file: _File, looked: _Looked) -> None:
    if file.path.name.upper() == "DICOMDIR":
        looked.refused.append((file, "a DICOMDIR, a list of the other files with their patients"))
        return
    if not dicom.is_dicom(file.path):
        looked.others += 1
        return
    try:
        dataset = dicom_file.whole(file.path)
        why = _why_not(dataset)
        file.study, file.series = str(dataset.get("StudyInstanceUID", "")), str(dataset.get("SeriesInstanceUID", ""))
        key = ("PatientID", "IssuerOfPatientID") if dataset.get("PatientID") else ("PatientName", "PatientBirthDate")
        file.patient = tuple(str(dataset.get(keyword, "") or "") for keyword in key)
        if not any(file.patient):
            file.patient = (file.study,)
        if not why:
            looked.identifying.setdefault(file.study, Identifying()).collect(dataset)
            scan = str(dataset.SOPClassUID) in _SCANS
            looked.scans += scan
            looked.unsaid += scan and not dataset.get("BurnedInAnnotation")
    except VolumeError as error:
        why = f"damaged, or not to be read ({error.reason})"
    except (OSError, MemoryError):
        raise
    except Exception:  # its words may quote a patient
        why = "damaged"
    if why:
        looked.refused.append((file, why))
    else:
        looked.files.append(file)


def _why_not(dataset: Any) -> str | None:
    """Return what a file is that no rule can clear; None: it can be anonymised."""
    from pydicom.uid import UID

    kind, modality = str(dataset.get("SOPClassUID", "")), str(dataset.get("Modality", "") or "").upper()
    stored = str(getattr(dataset.file_meta, "MediaStorageSOPClassUID", "") or kind)
    shows = [str(word).upper() for word in profile.values(dataset["ImageType"])] if "ImageType" in dataset else []
    burned = str(dataset.get("BurnedInAnnotation", "") or "").upper()
    if _DIRECTORY in (kind, stored):
        return "a DICOMDIR, a list of the other files with their patients"
    if not kind or "TransferSyntaxUID" not in dataset.file_meta:
        return "without a head that says what it is"
    if burned not in ("", "NO"):
        return "a picture with text burned into its pixels (BurnedInAnnotation)"
    if kind in _ULTRASOUND or modality in ("US", "IVUS"):
        return "an ultrasound picture, into which names are often burned"
    if kind == f"{_STORAGE}7" or kind.startswith(f"{_STORAGE}7.") or dataset.get("ConversionType"):
        return "a secondary capture, a picture of a screen or of paper"
    if kind in _SCANS and (int(dataset.get("SamplesPerPixel", 1) or 1) > 1 or _in(shows, _OF_SCREENS)):
        return "a picture of a screen or of a table, as scanners store them beside their slices"
    if kind not in _SCANS | _PICTURES | _OF_PICTURES:
        name = UID(kind).name if profile.is_registered(kind) else "of a kind of its maker"
        return f"no picture that this can clear ({name})"
    if kind in _PICTURES and burned != "NO":
        return f"a picture that does not say that it is free of burned-in text (BurnedInAnnotation, {UID(kind).name})"
    if kind != _STRUCTURES and not profile.is_whole(dataset):
        return "cut off: its pixels are not all there"
    drawn = {tag.group for tag in dataset.keys() if 0x6000 <= tag.group < 0x6100 and not tag.is_private}  # noqa: SIM118
    if any((group, 0x3000) not in dataset and (group, 0x0010) in dataset for group in drawn):
        return "a picture with an overlay drawn into the spare bits of its pixels"
    return None


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _in(words: list[str], parts: tuple[str, ...]) -> bool:
    return any(part in word for word in words for part in parts)


def _refuse(looked: _Looked, skip_bad: bool, names: bool, source: Path) -> None:
    if looked.refused and not (skip_bad and looked.files):
        file, why = looked.refused[0]
        rest = len(looked.refused) - 1
        more = f", and {rest:,} more {'is' if rest == 1 else 'are'} refused" if rest else ""
        todo = "Take such files away, or leave them out with `skip_bad`." if looked.files else "Nothing else is there."
        raise DataError(f"{_called(file, looked, names, source)} is {why}{more}. Nothing was written. {todo}")


def _called(file: _File, looked: _Looked, names: bool, source: Path) -> str:
    if names:
        return files.printable(file.path.relative_to(source).as_posix())
    return f"File {file.number:,} of {looked.total:,} (in the order of their paths; --names shows them)"


def _warn(looked: _Looked, tell: Reporter) -> None:
    if looked.others:
        tell.note(f"Left out, {_count(looked.others, 'file')}: no DICOM.")
    for why, count in Counter(why for _, why in looked.refused).items():
        tell.warning(f"Left out, {_count(count, 'file')}: {why}.")
    if looked.unsaid:
        tell.warning(
            f"Not said of {_count(looked.unsaid, 'file')} whether text is burned in (BurnedInAnnotation), as is usual in CT, MR "
            "and PET. They are written; look at them."
        )
    if looked.scans:
        tell.warning(
            "Faces remain: from slices of a head a face can be drawn, and known again. Nothing here removes it."
        )
    whose: dict[str, set[tuple[str, ...]]] = {}
    for file in looked.files:
        whose.setdefault(file.study, set()).add(file.patient)
    mixed = sum(len(patients) > 1 for patients in whose.values())
    if mixed:
        tell.warning(
            f"{_count(mixed, 'study', 'studies')} with more than one patient, written as one case. Check the input."
        )


# What is written -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _made(out: Path) -> Iterator[Path]:
    """Return a folder beside the new one, that takes its place when the block ends without an error, and vanishes otherwise."""
    with files.system_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=".anonymised."))
        try:
            yield folder
            umask = os.umask(0)
            os.umask(umask)
            folder.chmod(0o777 & ~umask)
            if out.exists():
                out.rmdir()
            folder.replace(out)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


@contextlib.contextmanager
def _still() -> Iterator[None]:
    """Let no other code warn: its words may quote a patient."""
    from pydicom import config

    settings = config.settings
    before = settings._writing_validation_mode
    settings.writing_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        settings._writing_validation_mode = before


def _write(
    looked: _Looked, folder: Path, source: Path, names: bool, tell: Reporter
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    studies: dict[str, list[_File]] = {}
    for file in looked.files:
        studies.setdefault(file.study, []).append(file)
    cases: dict[tuple[str, ...], list[list[_File]]] = {}
    for found in studies.values():
        cases.setdefault(found[0].patient, []).append(found)
    order = list(cases.values())
    random.SystemRandom().shuffle(order)
    rows: list[dict[str, Any]] = []
    done = 0
    with tell.progress("Anonymising", len(looked.files), "files") as update:
        for number, each in enumerate(order, 1):
            case = f"case_{number:04d}"
            row: dict[str, Any] = {
                "case": case,
                "studies": len(each),
                "series": 0,
                "files": 0,
                "removed": 0,
                "replaced": 0,
            }
            for k, study in enumerate(each, 1):
                series: dict[str, int] = {}
                within: Counter[str] = Counter()
                identifying = looked.identifying[study[0].study]
                with profile.study() as uids:
                    for file in study:
                        place = series.setdefault(file.series, len(series) + 1)
                        within[file.series] += 1
                        path = folder / case / f"study_{k:02d}" / f"series_{place:02d}"
                        path = path / f"{within[file.series]:04d}.dcm"
                        called = _called(file, looked, names, source)
                        removed, replaced = _one(file.path, path, case, identifying, uids, called)
                        row["removed"] += removed
                        row["replaced"] += replaced
                        done += 1
                        update(done)
                row["series"] += len(series)
                row["files"] += len(study)
            rows.append(row)
    document = {
        "files": done,
        "studies": len(studies),
        "left_out": {"no_dicom": looked.others, "refused": dict(Counter(why for _, why in looked.refused))},
        "values": sum(map(len, looked.identifying.values())),
        "removed": sum(row["removed"] for row in rows),
        "replaced": sum(row["replaced"] for row in rows),
    }
    return document, rows


def _one(
    source: Path, path: Path, case: str, identifying: Identifying, uids: dict[str, str], called: str
) -> tuple[int, int]:
    """Anonymise one file and write it, if nothing in it identifies any more."""
    try:
        dataset = dicom_file.whole(source)
        counts = profile.apply(dataset, case, identifying.says)
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)
        left = _left(path, identifying, set(uids.values()), profile.own(case))
    except VolumeError as error:
        raise DataError(f"{called} is damaged, or not to be read ({error.reason}). Nothing was written.") from None
    except (OSError, MemoryError):
        raise
    except Exception:  # its words may quote a patient
        raise DataError(f"{called} is damaged. Nothing was written. Copy it anew, or take it away.") from None
    if left:
        raise DataError(
            f"{called} would still say {left}. Nothing was written. Take that attribute out of it, or the file away."
        )
    return counts


def _left(path: Path, identifying: Identifying, new: set[str], own: set[str]) -> str | None:
    """Return what a written file still says of whom; None: nothing."""
    dataset = dicom_file.whole(path)
    content = path.read_bytes()
    packed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
    for keyword in profile.OF_PIXELS & {element.keyword for element in dataset}:
        pixels = dataset[keyword].value
        start = content.rfind(pixels)
        content = content[:start] + content[start + len(pixels) :] if start >= 0 and pixels else content
        del dataset[keyword]
        left = identifying.in_pixels(pixels) if packed else None
        if left:
            return left
    return identifying.found(content, dataset, new, own)

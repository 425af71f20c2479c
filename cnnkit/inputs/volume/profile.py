"""One DICOM data set after the confidentiality profile: dicom-anonymizer's tables, and what they leave.

Design choices:
- The library's tables (edition 2026c of the standard) name attributes, and it looks for them at the top of a file alone. Here
  they are applied to every item of every sequence as well.
- What the tables do not name is kept where it cannot say who it is: numbers, codes, references. Text is kept from a short list
  only (`KEPT_TEXT`), bytes from another (`KEPT_BYTES`); other text is emptied. What the dictionary of the standard does not
  know, or stores otherwise than it says, goes, and so do private attributes, overlays, curves and the padding at the end.
- A sequence that the tables touch is emptied or removed in whole, but for references to pictures: these are kept with new UIDs.
- Dates and times become one dummy, 1 January of the year 1 at midnight; ages go.
- UIDs become random ones by one map a study, which is forgotten with it: nobody can compute them, nor find the way back.

Source: DICOM PS3.15 (2026c), annex E: Basic Application Level Confidentiality Profile.
"""

import contextlib
import functools
import importlib.util
import io
import re
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

from cnnkit import __version__
from cnnkit.errors import MissingExtra

TABLES = "2026c"
DUMMY = "ANONYMIZED"  # what the library writes where a text has to be
DUMMIES = {"", DUMMY, "http://anonymized.invalid", "00010101", "00010101010101.000000+0000", "000000.00"}
TEXT = {"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
TIMES = {"DA", "DT", "TM"}
_BYTES = {"OB", "OD", "OF", "OL", "OV", "OW", "OB or OW"}
KEPT_TEXT = {
    *("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "SequenceName", "PulseSequenceName"),
    *("ConvolutionKernel", "ImagedNucleus", "RescaleType", "ModalityLUTType", "StackID", "ReconstructionMethod"),
    *("AttenuationCorrectionMethod", "ScatterCorrectionMethod", "SegmentLabel", "SegmentAlgorithmName"),
    *("AlgorithmName", "AlgorithmVersion"),
    *("CodeValue", "LongCodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning"),
}
KEPT_BYTES = {
    *(
        "PixelData",
        "FloatPixelData",
        "DoubleFloatPixelData",
        "ExtendedOffsetTable",
        "ExtendedOffsetTableLengths",
        "LUTData",
    ),
    *("RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData"),
}
ENUMERATED = {  # codes with few values, all in the standard: a person of such a name is not meant by them
    *("Modality", "PhotometricInterpretation", "PatientPosition", "Laterality", "ImageLaterality", "SegmentationType"),
    *(
        "SegmentAlgorithmType",
        "LossyImageCompression",
        "BurnedInAnnotation",
        "ValueType",
        "ContourGeometricType",
        "DoseUnits",
    ),
}
OF_PIXELS = {"PixelData", "FloatPixelData", "DoubleFloatPixelData"}
_REFERENCES = {
    (0x0008, 0x1140),
    (0x0008, 0x2112),
}  # to pictures: the tables leave a choice, and geometry may rest on them
_TO_EMPTY = ("Z_TAGS", "Z_D_TAGS", "X_Z_TAGS")  # sequences that have to be there, with no item
_PATIENT_ID = (0x0010, 0x0020)
_ITEM = b"\xfe\xff\x00\xe0"
_COMMENTS = {  # by the first bytes of a stream: markers of comments, Exif and the like; of where packed pixels begin
    b"\xff\xd8": (b"\xfe\xe1\xed", b"\xda\xd9"),
    b"\xff\x4f": (b"\x64", b"\x90\xd9"),
}
_MEANING = "Basic Application Confidentiality Profile"
_CODE = re.compile(r"[A-Z0-9_ ]{0,16}")


def needed() -> None:
    """Look whether the packages are here.

    Raises:
        MissingExtra: one is not.
    """
    for package, name in (("pydicom", "pydicom"), ("dicomanonymizer", "dicom-anonymizer")):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(f'Anonymising needs {name}, which is not installed: pip install "cnnkit[scans]".')


@contextlib.contextmanager
def study() -> Iterator[dict[str, str]]:
    """Begin a map of UIDs, from old to new ones, and forget it at the end: the library has one, for ever."""
    from dicomanonymizer import simpledicomanonymizer

    simpledicomanonymizer.dictionary.clear()
    try:
        yield simpledicomanonymizer.dictionary
    finally:
        simpledicomanonymizer.dictionary.clear()


@functools.cache
def tables() -> dict[tuple[int, ...], Callable[..., None]]:
    """Return what is done with each attribute that the profile names: (group, element), or with two masks behind them."""
    from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
    from dicomanonymizer.simpledicomanonymizer import initialize_actions

    edition = f"dicomfields_{TABLES}"
    named = dicom_anonymization_database_selector(edition)
    empty = {tag for group in _TO_EMPTY for tag in named[group]}
    actions = {tag: _of_one(action, tag in empty) for tag, action in initialize_actions(edition).items()}
    return {tag: action for tag, action in actions.items() if tag not in _REFERENCES}


def _of_one(action: Callable[..., None], empties: bool) -> Callable[..., None]:
    def done(dataset: Any, tag: tuple[int, int]) -> None:
        element = dataset.get(tag)
        if element is None:
            return
        if element.VR == "SQ":
            if empties:
                element.value = []
            else:
                del dataset[element.tag]
        elif element.VR == "UI":
            _renamed(element)
        else:
            try:
                action(dataset, tag)
            except NotImplementedError:  # a kind of value that the library has no dummy for
                del dataset[element.tag]

    return done


def apply(dataset: Any, case: str, says: Callable[[str, bool], bool]) -> tuple[int, int]:
    """Anonymise a data set in place, inside `study`.

    Args:
        dataset: a `pydicom.Dataset` as it was read.
        case: the patient's new name.
        says: whether a text holds an identifying value; the second is whether short words in it mean something else.

    Returns:
        How many attributes were removed, and how many got another value; those within sequences count.
    """
    before = dict(_flat(dataset))
    _apply(dataset, case, says, top=True)
    _cut(dataset)
    _uncommented(dataset)
    _head(dataset)
    _said(dataset)
    after = dict(_flat(dataset))
    changed = sum(1 for key, value in after.items() if key in before and before[key] != value)
    return len(before.keys() - after.keys()), changed


def _flat(dataset: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    for element in every(dataset, deep=False):
        if element.VR == "SQ":
            yield (*above, int(element.tag)), None
            for k, item in enumerate(element.value):
                yield from _flat(item, (*above, int(element.tag), k))
        else:
            yield (*above, int(element.tag)), None if element.VR in _BYTES else str(element.value)


def every(dataset: Any, *, deep: bool = True) -> Iterator[Any]:
    """Yield the elements of a data set, those of its items too; what cannot be read as what it says is bytes of `UN`."""
    from pydicom.dataelem import DataElement

    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # a value that is no such value
            element = DataElement(tag, "UN", getattr(dataset.get_item(tag), "value", None) or b"")
        yield element
        if deep and element.VR == "SQ":
            for item in element.value:
                yield from every(item)


def _apply(dataset: Any, case: str, says: Callable[[str, bool], bool], *, top: bool = False) -> None:
    from dicomanonymizer.simpledicomanonymizer import anonymize_dataset

    for element in every(dataset, deep=False):
        if element.tag.is_private or element.VR == "UN":
            del dataset[element.tag]
        elif element.VR == "SQ":
            for item in element.value:
                _apply(item, case, says)
    here = [(tag.group, tag.element) for tag in dataset.keys()]  # noqa: SIM118 - a data set yields its elements
    rules: dict[tuple[int, ...], Callable[..., None]] = {tag: tables()[tag] for tag in here if tag in tables()}
    if top:  # groups that repeat: the library looks for these in items too
        rules |= {tag: action for tag, action in tables().items() if len(tag) > 2}
    if _PATIENT_ID in rules:
        rules[_PATIENT_ID] = lambda found, tag: setattr(found[tag], "value", case)
    with contextlib.redirect_stdout(io.StringIO()):
        anonymize_dataset(dataset, base_rules_gen=lambda: rules)
    for element in every(dataset, deep=False):
        _strip(dataset, element, says, (element.tag.group, element.tag.element) in rules, top)


def _strip(dataset: Any, element: Any, says: Callable[[str, bool], bool], done: bool, top: bool) -> None:
    """Take from a data set what the tables leave of an element, and what they should not."""
    from pydicom.datadict import dictionary_VR, keyword_for_tag

    keyword, kind, group = keyword_for_tag(element.tag), element.VR, element.tag.group
    if keyword == "SpecificCharacterSet":  # all is written as UTF-8
        del dataset[element.tag]
        return
    known = bool(keyword) and (kind == dictionary_VR(element.tag) or kind in dictionary_VR(element.tag).split(" or "))
    if not known or group in (0, 4) or 0x5000 <= group < 0x5100 or 0x6000 <= group < 0x6100 or kind in ("UN", "AS"):
        del dataset[element.tag]
    elif kind in _BYTES:
        if keyword not in KEPT_BYTES or (keyword in OF_PIXELS and not top):
            del dataset[element.tag]
    elif kind in TEXT:
        found = values(element)
        if not done and keyword not in KEPT_TEXT:
            element.value = ""
        elif any(says(str(value), keyword == "CodeMeaning") for value in found if value != DUMMY) and not done:
            element.value = DUMMY
    elif kind == "CS":
        clean = [
            value if _CODE.fullmatch(value) and not says(value, keyword in ENUMERATED) else DUMMY
            for value in map(str, values(element))
        ]
        if clean != [str(value) for value in values(element)]:
            element.value = clean if len(clean) > 1 else clean[0]
    elif kind in ("DS", "IS"):
        try:
            [float(value) for value in values(element)]
        except (TypeError, ValueError):
            del dataset[element.tag]
    elif kind in TIMES:
        if values(element) and not done:
            from dicomanonymizer.simpledicomanonymizer import replace_date_time_element

            replace_date_time_element(element)
    elif kind == "UI" and not done:
        _renamed(element)


def values(element: Any) -> list[Any]:
    """Return the values of an element as a list; none where it is empty."""
    value = element.value
    if value is None or (isinstance(value, str | bytes) and not value):
        return []
    many = not isinstance(value, str | bytes) and hasattr(value, "__iter__") and element.VR != "PN"
    return list(value) if many or type(value).__name__ == "MultiValue" else [value]


def is_registered(uid: str) -> bool:
    """Say whether a UID is a word of the standard, and nobody's."""
    from pydicom.uid import UID_dictionary

    return uid in UID_dictionary


def _renamed(element: Any) -> None:
    from dicomanonymizer.simpledicomanonymizer import get_UID

    uids = [str(value) for value in values(element)]
    uids = [uid if not uid or is_registered(uid) else str(get_UID(uid)) for uid in uids]
    if uids:
        element.value = uids if len(uids) > 1 else uids[0]


def is_whole(dataset: Any) -> bool:
    """Say whether a picture has all its pixels, as far as that can be known without unpacking them."""
    if "PixelData" not in dataset:
        return "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return len(dataset.PixelData) > 8  # more than the table before the first frame
    return len(dataset.PixelData) >= _size(dataset)


def _size(dataset: Any) -> int:
    bits = 1
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "BitsAllocated"):
        bits *= int(dataset.get(keyword, 1) or 1)
    if str(dataset.get("PhotometricInterpretation", "")) == "YBR_FULL_422":
        bits = bits * 2 // 3
    return (bits + 7) // 8


def _cut(dataset: Any) -> None:
    """Cut what stands behind the pixels of an uncompressed picture."""
    if "PixelData" in dataset and not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        size = _size(dataset)
        dataset["PixelData"].value = dataset.PixelData[:size] + b"\0" * (size % 2)


def _uncommented(dataset: Any) -> None:
    """Put blanks in place of comments in packed pixels; nothing moves, and what they are unpacked to is the same."""
    if "PixelData" not in dataset or not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    content = bytearray(dataset.PixelData)
    at = 0
    while at + 8 <= len(content) and content[at : at + 4] == _ITEM:
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        _blank(content, at + 8, min(at + 8 + size, len(content)))
        at += 8 + size
    dataset["PixelData"].value = bytes(content)


def _blank(content: bytearray, at: int, end: int) -> None:
    """Blank the comments of a JPEG or JPEG 2000 stream that begins here, up to its first packed pixels."""
    comments, last = _COMMENTS.get(bytes(content[at : at + 2]), (b"", b""))
    at += 2
    while comments and at + 4 <= end and content[at] == 0xFF and content[at + 1] not in last:
        size = int.from_bytes(content[at + 2 : at + 4], "big")
        if content[at + 1] in comments:
            first = at + (6 if content[at + 1] == 0x64 else 4)  # of JPEG 2000 two bytes say of what kind
            stop = max(min(at + 2 + size, end), first)
            content[first:stop] = b" " * (stop - first)
        at += 2 + max(size, 2)


def _head(dataset: Any) -> None:
    """Give a file a head of ours: no name of a station, nothing before it."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    syntax = dataset.file_meta.TransferSyntaxUID
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = (
        ExplicitVRLittleEndian if syntax.is_deflated else syntax
    )  # packed bytes could not be looked through
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    if "SOPInstanceUID" not in dataset:
        dataset.SOPInstanceUID = generate_uid(None)
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.ImplementationVersionName = _method()[0][:16]
    dataset.file_meta, dataset.preamble = meta, b"\0" * 128


def own(case: str) -> set[str]:
    """Return the texts that are written into every file."""
    return {case, DUMMY, _MEANING, *_method(), _method()[0][:16]}


def _method() -> list[str]:
    return [f"cnnkit {__version__}", f"dicom-anonymizer {metadata.version('dicom-anonymizer')}, tables {TABLES}"]


def _said(dataset: Any) -> None:
    """Say in a data set what was done to it."""
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "113100", "DCM", _MEANING
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = _method()
    dataset.DeidentificationMethodCodeSequence = [code]
    dataset.LongitudinalTemporalInformationModified = "REMOVED"

"""What identifies a person in DICOM files, and whether it is still in a file that was written.

Design choices:
- Three kinds of values are looked for. *Who*: names, numbers of patients, orders and devices, places, addresses, dates. *UIDs*
  that are not words of the standard. *Descriptions* that the profile removes, and private text, as whole sentences.
- They are looked for in all bytes of a file but its pixels, small and capital letters alike, as UTF-8, Latin-1 and UTF-16.
- Not looked for, as they would be found by chance: values of less than 3 letters or digits; those of 3 to 5 anywhere but in
  texts and codes, as words; times of day; words that the standard itself uses for codes (`TERMS`); descriptions of less than 8
  characters, or that the file also has as a code or as a name of the device, which are kept. Numbers count only where no digit
  stands beside them.
- A value is never shown: what is said of it is the attribute that it came from.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from cnnkit.inputs.volume import profile

SHORTEST, SHORT, SENTENCE = 3, 6, 8
TERMS = frozenset(
    (
        *(
            "anonymised",
            "anonymized",
            "anonymous",
            "female",
            "male",
            "none",
            "other",
            "phantom",
            "study",
            "test",
            "unknown",
        ),
        *(
            "angio",
            "axial",
            "coronal",
            "derived",
            "image",
            "localizer",
            "mosaic",
            "mpr",
            "original",
            "primary",
            "sagittal",
        ),
        *(
            "secondary",
            "unspecified",
            "volume",
            "abdomen",
            "arm",
            "brain",
            "breast",
            "cardiac",
            "chest",
            "ear",
            "elbow",
            "eye",
        ),
        *(
            "foot",
            "hand",
            "head",
            "heart",
            "hip",
            "hospital",
            "kidney",
            "knee",
            "leg",
            "liver",
            "lung",
            "neck",
            "pelvis",
        ),
        *("prostate", "shoulder", "skull", "spine", "thorax"),
    )
)
_OURS = re.compile(r"case_\d+")
_WHO = re.compile(
    r"Name|IDs?$|ID[A-Z]|Identif|Number|Address|Institution|Physician|Operator|Station|Telephone|AETitle|Person|Location|Residence"
)
_NO_WHO = {"ProtocolName", "ROIName"}  # of what is seen, as codes are
_OF_SOFTWARE = {0x00020002, 0x00020010, 0x00020012, 0x00020013}  # class, syntax and the program that wrote the file


@dataclass
class Identifying:
    """Values that identify, in small letters, each with the attribute that it came from.

    Attributes:
        words: of names, and whole values that say who or where.
        sentences: descriptions.
        dates: YYYYMMDD.
        uids: as they are.
        kept: what is said openly: codes, and names of devices.
    """

    words: dict[str, str] = field(default_factory=dict, repr=False)
    sentences: dict[str, str] = field(default_factory=dict, repr=False)
    dates: dict[str, str] = field(default_factory=dict, repr=False)
    uids: dict[str, str] = field(default_factory=dict, repr=False)
    kept: set[str] = field(default_factory=set, repr=False)

    def __len__(self) -> int:
        return len(self.words) + len(self.sentences) + len(self.dates) + len(self.uids)

    def collect(self, dataset: Any) -> None:
        """Add what identifies in a data set as it was read, that of its head, its sequences and its private parts too."""
        for part in (getattr(dataset, "file_meta", None), dataset):
            for element in profile.every(part) if part is not None else ():
                self._add(element)

    def _add(self, element: Any) -> None:
        kind, tag, where = element.VR, element.tag, named(element.tag)
        keyword = _keyword(tag)
        if kind == "SQ" or tag.group == 0x7FE0 or int(tag) in _OF_SOFTWARE or keyword == "DeidentificationMethod":
            return
        touched = (tag.group, tag.element) in profile.tables()
        if kind not in ("UN", "OB"):
            values = [str(value).strip(" \0") for value in profile.values(element)]
        else:
            content = element.value if isinstance(element.value, bytes) else b""
            text = content[:256].decode("latin-1").strip(" \0")
            values = [text] if len(content) <= 256 and text.isprintable() else []
        for value in values:
            low = " ".join(value.lower().split())
            if kind == "UI":
                if len(value) >= 10 and not profile.is_registered(value):
                    self.uids.setdefault(value, where)
            elif kind == "PN":
                for word in (low, *re.split(r"[\W_]+", low)):
                    self._word(word, where)
            elif kind in ("DA", "DT"):
                digits = re.sub(r"\D", "", value)[:8]
                if len(digits) == 8 and digits != "00010101":
                    self.dates.setdefault(digits, where)
            elif kind in profile.TEXT and touched and _WHO.search(keyword) and keyword not in _NO_WHO:
                self._word(low, where)
            elif kind == "CS" or keyword in profile.KEPT_TEXT:
                self.kept.add(low)
            elif kind in (*profile.TEXT, "UN", "OB") and len(low) >= SENTENCE and not re.fullmatch(r"[\d.]+", low):
                self.sentences.setdefault(low, where)

    def _word(self, word: str, where: str) -> None:
        if _size("".join(re.findall(r"\w", word))) >= SHORTEST and word not in TERMS and not _OURS.fullmatch(word):
            self.words.setdefault(word, where)

    def says(self, text: str, code: bool = False) -> bool:
        """Say whether a text holds what identifies; `code`: it is of a code, in which short words mean something else."""
        return self._in_text(text, SHORT if code else SHORTEST) is not None

    def _in_text(self, text: str, shortest: int) -> str | None:
        low = " ".join(text.lower().split())
        own = set(re.split(r"[\W_]+", low))
        for word, where in self.words.items():
            size = _size(word)
            if size >= shortest and (word in own or (size >= SHORT and _within(word, low))):
                return where
        for digits in re.findall(r"(?<!\d)\d{8}(?!\d)", low) if self.dates else ():
            if digits in self.dates:
                return self.dates[digits]
        return next((self.uids[uid] for uid in re.findall(r"[\d.]{10,}", low) if uid in self.uids), None)

    def found(self, content: bytes, dataset: Any, new: set[str], own: set[str]) -> str | None:
        """Look for identifying values in a file.

        Args:
            content: all its bytes but the pixels.
            dataset: the same, read.
            new: UIDs that were made for it.
            own: texts that we wrote: somebody may be called as a word in them.

        Returns:
            what it says of whom, by attributes: "PatientName (0010,0010), in ProtocolName (0018,1030)"; None: nothing.
        """
        elements = list(profile.every(dataset))
        for element in elements:
            if element.tag.is_private:
                return f"a private attribute, {named(element.tag)}"
            if element.VR in profile.TEXT or element.VR in ("CS", "IS", "UI"):
                for value in map(str, profile.values(element)):
                    if value in new or value in own:
                        continue
                    short = element.VR == "IS" or _keyword(element.tag) in {"CodeMeaning", *profile.ENUMERATED}
                    from_where = self.uids.get(value) or self._in_text(value, SHORT if short else SHORTEST)
                    if from_where is not None:
                        return f"{from_where}, in {named(element.tag)}"
        where = self._in_bytes(content, new, own)
        if where:
            return f"{where}, in {_place(dataset, self, new, own)}"
        odd = next((element for element in elements if not _is_due(element, new)), None)
        return None if odd is None else f"{named(odd.tag)}, which should be gone"

    def in_pixels(self, content: bytes) -> str | None:
        """Look for long words in packed pixels, where short ones would be found by chance; as `found`."""
        low = content.lower()
        for word, where in (*self.words.items(), *self.sentences.items()):
            if not word.isdigit() and any(len(form) >= SENTENCE and form in low for form in _forms(word)):
                return f"{where}, in PixelData (7FE0,0010)"
        return None

    def _in_bytes(self, content: bytes, new: set[str], own: set[str]) -> str | None:
        for text in own:
            content = content.replace(text.encode(), b"")
        content = re.sub(rb"2\.25\.[0-9]+", lambda m: b" " if m[0].decode() in new else m[0], content).lower()
        for low in {content, content.replace(b"\0", b"")}:  # the second for UTF-16
            for token in set(re.findall(rb"[0-9.]{10,}", low)):
                text = token.decode()  # a neighbour's byte may look like a digit
                for uid in (text, text[1:], text[:-1], text[1:-1]):
                    if uid in self.uids:
                        return self.uids[uid]
            for token in set(re.findall(rb"(?<![0-9.])[0-9]{8,}", low)):
                for date in (token[:8].decode(), token[1:9].decode()):
                    if date in self.dates:
                        return self.dates[date]
            open_ = "\n".join(self.kept)
            sentences = ((phrase, where) for phrase, where in self.sentences.items() if phrase not in open_)
            for phrase, where in (*self.words.items(), *sentences):
                if _size(phrase) < SHORT:
                    continue
                for form in _forms(phrase):
                    if len(form) >= SHORT and _within(form, low):
                        return where
        return None


def _size(word: str) -> int:
    """Return how much a word says, in bytes: one sign of Chinese says as much as three letters."""
    return len(word.encode("utf-8", "replace"))


def _forms(phrase: str) -> set[bytes]:
    """Return how a text may be written; letters of ASCII are small ones."""
    forms = {one.encode(code, "ignore") for one in (phrase, phrase.upper()) for code in ("utf-8", "latin-1")}
    return {form.lower() for form in forms}


def _within(part: Any, whole: Any) -> bool:
    """Say whether one text is in another; a number only with no digit beside it."""
    if part not in whole:
        return False
    digits = part.isdigit()
    if not digits:
        return True
    pattern = part if isinstance(part, str) else part.decode()
    beside = rf"(?<![0-9.]){pattern}(?![0-9.])"
    return re.search(beside if isinstance(part, str) else beside.encode(), whole) is not None


def _is_due(element: Any, new: set[str]) -> bool:
    """Say whether an element of a written file is of a kind that may be there; what identifies or not."""
    kind, keyword, found = element.VR, _keyword(element.tag), [str(value) for value in profile.values(element)]
    if kind in (*profile.TEXT, *profile.TIMES):
        ours = keyword in profile.KEPT_TEXT or keyword == "DeidentificationMethod"
        return ours or all(value in profile.DUMMIES or _OURS.fullmatch(value) for value in found)
    if kind == "UI" and element.tag.group != 2:
        return all(not value or value in new or profile.is_registered(value) for value in found)
    return kind not in ("UN", "AS") and (bool(keyword) or element.tag.group == 2)


def _place(dataset: Any, identifying: Identifying, new: set[str], own: set[str]) -> str:
    for element in profile.every(dataset):
        if element.VR != "SQ" and element.tag.group != 0x7FE0:
            value = element.value
            content = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
            if identifying._in_bytes(content, new, own):
                return named(element.tag)
    return "the bytes of the file"


def _keyword(tag: Any) -> str:
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag)


def named(tag: Any) -> str:
    """Return what an attribute is called: of a private one its number alone, for others may choose words."""
    number = f"({tag.group:04X},{tag.element:04X})"
    keyword = "" if tag.is_private else _keyword(tag)
    return f"{keyword} {number}".strip()

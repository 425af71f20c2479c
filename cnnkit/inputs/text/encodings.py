"""In which encoding texts are: UTF-8 is certain, a Western European one can be told, every other has to be named.

Design choices:
- Bytes that are no UTF-8 decode in dozens of encodings, each to another text, and no guess among them is safe: read in the wrong
  one, labels are mojibake and nothing that a person asks later is known. So only Windows-1252 (with Latin-1, a part of it) is
  taken without being named, and only where what comes out is what a Western language writes.
- A language writes a dozen letters beyond ASCII. A file is Western if nearly all its lines that have some keep to those of one
  of the common Western languages, or all of it to those of one. Polish, Turkish, Cyrillic, Chinese do not, whatever they are.
- The others are refused with what the likeliest encodings would make of a line (charset-normalizer), for a person to choose.
"""

import codecs
import re
from collections.abc import Sequence

from cnnkit.errors import DataError

SEEN = 400  # lines that are judged
_KEPT = 1000  # bytes of each
_MOST = 0.97  # of the lines, or letters
_COMMON = (
    "éèêëïôöüçñàâäåÉÀÇÖÜÄ",  # loan words in English, and names
    "äöüßÄÖÜéèà",
    "àâæçéèêëîïôœùûüÿÀÂÆÇÉÈÊËÎÏÔŒÙÛÜŸ",
    "áéíñóúüÁÉÍÑÓÚÜªº",
    "áàâãçéêíóôõúüÁÀÂÃÇÉÊÍÓÔÕÚÜªº",
    "àèéìíîòóùúÀÈÉÌÍÎÒÓÙÚ",
    "äëïöüéèêàçÄËÏÖÜÉÈ",
    "åäöéüàÅÄÖÉÜ",
    "æøåéèêóòôäöüÆØÅÉÄÖ",
    "àçèéíïòóúüÀÇÈÉÍÏÒÓÚÜ",
)
_ALONE = ("áðéíóúýþæöÁÐÉÍÓÚÝÞÆÖ", "äõöüšžÄÕÖÜŠŽ")  # Icelandic, Estonian: their letters are those of others misread
_LETTER = re.compile(r"[^\W\d_]")
_TUCKED = re.compile(
    r"(?<=[A-Za-z])[^\w\s\x00-\x7f\u2018\u2019\u2013\u2014\u00ad\u00b7\u2026\xa0](?=[a-z])"
)  # inside words
_NAMES = {
    "gb18030": "gb18030 (Chinese)",
    "big5": "big5 (Chinese)",
    "cp932": "shift_jis (Japanese)",
    "cp949": "cp949 (Korean)",
}


def named(name: str) -> str:
    """Return an encoding as Python calls it.

    Raises:
        DataError: there is none of that name, or it is none of text.
    """
    try:
        found = codecs.lookup(name)
        "a".encode(found.name)
    except (LookupError, ValueError, TypeError):
        raise DataError(
            f"There is no encoding {name!r}. Usual ones are utf-8, cp1252, cp1250, cp1251, gb18030, big5, shift_jis, cp949."
        ) from None
    return found.name


def western(lines: Sequence[bytes]) -> bool:
    """Say whether lines that are no UTF-8 are Windows-1252 of a Western European language."""
    single, good, total = [0] * (len(_COMMON) + len(_ALONE)), 0, 0
    letters = 0
    for raw in lines:
        text = raw.decode("cp1252", "replace")
        beyond = {char for char in text if char > "\x7f" and _LETTER.match(char)}
        tucked = len(_TUCKED.findall(text))
        if not beyond and not tucked:
            continue
        total += 1
        letters += len(beyond) + tucked
        fits = [len(beyond & set(alphabet)) for alphabet in (*_COMMON, *_ALONE)]
        single = [one + fit for one, fit in zip(single, fits)]
        good += not tucked and max(fits[: len(_COMMON)]) == len(beyond)
    return good >= _MOST * total or max(single) >= _MOST * letters


def refusal(title: str, lines: Sequence[bytes]) -> DataError:
    """Return the error for lines that are neither UTF-8 nor Western, with what likely encodings make of one of them."""
    raw = b"\n".join(line[:_KEPT].strip() for line in lines[:SEEN])
    longest = max(lines, key=lambda line: sum(byte > 127 for byte in line[:120]))[:120].strip()
    told = []
    for name in _likely(raw):
        shown = " ".join(longest.decode(name, "ignore").split())[:40]
        told.append(f"{_NAMES.get(name, name)} reads {shown!r}")
    may = f" Which of these reads right? {'; '.join(told)}." if told else ""
    return DataError(
        f"{title} is not UTF-8, and no Western European text either, so it would be read wrongly. Name its encoding with "
        f"`encoding`.{may}"
    )


def _likely(raw: bytes) -> list[str]:
    """Return encodings that may be meant, likeliest first, four at most."""
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return []
    found = [match.encoding for match in from_bytes(raw, threshold=0.5)]
    usual = ["gb18030", "cp932", "big5", "cp949", "cp1251", "cp1250", "cp1254", "cp1253"]
    found = [name for name in found if name in usual or name.startswith(("cp125", "iso8859", "koi8", "euc", "big5"))]
    every = list(dict.fromkeys([*found[:3], *(name for name in usual if decodes(raw, name))]))
    return every[:4]


def decodes(raw: bytes, name: str) -> bool:
    """Say whether bytes are text in this encoding."""
    try:
        raw.decode(name)
    except UnicodeDecodeError:
        return False
    return True

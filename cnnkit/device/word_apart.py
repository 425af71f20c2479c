"""Scripts that put no spaces between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese. There each character is read by itself.

Design choices:
- Without a dictionary of each language the words of such a text cannot be told; a whole sentence would be one word that no other
  text has. Single characters are few and known, and a network reads runs of them as it reads runs of words.
- Ranges and not Python's names of scripts, so that every version divides alike. Korean and Vietnamese have spaces.
"""

import re

RANGES = (
    (0x0E01, 0x0E4F),  # Thai
    (0x0E50, 0x0E59),
    (0x0E81, 0x0EDF),  # Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17DD),  # Khmer
    (0x2E80, 0x2FD5),  # radicals of Han characters
    (0x3005, 0x3007),
    (0x3041, 0x312F),  # Japanese syllables, and Bopomofo
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),  # Han characters
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x1B000, 0x1B16F),
    (0x20000, 0x323AF),
)
CLASS = "".join(f"{chr(first)}-{chr(last)}" for first, last in RANGES)
"""The characters, as they stand in brackets in a regular expression of Python."""

_ONE = re.compile(f"[{CLASS}]")


def apart(text: str) -> str:
    """Return a text with a space around each of these characters."""
    return text if text.isascii() else _ONE.sub(r" \g<0> ", text)


def count(word: str) -> int:
    """Return how many of these characters a word has."""
    return 0 if word.isascii() else len(_ONE.findall(word))

"""Files that know whether they are whole: a ZIP, or what has one behind it, with a checksum of all of it at its very end.

Design choices:
- The checksum is the ZIP's comment, so it covers every byte before it: the flatbuffer of a `.tflite`, the entries, their
  headers and the list of contents. `unzip`, Keras, NumPy, LiteRT and MediaPipe read such a file as any other.
- It is compared before anything else reads the file: what a damaged model does inside an interpreter, an abort say, cannot be
  caught.
- SHA-256 takes about a millisecond a megabyte.
"""

import hashlib
import struct
from pathlib import Path

from cnnkit.errors import ArtifactError

MARK = b"cnnkit sha256 "
SIZE = len(MARK) + 64
_END = b"PK\x05\x06"  # begins the last record of a ZIP, whose last two bytes are the length of the comment
_END_SIZE = 22
_MOST_BEHIND = 1 << 16  # bytes of what may have been added to a file


def sealed(content: bytes) -> bytes:
    """Return a file that ends with a ZIP without a comment, with its checksum as that comment.

    Raises:
        ValueError: it does not end so.
    """
    if content[-_END_SIZE : -_END_SIZE + 4] != _END or content[-2:] != b"\0\0":
        raise ValueError("`content` needs to end with a ZIP without a comment.")
    whole = content[:-2] + struct.pack("<H", SIZE)
    return whole + MARK + hashlib.sha256(whole).hexdigest().encode()


def is_sealed(content: bytes, path: Path | str, what_to_do: str = "Copy it again from where it is whole.") -> bool:
    """Compare a file with its checksum, in some milliseconds.

    Args:
        content: of the file.
        path: to be named in an error.
        what_to_do: the same.

    Returns:
        Whether it has one, and so is whole; False says nothing of what it is.

    Raises:
        ArtifactError: it is not as it was written.
    """
    begin = len(content) - SIZE
    if begin > 0 and content.startswith(MARK, begin):
        if hashlib.sha256(memoryview(content)[:begin]).hexdigest().encode() == content[begin + len(MARK) :]:
            return True
        raise ArtifactError(f"{path} is damaged: it is not as it was written (its checksum does not fit). {what_to_do}")
    if content.rfind(MARK, max(0, begin - _MOST_BEHIND)) >= 0:
        raise ArtifactError(f"{path} is damaged: something was added to it, or cut off its end. {what_to_do}")
    return False

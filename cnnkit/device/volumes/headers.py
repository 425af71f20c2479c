"""The text that begins an MHA, MHD, NRRD or NHDR file: what it says, and where its voxels lie.

It is read here before SimpleITK opens the file: a header may send a reader to any file of the machine, or claim more than there
is, which it would complain of on the console; and it has the names of segments, which are asked for without a voxel.

Source: NRRD 5 (teem.sourceforge.net/nrrd/format.html); MetaIO (itk.org/Wiki/MetaIO/Documentation).
"""

import io
import math
from pathlib import Path

from cnnkit.device.volumes.faults import MOST_VOXELS, VolumeError, unreadable
from cnnkit.device.volumes.packed import RATIO, ZLIB, Damaged
from cnnkit.device.volumes.packed import count as unpacked
from cnnkit.files import printable

_MOST = 4 << 20  # bytes of a header: that of thousands of segments is a megabyte
_LINE = 1 << 20
_BYTES = {  # of a number, by what either format calls it
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t", "ushort"), 2),
    **dict.fromkeys(("unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(
        ("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t", "float"), 4
    ),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64"), 8),
    **dict.fromkeys(("int64_t", "ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), 8),
    "double": 8,
    **dict.fromkeys(("MET_CHAR", "MET_UCHAR"), 1),
    **dict.fromkeys(("MET_SHORT", "MET_USHORT"), 2),
    **dict.fromkeys(("MET_INT", "MET_UINT", "MET_FLOAT"), 4),
    **dict.fromkeys(("MET_LONG", "MET_ULONG"), 4),
    **dict.fromkeys(("MET_LONG_LONG", "MET_ULONG_LONG", "MET_DOUBLE"), 8),
}
_SPACES = (
    *("right-anterior-superior", "left-anterior-superior", "left-posterior-superior"),
    *("ras", "las", "lps"),
)
META, NRRD = (".mha", ".mhd"), (".nrrd", ".nhdr")


def read_text(path: Path | str) -> dict[str, str]:
    """Return the fields of a header and, of an NRRD, its keys, by their names as they are written.

    Raises:
        VolumeError: it is missing or no such file, or its voxels lie in another folder.
    """
    path = Path(path)
    meta = path.suffix.lower() in META
    found: dict[str, str] = {}
    start = 0
    try:
        with path.open("rb") as file:
            if not meta and not file.readline(64).startswith(b"NRRD00"):
                raise VolumeError(path, "it is no NRRD file")
            while file.tell() < _MOST:
                line = file.readline(_LINE)
                if not line.endswith(b"\n") and (meta or path.suffix.lower() != ".nhdr"):
                    raise VolumeError(path, "its header does not end", "Copy it anew.")
                text = line.decode("utf-8", "replace").strip("\r\n")
                if not meta and not text:
                    break
                key, between, value = _parted(text, meta)
                if between:
                    found[key] = value
                if meta and key == "ElementDataFile":
                    break
            else:
                raise VolumeError(path, "its header does not end")
            start = file.tell()
    except OSError as error:
        raise unreadable(path, error) from None
    other = _look(path, found, meta)
    _holds(path, path if other is None else path.parent / other, start if other is None else 0, found, meta)
    return found


def oriented(said: dict[str, str]) -> bool:
    """Say whether a header places its voxels in the patient, and not just side by side.

    Args:
        said: what `read_text` returned.
    """
    if "NDims" in said:
        return any(key in said for key in _SQUARE)
    return said.get("space", "").lower() in _SPACES


def _parted(text: str, meta: bool) -> tuple[str, str, str]:
    if meta:
        key, between, value = text.partition("=")
        return key.strip(), between, value.strip()
    if text.startswith("#"):
        return "", "", ""
    at, key_at = text.find(": "), text.find(":=")
    if key_at >= 0 and (at < 0 or key_at < at):
        return text[:key_at], ":=", text[key_at + 2 :].replace("\\n", "\n").replace("\\\\", "\\")
    key, between, value = text.partition(":")
    return key.strip().lower(), between, value.strip()


def _look(path: Path, found: dict[str, str], meta: bool) -> str | None:
    """Return the file beside it that has the voxels, None where they follow; refuse another folder, or many files."""
    if meta:
        other, own = found.get("ElementDataFile", ""), "LOCAL"
        if not other:
            raise VolumeError(path, "its header does not say where its voxels are")
    else:
        other, own = found.get("data file", found.get("datafile", "")), ""
    if other.upper() == own:
        return None
    if other.split()[0].upper() == "LIST" or "%" in other:
        raise VolumeError(path, "its voxels lie in several files", "Save it as one file.")
    if Path(other).name != other.removeprefix("./") or (path.parent / other).is_symlink():
        raise VolumeError(path, "its voxels lie in another folder", "Put them beside it, or save it as one file.")
    if not (path.parent / other).is_file():
        raise VolumeError(path, f"the file of its voxels is missing ({Path(other).name})", "Put it beside it.")
    return other


def _holds(path: Path, where: Path, start: int, found: dict[str, str], meta: bool) -> None:
    """Refuse a header whose numbers are none, or that claims more than the file with its voxels can hold."""
    try:
        rank, sides, kind = _claims(found, meta)
        for key in _OF_META if meta else ():
            numbers = [float(word) for word in found.get(key, "").split()]  # SimpleITK reads those that are none as 0
            if key in found and (
                len(numbers) != rank ** (1 + (key in _SQUARE)) or not all(map(math.isfinite, numbers))
            ):
                raise ValueError
    except (KeyError, ValueError):
        raise VolumeError(path, "its header cannot be read") from None
    count = math.prod(sides)
    if count > MOST_VOXELS:
        raise VolumeError(path, f"its header claims {count:,} voxels", "Cut it, or save it at a coarser spacing.")
    if kind not in _BYTES:
        raise VolumeError(
            path, f"its voxels are of the kind {printable(kind)[:40]}", "Save it with whole numbers or floats."
        )
    due = count * _BYTES[kind]
    packing = (
        "zlib" if meta and found.get("CompressedData", "").lower() == "true" else found.get("encoding", "raw").lower()
    )
    text = meta and found.get("BinaryData", "").lower() == "false"
    if text or packing not in ("raw", "zlib", "gzip", "gz"):  # as text, or by bzip2: SimpleITK finds out
        return
    try:
        with where.open("rb") as file:
            size = file.seek(0, 2) - start
            cut = size * (1 if packing == "raw" else RATIO) < due
            if packing == "zlib" and not cut:
                # Without the length SimpleITK prints a word and returns voxels that are none.
                file.seek(start)
                packed = file.read(max(0, int(found["CompressedDataSize"])))
                cut = unpacked(io.BytesIO(packed), due, ZLIB) < due
            elif packing != "raw" and not cut and not found.get("line skip") and not found.get("byte skip"):
                file.seek(-4, 2)  # of gzip's last part: how much it unpacks to
                if int.from_bytes(file.read(4), "little") != due % 2**32:
                    file.seek(start)
                    cut = unpacked(file, due) < due
    except (KeyError, OSError, ValueError) as error:
        raise VolumeError(path, "its header cannot be read") from error
    except Damaged as error:
        raise VolumeError(path, str(error), "Copy it anew.") from None
    if cut:
        raise VolumeError(path, f"it is cut off: {size:,} bytes cannot hold its {count:,} voxels", "Copy it anew.")


_OF_META = (
    "TransformMatrix",
    "Rotation",
    "Orientation",
    "Offset",
    "Position",
    "Origin",
    "ElementSpacing",
    "ElementSize",
)
_SQUARE = ("TransformMatrix", "Rotation", "Orientation")


def _claims(found: dict[str, str], meta: bool) -> tuple[int, list[int], str]:
    """Return how many axes there are, their lengths with that of the channels, and what the numbers are called.

    Raises:
        KeyError, ValueError: the header does not say it.
    """
    rank = int(found["NDims" if meta else "dimension"])
    sides = [int(word) for word in found["DimSize" if meta else "sizes"].split()]
    channels = int(found.get("ElementNumberOfChannels", 1)) if meta else 1
    if len(sides) != rank or min(*sides, channels) < 1:
        raise ValueError
    if meta:
        if next(key for key in found if key in ("NDims", "DimSize", *_OF_META)) != "NDims":
            raise ValueError  # it has to come first
        return rank, [*sides, channels], found["ElementType"].removesuffix("_ARRAY")
    return rank, sides, found["type"]

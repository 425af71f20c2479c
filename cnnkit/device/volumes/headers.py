"""The text that begins an MHA, MHD, NRRD or NHDR file: what it says, and where its voxels lie.

It is read here before SimpleITK opens the file: a header may send a reader to any file of the machine, and it has the names of
segments, which are asked for without a voxel.

Source: NRRD 5 (teem.sourceforge.net/nrrd/format.html); MetaIO (itk.org/Wiki/MetaIO/Documentation).
"""

from pathlib import Path

from cnnkit.device.volumes.faults import VolumeError, unreadable

_MOST = 4 << 20  # bytes of a header: that of thousands of segments is a megabyte
_LINE = 1 << 20
META, NRRD = (".mha", ".mhd"), (".nrrd", ".nhdr")


def read_text(path: Path | str) -> dict[str, str]:
    """Return the fields of a header and, of an NRRD, its keys, by their names as they are written.

    Raises:
        VolumeError: it is missing or no such file, or its voxels lie in another folder.
    """
    path = Path(path)
    meta = path.suffix.lower() in META
    found: dict[str, str] = {}
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
    except OSError as error:
        raise unreadable(path, error) from None
    _look(path, found, meta)
    return found


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


def _look(path: Path, found: dict[str, str], meta: bool) -> None:
    """Refuse voxels that lie elsewhere: in another folder, or in many files."""
    if meta:
        other, own = found.get("ElementDataFile", ""), "LOCAL"
        if not other:
            raise VolumeError(path, "its header does not say where its voxels are")
    else:
        other, own = found.get("data file", found.get("datafile", "")), ""
    if other.upper() == own:
        return
    if other.split()[0].upper() == "LIST" or "%" in other:
        raise VolumeError(path, "its voxels lie in several files", "Save it as one file.")
    if Path(other).name != other.removeprefix("./") or (path.parent / other).is_symlink():
        raise VolumeError(path, "its voxels lie in another folder", "Put them beside it, or save it as one file.")
    if not (path.parent / other).is_file():
        raise VolumeError(path, f"the file of its voxels is missing ({Path(other).name})", "Put it beside it.")

"""Files of weights, HDF5, looked into before anything reads weights from them.

Design choices:
- Weights that are there take as many bytes as they say. So a file may not declare more than it holds: arrays that were never
  written, that repeat a value or are compressed unpack to gigabytes from a few kilobytes. Keras writes none of these.
- Groups hang in a tree. A link to a group above it has no end, one to another file leads out; both are refused.
- HDF5 itself runs on for ever or aborts with some damaged files (2 and 1 of 700 with flipped weights), so a file
  without a checksum is tried apart (`cnnkit.trials`).
"""

import io
import zipfile
from pathlib import Path
from typing import Any

from cnnkit.errors import ArtifactError
from cnnkit.trials import refusal

WEIGHTS = "model.weights.h5"  # inside a `.keras`
MOST_GROUPS = 100_000  # of a file, arrays among them
DEEPEST = 64
SLACK = 1 << 20  # bytes that small arrays may declare without holding them
SECONDS, SPEED = 3, 50 << 20  # of processor time that reading may take, and bytes a second; it takes a tenth of both
AGAIN = "Get it again from where it was trained."


def refuse_unsafe(path: Path, content: bytes, *, vouched: bool = False) -> None:
    """Look into a `.h5`, `.weights.h5`, or the weights of a `.keras`.

    Args:
        path: of the file.
        content: of the file.
        vouched: whether a checksum says that it is whole; then it is not tried in a process of its own.

    Raises:
        ArtifactError: it is damaged, has no end, or unpacks to more than it holds.
    """
    if not vouched:
        reason = refusal(path, content, "cnnkit.h5_files:check", SECONDS + len(content) // SPEED)
    else:
        try:
            _walk(content)
            reason = None
        except Exception as error:  # HDF5 raises many kinds
            reason = (str(error).splitlines() or [""])[0][:200] or type(error).__name__
    if reason is not None:
        raise ArtifactError(f"{path} cannot be loaded: it is damaged, or holds no weights ({reason}). {AGAIN}")


def check(path: Path) -> None:
    """Look into a file and read all that is in it; in a process of its own, which it may end.

    Raises:
        Exception: of any kind; it is damaged, or unpacks to more than it holds.
    """
    _walk(path.read_bytes(), read=True)


def _walk(content: bytes, read: bool = False) -> None:
    import h5py

    if content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if WEIGHTS not in archive.namelist():
                return
            content = archive.read(WEIGHTS)
    with h5py.File(io.BytesIO(content), "r") as file:
        left = len(content) + SLACK
        seen = {_address(file)}
        stack: list[tuple[Any, str, int]] = [(file, "", 0)]
        while stack:
            group, name, depth = stack.pop()
            _attributes(group, name, read)
            for key in group:
                where = f"{name}/{key}"
                if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                    raise ArtifactError(f"it holds a link, {_short(where)}, where weights should be; refused")
                item = group[key]
                if _address(item) in seen:
                    raise ArtifactError(f"{_short(where)} leads back to what was there before, without an end; refused")
                seen.add(_address(item))
                if len(seen) > MOST_GROUPS or depth > DEEPEST:
                    raise ArtifactError("it holds more groups than a model has layers; refused")
                if isinstance(item, h5py.Dataset):
                    left -= _declared(item, where)
                    if left < 0:
                        raise ArtifactError(
                            f"it declares more weights than it holds ({_short(where)} {item.shape}); refused"
                        )
                    _attributes(item, where, read)
                    if read:
                        item[()]
                elif isinstance(item, h5py.Group):
                    stack.append((item, where, depth + 1))


def _address(item: Any) -> int:
    import h5py

    return int(h5py.h5o.get_info(item.id).addr)


def _declared(dataset: Any, name: str) -> int:
    """Return the bytes that an array takes in memory."""
    import h5py

    if dataset.is_virtual or dataset.external:
        raise ArtifactError(f"it keeps {_short(name)} in another file; refused")
    if dataset.dtype.kind not in "fiubV" or dataset.dtype.hasobject:
        raise ArtifactError(f"{_short(name)} holds {dataset.dtype} where weights should be")
    if dataset.id.get_create_plist().get_nfilters():
        raise ArtifactError(
            f"it keeps {_short(name)} compressed, as Keras never does; refused, `h5repack -f NONE` unpacks it"
        )
    size = dataset.id.get_space().get_simple_extent_npoints() * dataset.dtype.itemsize
    if dataset.id.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        return 0
    chunk = dataset.dtype.itemsize
    for side in dataset.chunks or ():
        chunk *= side
    return int(max(size, chunk if dataset.chunks else 0))


def _attributes(item: Any, name: str, read: bool) -> None:
    """Look at the names and settings beside a group or array."""
    if not read:
        return
    for key in item.attrs:
        item.attrs[key]


def _short(name: str) -> str:
    return ascii(name)[1:-1][-80:]

"""What is wrong with a file of a volume, in one line."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from cnnkit.errors import CnnkitError, DataError, DataNotFound, MissingExtra
from cnnkit.files import printable

MOST_VOXELS = 2**31  # of all channels together: what is larger is a damaged header, or not to be held in memory


class VolumeError(DataError):
    """A volume or mask that cannot be used. `.reason` is the short form for a list of files, `.name` the file's.

    Args:
        path: the file or folder.
        reason: what is wrong, without a full stop.
        advice: what to do.
    """

    def __init__(self, path: Path | str, reason: str, advice: str = "Replace it or delete it."):
        self.name = shown(path)
        super().__init__(f"{self.name} cannot be used: {reason}. {advice}".rstrip())
        self.reason = reason


class VolumeNotFound(VolumeError, DataNotFound):
    """A volume that is not there."""


def shown(path: Path | str) -> str:
    """Return a path for a message: from here, where it lies below; else its last two parts, so that no home is shown."""
    path = Path(path)
    if path.is_absolute():
        here = Path.cwd()
        path = path.relative_to(here) if path.is_relative_to(here) and path != here else Path(*path.parts[-2:])
    return printable(path.as_posix())


def missing(path: Path | str, package: str) -> MissingExtra:
    """Return the error that a file needs a package that is not installed."""
    return MissingExtra(f'{shown(path)} needs {package}. Run `pip install "cnnkit[scans]"`.')


def unreadable(path: Path | str, error: OSError) -> VolumeError:
    """Return the error of the system as one line."""
    if isinstance(error, FileNotFoundError):
        return VolumeNotFound(path, "there is no such file", "Check its name.")
    return VolumeError(path, f"it cannot be read ({error.strerror or 'the system says no more'})", "Check it.")


@contextlib.contextmanager
def damaged(path: Path | str) -> Iterator[None]:
    """Turn what other code stumbles over in the attributes of a damaged file into one line; its own words may quote a patient."""
    try:
        yield
    except (CnnkitError, MemoryError):
        raise
    except Exception as error:
        raise VolumeError(path, "what its header says is damaged", "Copy it anew.") from error

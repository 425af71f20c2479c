"""Volumes that a command names: files, folders of DICOM, and folders of these."""

from collections.abc import Sequence
from pathlib import Path

from cnnkit.device.volumes.dicom import holds_dicom
from cnnkit.device.volumes.reading import SUFFIXES
from cnnkit.errors import DataError


def volume_files(inputs: Sequence[Path]) -> list[Path]:
    """Return the volumes that inputs name: files, and folders of one DICOM series each, in order.

    Raises:
        DataError: a folder has no volume.
    """
    found: list[Path] = []
    for given in inputs:
        if not given.is_dir():
            found.append(given)
            continue
        inside = _inside(given)
        if not inside:
            raise DataError(f"There is no volume in {given} ({', '.join(SUFFIXES)}).")
        found += inside
    return found


def _inside(folder: Path) -> list[Path]:
    if holds_dicom(folder):
        return [folder]
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            found += _inside(path)
        elif path.name.lower().endswith(SUFFIXES):
            found.append(path)
    return found

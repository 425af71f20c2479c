"""Small DICOM series with DICOM SEG of them."""

import numpy as np

from cnnkit.device.volumes import dicom
from cnnkit.device.volumes.geometry import Geometry
from cnnkit.device.volumes.labels import write_labels
from tests.device.volumes import series_of
from tests.tasks.segmentation.volumes.small_volumes import NAMES, pair

SHAPE = (8, 16, 16)


def series(folder, seed, *, who=None, spacing=(2.0, 1.0, 1.0), **how):
    """Write a series into a folder; return its codes as they lie on it, and where it is."""
    grey, codes = pair(seed, SHAPE)
    more = {"PatientID": f"ID{seed}" if who is None else who, **how.pop("more", {})}
    stored = np.rint(grey).astype(np.int16)
    series_of.write(folder, stored, Geometry.plain(SHAPE, spacing), series=how.pop("uid", seed), more=more, **how)
    return codes


def mark(path, codes, folder, names=None):
    """Write the SEG of the series in a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = dicom.extent(folder)
    write_labels(path, codes, found, names or NAMES, source=folder)
    return path


def study(root, count=4, **how):
    """Write `count` patients with a series and its SEG each, in a folder a patient."""
    for seed in range(count):
        codes = series(root / f"p{seed}" / "ct", seed, **how)
        mark(root / f"p{seed}" / "seg" / "1.dcm", codes, root / f"p{seed}" / "ct")
    return root

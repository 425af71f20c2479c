"""Volumes: stacks of slices with their place in the patient, read and written in the formats of medicine.

What runs here needs NumPy alone for NIfTI; MHA and NRRD need SimpleITK, DICOM pydicom and highdicom (the extra `[scans]`), which
are imported when such a file is met.
"""

from cnnkit.device.volumes.dicom import Series, series_in
from cnnkit.device.volumes.faults import VolumeError
from cnnkit.device.volumes.geometry import Geometry, Turn, from_reference, to_reference
from cnnkit.device.volumes.reading import Volume, extent_of, is_volume, read_volume, stem_of, suffix_of

__all__ = [
    "Geometry",
    "Series",
    "Turn",
    "Volume",
    "VolumeError",
    "extent_of",
    "from_reference",
    "is_volume",
    "read_volume",
    "series_in",
    "stem_of",
    "suffix_of",
    "to_reference",
]

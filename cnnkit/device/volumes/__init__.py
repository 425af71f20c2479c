"""Volumes: stacks of slices with their place in the patient, read and written in the formats of medicine.

What runs here needs NumPy alone for NIfTI; MHA and NRRD need SimpleITK, DICOM pydicom and highdicom (the extra `[scans]`), which
are imported when such a file is met.
"""

from cnnkit.device.volumes.dicom import Series, series_in
from cnnkit.device.volumes.faults import VolumeError
from cnnkit.device.volumes.geometry import Geometry, Turn, from_reference, to_reference
from cnnkit.device.volumes.labels import ending_for, read_labels, segments_of, write_labels
from cnnkit.device.volumes.reading import Volume, extent_of, is_volume, read_channels, read_volume, stem_of, suffix_of
from cnnkit.device.volumes.seg import read_seg, write_seg
from cnnkit.device.volumes.seg_nrrd import write as write_seg_nrrd
from cnnkit.device.volumes.segments import Segment

__all__ = [
    "Geometry",
    "Segment",
    "Series",
    "Turn",
    "Volume",
    "VolumeError",
    "ending_for",
    "extent_of",
    "from_reference",
    "is_volume",
    "read_channels",
    "read_labels",
    "read_seg",
    "read_volume",
    "segments_of",
    "series_in",
    "stem_of",
    "suffix_of",
    "to_reference",
    "write_labels",
    "write_seg",
    "write_seg_nrrd",
]

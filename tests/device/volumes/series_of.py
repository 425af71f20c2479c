"""DICOM series of tests, written by pydicom from a volume and its geometry."""

import numpy as np

CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4", "DX": "1.2.840.10008.5.1.4.1.1.1.1"}
CLASSES["PT"] = "1.2.840.10008.5.1.4.1.1.128"
WHO = ("Doe^Jane", "PID4711", "19700203")  # planted: to be in no message and in no file but a SEG


def uid(*words):
    from pydicom.uid import generate_uid

    return generate_uid(prefix="1.2.826.0.1.3680043.8.498.", entropy_srcs=["tests", *map(str, words)])


def dataset(pixels, geometry, k, *, series="1", key=None, modality="CT", slope=1, intercept=0, more=None):
    """One slice: `pixels` (rows, columns), at index k along the first axis of a geometry."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    key = k if key is None else key
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CLASSES[modality]
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = uid(series, key)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.StudyDate = ds.ContentDate = "20200102"
    ds.StudyTime = ds.ContentTime = "101112"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = WHO
    ds.PatientSex = ds.AccessionNumber = ds.ReferringPhysicianName = ds.PositionReferenceIndicator = ""
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = uid("study"), uid(series), uid("frame")
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber, ds.Modality = "1", 1, 1, modality
    ds.Manufacturer = "Tests"
    if geometry is not None:
        direction = geometry.direction
        ds.ImagePositionPatient = [f"{v:.8g}" for v in geometry.points(np.array([[k, 0, 0]]))[0]]
        ds.ImageOrientationPatient = [f"{v:.10g}" for v in (*direction[:, 2], *direction[:, 1])]
        ds.PixelSpacing = list(geometry.spacing[1:])
        ds.SliceThickness = 9  # wrong on purpose: it decides nothing
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = ds.BitsStored = 8 * pixels.dtype.itemsize
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.RescaleSlope, ds.RescaleIntercept = f"{slope:.8g}", f"{intercept:.8g}"
    ds.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    ds["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    for keyword, value in (more or {}).items():
        setattr(ds, keyword, value)
    return ds


def save(ds, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def write(folder, stored, geometry, **how):
    """Write a whole series, its files named in no order."""
    order = np.random.default_rng(5).permutation(len(stored))
    for k, number in enumerate(order):
        save(dataset(stored[k], geometry, k, **how), folder / f"{number:03d}.dcm")
    return folder


def enhanced(stored, geometry, places, *, slopes, intercept=0):
    """A file of frames: `stored[k]` at index `places[k]` of a geometry, each with its own slope."""
    from pydicom.dataset import Dataset

    ds = dataset(stored[0], geometry, 0, modality="CT")
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(ds, keyword)
    del ds.RescaleSlope, ds.RescaleIntercept
    ds.NumberOfFrames, ds.PixelData = len(stored), stored.tobytes()
    ds["PixelData"].VR = "OW"

    def items(**attributes):
        item = Dataset()
        for keyword, value in attributes.items():
            setattr(item, keyword, value)
        return [item]

    axes = [f"{v:.10g}" for v in (*geometry.direction[:, 2], *geometry.direction[:, 1])]
    ds.SharedFunctionalGroupsSequence = items(
        PixelMeasuresSequence=items(PixelSpacing=list(geometry.spacing[1:]), SliceThickness=9),
        PlaneOrientationSequence=items(ImageOrientationPatient=axes),
    )
    ds.PerFrameFunctionalGroupsSequence = []
    for place, slope in zip(places, slopes):
        position = [f"{v:.8g}" for v in geometry.points(np.array([[place, 0, 0]]))[0]]
        ds.PerFrameFunctionalGroupsSequence += items(
            PlanePositionSequence=items(ImagePositionPatient=position),
            PixelValueTransformationSequence=items(
                RescaleSlope=f"{slope:.8g}", RescaleIntercept=str(intercept), RescaleType="HU"
            ),
        )
    return ds

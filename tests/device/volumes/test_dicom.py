"""A DICOM series is one straight, even stack in the order of its positions; or it is said why it is not."""

import shutil
import sys

import numpy as np
import pytest

from cnnkit.device import volumes
from cnnkit.device.volumes import dicom, dicom_file
from cnnkit.device.volumes.geometry import Geometry
from cnnkit.errors import MissingExtra
from tests.device.volumes import files_of, series_of

pytest.importorskip("pydicom")

SHAPE = (8, 6, 5)
SPACING = (0.8, 0.9, 3.0)


def geometry(direction=None, shape=SHAPE, spacing=SPACING, origin=(-11.0, 7.0, 30.0)):
    return Geometry.of(files_of.affine(spacing, origin, direction)[:, [2, 1, 0, 3]], shape)


@pytest.fixture
def stored():
    return np.random.default_rng(0).integers(0, 3000, SHAPE).astype(np.uint16)


def refused(folder, *said):
    """The line that refuses a series; it names no patient."""
    with pytest.raises(volumes.VolumeError) as caught:
        volumes.read_volume(folder)
    line = str(caught.value)
    assert all(part in line for part in (folder.name, *said)), line
    assert "\n" not in line and not any(word in line for word in (*series_of.WHO, "1.2.826"))
    return line


def test_positions_decide_the_order_and_the_gap(tmp_path, stored):
    for direction in (None, files_of.rotated(), np.eye(3)[:, [1, 2, 0]], files_of.rotated((0.1, 2.0, 1.0))):
        folder = tmp_path / "series"
        shutil.rmtree(folder, ignore_errors=True)
        place = geometry(direction)
        series_of.write(folder, stored, place, intercept=-1024)
        volume = volumes.read_volume(folder)
        np.testing.assert_array_equal(volume.array[..., 0], stored.astype(int) - 1024)
        assert volume.geometry.same(place, 1e-4) and volume.array.dtype == np.int16
        assert volume.facts["modality"] == "CT" and volume.facts["oriented"]
        assert volumes.extent_of(folder) == (volume.geometry, 1)


def test_it_lies_where_simpleitk_puts_it(tmp_path, stored):
    sitk = pytest.importorskip("SimpleITK")
    folder = series_of.write(tmp_path / "series", stored, geometry(files_of.rotated()))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    volume = volumes.read_volume(folder)
    np.testing.assert_array_equal(volume.array[..., 0], sitk.GetArrayFromImage(image))
    for z, y, x in ((0, 0, 0), (7, 5, 4), (7, 0, 2)):
        there = image.TransformIndexToPhysicalPoint((x, y, z))
        np.testing.assert_allclose(volume.geometry.points(np.array([[z, y, x]]))[0], there, atol=1e-4)


@pytest.mark.parametrize(("normal", "axis"), [((0, 1, 2), "z"), ((1, 2, 0), "x"), ((2, 0, 1), "y")])
def test_a_missing_slice_is_named_with_its_place(tmp_path, stored, normal, axis):
    place = geometry(np.eye(3)[:, normal], origin=(1.0, 1.0, 1.0))
    folder = series_of.write(tmp_path / "scan", stored, place)
    for path in folder.iterdir():
        if dicom.header(path).ImagePositionPatient["xyz".index(axis)] == 1 + 3 * 4:
            path.unlink()
    assert f"a slice is missing after {axis} = 10 mm" in refused(folder)


def test_several_missing_slices_are_counted(tmp_path, stored):
    folder = tmp_path / "scan"
    for k in (0, 1, 4, 5, 7):
        series_of.save(series_of.dataset(stored[k], geometry(), k), folder / f"{k}.dcm")
    refused(folder, "3 slices are missing, the first after z = 33 mm")


@pytest.mark.parametrize("places", [(0, 1, 2, 3.5, 4.5, 6), (0, 1, 2, 3, 5.5, 8), (0, 1.15, 2, 3, 4, 5)])
def test_uneven_gaps_are_refused(tmp_path, stored, places):
    for number, k in enumerate(places):
        series_of.save(series_of.dataset(stored[number], geometry(), k), tmp_path / f"scan/{number}.dcm")
    refused(tmp_path / "scan", "its slices are unevenly apart, by")


def test_places_written_with_one_decimal_are_even(tmp_path, stored):
    place = geometry(spacing=(0.8, 0.9, 0.625))
    for k in range(8):
        ds = series_of.dataset(stored[k], place, k)
        ds.ImagePositionPatient = [f"{float(v):.1f}" for v in ds.ImagePositionPatient]
        series_of.save(ds, tmp_path / f"scan/{k}.dcm")
    assert volumes.extent_of(tmp_path / "scan")[0].spacing[0] == pytest.approx(0.625, abs=0.02)


def test_slices_that_came_twice_count_once_and_others_are_phases(tmp_path, stored):
    folder = series_of.write(tmp_path / "scan", stored, geometry())
    for k in (2, 5):
        series_of.save(series_of.dataset(stored[k], geometry(), k, key=k + 100), folder / f"again{k}.dcm")
    volume = volumes.read_volume(folder)
    np.testing.assert_array_equal(volume.array[..., 0], stored)
    assert volume.facts["warnings"] == ["2 slices were there twice, and counted once"]
    series_of.save(series_of.dataset(stored[3] + 1, geometry(), 3, key=300), folder / "other.dcm")
    refused(folder, "it has 2 different pictures at z = 39 mm")


def test_a_folder_copied_into_itself_is_one_series(tmp_path, stored):
    folder = series_of.write(tmp_path / "scan", stored, geometry())
    for path in list(folder.iterdir()):
        shutil.copy(path, folder / f"copy_of_{path.name}")
    np.testing.assert_array_equal(volumes.read_volume(folder).array[..., 0], stored)


def test_two_phases_in_one_series_are_no_volume(tmp_path, stored):
    for phase in range(2):
        for k in range(8):
            ds = series_of.dataset(
                stored[k] + phase, geometry(), k, key=k + 100 * phase, more={"AcquisitionNumber": phase}
            )
            series_of.save(ds, tmp_path / f"scan/{phase}{k}.dcm")
    refused(tmp_path / "scan", "it has 2 pictures at every place, which differ in their acquisition")


def test_two_series_in_one_folder_are_refused_and_each_can_be_read(tmp_path, stored):
    series_of.write(tmp_path / "scan", stored, geometry())
    for k in range(8):
        series_of.save(series_of.dataset(stored[k] + 7, geometry(), k, series="2"), tmp_path / f"scan/other{k}.dcm")
    refused(tmp_path / "scan", "it has 2 series (of 8, 8 slices)")
    found = volumes.series_in(tmp_path / "scan")
    assert len(found) == 2 and found[0].patient == found[1].patient
    for one, add in zip(found, (0, 7)):
        np.testing.assert_array_equal(volumes.read_volume(one).array[..., 0], stored + add)
        assert volumes.extent_of(one)[0].same(geometry())


# One that does not say that it is a scout, in a series of its own, is a second series.
@pytest.mark.parametrize(("said", "own_series"), [(True, True), (True, False), (False, False)])
def test_a_scout_among_the_slices_is_left_out(tmp_path, stored, said, own_series):
    folder = series_of.write(tmp_path / "scan", stored, geometry())
    across = geometry(np.eye(3)[:, [1, 2, 0]])
    kind = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]} if said else {}
    scout = series_of.dataset(
        np.zeros((30, 20), np.uint16), across, 0, key=99, series="2" if own_series else "1", more=kind
    )
    series_of.save(scout, folder / "000000.dcm")
    volume = volumes.read_volume(folder)
    np.testing.assert_array_equal(volume.array[..., 0], stored)
    assert volume.facts["warnings"] == ["1 scout was left out"]


def test_half_a_stack_across_the_other_half_is_refused(tmp_path, stored):
    for k in range(8):
        direction = None if k < 4 else np.eye(3)[:, [1, 2, 0]]
        series_of.save(series_of.dataset(stored[k], geometry(direction), k), tmp_path / f"scan/{k}.dcm")
    refused(tmp_path / "scan", "its slices lie in different directions")


@pytest.mark.parametrize("degrees", [2, 18])
def test_a_tilted_gantry_is_refused(tmp_path, stored, degrees):
    place = geometry(files_of.rotated((np.deg2rad(degrees), 0, 0)))
    for k in range(8):
        ds = series_of.dataset(stored[k], place, 0, key=k)
        ds.ImagePositionPatient = [-11, 7, 30 + 3 * k]
        series_of.save(ds, tmp_path / f"scan/{k}.dcm")
    refused(tmp_path / "scan", f"its slices lean (gantry tilt {degrees} degrees)")


def test_slices_shifted_against_each_other_are_refused(tmp_path, stored):
    for k in range(8):
        ds = series_of.dataset(stored[k], geometry(), k)
        ds.ImagePositionPatient = [-11 + (2 if k in (3, 4) else 0), 7, 30 + 3 * k]
        series_of.save(ds, tmp_path / f"scan/{k}.dcm")
    refused(tmp_path / "scan", "its slices are shifted against each other")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Rows": 3, "Columns": 10}, "its slices are of different sizes (6 x 5, 3 x 10 px)"),
        ({"PixelSpacing": [0.9, 0.7]}, "the pixels of its slices are of different widths"),
        ({"PixelSpacing": None}, "its slices do not say how wide a pixel is"),
        ({"PixelSpacing": [0, 0]}, "its pixels are 0 mm wide"),
        ({"ImagePositionPatient": None}, "1 of its 8 slices do not say where they are"),
        ({"ImagePositionPatient": [1, 2]}, "its ImagePositionPatient is not 3 numbers"),
        ({"ImageOrientationPatient": [1, 0, 0, 0.5, 0.8, 0]}, "its rows and columns are not at right angles"),
        ({"FrameOfReferenceUID": "1.2.3"}, "different frames of reference"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "its pixels are colours"),
        ({"NumberOfFrames": 4}, "several frames that do not say where they are"),
        ({"PixelData": b"\1\2"}, "its pixels are damaged or cut off"),
    ],
)
def test_a_slice_that_is_not_like_the_others_is_refused(tmp_path, stored, change, said):
    folder = series_of.write(tmp_path / "scan", stored, geometry())
    ds = series_of.dataset(stored[4], geometry(), 4)
    for keyword, value in change.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    where = next(p for p in folder.iterdir() if dicom.header(p).SOPInstanceUID == ds.SOPInstanceUID)
    series_of.save(ds, where)
    with pytest.raises(volumes.VolumeError) as caught:
        volumes.read_volume(folder)
    assert said in str(caught.value) and ("scan" in str(caught.value))


@pytest.mark.parametrize("cut", [0, 100, 400, 900, -30])
def test_a_file_that_is_cut_off_is_named(tmp_path, stored, cut):
    folder = series_of.write(tmp_path / "scan", stored, geometry())
    path = folder / "003.dcm"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(volumes.VolumeError, match=r"scan/003\.dcm cannot be used"):
        volumes.read_volume(folder)


def test_what_is_no_picture_is_passed_over(tmp_path, stored):
    folder = series_of.write(tmp_path / "scan", stored, geometry())
    (folder / "notes.txt").write_text("slices of a phantom")
    (folder / ".DS_Store").write_bytes(b"\0" * 300)
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 30)
    report = series_of.dataset(stored[0], None, 0, series="3", more={"Modality": "SR"})
    series_of.save(report, folder / "report.dcm")
    assert volumes.read_volume(folder).array.shape == (*SHAPE, 1)
    assert (
        volumes.is_volume(folder)
        and volumes.is_volume(folder / "003.dcm")
        and not volumes.is_volume(folder / "notes.txt")
    )
    assert not volumes.is_volume(tmp_path)
    with pytest.raises(volumes.VolumeError, match="there is no DICOM picture"):
        volumes.read_volume(tmp_path)


def test_a_file_of_frames_is_a_slice_a_frame(tmp_path, stored):
    place = geometry(files_of.rotated())
    order = np.random.default_rng(1).permutation(8)
    ds = series_of.enhanced(stored[order], place, order, slopes=np.ones(8), intercept=-1024)
    volume = volumes.read_volume(series_of.save(ds, tmp_path / "scan/a.dcm"))
    np.testing.assert_array_equal(volume.array[..., 0], stored.astype(int) - 1024)
    assert volume.geometry.same(place, 1e-4) and volumes.extent_of(tmp_path / "scan")[0] == volume.geometry
    slopes = np.linspace(0.25, 2, 8)
    series_of.save(series_of.enhanced(stored[order], place, order, slopes=slopes[order]), tmp_path / "scan/a.dcm")
    values = volumes.read_volume(tmp_path / "scan").array[..., 0]
    np.testing.assert_allclose(values, stored * slopes[:, None, None], rtol=1e-6)
    twice = series_of.enhanced(stored, place, np.arange(8) // 2, slopes=np.ones(8))
    series_of.save(twice, tmp_path / "twice/a.dcm")
    refused(tmp_path / "twice", "it has 2 pictures at every place")


def test_a_stack_of_hundreds_is_read(tmp_path):
    place = Geometry.plain((150, 2, 2), (1.5, 1, 1))
    series_of.write(tmp_path / "scan", np.zeros((150, 2, 2), np.uint16), place)
    assert volumes.read_volume(tmp_path / "scan").array.shape == (150, 2, 2, 1)


# Values --------------------------------------------------------------------------------------------------------------


def test_each_slice_has_its_own_slope_and_fractions_are_kept(tmp_path, stored):
    slopes = [1, *np.linspace(0.0013, 0.9, 7)]
    for k, slope in enumerate(slopes):
        series_of.save(
            series_of.dataset(stored[k], geometry(), k, modality="PT", slope=slope), tmp_path / f"scan/{k}.dcm"
        )
    volume = volumes.read_volume(tmp_path / "scan")
    assert volume.array.dtype == np.float32
    expected = stored * np.array([float(f"{slope:.8g}") for slope in slopes])[:, None, None]
    np.testing.assert_allclose(volume.array[..., 0], expected, rtol=1e-6)


def test_signed_and_unsigned_slices_of_one_series_are_values_alike(tmp_path, stored):
    hounsfield = stored.astype(np.int16) - 1024
    for k in range(8):
        pixels, intercept = (stored[k], -1024) if k < 4 else (hounsfield[k], 0)
        series_of.save(series_of.dataset(pixels, geometry(), k, intercept=intercept), tmp_path / f"scan/{k}.dcm")
    volume = volumes.read_volume(tmp_path / "scan")
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array[..., 0], hounsfield)


@pytest.mark.parametrize("bits", [12, 16])
def test_where_low_is_white_it_is_turned_over_once(tmp_path, stored, bits):
    most = 2**bits - 1
    shown = stored[0]
    raw = (most - shown).astype(np.uint16)
    white = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": bits, "HighBit": bits - 1}
    files = {
        "black": series_of.dataset(shown, None, 0, modality="DX"),
        "white": series_of.dataset(raw, None, 0, modality="DX", more=white),
        "backwards": series_of.dataset(raw, None, 0, modality="DX", slope=-1, intercept=most),
    }
    for name, ds in files.items():
        volume = volumes.read_volume(series_of.save(ds, tmp_path / f"{name}.dcm"))
        np.testing.assert_array_equal(volume.array[0, ..., 0], shown)
        assert volume.facts["oriented"] is False


def test_numbers_with_a_unit_are_not_turned_over(tmp_path, stored):
    ds = series_of.dataset(stored[0], geometry(), 0, intercept=-1024, more={"PhotometricInterpretation": "MONOCHROME1"})
    volume = volumes.read_volume(series_of.save(ds, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(volume.array[0, ..., 0], stored[0].astype(int) - 1024)


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
@pytest.mark.parametrize("signed", [False, True])
def test_what_is_compressed_without_loss_is_read(tmp_path, stored, compressor, signed):
    """JPEG without loss, which hospitals store most, by SimpleITK; its values are scaled and turned over once."""
    sitk = pytest.importorskip("SimpleITK")
    pixels = stored[0].astype(np.int16) - 1000 if signed else stored[0]
    pixels = np.kron(pixels, np.ones((8, 8), pixels.dtype))
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(tmp_path / "packed.dcm"))
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    writer.Execute(sitk.GetImageFromArray(pixels))
    packed = dicom_file.whole(tmp_path / "packed.dcm")
    assert packed.file_meta.TransferSyntaxUID.is_compressed
    most = -1 if signed else 2**16 - 1
    for photometric, expected in (("MONOCHROME2", pixels), ("MONOCHROME1", most - pixels.astype(int))):
        more = {"PhotometricInterpretation": photometric, "PixelData": packed.PixelData}
        ds = series_of.dataset(pixels, None, 0, modality="DX", slope=2, intercept=-100, more=more)
        ds.file_meta.TransferSyntaxUID = packed.file_meta.TransferSyntaxUID
        ds["PixelData"].is_undefined_length = True
        volume = volumes.read_volume(series_of.save(ds, tmp_path / f"{photometric}.dcm"))
        np.testing.assert_array_equal(volume.array[0, ..., 0], expected * 2.0 - 100)


def test_what_is_compressed_otherwise_is_read_or_named_with_its_syntax(tmp_path, stored):
    from pydicom.uid import HTJ2KLossless, JPEGLosslessSV1, RLELossless

    ds = series_of.dataset(stored[0], geometry(), 0)
    ds.compress(RLELossless, generate_instance_uid=False)
    np.testing.assert_array_equal(
        volumes.read_volume(series_of.save(ds, tmp_path / "rle.dcm")).array[0, ..., 0], stored[0]
    )
    ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1  # which it is not
    with pytest.raises(
        volumes.VolumeError,
        match=r"jpeg\.dcm cannot be used: it is compressed as JPEG Lossless.*, which cannot be read",
    ):
        volumes.read_volume(series_of.save(ds, tmp_path / "jpeg.dcm"))
    ds.file_meta.TransferSyntaxUID = HTJ2KLossless
    with pytest.raises(
        volumes.VolumeError, match=r"other\.dcm cannot be used: it is compressed as High-Throughput JPEG"
    ):
        volumes.read_volume(series_of.save(ds, tmp_path / "other.dcm"))


def test_a_file_that_is_packed_whole_is_read_unless_it_could_fill_the_memory(tmp_path, stored, monkeypatch):
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    ds = series_of.dataset(stored[0], geometry(), 0)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = series_of.save(ds, tmp_path / "a.dcm")
    np.testing.assert_array_equal(volumes.read_volume(path).array[0, ..., 0], stored[0])
    monkeypatch.setattr(dicom_file, "_MOST_DEFLATED", 100)
    with pytest.raises(volumes.VolumeError, match=r"a\.dcm cannot be used: it is deflated"):
        volumes.read_volume(path)


def test_patients_are_told_apart_by_a_key_that_names_nobody(tmp_path, stored):
    keys = []
    for number, who in enumerate(({}, {"PatientID": "PID4712"}, {"PatientName": "Other^Spelling"}, {"PatientID": ""})):
        ds = series_of.dataset(stored[0], geometry(), 0, more=who)
        keys.append(volumes.read_volume(series_of.save(ds, tmp_path / f"{number}.dcm")).facts["patient"])
    assert keys[0] == keys[2] != keys[1] and keys[3] not in keys[:3]
    assert not any(word in repr(keys) for word in series_of.WHO)
    nobody = series_of.dataset(
        stored[0], geometry(), 0, more={"PatientID": "", "PatientName": "", "PatientBirthDate": ""}
    )
    assert volumes.read_volume(series_of.save(nobody, tmp_path / "9.dcm")).facts["patient"] is None


def test_without_pydicom_the_line_says_what_to_install(tmp_path, stored, monkeypatch):
    folder = series_of.write(tmp_path / "scan", stored, geometry())
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingExtra, match=r'scan/000\.dcm needs pydicom\. Run `pip install "cnnkit\[scans\]"`'):
        volumes.read_volume(folder)

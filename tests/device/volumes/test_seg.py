"""DICOM SEG lies where its frames say, whatever is left out; what is written opens over its series and names its patient."""

import subprocess
import sys

import numpy as np
import pytest

from cnnkit.device import volumes
from cnnkit.device.volumes.geometry import Geometry
from cnnkit.errors import MissingExtra
from tests.device.volumes import files_of, series_of

pydicom = pytest.importorskip("pydicom")
hd = pytest.importorskip("highdicom")

SHAPE = (9, 8, 10)
NAMES = {"lesion": (1,), "ventricle": (2,)}
RGB = {"lesion": (200, 100, 50), "ventricle": (10, 20, 230)}


def geometry(direction=None):
    return Geometry.of(files_of.affine((0.8, 0.9, 3.0), (-11, 7, 30), direction)[:, [2, 1, 0, 3]], SHAPE)


@pytest.fixture
def codes():
    codes = np.zeros(SHAPE, np.uint8)
    codes[2:4, 1:5, 2:6] = 1
    codes[5:8, 4:7, 3:9] = 2
    return codes


@pytest.fixture(params=["straight", "oblique"])
def place(request):
    return geometry(files_of.rotated() if request.param == "oblique" else None)


@pytest.fixture
def folder(tmp_path, place):
    stored = np.random.default_rng(0).integers(0, 3000, SHAPE).astype(np.uint16)
    return series_of.write(tmp_path / "series", stored, place)


def foreign(path, folder, codes, kind="BINARY", *, shuffle=True, change=None):
    """A SEG by highdicom, its sources in no order and its empty frames left out; `change` may spoil it."""
    from pydicom.sr.codedict import codes as known

    files = sorted(folder.glob("*.dcm"))
    order = [pydicom.dcmread(file) for file in files]
    stack = {uid: k for k, uid in enumerate(series_of.uid("1", k) for k in range(len(codes)))}
    pixels = codes[[stack[ds.SOPInstanceUID] for ds in order]]
    if kind == "FRACTIONAL":
        pixels = np.stack([pixels == 1, pixels == 2], -1).astype(np.float32)
    by = hd.AlgorithmIdentificationSequence("tests", known.cid7162.ArtificialIntelligence, "1")
    segments = [
        hd.seg.SegmentDescription(k, name, known.SCT.Organ, known.SCT.Brain, "AUTOMATIC", by)
        for k, name in ((1, "lesion"), (2, "ventricle"))
    ]
    ds = hd.seg.Segmentation(
        order, pixels, kind, segments, series_of.uid("seg"), 2, series_of.uid("seg", 1), 1, "Tests", "tests", "1", "0"
    )
    if change:
        change(ds)
    ds.save_as(path)
    return path


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_frames_lie_where_they_say(tmp_path, folder, place, codes, kind):
    path = foreign(tmp_path / "seg.dcm", folder, codes, kind)
    for how in ({"like": place}, {"source": folder}):
        read, labels = volumes.read_labels(path, **how)
        assert labels == NAMES
        np.testing.assert_array_equal(read, codes)
    read, labels = volumes.read_labels(path, place, {"ventricle": 7, "lesion": 9})
    np.testing.assert_array_equal(read, np.array([0, 9, 7])[codes])
    assert volumes.is_volume(path) and [one.name for one in volumes.segments_of(path)] == ["lesion", "ventricle"]
    own = volumes.extent_of(path)[0]
    part, _ = volumes.read_labels(path)
    assert own.shape == part.shape and np.count_nonzero(part) == np.count_nonzero(codes)
    assert own.onto(place)[1][1:] == (0, 0)


def test_a_seg_is_laid_on_the_same_grid_turned_over(tmp_path, folder, place, codes):
    path = foreign(tmp_path / "seg.dcm", folder, codes)
    canonical, turn = place.canonical(), place.turn()
    np.testing.assert_array_equal(volumes.read_labels(path, canonical)[0], turn.apply(codes))
    flipped = volumes.Turn((1, 2, 0), (True, False, True))
    np.testing.assert_array_equal(volumes.read_labels(path, flipped.geometry(place))[0], flipped.apply(codes))


def test_frames_that_name_their_pictures_alone_are_put_on_them(tmp_path, folder, place, codes):
    def change(ds):
        for group in ds.PerFrameFunctionalGroupsSequence:
            del group.PlanePositionSequence

    path = foreign(tmp_path / "seg.dcm", folder, codes, change=change)
    np.testing.assert_array_equal(volumes.read_labels(path, place, source=folder)[0], codes)
    with pytest.raises(volumes.VolumeError, match=r"seg\.dcm cannot be used: its frame 1 does not say where it lies"):
        volumes.read_labels(path, place)


def test_fractions_between_are_no_labels(tmp_path, folder, place, codes):
    def change(ds):
        pixels = bytearray(ds.PixelData)
        pixels[pixels.index(255)] = 100
        ds.PixelData = bytes(pixels)

    path = foreign(tmp_path / "seg.dcm", folder, codes, "FRACTIONAL", change=change)
    with pytest.raises(volumes.VolumeError, match="its segments are fractions, and no labels"):
        volumes.read_labels(path, place)


def test_a_seg_of_another_volume_is_refused(tmp_path, folder, place, codes):
    path = foreign(tmp_path / "seg.dcm", folder, codes)
    moved = place.matrix.copy()
    moved[:3, 3] += 1.3
    with pytest.raises(
        volumes.VolumeError, match=r"seg\.dcm cannot be used: its frames lie on no slices of its volume"
    ):
        volumes.read_labels(path, Geometry.of(moved, SHAPE))
    beyond = place.matrix.copy()
    beyond[:3, 3] = place.points(np.array([[4, 0, 0]]))[0]
    with pytest.raises(volumes.VolumeError, match=r"seg\.dcm cannot be used: it has labels outside of its volume"):
        volumes.read_labels(path, Geometry.of(beyond, SHAPE))
    with pytest.raises(volumes.VolumeError, match="it has a segment called `lesion`, and the labels are `ventricle`"):
        volumes.read_labels(path, place, {"ventricle": 1})


def without(keyword):
    def change(ds):
        delattr(ds, keyword)

    return change


def cut(ds):
    ds.PixelData = ds.PixelData[: len(ds.PixelData) // 4]


def twins(ds):
    ds.SegmentSequence[1].SegmentNumber = 1


def strays(ds):
    ds.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("SegmentSequence"), "it has no segments"),
        (twins, "two of one number"),
        (strays, "its frame 1 is of no segment"),
        (without("PerFrameFunctionalGroupsSequence"), "what each of its frames is"),
        (cut, "damaged or cut off"),
    ],
)
def test_a_seg_that_cannot_be_right_is_named(tmp_path, folder, place, codes, change, said):
    path = foreign(tmp_path / "seg.dcm", folder, codes, change=change)
    with pytest.raises(volumes.VolumeError, match=said) as caught:
        volumes.read_labels(path, place)
    assert "seg.dcm cannot be used" in str(caught.value)
    assert not any(word in str(caught.value) for word in (*series_of.WHO, "1.2.826"))


# Writing -------------------------------------------------------------------------------------------------------------


def test_what_is_written_comes_back_and_highdicom_reads_it(tmp_path, folder, place, codes):
    path = tmp_path / "answer.dcm"
    volumes.write_labels(path, codes, place, {"lesion": 1, "ventricle": 2}, RGB, source=folder)
    read, labels = volumes.read_labels(path, place)
    assert labels == NAMES
    np.testing.assert_array_equal(read, codes)
    found = {one.name: one.colour for one in volumes.segments_of(path)}
    for name, colour in RGB.items():
        np.testing.assert_allclose(found[name], colour, atol=2)
    seg = hd.seg.segread(path)
    assert (str(seg.PatientName), seg.PatientID, seg.PatientBirthDate) == series_of.WHO
    assert seg.StudyInstanceUID == series_of.uid("study") and seg.FrameOfReferenceUID == series_of.uid("frame")
    volume = seg.get_volume(combine_segments=True)
    inside = np.flatnonzero(codes.any(axis=(1, 2)))
    kept = codes[inside[0] : inside[-1] + 1]
    array = (
        volume.array
        if np.allclose(volume.get_affine("LPS")[:3, 3], place.points([[inside[0], 0, 0]])[0])
        else volume.array[::-1]
    )
    np.testing.assert_array_equal(array, kept)
    other = np.cross(place.direction[:, 2], place.direction[:, 1])
    assert abs(volume.direction[:, 0] @ other) == pytest.approx(1)


def test_labels_that_overlap_are_segments_that_overlap(tmp_path, folder, place, codes):
    codes[2, 2:4, 3:5] = 3
    names = {"lesion": (1, 3), "ventricle": (2,), "core": (3,)}
    volumes.write_labels(tmp_path / "a.dcm", codes, place, names, source=folder)
    read, labels = volumes.read_labels(tmp_path / "a.dcm", place, names)
    assert labels == names
    np.testing.assert_array_equal(read, codes)


def test_a_map_turned_over_is_written_where_its_series_is_and_another_is_refused(tmp_path, folder, place, codes):
    canonical, turn = place.canonical(), place.turn()
    volumes.write_labels(tmp_path / "a.dcm", turn.apply(codes), canonical, NAMES, source=folder)
    np.testing.assert_array_equal(volumes.read_labels(tmp_path / "a.dcm", place)[0], codes)
    moved = Geometry.of(place.matrix + [[0, 0, 0, 9.0], [0] * 4, [0] * 4, [0] * 4], SHAPE)
    with pytest.raises(volumes.VolumeError, match="away from its volume"):
        volumes.write_labels(tmp_path / "b.dcm", codes, moved, NAMES, source=folder)
    assert not (tmp_path / "b.dcm").exists()


def test_nothing_found_is_written_too(tmp_path, folder, place):
    volumes.write_labels(tmp_path / "a.dcm", np.zeros(SHAPE, np.uint8), place, NAMES, source=folder)
    read, labels = volumes.read_labels(tmp_path / "a.dcm", place)
    assert not read.any() and labels == NAMES


def test_a_source_that_lacks_what_may_be_empty_does(tmp_path, folder, place, codes):
    for path in folder.iterdir():
        ds = pydicom.dcmread(path)
        for keyword in ("AccessionNumber", "PatientBirthDate", "PatientSex", "StudyID", "ReferringPhysicianName"):
            delattr(ds, keyword)
        ds.save_as(path)
    volumes.write_labels(tmp_path / "a.dcm", codes, place, NAMES, source=folder)
    np.testing.assert_array_equal(volumes.read_labels(tmp_path / "a.dcm", place)[0], codes)
    for path in folder.iterdir():
        ds = pydicom.dcmread(path)
        del ds.StudyInstanceUID
        ds.save_as(path)
    with pytest.raises(volumes.VolumeError, match=r"series cannot be used: a DICOM SEG cannot be made of it"):
        volumes.write_labels(tmp_path / "b.dcm", codes, place, NAMES, source=folder)


def test_a_seg_of_a_file_of_frames_names_and_finds_them(tmp_path, place, codes):
    order = np.random.default_rng(1).permutation(len(codes))
    ds = series_of.enhanced(np.zeros(SHAPE, np.uint16), place, order, slopes=np.ones(len(codes)))
    source = series_of.save(ds, tmp_path / "scan.dcm")
    volumes.write_labels(tmp_path / "a.dcm", codes, place, NAMES, source=source)
    np.testing.assert_array_equal(volumes.read_labels(tmp_path / "a.dcm", place)[0], codes)
    seg = pydicom.dcmread(tmp_path / "a.dcm")
    for group in seg.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence
    seg.save_as(tmp_path / "b.dcm")
    np.testing.assert_array_equal(volumes.read_labels(tmp_path / "b.dcm", source=source)[0], codes)


def test_without_highdicom_the_line_says_what_to_install(tmp_path, folder, place, codes, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(MissingExtra, match=r'a\.dcm needs highdicom\. Run `pip install "cnnkit\[scans\]"`'):
        volumes.write_labels(tmp_path / "a.dcm", codes, place, NAMES, source=folder)


@pytest.mark.slow
def test_dcmqi_reads_what_is_written_and_writes_what_is_read(tmp_path, folder, place, codes):
    sitk, dcmqi = pytest.importorskip("SimpleITK"), pytest.importorskip("dcmqi")
    volumes.write_labels(tmp_path / "a.dcm", codes, place, NAMES, source=folder)

    def run(name, *arguments):
        subprocess.run([str(dcmqi._lookup(name)), *map(str, arguments)], check=True, capture_output=True)

    out = tmp_path / "out"
    out.mkdir()
    run("segimage2itkimage", "--inputDICOM", tmp_path / "a.dcm", "--outputDirectory", out, "--outputType", "nrrd")
    for number in (1, 2):
        (path,) = [path for path in out.glob("*.nrrd") if path.stem.split("-")[-1] == str(number)]
        image = sitk.ReadImage(str(path))
        array = sitk.GetArrayFromImage(image)
        for index in np.argwhere(array):
            at = place.indices(np.array([image.TransformIndexToPhysicalPoint(index[::-1].tolist())]))[0]
            np.testing.assert_allclose(at, np.rint(at), atol=1e-3)
            assert codes[tuple(np.rint(at).astype(int))] == number
        assert np.count_nonzero(array) == np.count_nonzero(codes == number)
    images = ",".join(str(path) for path in sorted(out.glob("*.nrrd")))
    run(
        "itkimage2segimage",
        *("--inputImageList", images, "--inputDICOMDirectory", folder, "--skip", "1"),
        *("--inputMetadata", next(out.glob("*.json")), "--outputDICOM", tmp_path / "b.dcm"),
    )
    read, labels = volumes.read_labels(tmp_path / "b.dcm", place)
    for name, each in NAMES.items():
        np.testing.assert_array_equal(np.isin(read, labels[name]), np.isin(codes, each))

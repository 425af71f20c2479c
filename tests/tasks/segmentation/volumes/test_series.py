"""DICOM series as data: found with what marks them, whatever they are called; what cannot be used is named."""

import re
import shutil

import numpy as np
import pytest

from cnnkit.data.readers import detect
from cnnkit.data.reading import Request
from cnnkit.device.volumes import dicom
from cnnkit.device.volumes.geometry import Geometry
from cnnkit.device.volumes.labels import write_labels
from cnnkit.errors import DataError
from cnnkit.tasks.segmentation.loading import load
from cnnkit.tasks.segmentation.volumes import readers
from cnnkit.tasks.segmentation.volumes import series as finding
from tests.device.volumes import series_of
from tests.tasks.segmentation.volumes.small_series import SHAPE, mark, series, study
from tests.tasks.segmentation.volumes.small_volumes import NAMES, folder, pair


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return study(tmp_path_factory.mktemp("dicom") / "data")


def part(root, split="train", **options):
    return readers.VOLUMES.read(Request(root, {"path": ".", "split": split}, options))


def same(found, index, seed, names=NAMES):
    """Whether a mask is that of a seed."""
    codes, mask = pair(seed, SHAPE)[1], found.more.native(index)
    return all(
        (np.isin(mask, found.more.regions[found.names.index(label)]) == (codes == code)).all()
        for label, code in names.items()
    )


def left(found):
    return {(row.what, row.reason): (row.count, row.examples) for row in found.entries}


# Found -----------------------------------------------------------------------------------------------------------------


def test_a_series_is_found_with_its_seg_whatever_they_are_called(data):
    assert detect(data, task="segmentation")[1] == "volumes"
    found = part(data)
    assert [case.pictures for case in found.images.cases] == [(f"p{seed}/ct",) for seed in range(4)]
    assert found.names == ("ball", "box") and not found.bad and not found.entries
    assert all(same(found, seed, seed) for seed in range(4))
    assert found.images.native(2).shape == (*SHAPE, 1) and found.images.spacing(2) == (2.0, 1.0, 1.0)


def test_a_seg_is_of_the_series_that_it_names_and_not_of_its_neighbour(tmp_path):
    """All files of two series and their SEG in one folder, names in no order."""
    apart, together = tmp_path / "apart", tmp_path / "together"
    together.mkdir()
    for seed in range(2):
        codes = series(apart / str(seed), seed)
        mark(apart / f"seg{seed}.dcm", codes, apart / str(seed))
        (apart / f"seg{seed}.dcm").rename(together / f"{1 - seed}-of.dcm")
        for file in (apart / str(seed)).iterdir():
            file.rename(together / f"{file.stem}-{seed}.dcm")
    found = part(together)
    assert [case.pictures for case in found.images.cases] == [("series 1",), ("series 2",)]
    assert same(found, 0, 0) and same(found, 1, 1) and not found.bad
    before = []
    found.images.digest(np.array([0]), before.append)
    other = []
    found.images.digest(np.array([1]), other.append)
    assert before != other


def test_headers_of_a_folder_of_several_series_are_read_once(tmp_path, monkeypatch):
    together = tmp_path / "together"
    together.mkdir()
    for seed in range(3):
        series(tmp_path / f"{seed}", seed)
        for file in (tmp_path / f"{seed}").iterdir():
            file.rename(together / f"{seed}-{file.name}")
    read: list[str] = []
    whole = dicom.header
    monkeypatch.setattr(dicom, "header", lambda path: (read.append(path.name), whole(path))[1])
    uids = {finding.opened(together / f"series {number}").uid for number in (1, 2, 3, 1, 2)}
    assert len(uids) == 3 and len(read) == 3 * SHAPE[0]
    (together / "0-new.dcm").write_bytes(next(together.iterdir()).read_bytes())
    finding.opened(together / "series 1")
    assert len(read) == 6 * SHAPE[0] + 1, "another file: read anew"


def test_split_folders_are_splits(tmp_path):
    for seed, split in enumerate(("train", "train", "test")):
        codes = series(tmp_path / split / f"p{seed}", seed)
        mark(tmp_path / split / f"s{seed}.dcm", codes, tmp_path / split / f"p{seed}")
    assert set(readers.VOLUMES.splits(tmp_path)) == {"train", "test"}
    assert len(part(tmp_path).images) == 2 and len(part(tmp_path, "test").images) == 1


@pytest.mark.parametrize("ending", [".nii.gz", ".seg.nrrd"])
def test_masks_may_be_files_called_as_the_folder_of_their_series(tmp_path, ending):
    for seed in range(3):
        codes = series(tmp_path / "images" / f"case{seed}", seed)
        (tmp_path / "masks").mkdir(exist_ok=True)
        own = dicom.extent(tmp_path / "images" / f"case{seed}")
        write_labels(tmp_path / "masks" / f"case{seed}{ending}", codes, own, NAMES)
    found = part(tmp_path)
    names = NAMES if ending == ".seg.nrrd" else {"1": 1, "2": 2}
    assert len(found.images) == 3 and all(same(found, seed, seed, names) for seed in range(3))


def test_a_mask_may_lie_beside_the_folder_of_its_series(tmp_path):
    for seed in range(3):
        codes = series(tmp_path / f"case{seed}", seed)
        write_labels(tmp_path / f"case{seed}_mask.nii.gz", codes, dicom.extent(tmp_path / f"case{seed}"))
    assert [case.pictures for case in part(tmp_path).images.cases] == [(f"case{seed}",) for seed in range(3)]


def test_volumes_in_other_files_are_found_beside_dicom(tmp_path):
    root = folder(tmp_path, count=2)
    codes = series(root / "images" / "other", 5)
    write_labels(root / "masks" / "other.nii.gz", codes, dicom.extent(root / "images" / "other"))
    assert len(part(root).images) == 3


# Labels ----------------------------------------------------------------------------------------------------------------


def test_several_seg_of_a_series_are_put_together(tmp_path):
    codes = series(tmp_path / "ct", 0)
    for label, code in NAMES.items():
        mark(tmp_path / f"{label}.dcm", np.where(codes == code, 1, 0), tmp_path / "ct", {label: 1})
    mark(
        tmp_path / "again.dcm", np.where(codes == 1, 1, 0), tmp_path / "ct", {"ball": 1}
    )  # the same twice is no conflict
    found = part(tmp_path)
    assert len(found.images) == 1 and set(found.names) == set(NAMES) and same(found, 0, 0)


def test_seg_of_a_series_that_disagree_are_refused_by_name(tmp_path):
    for seed in range(2):
        codes = series(tmp_path / f"ct{seed}", seed)
        mark(tmp_path / f"first{seed}.dcm", codes, tmp_path / f"ct{seed}")
    mark(tmp_path / "second.dcm", np.roll(codes, 1, 1), tmp_path / "ct1")
    found = part(tmp_path)
    assert len(found.images) == 1
    ((name, reason),) = found.bad
    assert name.endswith("first1.dcm") and "second.dcm" in reason and "first1.dcm" in reason and "`ball`" in reason


def test_labels_of_seg_that_differ_are_joined_by_name(tmp_path):
    names = {"box": 2, "ball": 1}, {"ball": 1}
    for seed in range(2):
        codes = series(tmp_path / f"ct{seed}", seed)
        codes = np.where(np.isin(codes, list(names[seed].values())), codes, 0)
        mark(tmp_path / f"seg{seed}.dcm", codes, tmp_path / f"ct{seed}", names[seed])
    found = part(tmp_path)
    assert set(found.names) == {"ball", "box"}
    assert same(found, 0, 0) and same(found, 1, 1, {"ball": 1})


def test_a_segment_that_is_no_label_is_named(tmp_path):
    for seed in range(2):
        codes = series(tmp_path / f"ct{seed}", seed)
        codes = np.where(codes == 2, seed * 2, codes)
        mark(tmp_path / f"seg{seed}.dcm", codes, tmp_path / f"ct{seed}")
    found = part(tmp_path, labels=["ball"])
    assert found.names == ("ball",) and len(found.images) == 1
    ((name, reason),) = found.bad
    assert name.endswith("seg1.dcm") and "a segment called `box`, and the labels are `ball`" in reason


def test_more_labels_than_a_number_has_bits_are_told_apart_or_refused(tmp_path):
    codes = series(tmp_path / "ct", 0)
    names = {f"part {k}": k + 1 for k in range(40)}
    codes = np.zeros_like(codes)
    codes.ravel()[:40] = np.arange(40) + 1
    mark(tmp_path / "seg.dcm", codes, tmp_path / "ct", names)
    found = part(tmp_path)
    assert len(found.names) == 40 and len(np.unique(found.more.native(0))) == 41
    mark(tmp_path / "seg.dcm", codes, tmp_path / "ct", {f"part {k}": k + 1 for k in range(70)})
    with pytest.raises(DataError, match="70 segments"):
        part(tmp_path)


# Left out, and said ----------------------------------------------------------------------------------------------------


def test_series_without_a_mask_and_masks_without_a_series_are_left_out_and_said(tmp_path):
    root = study(tmp_path / "data", count=3)
    series(root / "unmarked", 9)
    shutil.rmtree(root / "p1" / "ct")
    found = part(root)
    assert len(found.images) == 2 and not found.bad
    assert left(found)["volumes", "without a mask"] == (1, ("unmarked",))
    assert left(found)["masks", "whose series is not there"] == (1, ("p1/seg/1.dcm",))


def test_dicom_without_any_mask_says_what_is_missing(tmp_path):
    series(tmp_path / "ct", 0)
    with pytest.raises(DataError, match="1 DICOM series and no mask of them"):
        load(str(tmp_path))


def test_a_series_that_is_there_twice_is_named(tmp_path):
    root = study(tmp_path / "data", count=2)
    shutil.copytree(root / "p0" / "ct", root / "copy")
    found = part(root)
    assert len(found.images) == 1
    ((name, reason),) = found.bad
    assert name.endswith("p0/seg/1.dcm") and "it is of 2 series that are here (copy, p0/ct)" in reason


# Patients --------------------------------------------------------------------------------------------------------------


def test_volumes_of_one_patient_stay_together(tmp_path):
    for seed in range(4):
        codes = series(tmp_path / str(seed), seed, who="" if seed == 3 else f"ID{seed // 2}", more={"PatientName": ""})
        mark(tmp_path / f"{seed}.dcm", codes, tmp_path / str(seed))
    found = part(tmp_path)
    assert found.groups.tolist() == [0, 0, 1, 2]
    assert found.group_note == (
        "Groups: 3 patients of 4 volumes, as their headers say; 1 say none, and are taken for one patient each."
    )
    table = "image,patient\n" + "".join(f"{seed},{seed % 2}\n" for seed in range(4))
    (tmp_path / "patients.csv").write_text(table)
    assert part(tmp_path).groups.tolist() == [0, 1, 0, 1]
    assert part(tmp_path, groups="([0-9])").groups is not None


# Bad input -------------------------------------------------------------------------------------------------------------


def spoiled(root, how):
    """Spoil the series of `p1`."""
    where = root / "p1" / "ct"
    own = sorted(where.iterdir())
    if how == "missing":
        by_place = sorted(own, key=lambda file: float(dicom.header(file).ImagePositionPatient[2]))
        by_place[4].unlink()
    elif how == "uneven":
        import pydicom

        ds = pydicom.dcmread(own[3])
        ds.ImagePositionPatient[2] = float(ds.ImagePositionPatient[2]) + 0.6
        ds.save_as(own[3])
    elif how == "tilt":
        import pydicom

        for file in own:
            ds = pydicom.dcmread(file)
            ds.ImagePositionPatient[1] = float(ds.ImagePositionPatient[1]) + 0.3 * float(ds.ImagePositionPatient[2])
            ds.save_as(file)
    elif how == "cut":
        data = own[2].read_bytes()
        own[2].write_bytes(data[:-100])
    elif how == "header":
        own[2].write_bytes(own[2].read_bytes()[:400])
    elif how == "compressed":
        import pydicom

        ds = pydicom.dcmread(own[2])
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.70"
        ds.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8" + b"\0" * 30])
        ds["PixelData"].is_undefined_length = True
        ds.save_as(own[2])
    elif how == "elsewhere":
        shutil.rmtree(where)
        codes = series(where, 1, spacing=(2.0, 1.5, 1.5))
        assert codes.any()
    elif how == "seg":
        file = root / "p1" / "seg" / "1.dcm"
        file.write_bytes(file.read_bytes()[:-40])
    elif how == "constant":
        shutil.rmtree(where)
        series_of.write(where, np.full(SHAPE, 7, np.int16), Geometry.plain(SHAPE, (2.0, 1.0, 1.0)), series=1)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "a slice is missing after z ="),
        ("uneven", "its slices are unevenly apart"),
        ("tilt", "gantry tilt"),
        ("cut", "damaged or cut off"),
        ("header", "cut off, or has no picture|no DICOM file, or damaged"),
        ("compressed", "is compressed as JPEG"),
        ("elsewhere", "on no slices of its volume"),
        ("seg", "cut off"),
        ("constant", "every voxel of it is 7"),
    ],
)
def test_what_cannot_be_trusted_is_named_or_left_out(tmp_path, data, how, said):
    root = tmp_path / "data"
    shutil.copytree(data, root)
    spoiled(root, how)
    found = load(str(root), skip_bad=True, validation=0, test=0)
    assert len(found.train) == 3
    (line,) = found.card["warnings"]
    assert re.search(said, line) and "p1" in line and "\n" not in line
    with pytest.raises(DataError, match=said) as error:
        load(str(root), validation=0, test=0)
    assert "p1" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("how", "said"),
    [("twice", "of which 1 slice was there twice, and counted once"), ("scout", "of which 1 scout was left out")],
)
def test_what_is_taken_otherwise_than_it_lies_there_is_said(tmp_path, how, said):
    import pydicom

    root = study(tmp_path / "data", count=2)
    own = sorted((root / "p1" / "ct").iterdir())
    ds = pydicom.dcmread(own[0])
    if how == "scout":
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        ds.ImagePositionPatient[2] = 300
        ds.SOPInstanceUID = series_of.uid("scout")
    ds.save_as(root / "p1" / "ct" / "more.dcm")
    found = load(root, whole=True)
    assert len(found.train) == 2
    (row,) = [row for row in found.card["inventory"]["entries"] if row["what"] == "volumes"]
    assert (row["status"], row["count"], row["reason"]) == ("changed", 1, said)


def test_slices_of_different_rescale_are_scaled_each(tmp_path, data):
    import pydicom

    root = tmp_path / "data"
    shutil.copytree(data, root)
    before = part(root).images.native(1)
    for k, file in enumerate(sorted((root / "p1" / "ct").iterdir())):
        ds = pydicom.dcmread(file)
        values = ds.pixel_array.astype(int) * (1 + k % 2)
        ds.RescaleSlope = 1 / (1 + k % 2)
        ds.PixelData = values.astype(np.int16).tobytes()
        ds.save_as(file)
    assert (part(root).images.native(1) == before).all()


def test_a_folder_of_several_series_is_no_volume_for_a_mask_of_its_name(tmp_path):
    for seed in range(3):
        codes = series(tmp_path / f"case{seed}", seed)
        write_labels(tmp_path / f"case{seed}_mask.nii.gz", codes, dicom.extent(tmp_path / f"case{seed}"))
    other = series_of.dataset(np.zeros((16, 16), np.int16), Geometry.plain(SHAPE), 0, series="other")
    more = series_of.dataset(np.ones((16, 16), np.int16), Geometry.plain(SHAPE), 1, series="other")
    for k, one in enumerate((other, more)):
        series_of.save(one, tmp_path / "case1" / f"x{k}.dcm")
    found = part(tmp_path)
    assert len(found.images) == 2
    ((name, reason),) = found.bad
    assert name.endswith("case1") and "it has 2 series (of 8, 2 slices)" in reason

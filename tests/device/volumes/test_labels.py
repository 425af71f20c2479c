"""Masks lie on their volumes by geometry, keep their names and come back voxel for voxel, in every format."""

import gzip
import re
import sys

import numpy as np
import pytest

from cnnkit.device import volumes
from cnnkit.device.volumes import nifti
from cnnkit.device.volumes import simpleitk as itk_files
from cnnkit.device.volumes.geometry import Geometry
from cnnkit.errors import MissingExtra
from tests.device.volumes import files_of

sitk = pytest.importorskip("SimpleITK")

SHAPE = (7, 9, 11)
RGB = {"liver": (200, 100, 50), "spleen": (10, 20, 30), "tumour": (250, 200, 0)}


@pytest.fixture
def codes():
    codes = np.zeros(SHAPE, np.uint8)
    codes[1:4, 2:6, 1:7] = 1
    codes[4:6, 5:8, 6:10] = 2
    codes[2:3, 3:5, 2:4] = 3
    return codes


def geometry(direction=None, shape=SHAPE, **how):
    return Geometry.of(files_of.affine(direction=direction, **how)[:, [2, 1, 0, 3]], shape)


def ras(place):
    """The affine from x, y, z to RAS of a geometry."""
    return files_of.TO_LPS @ place.matrix[:, [2, 1, 0, 3]]


def seg_nrrd(path, layers, place, segments, keys=""):
    """Write layers [z, y, x, layer] as 3D Slicer does, from another hand than the package's."""
    several = layers.shape[3] > 1
    columns = " ".join(f"({','.join(map(str, place.matrix[:3, axis]))})" for axis in (2, 1, 0))
    sides = " ".join(map(str, layers.shape[2::-1]))
    head = (
        f"NRRD0004\n# comment: with a colon\ntype: unsigned char\ndimension: {4 if several else 3}\n"
        f"space: left-posterior-superior\nsizes: {f'{layers.shape[3]} ' if several else ''}{sides}\n"
        f"space directions: {'none ' if several else ''}{columns}\n"
        f"kinds: {'list ' if several else ''}domain domain domain\nencoding: gzip\n"
        f"space origin: ({','.join(map(str, place.origin))})\n" + keys
    )
    for k, fields in enumerate(segments):
        head += "".join(f"Segment{k}_{key}:={value}\n" for key, value in fields.items())
    path.write_bytes(head.encode() + b"\n" + gzip.compress(layers.astype(np.uint8).tobytes()))
    return path


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".nrrd"])
def test_what_is_written_opens_over_its_volume_in_another_reader(tmp_path, codes, ending):
    for number, direction in enumerate(files_of.directions()):
        if number % 6 and number < 48:
            continue
        place = geometry(direction, spacing=(0.7123456789, 1 / 3, 5.00001), origin=(-123.456789, 0.1, 1e3 / 7))
        volumes.write_labels(tmp_path / f"a{ending}", codes, place)
        image = sitk.ReadImage(str(tmp_path / f"a{ending}"))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), codes)
        rtol = 1e-6 if "nii" in ending else 1e-12
        np.testing.assert_allclose(image.GetSpacing()[::-1], place.spacing, rtol=rtol)
        np.testing.assert_allclose(image.GetOrigin(), place.origin, rtol=rtol)
        np.testing.assert_allclose(image.GetDirection(), place.direction[:, ::-1].ravel(), atol=1e-6)
        again, labels = volumes.read_labels(tmp_path / f"a{ending}", place)
        assert labels is None and again.dtype == np.uint8
        np.testing.assert_array_equal(again, codes)


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32", "float32"])
def test_volumes_are_read_as_simpleitk_reads_them(tmp_path, ending, kind):
    array = (np.random.default_rng(0).random(SHAPE) * 200).astype(kind)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.5, 0.6, 4.0))
    image.SetOrigin((1.0, -2.0, 3.5))
    image.SetDirection(files_of.rotated().ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / f"a{ending}"))
    volume = volumes.read_volume(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(volume.array[..., 0], array)
    assert volume.array.dtype == kind
    there = [image.TransformIndexToPhysicalPoint(at) for at in ((0, 0, 0), (10, 8, 6), (3, 0, 6))]
    np.testing.assert_allclose(volume.geometry.points(np.array([[0, 0, 0], [6, 8, 10], [6, 0, 3]])), there, atol=1e-9)
    assert volumes.extent_of(tmp_path / f"a{ending}") == (volume.geometry, 1)


def test_an_nrrd_in_ras_lies_where_it_says(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    head = (
        "NRRD0004\ntype: uint8\ndimension: 3\nspace: right-anterior-superior\nsizes: 4 3 2\n"
        "space directions: (2,0,0) (0,3,0) (0,0,4)\nkinds: domain domain domain\nencoding: raw\nspace origin: (10,20,30)\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(head.encode() + array.tobytes())
    volume = volumes.read_volume(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.array[..., 0], array)
    np.testing.assert_allclose(volume.geometry.points(np.array([[1, 1, 1]])), [[-12, -23, 34]])
    assert volume.facts["oriented"]


def test_it_is_said_where_a_file_does_not_place_its_voxels(tmp_path):
    sides = "sizes: 4 3 2\nspacings: 2 3 4\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(f"NRRD0004\ntype: uint8\ndimension: 3\n{sides}".encode() + bytes(24))
    (tmp_path / "a.mha").write_bytes(
        b"ObjectType = Image\nNDims = 3\nBinaryData = True\nElementSpacing = 2 3 4\nDimSize = 4 3 2\n"
        b"ElementType = MET_UCHAR\nElementDataFile = LOCAL\n" + bytes(24)
    )
    for name in ("a.nrrd", "a.mha"):
        volume = volumes.read_volume(tmp_path / name)
        assert volume.geometry.spacing == (4, 3, 2) and volume.facts["oriented"] is False


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_what_is_not_a_number_is_named_in_other_formats_too(tmp_path, ending):
    array = np.zeros(SHAPE, np.float32)
    array[1, 2, 3] = np.nan
    itk_files.write(tmp_path / f"a{ending}", array, geometry())
    with pytest.raises(volumes.VolumeError, match=rf"a\{ending} cannot be used: 1 of its values are NaN"):
        volumes.read_volume(tmp_path / f"a{ending}")


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_a_file_cut_off_is_named(tmp_path, codes, ending):
    volumes.write_labels(tmp_path / f"a{ending}", codes, geometry())
    data = (tmp_path / f"a{ending}").read_bytes()
    for cut in (0, 40, len(data) - 30):
        (tmp_path / f"a{ending}").write_bytes(data[:cut])
        with pytest.raises(volumes.VolumeError, match=rf"a\{ending} cannot be used"):
            volumes.read_volume(tmp_path / f"a{ending}")


def test_a_packed_mha_that_does_not_say_how_long_it_is_is_refused(tmp_path, codes, capfd):
    """SimpleITK returns other voxels then."""
    volumes.write_labels(tmp_path / "a.mha", codes, geometry())
    data = (tmp_path / "a.mha").read_bytes()
    said = re.search(rb"CompressedDataSize = (\d+)\n", data)
    for line in (
        b"",
        b"CompressedDataSize = %d\n" % (int(said[1]) - 3),
        b"CompressedDataSize = x\n",
        b"CompressedDataSize = -1\n",
    ):
        (tmp_path / "a.mha").write_bytes(data.replace(said[0], line))
        with pytest.raises(volumes.VolumeError, match=r"a\.mha cannot be used"):
            volumes.read_volume(tmp_path / "a.mha")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("elsewhere", ["../other/a.raw", "/etc/hosts", "LIST", "a%03d.raw 1 3 1"])
def test_a_header_leads_to_no_other_folder(tmp_path, elsewhere):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.mhd").write_text(
        f"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = {elsewhere}\n"
    )
    (tmp_path / "in/a.nhdr").write_text(
        f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: {elsewhere}\n"
    )
    for name in ("a.mhd", "a.nhdr"):
        with pytest.raises(volumes.VolumeError, match="its voxels lie in (another folder|several files)"):
            volumes.read_volume(tmp_path / "in" / name)


def test_a_header_with_its_voxels_beside_it_is_read(tmp_path):
    array = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    for ending in (".mhd", ".nhdr"):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"a{ending}"))
        np.testing.assert_array_equal(volumes.read_volume(tmp_path / f"a{ending}").array[..., 0], array)


@pytest.mark.parametrize("kind", ["list", "time", "vector"])
def test_a_fourth_axis_is_channels_only_where_it_is_told(tmp_path, kind):
    array = np.arange(24 * 3, dtype=np.uint8)
    head = (
        f"NRRD0004\ntype: uint8\ndimension: 4\nspace: left-posterior-superior\nsizes: 3 4 3 2\n"
        f"space directions: none (2,0,0) (0,3,0) (0,0,4)\nkinds: {kind} domain domain domain\nencoding: raw\n"
        "space origin: (0,0,0)\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(head.encode() + array.tobytes())
    if kind == "time":
        with pytest.raises(volumes.VolumeError, match="one of its axes is time"):
            volumes.read_volume(tmp_path / "a.nrrd", 3)
        return
    np.testing.assert_array_equal(volumes.read_volume(tmp_path / "a.nrrd", 3).array, array.reshape(2, 3, 4, 3))
    if kind == "vector":
        assert volumes.read_volume(tmp_path / "a.nrrd").array.shape == (2, 3, 4, 3)
    else:
        with pytest.raises(volumes.VolumeError, match="it has 3 pictures along a fourth axis"):
            volumes.read_volume(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"ElementNumberOfChannels = 0", "its header cannot be read"),
        (b"ElementNumberOfChannels = 9", "it is cut off"),
        (b"DimSize = 4 3", "its header cannot be read"),
        (b"DimSize = 4 3 -2", "its header cannot be read"),
        (b"DimSize = 40000 40000 40000", "its header claims 64,000,000,000,000 voxels"),
        (b"ElementSpacing = 1 1", "its header cannot be read"),
        (b"ElementSpacing = 0 1 1", "its voxels have no size|its header cannot be read"),
        (b"Offset = a b c", "its header cannot be read"),
        (b"Offset = nan 0 0", "its header cannot be read"),
        (b"ElementType = MET_OTHER", "its voxels are of the kind MET_OTHER"),
    ],
)
def test_a_header_of_mha_that_cannot_be_right_is_named_and_nothing_else_is_printed(tmp_path, line, said, capfd):
    head = {
        b"NDims": b"3",
        b"BinaryData": b"True",
        b"ElementSpacing": b"1 1 1",
        b"Offset": b"0 0 0",
        b"DimSize": b"4 3 2",
        b"ElementType": b"MET_UCHAR",
    }
    key, _, value = line.partition(b" = ")
    lines = [
        b"ObjectType = Image",
        *(k + b" = " + v for k, v in {**head, key: value}.items()),
        b"ElementDataFile = LOCAL\n",
    ]
    (tmp_path / "a.mha").write_bytes(b"\n".join(lines) + bytes(24))
    with pytest.raises(volumes.VolumeError, match=rf"a\.mha cannot be used: .*({said})"):
        volumes.read_volume(tmp_path / "a.mha")
    assert capfd.readouterr() == ("", "")


def test_channels_of_several_files_are_one_volume_where_they_lie_in_one_place(tmp_path):
    place = geometry(files_of.rotated())
    arrays = [np.random.default_rng(k).integers(0, 900, SHAPE).astype(np.int16) for k in range(3)]
    turn = volumes.Turn((1, 2, 0), (True, False, True))
    paths = [tmp_path / f"case_{k:04d}.nii.gz" for k in range(3)]
    nifti.write(paths[0], arrays[0], place)
    nifti.write(paths[1], turn.apply(arrays[1]), turn.geometry(place))
    nifti.write(paths[2], arrays[2] * 0.5, place)
    volume = volumes.read_channels(paths, ["T1", "T2", "FLAIR"])
    assert volume.facts["channels"] == ("T1", "T2", "FLAIR") and volume.array.dtype == np.float32
    np.testing.assert_array_equal(volume.array, np.stack([arrays[0], arrays[1], arrays[2] * 0.5], -1))
    nifti.write(paths[1], arrays[1], geometry())
    with pytest.raises(
        volumes.VolumeError, match=r"case_0001\.nii\.gz cannot be used: it is tilted against its volume"
    ):
        volumes.read_channels(paths)


def test_leaning_axes_are_refused_in_other_formats_too(tmp_path):
    head = (
        "NRRD0004\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\n"
        "space directions: (2,0,0) (0.4,3,0) (0,0,4)\nkinds: domain domain domain\nencoding: raw\nspace origin: (0,0,0)\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(head.encode() + bytes(8))
    (tmp_path / "a.mha").write_bytes(
        b"ObjectType = Image\nNDims = 3\nBinaryData = True\nTransformMatrix = 1 0 0 0.2 0.9 0 0 0 1\nOffset = 0 0 0\n"
        b"ElementSpacing = 1 1 1\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n" + bytes(8)
    )
    for name in ("a.nrrd", "a.mha"):
        with pytest.raises(volumes.VolumeError, match="its axes are not at right angles"):
            volumes.extent_of(tmp_path / name)


@pytest.mark.parametrize("kind", [np.complex64, np.complex128])
def test_complex_numbers_are_refused(tmp_path, kind):
    import SimpleITK

    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.ones((3, 4, 5), kind)), str(tmp_path / "a.nrrd"))
    for read in (
        volumes.extent_of,
        volumes.read_volume,
        lambda path: volumes.read_volume(path, 2),
        volumes.read_labels,
    ):
        with pytest.raises(volumes.VolumeError, match=r"a\.nrrd cannot be used: its voxels are complex numbers"):
            read(tmp_path / "a.nrrd")


def test_nearly_whole_labels_are_rounded_and_others_refused(tmp_path, codes):
    place = geometry()
    for number, stored in enumerate((codes * np.float32(0.9999), (codes + 0.004).astype(np.float64))):
        path = files_of.nifti(tmp_path / f"{number}.nii", stored.transpose(2, 1, 0), sform=ras(place))
        said = []
        read, _ = volumes.read_labels(path, place, warn=said.append)
        assert read.dtype == np.uint8
        assert said == [f"{tmp_path.name}/{number}.nii: its labels are nearly whole numbers, and were rounded."]
        np.testing.assert_array_equal(read, codes)
    packed = np.array([0, 85, 170, 255], np.uint8)[codes]
    path = files_of.nifti(tmp_path / "packed.nii", packed.transpose(2, 1, 0), sform=ras(place), slope=3 / 255)
    np.testing.assert_array_equal(volumes.read_labels(path, place)[0], codes)
    many = np.arange(21, dtype=np.uint8).repeat(33).reshape(SHAPE)
    squeezed = np.rint(many * (255 / 20)).astype(np.uint8)  # as 21 floats become bytes
    path = files_of.nifti(tmp_path / "many.nii", squeezed.transpose(2, 1, 0), sform=ras(place), slope=20 / 255)
    np.testing.assert_array_equal(volumes.read_labels(path, place)[0], many)
    half = codes * np.float32(0.5)
    path = files_of.nifti(tmp_path / "half.nii", half.transpose(2, 1, 0), sform=ras(place))
    with pytest.raises(
        volumes.VolumeError, match=r"half\.nii cannot be used: [\d,]+ of its voxels are 0\.5, 1\.5, which are no labels"
    ):
        volumes.read_labels(path, place)


def test_a_mask_turned_over_is_laid_on_its_volume(tmp_path, codes):
    like = geometry()
    for direction in files_of.directions():
        if not np.isin(direction, (-1, 0, 1)).all():
            continue
        spacing = np.abs(direction.T) @ (0.8, 0.9, 3.0)
        turn = geometry(direction, spacing=spacing).turn()
        stored = turn.undo(codes)
        wide = Geometry.of(files_of.affine(spacing, (0, 0, 0), direction)[:, [2, 1, 0, 3]], stored.shape)
        moved = wide.matrix.copy()
        moved[:3, 3] = np.array(like.origin) - wide.canonical().origin
        path = files_of.nifti(
            tmp_path / "a.nii.gz", stored.transpose(2, 1, 0), sform=ras(Geometry.of(moved, stored.shape))
        )
        np.testing.assert_array_equal(volumes.read_labels(path, like)[0], codes)


def test_a_mask_elsewhere_is_refused_by_name_and_rounding_is_no_fault(tmp_path, codes):
    like = geometry()

    def stored(name, place, array=codes):
        return files_of.nifti(tmp_path / name, np.ascontiguousarray(array.transpose(2, 1, 0)), sform=ras(place))

    near = Geometry.of(like.matrix + [[0, 0, 2e-6, 1e-5], [0, 0, 0, 0], [0, 0, 0, 1e-4], [0, 0, 0, 0]], SHAPE)
    np.testing.assert_array_equal(volumes.read_labels(stored("near.nii", near), like)[0], codes)
    moved = geometry(origin=(-11 + 8 * 0.8, 7, 30))  # by whole voxels
    with pytest.raises(volumes.VolumeError, match=r"moved\.nii cannot be used: it lies 6\.4 mm away from its volume"):
        volumes.read_labels(stored("moved.nii", moved), like)
    small = geometry(shape=(7, 9, 8))
    with pytest.raises(volumes.VolumeError, match="it has 8 x 9 x 7 voxels, and its volume 11 x 9 x 7"):
        volumes.read_labels(stored("small.nii", small, codes[..., :8]), like)
    tilted = geometry(files_of.rotated())
    with pytest.raises(volumes.VolumeError, match="it is tilted against its volume"):
        volumes.read_labels(stored("tilted.nii", tilted), like)


def test_a_coarser_mask_is_refused_or_its_nearest_voxels_taken(tmp_path):
    fine = np.kron(np.random.default_rng(0).integers(0, 3, (3, 4, 5)), np.ones((2, 2, 2))).astype(np.uint8)
    like = Geometry.plain(fine.shape, (2.0, 1.0, 1.0))
    matrix = like.matrix @ np.array([[2, 0, 0, 0.5], [0, 2, 0, 0.5], [0, 0, 2, 0.5], [0, 0, 0, 1]])
    coarse = Geometry.of(matrix, (3, 4, 5))
    path = tmp_path / "a.nii.gz"
    volumes.write_labels(path, fine[::2, ::2, ::2], coarse)
    with pytest.raises(volumes.VolumeError, match="its voxels are 2 x 2 x 4 mm, and those of its volume 1 x 1 x 2 mm"):
        volumes.read_labels(path, like)
    np.testing.assert_array_equal(volumes.read_labels(path, like, resample=True)[0], fine)


def test_numbers_that_are_no_labels_of_the_list_are_refused(tmp_path, codes):
    volumes.write_labels(tmp_path / "a.nii.gz", codes, geometry())
    read, labels = volumes.read_labels(tmp_path / "a.nii.gz", None, {"liver": (1, 3), "spleen": 2, "tumour": 3})
    assert labels == {"liver": (1, 3), "spleen": (2,), "tumour": (3,)}
    np.testing.assert_array_equal(read, codes)
    with pytest.raises(
        volumes.VolumeError, match=r"a\.nii\.gz .* it has voxels of 3, and the labels are `liver`, `spleen`"
    ):
        volumes.read_labels(tmp_path / "a.nii.gz", None, {"liver": 1, "spleen": 2})


def test_a_mask_with_a_fourth_axis_is_refused(tmp_path, codes):
    path = files_of.nifti(tmp_path / "a.nii", np.stack([codes, codes], -1), sform=np.eye(4))
    with pytest.raises(volumes.VolumeError, match=r"a\.nii cannot be used: it has 2 pictures along a fourth axis"):
        volumes.read_labels(path)


# Names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1), (3, 7)])
def test_a_segment_is_known_by_its_name_whatever_its_number(tmp_path, codes, numbers):
    layer = np.array([0, *numbers, numbers[0]], np.uint8)[codes][..., None]
    segments = [{"Name": "liver", "LabelValue": numbers[0]}, {"Name": "spleen", "LabelValue": numbers[1]}]
    path = seg_nrrd(tmp_path / "a.seg.nrrd", layer, geometry(), segments)
    read, labels = volumes.read_labels(path, geometry())
    np.testing.assert_array_equal(np.isin(read, labels["liver"]), np.isin(codes, (1, 3)))
    np.testing.assert_array_equal(np.isin(read, labels["spleen"]), codes == 2)
    read, labels = volumes.read_labels(path, geometry(), {"spleen": 5, "liver": 9})
    np.testing.assert_array_equal(read, np.array([0, 9, 5, 9])[codes])
    with pytest.raises(volumes.VolumeError, match=r"a segment called `liver`, and the labels are `Liver`, `spleen`"):
        volumes.read_labels(path, geometry(), {"Liver": 1, "spleen": 2})


@pytest.mark.parametrize("old", [False, True])
def test_layers_overlap_and_each_label_has_all_its_voxels(tmp_path, codes, old):
    tumour, liver, spleen = codes == 3, np.isin(codes, (1, 3)), codes == 2
    if old:  # a layer a segment, without numbers
        layers, segments = np.stack([liver, spleen, tumour], -1), [{"Name": n} for n in ("liver", "spleen", "tumour")]
    else:
        layers = np.stack([liver + 2 * spleen, tumour], -1)
        segments = [
            {"Name": "liver", "LabelValue": 1, "Layer": 0},
            {"Name": "spleen", "LabelValue": 2, "Layer": 0},
            {"Name": "tumour", "LabelValue": 1, "Layer": 1},
        ]
    path = seg_nrrd(tmp_path / "a.seg.nrrd", layers, geometry(), segments)
    assert volumes.read_volume(path, layers.shape[3]).facts["labels"] == ["liver", "spleen", "tumour"]
    read, labels = volumes.read_labels(path)
    for name, there in (("liver", liver), ("spleen", spleen), ("tumour", tumour)):
        np.testing.assert_array_equal(np.isin(read, labels[name]), there)
    read, _ = volumes.read_labels(path, None, {"liver": (1, 3), "spleen": 2, "tumour": 3})
    np.testing.assert_array_equal(read, codes)
    with pytest.raises(volumes.VolumeError, match="its segments `liver`, `tumour` overlap"):
        volumes.read_labels(path, None, {"liver": 1, "spleen": 2, "tumour": 3})


def test_a_segmentation_of_a_part_of_the_volume_is_put_in_its_place(tmp_path, codes):
    like = geometry(files_of.rotated())
    start = np.array([1, 2, 1])
    matrix = like.matrix.copy()
    matrix[:3, 3] = like.points(start[None])[0]
    layer = codes[1:6, 2:8, 1:10]
    place = Geometry.of(matrix, layer.shape)
    segments = [{"Name": str(k), "LabelValue": k} for k in (1, 2, 3)]
    path = seg_nrrd(tmp_path / "a.seg.nrrd", layer[..., None], place, segments)
    read, _ = volumes.read_labels(path, like, {"1": 1, "2": 2, "3": 3})
    np.testing.assert_array_equal(read, codes)
    far = Geometry.of(matrix + [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 3.0], [0, 0, 0, 0]], layer.shape)
    with pytest.raises(volumes.VolumeError, match="its voxels lie between those of its volume"):
        volumes.read_labels(seg_nrrd(tmp_path / "b.seg.nrrd", layer[..., None], far, segments), like)
    matrix[:3, 3] = like.points(np.array([[5, 2, 1]]))[0]
    beyond = seg_nrrd(tmp_path / "c.seg.nrrd", layer[..., None], Geometry.of(matrix, layer.shape), segments)
    with pytest.raises(volumes.VolumeError, match=r"c\.seg\.nrrd cannot be used: it has labels outside of its volume"):
        volumes.read_labels(beyond, like)


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ([{"Name": "a", "LabelValue": 1}], "voxels of 2, which no segment of its header is"),
        ([{"Name": "a", "LabelValue": 1}, {"Name": "b", "LabelValue": 1}], "two of its segments have the same number"),
        ([{"Name": "a", "LabelValue": "one"}], "the number of its segment 0 is none"),
        ([{"Name": "a", "LabelValue": 1, "Layer": 4}], "a layer beyond its 1"),
    ],
)
def test_a_header_of_segments_that_cannot_be_right_is_named(tmp_path, codes, segments, said):
    path = seg_nrrd(tmp_path / "a.seg.nrrd", codes[..., None], geometry(), segments)
    with pytest.raises(volumes.VolumeError, match=rf"a\.seg\.nrrd cannot be used: .*{said}"):
        volumes.read_labels(path)


def test_slicers_file_keeps_names_colours_and_layers(tmp_path, codes):
    for direction in (None, files_of.rotated()):
        place = geometry(direction)
        names = {"liver": (1, 3), "spleen": 2, "tumour": (3,), "nowhere": 4}
        path = tmp_path / "a.seg.nrrd"
        volumes.write_labels(path, codes, place, names, RGB)
        image = sitk.ReadImage(str(path))
        assert image.GetNumberOfComponentsPerPixel() == 2 and image.GetSize() == SHAPE[::-1]
        np.testing.assert_allclose(image.GetOrigin(), place.origin, rtol=1e-12)
        np.testing.assert_allclose(image.GetDirection(), place.direction[:, ::-1].ravel(), atol=1e-12)
        assert image.GetMetaData("Segment2_Name") == "tumour" and image.GetMetaData("Segment2_Layer") == "1"
        found = {one.name: one for one in volumes.segments_of(path)}
        assert {name: found[name].colour for name in RGB} == RGB and found["nowhere"].colour
        read, _ = volumes.read_labels(path, place, names)
        np.testing.assert_array_equal(read, codes)


def test_a_name_cannot_write_into_the_header(tmp_path, codes):
    with pytest.raises(volumes.VolumeError, match="has a line break"):
        volumes.write_labels(tmp_path / "a.seg.nrrd", codes, geometry(), {"a\nSegment9_Name:=b": 1})
    assert not list(tmp_path.iterdir())


def test_many_labels_are_written_with_numbers_of_two_bytes(tmp_path):
    codes = np.arange(300).reshape(3, 10, 10)
    names = {f"cell {k}": k for k in range(1, 300)}
    volumes.write_labels(tmp_path / "a.seg.nrrd", codes, Geometry.plain(codes.shape), names)
    np.testing.assert_array_equal(volumes.read_labels(tmp_path / "a.seg.nrrd", None, names)[0], codes)
    volumes.write_labels(tmp_path / "a.nii.gz", codes, Geometry.plain(codes.shape))
    np.testing.assert_array_equal(volumes.read_labels(tmp_path / "a.nii.gz")[0], codes)


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("a.nii.gz", ".nii.gz"),
        ("a.NII", ".nii"),
        ("a.mhd", ".mha"),
        ("a.nrrd", ".nrrd"),
        ("a.seg.nrrd", ".nrrd"),
        ("a", ".dcm"),
    ],
)
def test_the_answer_is_in_the_format_of_its_volume(name, ending):
    assert volumes.ending_for(name) == ending


def test_without_simpleitk_the_line_says_what_to_install(tmp_path, codes, monkeypatch):
    volumes.write_labels(tmp_path / "a.mha", codes, geometry())
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(MissingExtra, match=r'a\.mha needs SimpleITK\. Run `pip install "cnnkit\[scans\]"`'):
        volumes.read_volume(tmp_path / "a.mha")
    volumes.write_labels(tmp_path / "a.seg.nrrd", codes, geometry(), {"a": (1, 2, 3)})  # needs nothing


def test_nothing_is_left_where_writing_fails(tmp_path, codes, monkeypatch):
    monkeypatch.setattr(np, "ascontiguousarray", lambda *a: (_ for _ in ()).throw(RuntimeError("killed")))
    with pytest.raises(RuntimeError, match="killed"):
        volumes.write_labels(tmp_path / "a.nii.gz", codes, geometry())
    assert not list(tmp_path.iterdir())

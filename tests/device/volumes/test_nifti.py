"""NIfTI is read as its bytes say it, and as SimpleITK reads it where that is right; what cannot be trusted is refused by name."""

import gzip
import subprocess
import sys

import numpy as np
import pytest

from cnnkit.device import volumes
from cnnkit.device.volumes import nifti
from cnnkit.device.volumes.geometry import Geometry
from tests.device.volumes import files_of

PLACE = files_of.affine(direction=files_of.rotated())


@pytest.fixture
def voxels():
    return np.random.default_rng(0).integers(-300, 3000, (7, 6, 5)).astype(np.int16)


def as_ijk(volume):
    return volume.array.transpose(2, 1, 0, 3)


def lps(geometry):
    return geometry.matrix[:, [2, 1, 0, 3]]


@pytest.mark.parametrize("kind", sorted(files_of.CODES))
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [1, 2])
def test_every_type_of_numbers_is_read(tmp_path, voxels, kind, order, version):
    stored = (voxels % 100).astype(kind)
    path = files_of.nifti(tmp_path / "a.nii", stored, qform=PLACE, sform=PLACE, order=order, version=version)
    read = volumes.read_volume(path)
    assert read.array.dtype == ("float32" if kind == "float64" else kind) and read.array.dtype.isnative
    np.testing.assert_array_equal(as_ijk(read)[..., 0], stored)
    np.testing.assert_allclose(lps(read.geometry), files_of.TO_LPS @ PLACE, atol=1e-5)


@pytest.mark.parametrize("form", ["qform", "sform", "both"])
def test_it_lies_where_simpleitk_puts_it(tmp_path, voxels, form):
    sitk = pytest.importorskip("SimpleITK")
    for direction in files_of.directions():
        place = files_of.affine(direction=direction)
        forms = {name: place for name in ("qform", "sform") if form in (name, "both")}
        path = files_of.nifti(tmp_path / "a.nii.gz", voxels, **forms)
        image = sitk.ReadImage(str(path))
        geometry, channels = volumes.extent_of(path)
        assert channels == 1 and geometry.shape == (5, 6, 7)
        np.testing.assert_allclose(lps(geometry), files_of.TO_LPS @ place, atol=2e-5)
        np.testing.assert_allclose(geometry.spacing, image.GetSpacing()[::-1], rtol=1e-6)
        np.testing.assert_allclose(geometry.origin, image.GetOrigin(), atol=1e-5)
        np.testing.assert_allclose(geometry.direction[:, ::-1].ravel(), image.GetDirection(), atol=1e-5)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_round_trip_keeps_every_voxel_in_its_place(tmp_path, voxels, name):
    sitk = pytest.importorskip("SimpleITK")
    for number, direction in enumerate(files_of.directions()):
        first = files_of.nifti(tmp_path / f"in_{name}", voxels, sform=files_of.affine(direction=direction))
        volume = volumes.read_volume(first)
        nifti.write(tmp_path / name, volume.array, volume.geometry)
        again = volumes.read_volume(tmp_path / name)
        np.testing.assert_array_equal(again.array, volume.array)
        np.testing.assert_allclose(again.geometry.matrix, volume.geometry.matrix, atol=1e-6)
        if number % 7 == 0:
            one, other = sitk.ReadImage(str(first)), sitk.ReadImage(str(tmp_path / name))
            np.testing.assert_array_equal(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(other))
            np.testing.assert_allclose(one.GetDirection(), other.GetDirection(), atol=1e-6)
            np.testing.assert_allclose(one.GetOrigin(), other.GetOrigin(), atol=1e-5)
            np.testing.assert_allclose(one.GetSpacing(), other.GetSpacing(), rtol=1e-6)


def test_both_forms_are_written_and_agree(tmp_path, voxels):
    sitk = pytest.importorskip("SimpleITK")
    geometry = Geometry.of(files_of.TO_LPS @ PLACE[:, [2, 1, 0, 3]], (5, 6, 7))
    nifti.write(tmp_path / "a.nii", voxels.transpose(2, 1, 0), geometry)
    image = sitk.ReadImage(str(tmp_path / "a.nii"))
    assert image.GetMetaData("qform_code") == "1" and image.GetMetaData("sform_code") == "1"
    head = nifti.read_header(tmp_path / "a.nii")
    assert head.forms == (1, 1) and head.geometry.same(geometry, 1e-4)


def test_channels_are_written_as_values_of_a_voxel_and_read_without_being_named(tmp_path, voxels):
    array = np.stack([voxels, voxels + 1, voxels + 2], -1).transpose(2, 1, 0, 3)
    nifti.write(tmp_path / "a.nii.gz", array, Geometry.plain((5, 6, 7)))
    np.testing.assert_array_equal(volumes.read_volume(tmp_path / "a.nii.gz").array, array)


def test_the_header_is_scaled_to_whole_numbers_or_fractions(tmp_path, voxels):
    whole = volumes.read_volume(files_of.nifti(tmp_path / "a.nii", voxels, sform=PLACE, slope=2.0, inter=-1024.0))
    assert whole.array.dtype == np.int16
    np.testing.assert_array_equal(as_ijk(whole)[..., 0], voxels * 2 - 1024)
    parts = volumes.read_volume(files_of.nifti(tmp_path / "b.nii", voxels, sform=PLACE, slope=0.25, inter=0.5))
    assert parts.array.dtype == np.float32
    np.testing.assert_allclose(as_ijk(parts)[..., 0], voxels * 0.25 + 0.5, rtol=1e-6)
    large = volumes.read_volume(files_of.nifti(tmp_path / "c.nii", voxels, sform=PLACE, slope=1000.0))
    assert large.array.dtype == np.int32


@pytest.mark.parametrize("slope", [0.0, float("nan"), float("inf")])
def test_a_slope_that_means_nothing_scales_nothing(tmp_path, voxels, slope):
    path = files_of.nifti(tmp_path / "a.nii", voxels, sform=PLACE, slope=slope, inter=7.0)
    np.testing.assert_array_equal(as_ijk(volumes.read_volume(path))[..., 0], voxels)


@pytest.mark.parametrize(("units", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (10, 1)])
def test_units_of_length_are_millimetres_then(tmp_path, voxels, units, factor):
    for forms in ({"qform": PLACE}, {"sform": PLACE}, {"qform": PLACE, "sform": PLACE}):
        geometry, _ = volumes.extent_of(files_of.nifti(tmp_path / "a.nii", voxels, units=units, **forms))
        np.testing.assert_allclose(geometry.spacing, np.array((3.0, 0.9, 0.8)) * factor, rtol=1e-5)
        np.testing.assert_allclose(geometry.origin, np.array((11.0, -7.0, 30.0)) * factor, rtol=1e-5)


def test_forms_that_agree_but_for_rounding_are_taken_and_others_refused(tmp_path, voxels):
    near = PLACE + 1e-4 * np.random.default_rng(1).random((4, 4))
    near[3] = PLACE[3]
    volumes.extent_of(files_of.nifti(tmp_path / "near.nii", voxels, qform=PLACE, sform=near))
    mirrored = PLACE.copy()
    mirrored[0] *= -1
    moved, turned = PLACE.copy(), PLACE.copy()
    moved[2, 3] += 1.5
    turned[:3, :3] = files_of.rotated((0.0, 0.0, 0.05)) @ turned[:3, :3]
    for other in (mirrored, moved, turned):
        path = files_of.nifti(tmp_path / "far.nii.gz", voxels, qform=PLACE, sform=other)
        with pytest.raises(
            volumes.VolumeError, match=r"far\.nii\.gz cannot be used: its two forms .* tell of places .* mm apart"
        ):
            volumes.read_volume(path)


def test_two_forms_that_differ_along_a_side_of_one_voxel_alone_quarrel_too(tmp_path, voxels):
    other = PLACE.copy()
    other[:3, 2] *= -1
    with pytest.raises(volumes.VolumeError, match="its two forms"):
        volumes.extent_of(files_of.nifti(tmp_path / "a.nii", voxels[:, :, :1], qform=PLACE, sform=other))


def test_axes_that_are_not_at_right_angles_are_refused(tmp_path, voxels):
    sheared = PLACE @ np.array([[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    with pytest.raises(volumes.VolumeError, match=r"a\.nii cannot be used: its axes are not at right angles"):
        volumes.read_volume(files_of.nifti(tmp_path / "a.nii", voxels, sform=sheared))


def test_a_spacing_that_the_sform_denies_is_refused(tmp_path, voxels):
    with pytest.raises(volumes.VolumeError, match="its voxels are 1 x 1 x 1 mm, and by its sform 0.8 x 0.9 x 3 mm"):
        volumes.read_volume(files_of.nifti(tmp_path / "a.nii", voxels, sform=PLACE, size=(1, 1, 1)))


def test_without_either_form_it_is_said_that_it_is_not_placed(tmp_path, voxels):
    sitk = pytest.importorskip("SimpleITK")
    path = files_of.nifti(tmp_path / "a.nii", voxels, size=(1, 2, 3))
    volume = volumes.read_volume(path)
    assert volume.facts["oriented"] is False and volume.geometry.spacing == (3, 2, 1)
    np.testing.assert_array_equal(volume.geometry.direction[:, ::-1].ravel(), sitk.ReadImage(str(path)).GetDirection())


def test_a_fourth_axis_is_channels_only_where_it_is_told(tmp_path, voxels):
    several = np.stack([voxels, voxels + 1, voxels + 2], -1)
    path = files_of.nifti(tmp_path / "a.nii", several, sform=PLACE, units=10)
    assert volumes.extent_of(path)[1] == 3
    np.testing.assert_array_equal(as_ijk(volumes.read_volume(path, ["T1", "T2", "FLAIR"])), several)
    np.testing.assert_array_equal(as_ijk(volumes.read_volume(path, 3)), several)
    with pytest.raises(
        volumes.VolumeError, match=r"a\.nii .* it has 3 pictures along a fourth axis where 1 \(MR\) is due"
    ):
        volumes.read_volume(path, ["MR"])
    with pytest.raises(volumes.VolumeError, match=r"its fourth axis is time \(3 pictures\)"):
        volumes.read_volume(path)
    with pytest.raises(volumes.VolumeError, match="it has 3 pictures along a fourth axis"):
        volumes.read_volume(files_of.nifti(tmp_path / "b.nii", several, sform=PLACE))
    single = volumes.read_volume(files_of.nifti(tmp_path / "c.nii", several[..., :1], sform=PLACE, units=10))
    assert single.array.shape == (5, 6, 7, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_named(tmp_path, voxels, bad):
    floats = voxels.astype(np.float32)
    floats[3, 2, 1] = bad
    with pytest.raises(volumes.VolumeError, match=r"a\.nii cannot be used: 1 of its values are NaN or infinite"):
        volumes.read_volume(files_of.nifti(tmp_path / "a.nii", floats, sform=PLACE))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("cut", [0, 3, 200, 400])
def test_a_file_that_is_cut_off_is_named(tmp_path, voxels, name, cut):
    path = files_of.nifti(tmp_path / name, voxels, sform=PLACE, cut=cut)
    with pytest.raises(volumes.VolumeError, match=r"a\.nii(\.gz)? cannot be used: "):
        volumes.read_volume(path)


def test_damage_inside_a_packed_file_is_named(tmp_path, voxels):
    path = files_of.nifti(tmp_path / "a.nii.gz", voxels, sform=PLACE)
    data = bytearray(path.read_bytes())
    data[-6] ^= 0xFF  # of the checksum
    path.write_bytes(data)
    with pytest.raises(volumes.VolumeError, match="it is damaged"):
        volumes.read_volume(path)


def test_a_file_packed_in_parts_is_read(tmp_path, voxels):
    plain = files_of.nifti(tmp_path / "a.nii", voxels, sform=PLACE).read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(b"".join(gzip.compress(plain[k : k + 150]) for k in range(0, len(plain), 150)))
    np.testing.assert_array_equal(as_ijk(volumes.read_volume(tmp_path / "b.nii.gz"))[..., 0], voxels)


def test_a_header_that_claims_more_than_the_file_can_hold_sets_nothing_aside(tmp_path, voxels):
    for name in ("a.nii", "a.nii.gz"):
        path = files_of.nifti(tmp_path / name, voxels, sform=PLACE, dim=[3, 1200, 1200, 1200, 1, 1, 1, 1])
        with pytest.raises(volumes.VolumeError, match="it is cut off"):
            volumes.extent_of(path)
    path = files_of.nifti(tmp_path / "b.nii", voxels, sform=PLACE, dim=[3, 32000, 32000, 32000, 1, 1, 1, 1])
    with pytest.raises(volumes.VolumeError, match="its header claims 32,768,000,000,000 voxels"):
        volumes.extent_of(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dim": [0] * 8}, "sides that cannot be"),
        ({"dim": [3, 7, -6, 5, 1, 1, 1, 1]}, "sides that cannot be"),
        ({"dim": [6, 7, 1, 1, 1, 1, 30, 1]}, "it has 6 axes"),
        ({"vox_offset": -5}, "a wrong place of the first voxel"),
        ({"vox_offset": float("nan")}, "a wrong place of the first voxel"),
        ({"magic": b"ni1\0"}, "half of a pair"),
        ({"magic": b"\0\0\0\0"}, "Analyze"),
        ({"sform": np.full((4, 4), np.nan)}, "where it lies is not a number"),
        ({"sform": np.zeros((4, 4))}, "its sform has no volume"),
        ({"slope": 1.0, "inter": float("nan")}, "intercept"),
    ],
)
def test_a_header_that_cannot_be_right_is_named(tmp_path, voxels, change, said):
    path = files_of.nifti(tmp_path / "a.nii", voxels, **{"sform": PLACE, "qform": None, "size": (1, 1, 1), **change})
    with pytest.raises(volumes.VolumeError, match=said):
        volumes.read_volume(path)


def test_what_an_archive_of_macos_leaves_is_no_volume(tmp_path, voxels):
    assert volumes.is_volume(files_of.nifti(tmp_path / "a.nii.gz", voxels, sform=PLACE))
    (tmp_path / "._a.nii.gz").write_bytes(b"\0\5\x16\7" + bytes(200))
    assert not volumes.is_volume(tmp_path / "._a.nii.gz") and not volumes.is_volume(tmp_path / "none.nii")


def test_damage_anywhere_ends_in_an_array_or_one_line(tmp_path, voxels):
    rng = np.random.default_rng(0)
    for name in ("a.nii", "a.nii.gz"):
        path = files_of.nifti(tmp_path / name, voxels, qform=PLACE, sform=PLACE)
        whole = path.read_bytes()
        for _ in range(150):
            data = bytearray(whole)
            for place in rng.integers(0, min(len(data), 400), 2):
                data[place] = rng.integers(0, 256)
            path.write_bytes(data)
            try:
                assert volumes.read_volume(path).array.ndim == 4
            except volumes.VolumeError as error:
                assert "\n" not in str(error)


def test_it_is_read_without_any_package_but_numpy(tmp_path, voxels):
    path = files_of.nifti(tmp_path / "a.nii.gz", voxels, sform=PLACE)
    code = (
        "import sys; from cnnkit.device import volumes; volumes.read_volume(sys.argv[1]);"
        "print(sorted({'SimpleITK', 'pydicom', 'highdicom', 'cv2', 'tensorflow', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Volumes with masks: how they are read, seen, moved, scored and answered."""

import dataclasses
import itertools
import json
import shutil

import cv2
import numpy as np
import pytest

from cnnkit import kinds
from cnnkit.data.reading import Request
from cnnkit.device.drawing import colour
from cnnkit.device.segmentation import (
    ALIKE,
    AS_IS,
    EACH,
    Plan,
    cleaned,
    extent_at,
    extent_of,
    pieces_of,
    scores,
    segment,
)
from cnnkit.device.volumes.labels import read_labels, write_labels
from cnnkit.device.volumes.nifti import write
from cnnkit.device.windows import gaussian, held_least, starts, there
from cnnkit.errors import ConfigError, DataError
from cnnkit.evaluation.artifacts import KerasArtifact
from cnnkit.reporter import SILENT
from cnnkit.tasks.segmentation import records as segmentation_records
from cnnkit.tasks.segmentation import report
from cnnkit.tasks.segmentation.images import Masked
from cnnkit.tasks.segmentation.loading import load
from cnnkit.tasks.segmentation.masks import IGNORE
from cnnkit.tasks.segmentation.measures import case_measures
from cnnkit.tasks.segmentation.volumes import cache, readers, sheets
from cnnkit.tasks.segmentation.volumes.fingerprint import choose, levels, measure
from cnnkit.tasks.segmentation.volumes.records import VolumeRecords
from cnnkit.tasks.segmentation.volumes.views import VolumeViews
from tests.tasks.segmentation.volumes.small_volumes import NAMES, SHAPE, folder, geometry, pair


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("volumes") / "data")


@pytest.fixture(scope="module")
def splits(data):
    return load(str(data), validation=0.2, test=0.2)


def part(root, **options):
    return readers.VOLUMES.read(Request(root, {"path": ".", "split": "train"}, options))


# Reading --------------------------------------------------------------------------------------------------------------


def test_volumes_are_found_and_read_in_their_place(splits):
    train = splits.train
    assert isinstance(train, VolumeRecords) and len(train) + len(splits.validation) + len(splits.test) == 6
    assert train.native(0).shape == (*SHAPE, 1) and train.spacing(0) == (2.0, 1.0, 1.0)
    assert set(np.unique(train.mask(0))) == {0, 1, 2}
    assert any("Voxels of 2x1x1 mm: all volumes have these" in line for line in splits.card["notes"])


def test_axes_are_exchanged_so_that_all_lie_alike(tmp_path, data):
    plain, turned = part(data), part(folder(tmp_path / "turned", turned=True))
    for index in range(6):
        assert (plain.images.native(index) == turned.images.native(index)).all()
        assert (plain.more.native(index) == turned.more.native(index)).all()
        assert plain.images.spacing(index) == pytest.approx(turned.images.spacing(index))


def test_masks_are_read_by_the_names_of_their_segments(tmp_path):
    """Where the same label has another value in each file."""
    root = folder(tmp_path / "named", count=3)
    for seed, values in enumerate(({"ball": 1, "box": 2}, {"ball": 2, "box": 1}, {"box": 7, "ball": 5})):
        (root / "masks" / f"case{seed:02}.nii.gz").unlink()
        codes = pair(seed)[1]
        own = np.zeros_like(codes)
        for label, value in values.items():
            own[codes == NAMES[label]] = value
        write_labels(root / "masks" / f"case{seed:02}.seg.nrrd", own, geometry(), values)
    found = part(root)
    ball = found.names.index("ball") + 1
    for index in range(3):
        assert ((found.more.native(index) == ball) == (pair(index)[1] == 1)).all()


def test_segments_that_overlap_are_regions(tmp_path):
    root = folder(tmp_path / "overlapping", count=2)
    for seed in range(2):
        (root / "masks" / f"case{seed:02}.nii.gz").unlink()
        codes = pair(seed)[1]
        codes[2:4, 2:4, 2:4] = 3
        names = {"whole": (1, 2, 3), "core": (3,)}
        write_labels(root / "masks" / f"case{seed:02}.seg.nrrd", codes, geometry(), names)
    found = part(root)
    whole, core = (found.more.regions[found.names.index(label)] for label in ("whole", "core"))
    mask = found.more.native(0)
    assert np.isin(mask, core).sum() == 8 and np.isin(mask, whole).sum() == 8 + (pair(0)[1] > 0).sum()


def test_names_of_formats_are_no_part_of_a_name(tmp_path):
    root = folder(tmp_path / "formats", count=3)
    (root / "masks" / "case01.nii.gz").unlink()
    write_labels(root / "masks" / "case01.mha", pair(1)[1], geometry())
    found = part(root)
    assert len(found.images) == 3 and not found.bad


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("elsewhere", "case01.nii.gz"),
        ("fraction", "1.5"),
        ("nan", "NaN"),
        ("missing", "it has no mask"),
        ("cut", "case01"),
    ],
)
def test_what_cannot_be_trusted_is_named_and_the_others_used(tmp_path, spoil, said):
    root = folder(tmp_path / "bad", count=3)
    volume, mask = (root / kind / "case01.nii.gz" for kind in ("images", "masks"))
    grey, codes = pair(1)
    if spoil == "elsewhere":
        matrix = geometry().matrix.copy()
        matrix[0, 3] += 40
        write(mask, codes, dataclasses.replace(geometry(), affine=tuple(map(tuple, matrix.tolist()))))
    elif spoil == "fraction":
        write(mask, np.where(codes == 1, np.float32(1.5), codes).astype(np.float32), geometry())
    elif spoil == "nan":
        grey[3, 3, 3] = np.nan
        write(volume, grey, geometry())
    elif spoil == "missing":
        mask.unlink()
    else:
        volume.write_bytes(volume.read_bytes()[:200])
    found = readers.VOLUMES.read(Request(root, {"path": ".", "split": "train"}, {}, verify=True))
    assert len(found.images) == 2
    assert any(said in f"{name} {reason}" for name, reason in found.bad), found.bad
    with pytest.raises(DataError, match="case01"):
        load(str(root)) if spoil != "nan" else load(str(root)).train.read(np.arange(2))


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
def test_labels_that_are_rounded_are_said(tmp_path, ending):
    pytest.importorskip("SimpleITK")
    root = folder(tmp_path / "data", count=3)
    (root / "masks" / "case01.nii.gz").unlink()
    near = (pair(1)[1] * np.float32(0.996)).astype(np.float32)
    if ending == ".nii.gz":
        write(root / "masks" / "case01.nii.gz", near, geometry())
    else:
        from cnnkit.device.volumes import simpleitk

        simpleitk.write(root / "masks" / f"case01{ending}", near, geometry())
    found = part(root)
    (row,) = found.entries
    assert (row.what, row.reason) == ("masks", "whose values were nearly whole: rounded")
    assert row.examples == (f"masks/case01{ending}",)
    assert np.array_equal(np.unique(found.more.native(1)), [0, 1, 2])


@pytest.mark.parametrize("value", [np.int16(-1000), np.float32(0.5), np.uint8(0)])
def test_a_volume_without_contrast_is_named_wherever_it_is_read(tmp_path, value):
    from cnnkit.reporter import SILENT
    from cnnkit.tasks.segmentation.volumes.drawn import opened

    root = folder(tmp_path / "data", count=3)
    path = root / "images" / "case01.nii.gz"
    write(path, np.full(SHAPE, value), geometry())
    said = f"case01.nii.gz cannot be used: every voxel of it is {value:g}. "
    for read in (lambda: load(root, whole=True), lambda: opened(path, [path], 1, SILENT)):
        with pytest.raises(DataError, match=said):
            read()
    assert len(load(root, whole=True, skip_bad=True).train) == 2


def test_a_picture_in_the_place_of_a_mask_is_named_and_the_others_used(tmp_path):
    root = folder(tmp_path / "data", count=3)
    write(root / "masks" / "case01.nii.gz", np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE), geometry())
    with pytest.raises(DataError, match=r"masks/case01.nii.gz \(it has 3,456 different values, and a mask has 254"):
        load(root, whole=True)
    found = load(root, whole=True, skip_bad=True)
    assert len(found.train) == 2 and found.train.label_names == ("1", "2")


def test_where_nothing_can_be_used_one_line_says_why_and_what_to_do(tmp_path):
    root = folder(tmp_path / "data", count=1)
    write(root / "masks" / "case00.nii.gz", pair(0)[1] + np.float32(0.5), geometry())
    with pytest.raises(DataError, match=r"masks/case00.nii.gz \(.* are 0.5, .*\)\. Repair or replace them\.$"):
        part(root)
    shutil.copytree(root, tmp_path / "two")
    for kind in ("images", "masks"):
        shutil.copy(root / kind / "case00.nii.gz", tmp_path / "two" / kind / "case01.nii.gz")
    with pytest.raises(DataError, match=r"\) and 1 more\. Repair"):
        part(tmp_path / "two")


def test_nnunets_and_the_decathlons_layouts(tmp_path):
    root = tmp_path / "Task1"
    plain = folder(tmp_path / "plain", count=3)
    for old, new in (("images", "imagesTr"), ("masks", "labelsTr")):
        (root / new).mkdir(parents=True)
        for file in (plain / old).iterdir():
            (root / new / file.name).write_bytes(file.read_bytes())
    table = {"labels": {"0": "background", "1": "ball", "2": "box"}, "modality": {"0": "MRI"}}
    listed = [{"image": f"./imagesTr/case{k:02}.nii.gz", "label": f"./labelsTr/case{k:02}.nii.gz"} for k in range(3)]
    (root / "dataset.json").write_text(json.dumps({**table, "training": listed}))
    found = readers.NNUNET_VOLUMES.read(Request(root, {"path": ".", "split": "train"}, {}))
    assert found.names == ("ball", "box") and len(found.images) == 3
    for file in (root / "imagesTr").iterdir():
        file.rename(file.with_name(file.name.replace(".nii.gz", "_0000.nii.gz")))
    table = {"labels": {"background": 0, "ball": 1, "box": 2}, "channel_names": {"0": "T1"}, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(table))
    again = readers.NNUNET_VOLUMES.read(Request(root, {"path": ".", "split": "train"}, {}))
    assert again.names == ("ball", "box") and (again.more.native(1) == found.more.native(1)).all()


# Seeing ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def on_disk(tmp_path, monkeypatch):
    """Records that are too many for memory, and where they are cached."""
    monkeypatch.setattr(segmentation_records, "KEPT", 0)
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
    root = folder(tmp_path / "PATIENT_MILLER", count=3)
    return root, tmp_path / "cache" / "volumes"


def opened(root, **options):
    return load(str(root), validation=0, test=0, **options).train


def test_what_does_not_fit_into_memory_is_made_once_and_mapped(on_disk, data, monkeypatch):
    root, where = on_disk
    first = opened(root)
    seen = [first.seen(index) for index in range(3)]
    for index, (volume, mask) in enumerate(seen):
        fresh = first._seen(index)
        assert (volume == fresh[0]).all() and (mask == fresh[1]).all() and not volume.flags.writeable
    assert len(list(where.iterdir())) == 6
    assert not any("MILLER" in file.name or "case" in file.name for file in where.iterdir())
    again = opened(root)
    monkeypatch.setattr(VolumeRecords, "_seen", None)  # the source is not read again
    assert all((again.seen(k)[0] == seen[k][0]).all() for k in range(3))
    VolumeViews(again, seed=0)(np.arange(3), 1)


def test_another_plan_or_content_is_another_entry(on_disk):
    root, where = on_disk
    opened(root).seen(0)
    opened(root, values=ALIKE).seen(0)
    assert len(list(where.iterdir())) == 4
    own = opened(root)
    name = own._source.cases[int(own._index[0])].pictures[0]
    grey = pair(9)[0]
    write(root / name, grey, geometry())
    assert opened(root).seen(0)[0].mean() > 0 and len(list(where.iterdir())) == 6


def test_a_broken_entry_is_made_anew(on_disk):
    root, where = on_disk
    expected = np.array(opened(root).seen(1)[0])
    for file in where.iterdir():
        file.write_bytes(file.read_bytes()[:150])
    assert (opened(root).seen(1)[0] == expected).all()
    for file in where.iterdir():
        file.write_bytes(b"")
    assert (opened(root).seen(1)[0] == expected).all()


def test_the_oldest_entries_go_and_a_cache_that_cannot_be_written_stops_nothing(on_disk, monkeypatch):
    root, where = on_disk
    one = sum(array.nbytes + 128 for array in opened(root).seen(0))
    monkeypatch.setattr(cache, "MOST", int(2.5 * one))
    records = opened(root)
    for index in range(3):
        records.seen(index)
    assert sum(file.stat().st_size for file in where.iterdir()) <= 2.5 * one
    for file in where.iterdir():
        file.unlink()
    where.rmdir()
    where.write_text("a file where the folder would be")
    assert opened(root).seen(0)[0].shape == (*SHAPE, 1)


def test_windows_are_whole_volumes_where_these_are_small(splits):
    train = splits.train
    assert train.input_shape == (12, 24, 16, 1)  # slices twice as thick are halved less often
    volumes, codes = train.read(np.arange(len(train)))
    assert volumes.dtype == np.float32 and 0 <= volumes.min() < volumes.max() <= 255
    assert (codes[:, : SHAPE[0], : SHAPE[1], : SHAPE[2]] == np.stack([train.mask(k) for k in range(len(train))])).all()
    again = train.read(np.arange(len(train)))
    assert (again[0] == volumes).all() and (again[1] == codes).all()


def test_views_are_a_function_of_seed_and_step(splits):
    train = splits.train
    views, other = VolumeViews(train, seed=1), VolumeViews(train, seed=2)
    first, codes = views(np.array([0, 1]), 5)
    assert (views(np.array([0, 1]), 5)[0] == first).all()
    assert not (views(np.array([0, 1]), 6)[0] == first).all() and not (other(np.array([0, 1]), 5)[0] == first).all()
    assert set(np.unique(codes)) <= {0, 1, 2} and 0 <= first.min() <= first.max() <= 255


def test_a_mask_moves_with_its_volume(splits):
    """In a volume that is its own mask, what is bright is what is marked, however it was turned."""
    train = splits.train

    class Marked:
        label_names, input_shape, plan = train.label_names, train.input_shape, train.plan

        @staticmethod
        def seen(index):
            mask = train.seen(index)[1]
            return (100.0 * mask[..., None]).astype(np.float32), mask

        point = train.point

    views = VolumeViews(Marked, 0, rotation=20, flips=(0, 1, 2), gamma=0, contrast=0, light=0, often=0)
    for step in range(4):
        volumes, codes = views(np.array([0, 1]), step)
        sure = np.abs(volumes[..., 0] / 100 - np.rint(volumes[..., 0] / 100)) < 0.02
        assert sure.mean() > 0.5
        agree = (np.rint(volumes[..., 0] / 100) == codes)[sure]
        assert agree.mean() > 0.995


def test_left_and_right_are_exchanged_where_a_view_is_mirrored(splits):
    train = splits.train

    class Sided:
        label_names, input_shape, plan = ("left ball", "right ball"), train.input_shape, train.plan
        seen, point = train.seen, train.point

    views = VolumeViews(Sided, 0, rotation=0, zoom=0, elastic=0, flips=(2,))
    moved = [views(np.array([0]), step)[1][0] for step in range(8)]
    still = train.seen(0)[1]
    left = np.argwhere(still == 1)[:, 2].mean() < np.argwhere(still == 2)[:, 2].mean()
    for codes in moved:  # mirrored or not, the left one lies left
        assert (np.argwhere(codes == 1)[:, 2].mean() < np.argwhere(codes == 2)[:, 2].mean()) == left


def test_other_sizes_of_voxels_are_resampled(tmp_path, data):
    mixed = folder(tmp_path / "mixed", count=5)
    grey, codes = pair(0)
    write(mixed / "images" / "case00.nii.gz", grey.repeat(2, 0), geometry((24, 18, 16), (1.0, 1.0, 1.0)))
    write_labels(mixed / "masks" / "case00.nii.gz", codes.repeat(2, 0), geometry((24, 18, 16), (1.0, 1.0, 1.0)))
    found = load(str(mixed), validation=0, test=0).train
    assert found.plan.voxel == (2.0, 1.0, 1.0)
    assert len(found.plan.lengths) == 3 and found.plan.lengths[0] <= found.plan.lengths[2], "mm"
    sizes = {found.seen(index)[1].shape for index in range(len(found))}
    assert sizes == {SHAPE}
    index = next(k for k in range(len(found)) if found.spacing(k)[0] == 1.0)
    assert (found.seen(index)[1] == codes).all()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"objects": True}, "objects"),
        ({"patches": False}, "never shrunk"),
        ({"image_size": 20}, "of volumes of 8"),
    ],
)
def test_what_means_nothing_for_volumes_is_refused(data, how, said):
    with pytest.raises(ConfigError, match=said):
        load(str(data), **how)


def test_hounsfield_units_are_stretched_alike(tmp_path):
    root = folder(tmp_path / "ct", count=4)
    for file in (root / "images").iterdir():
        seed = int(file.name[4:6])
        write(file, (pair(seed)[0] * 10 - 1200).astype(np.int16), geometry())
    plan = load(str(root), validation=0, test=0).train.plan
    assert plan.values == ALIKE and plan.low[0] < plan.high[0]
    assert load(str(folder(tmp_path / "mr")), validation=0, test=0).train.plan.values == EACH


def test_a_window_of_a_whole_volume_is_no_larger_than_it_for_rounding(splits):
    """48 voxels of 3.1744 mm, divided by 3.1744 mm, are a little more than 48."""
    facts = dataclasses.replace(measure(splits.train), sides=(24, 40, 48))
    for size in np.linspace(3.1, 3.5, 30).tolist():
        spacing = (1.2 * size, size, size)
        found = choose(dataclasses.replace(facts, spacing=spacing), 4, splits.train.regions)
        assert found.shape == (24, 40, 48, 1), size
        assert "Input: 24x40x48 voxels: a whole volume." in found.why, size


def test_an_app_of_the_kind_takes_volumes(splits):
    recipe = kinds.image_segmentation.recipe(app="balls", data="balls", builders={})
    fitted = recipe.fitting(recipe, splits)
    assert fitted.inputs.kind == "volume"
    settings = fitted.Settings(batch_size=2)
    volumes, codes = fitted.views(splits.train, settings)(np.arange(2), 0)
    assert volumes.shape == (2, *splits.train.input_shape) and codes.shape == volumes.shape[:-1]


def test_a_thick_axis_is_spared():
    assert levels((40, 56, 40), (1.0, 1.0, 1.0)) == (((2, 2, 2),) * 3, ((3, 3, 3),) * 4)
    strides, kernels = levels((24, 64, 64), (5.0, 1.0, 1.0))
    assert strides == ((1, 2, 2), (1, 2, 2), (2, 2, 2))
    assert kernels == ((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3))
    strides, kernels = levels((3, 64, 64), (20.0, 1.0, 1.0))  # slices on their own
    assert {stride[0] for stride in strides} == {kernel[0] for kernel in kernels} == {1}


def test_a_thick_axis_needs_few_slices(tmp_path):
    root = tmp_path / "thick"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    own = geometry((6, 18, 16), (8.0, 1.0, 1.0))
    for seed in range(4):
        grey, codes = pair(seed)
        write(root / "images" / f"case{seed:02}.nii.gz", grey[::2], own)
        write_labels(root / "masks" / f"case{seed:02}.nii.gz", codes[::2], own)
    found = load(str(root), validation=0, test=0)
    assert found.train.input_shape[0] == 6
    assert any("8.0 times as long as wide" in line for line in found.card["notes"])


# Answering ------------------------------------------------------------------------------------------------------------


class Bright:
    """Answers by value: the ball is bright, the box dark."""

    input_shape, labels, metadata = (8, 8, 8, 1), ("ball", "box"), {}

    def run_batch(self, seen):
        grey = seen[..., 0] / 255
        scores = np.stack([0.4 + 0 * grey, (grey > 0.8) * 1.0, (grey < 0.12) * 1.0], -1).astype(np.float32)
        return {"scores": scores}


def test_a_volume_is_answered_through_windows_at_its_own_size():
    grey, codes = pair(3)
    plan = Plan(scale=1.0, values=EACH, voxel=(2.0, 1.0, 1.0))
    found = segment(Bright(), grey[..., None], plan, Bright.labels, spacing=(2.0, 1.0, 1.0))
    assert found.shape == SHAPE and found.dtype == np.uint8
    assert (found == codes).mean() > 0.98
    fine = grey.repeat(2, 0)
    again = segment(Bright(), fine[..., None], plan, Bright.labels, spacing=(1.0, 1.0, 1.0))
    assert again.shape == fine.shape and (again == codes.repeat(2, 0)).mean() > 0.96


def test_windows_of_a_volume_are_blended_alike_along_whichever_axes_they_follow():
    """A model that answers otherwise in each place of its window: each voxel is the mean over windows, by their weights."""
    sides, extent, rng = (8, 6, 10), (11, 9, 32), np.random.default_rng(4)
    said = rng.random((*sides, 2)).astype(np.float32)

    class Placed:
        input_shape = (*sides, 1)

        def run_batch(self, seen):
            return {"scores": said + seen}

    volume = rng.integers(0, 256, (*extent, 1)).astype(np.int16)
    plan = Plan(scale=1.0, values=AS_IS, voxel=(1.0, 1.0, 1.0))
    sums, total, weights = np.zeros((*extent, 2)), np.zeros((*extent, 1)), gaussian(sides)[..., None]
    for place in itertools.product(*(starts(length, side) for length, side in zip(extent, sides))):
        own = there(place, said)
        sums[own] += weights * (said + volume[own])
        total[own] += weights
    assert held_least(extent, sides) != (0, 1, 2)
    found = np.full((*extent, 2), np.nan)
    for place, block in scores(Placed(), volume, plan, spacing=(1.0, 1.0, 1.0)):
        found[there(place, block)] = block
    assert np.abs(found - sums / total).max() < 1e-4  # of values up to 256


def test_a_volume_without_sizes_of_voxels_is_refused():
    with pytest.raises(ValueError, match="how large its voxels are"):
        extent_at((4, 4, 4), None, Plan(voxel=(1.0, 1.0, 1.0)))


def test_pieces_touch_at_corners_across_slices():
    plane = np.zeros((4, 5, 5), np.uint8)
    plane[0, 0, 0] = plane[1, 1, 1] = plane[2, 2, 2] = 1  # a diagonal
    plane[0, 4, 4] = plane[2, 4, 4] = 1  # a slice between them
    pieces = pieces_of(plane)
    assert pieces.max() == 3 and len({int(pieces[k, k, k]) for k in range(3)}) == 1
    assert pieces[0, 4, 4] != pieces[2, 4, 4]
    from scipy import ndimage

    noise = (np.random.default_rng(0).random((7, 9, 8)) < 0.2).astype(np.uint8)
    expected, count = ndimage.label(noise, np.ones((3, 3, 3)))
    found = pieces_of(noise)
    assert found.max() == count
    assert extent_of(noise, (1,)) == (noise.sum(), count)
    assert len(set(zip(found[noise > 0].tolist(), expected[noise > 0].tolist(), strict=True))) == count


def test_all_but_the_largest_piece_are_left_out():
    codes = np.zeros((4, 6, 6), np.uint8)
    codes[1:3, 1:4, 1:4] = 1
    codes[3, 5, 5] = 1
    kept = cleaned(codes, Plan(largest=("ball",), voxel=(1.0, 1.0, 1.0)), ("ball",))
    assert kept.sum() == 18 and kept[3, 5, 5] == 0 and codes[3, 5, 5] == 1


# Scoring --------------------------------------------------------------------------------------------------------------


def test_distances_are_in_mm_along_thick_slices():
    truth, answer = np.zeros((2, 6, 10, 10), np.uint8)
    truth[1:3, 2:8, 2:8] = 1
    answer[2:4, 2:8, 2:8] = 1  # a slice higher
    case = case_measures(answer, truth, ((1,),), spacing=(6.0, 0.8, 0.8))["1"]
    assert case["dice"] == pytest.approx(0.5) and case["hd95"] == pytest.approx(6.0)
    assert case["true_area"] == pytest.approx(72 * 6 * 0.64)  # mm^3


def test_voxels_marked_to_be_ignored_count_nowhere():
    truth = np.zeros((3, 4, 4), np.uint8)
    truth[1, 1:3, 1:3], truth[2] = 1, IGNORE
    answer = truth.copy()
    answer[2] = 1
    assert case_measures(answer, truth, ((1,),), spacing=(1.0, 1.0, 1.0))["1"]["dice"] == 1.0


# Showing --------------------------------------------------------------------------------------------------------------


def test_a_sheet_shows_three_planes_with_the_head_above():
    volume = np.zeros((10, 12, 8, 1), np.float32)
    volume[8:] = 200  # the head is bright
    codes = np.zeros((10, 12, 8), np.uint8)
    codes[2:5, 4:8, 2:6] = 1
    picture = sheets.sheet(volume, codes, ((1,),), (2.0, 1.0, 1.0), count=2, side=100)
    assert picture.dtype == np.uint8 and picture.ndim == 3
    front = picture[sheets.GAP + 60 :][:100, :40]  # the second row, from the front
    assert front[2].mean() > front[60].mean()


def test_a_report_shows_truth_answer_and_both_in_three_planes():
    grey, codes = pair(2)
    said = np.roll(codes, 1, axis=1)
    picture = report.sheets(grey[..., None], codes, said, ((1,), (2,)), (2.0, 1.0, 1.0))
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    third = (picture.shape[1] - 2 * report.GAP) // 3
    for part, has, lacks in ((2, report.TRUTH, colour(0)), (2, report.ANSWER, colour(1)), (0, colour(1), report.TRUTH)):
        own = picture[:, part * (third + report.GAP) :][:, :third].reshape(-1, 3)
        assert (own == has).all(1).any() and not (own == lacks).all(1).any()
    assert report.sheets(grey[..., None], codes * 0, codes * 0, ((1,), (2,)), (2.0, 1.0, 1.0)).shape[2] == 3


@pytest.mark.parametrize("mirrored", [(), (0,)])
def test_a_volume_is_explained_as_sheets_of_slices(tmp_path, mirrored):
    import keras
    from keras import layers

    image = keras.Input((8, 8, 8, 1))
    x = layers.Conv3D(4, 3, strides=2, padding="same", activation="relu", name="coarse")(image)
    x = layers.Conv3DTranspose(4, 2, strides=2)(x)
    model = keras.Model(image, layers.Conv3D(2, 1, name="logits")(x))
    plan = Plan(scale=1.0, values=EACH, voxel=(2.0, 1.0, 1.0), mirrored=mirrored)
    about = {"task": "segmentation", "input": {"kind": "volume", "shape": [8, 8, 8, 1]}, "labels": ["ball", "box"]}
    artifact = KerasArtifact("model.keras", model, {**about, "segmentation": plan.to_dict()})
    write(tmp_path / "one.nii.gz", pair(0)[0], geometry())
    how = {"layer": None, "folder": tmp_path / "out", "test": None, "prepare": None, "tell": SILENT}
    found = Masked().explain(None, artifact, [tmp_path / "one.nii.gz"], **how).document["images"]["one"]
    assert found["views"] == (2 if mirrored else 7) and found["of"] == ("mirrors" if mirrored else "moves")
    for own in found["labels"].values():
        assert own["ml"] == pytest.approx(own["voxels"] * 0.002) and own["least"] <= own["most"] <= np.prod(SHAPE)
    for path in found["pictures"].values():
        assert cv2.imread(path).std() > 10


def test_the_fullest_slice_counts_each_label_alike():
    labels = np.zeros((2, 5, 10, 10), bool)
    labels[0, 1] = True  # a large label
    labels[1, 3, :2, :2] = labels[0, 3, :5] = True
    assert sheets.fullest_slice(labels) == 3
    assert sheets.spread(labels.any(axis=(0, 2, 3)), 2) == [1, 3]
    codes = (labels[0] + 2 * labels[1]).astype(np.uint8)
    for axis, has in enumerate(sheets.labelled(codes, ((1, 3), (2, 3)))):
        assert (has == labels.any(axis=(0, *(k + 1 for k in range(3) if k != axis)))).all()


def test_answers_are_turned_back_to_how_a_file_is_stored(tmp_path):
    from cnnkit.device.volumes.reading import read_volume

    root = folder(tmp_path / "turned", count=1, turned=True)
    volume = read_volume(root / "images" / "case00.nii.gz")
    turn = volume.geometry.turn()
    codes = pair(0)[1]
    write_labels(tmp_path / "out.nii.gz", turn.undo(codes), volume.geometry)
    stored, _ = read_labels(root / "masks" / "case00.nii.gz")
    found, _ = read_labels(tmp_path / "out.nii.gz", volume.geometry)
    assert (found == stored).all()

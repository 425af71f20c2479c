"""Phantoms: slices that repeat, masks that agree with the pictures, patients that never cross splits."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cnnkit.data.cards import read_card
from cnnkit.data.reading import Request
from cnnkit_scans import phantom_parts, phantom_slices, phantoms, readers
from cnnkit_scans.phantom_slices import LESION, ORGAN, SIDE, VESSEL
from cnnkit_scans.phantoms import FINDINGS, LABELS, PhantomMasks, Phantoms

CARDS = Path(readers.__file__).parent / "datasets"


@pytest.fixture(scope="module")
def few():
    """Forty slices of ten patients, with their masks."""
    slices = Phantoms(10, 4, seed=5)
    masks = PhantomMasks(slices)
    return slices, [slices.native(k) for k in range(40)], [masks.native(k) for k in range(40)]


def forget():
    for cache in (phantom_slices.cut, phantom_slices.look, phantoms.heights, phantom_parts.body):
        cache.cache_clear()


def test_a_slice_is_a_grey_picture_and_its_mask_a_code_map_of_its_size(few):
    _, pictures, codes = few
    for picture, mask in zip(pictures, codes, strict=True):
        assert picture.shape == mask.shape == (SIDE, SIDE) and picture.dtype == mask.dtype == np.uint8
        assert np.ptp(picture) > 100 and mask.max() <= len(LABELS)


def test_slices_repeat_bit_for_bit_in_any_order_and_from_any_thread(few):
    slices, pictures, codes = few
    forget()
    again = Phantoms(20, 4, seed=5)  # more patients change none

    def both(index):
        return again.native(index), PhantomMasks(again).native(index)

    order = np.random.default_rng(0).permutation(40).tolist()
    with ThreadPoolExecutor(4) as pool:
        for index, (picture, mask) in zip(order, pool.map(both, order), strict=True):
            assert np.array_equal(picture, pictures[index]) and np.array_equal(mask, codes[index])
    forget()
    assert np.array_equal(PhantomMasks(slices).native(7), codes[7]), "a mask needs no picture before it"


def test_no_two_slices_are_equal_and_another_seed_draws_other_bodies(few):
    _, pictures, codes = few
    assert len({picture.tobytes() for picture in pictures}) == 40
    other = Phantoms(10, 4, seed=6)
    assert not any(np.array_equal(other.native(k), pictures[k]) for k in range(8))
    assert not any(np.array_equal(PhantomMasks(other).native(k), codes[k]) for k in range(8))


def test_whoever_changes_a_mask_changes_no_other(few):
    slices, _, codes = few
    PhantomMasks(slices).native(3)[:] = 9
    assert np.array_equal(PhantomMasks(slices).native(3), codes[3])


def test_every_label_is_in_some_slices_and_of_the_size_that_is_said(few):
    _, _, codes = few
    counts = np.stack([np.bincount(mask.ravel(), minlength=4) for mask in codes])
    assert (counts[:, ORGAN] > 1000).all(), "every slice cuts the organ"
    assert (counts[:, VESSEL] > 0).mean() > 0.8
    assert 0.2 < (counts[:, LESION] > 0).mean() < 0.8
    assert counts[counts[:, LESION] > 0, LESION].min() >= 24, "no lesion of a few pixels"


def test_what_a_mask_says_is_seen_in_the_picture(few):
    """Vessels and lesions differ from the organ around them; the mean of its greys is told from them by no chance."""
    slices, pictures, codes = few
    for index, (picture, mask) in enumerate(zip(pictures, codes, strict=True)):
        look = phantom_slices.look(5, slices.place(index)[0])
        organ = picture[mask == ORGAN].mean()
        for code, grey in ((VESSEL, look.grey["vessel"]), (LESION, look.lesion)):
            if (mask == code).sum() > 100:
                apart = picture[mask == code].mean() - organ
                assert apart * np.sign(grey - look.grey["organ"]) > 4


def test_lesions_and_vessels_lie_in_the_organ(few):
    slices, _, codes = few
    for index in range(40):
        seen = slices.cut(index)
        assert not (codes[index][seen.organ <= 0.5]).any()


def test_a_threshold_does_not_find_the_organ(few):
    """The best interval of greys, chosen with the truth in hand, is far from it."""
    _, pictures, codes = few
    dice = []
    for picture, mask in zip(pictures, codes, strict=True):
        true = np.cumsum(np.bincount(picture[mask > 0], minlength=256))
        every = np.cumsum(np.bincount(picture.ravel(), minlength=256))
        hit = true[None, :] - true[:, None]
        dice.append((2 * hit / np.maximum(every[None, :] - every[:, None] + true[-1], 1)).max())
    assert np.mean(dice) < 0.8


def test_a_plane_cuts_a_ball_in_the_disc_it_should():
    tubes = phantom_parts.Tubes(np.array([[1.0, 2, 10], [5, 5, 40]]), np.array([5.0, 5]))
    places, radii = tubes.cut(10 + phantom_parts.SLAB / 2 + 3)
    assert places.tolist() == [[1, 2]] and radii.tolist() == pytest.approx([4])  # 3, 4, 5
    lesion = phantom_parts.Lesion((0, 0, 10), 5, np.zeros((0, 5)), (1, 1, 1))
    assert lesion.disc(13) == pytest.approx(4) and lesion.disc(16) == 0
    assert lesion.at(4.0, 0.0, 13.0) == pytest.approx(0) and lesion.at(0.0, 0.0, 10.0) == pytest.approx(-5)


def test_neighbouring_planes_of_a_body_are_alike():
    """A body is one thing in space: planes a mm apart differ little, planes far apart much."""
    near, next_to, far = (phantom_slices.cut(5, 0, z).organ > 0.5 for z in (-10.0, -9.0, 40.0))
    assert 0 < (near != next_to).mean() < 0.01 < (near != far).mean()


def test_places_are_found_in_the_picture_and_back():
    seen = phantom_slices.cut(5, 1, 12.0)
    column, row = np.round(seen.placed(np.array([[30.0, -20.0]]))[0]).astype(int)
    x, y = (_half[row // 2, column // 2] for _half in seen._half)
    assert abs(x - 30) < 3 and abs(y + 20) < 3 and abs(seen.y[row, column] + 20) < 1.5


def test_findings_are_what_the_masks_show():
    slices = Phantoms(50, 4, seed=3, aimed=True)
    found = slices.findings()
    shown = [bool((PhantomMasks(slices).native(k) == LESION).any()) for k in range(200)]
    assert found.tolist() == [int(seen) for seen in shown]
    assert 0.4 < found.mean() < 0.6
    of_patients = found.reshape(50, 4).mean(1)
    assert ((of_patients > 0) & (of_patients < 1)).sum() > 10, "a patient with a lesion has slices without one"


def test_heights_tell_next_to_nothing_of_findings():
    slices = Phantoms(100, 4, seed=4, aimed=True)
    found = slices.findings().astype(bool)
    z = np.array([slices.place(k)[2] for k in range(400)])
    above = (z[found][:, None] > z[~found]).mean()  # the area under the curve of a height as a score
    assert 0.42 < above < 0.58
    assert 0.85 < z[found].std() / z[~found].std() < 1.18


def read(name, split):
    (form,) = read_card(CARDS / f"{name}.toml").forms
    reader = {"phantoms": readers.PHANTOMS, "phantom-lesions": readers.PHANTOM_LESIONS}[form.reader]
    small = {**form.splits[split], "patients": 6}
    assert form.splits[split].keys() <= reader.keys and form.options.keys() <= reader.options
    return reader.read(Request(None, small, dict(form.options)))


@pytest.mark.parametrize("name", ["phantoms", "phantom-lesions"])
def test_patients_are_groups_and_in_one_split_only(name):
    parts = [read(name, split) for split in ("train", "validation", "test")]
    groups = [set(part.groups.tolist()) for part in parts]
    assert [len(of) for of in groups] == [6, 6, 6] and len(set.union(*groups)) == 18
    first = [part.images.native(0).tobytes() for part in parts]
    assert len(set(first)) == 3
    assert all((np.diff(part.groups) >= 0).all() for part in parts), "a patient's slices lie side by side"


def test_a_part_has_masks_or_findings():
    part = read("phantoms", "train")
    assert part.names == LABELS and part.codes.tolist() == [0, 1, 2] and len(part.images) == len(part.more) == 24
    assert part.more.names == LABELS and part.more.regions == ((1,), (2,), (3,))
    assert part.more.objects(0) is None and part.more.spacing(0) == (1.8, 1.8)
    part = read("phantom-lesions", "train")
    assert part.names == FINDINGS and part.codes.shape == (12,) and set(part.codes.tolist()) == {0, 1}


def test_cards_say_the_labels_that_are_drawn():
    assert read_card(CARDS / "phantoms.toml").labels == LABELS
    assert read_card(CARDS / "phantom-lesions.toml").labels == FINDINGS


def test_the_fingerprint_is_of_the_parameters():
    def digest(source, indices=(0, 1)):
        sha = hashlib.sha256()
        source.digest(np.array(indices), sha.update)
        return sha.hexdigest()

    assert digest(Phantoms(5)) == digest(Phantoms(9))
    others = [Phantoms(5, seed=1), Phantoms(5, slices=3), Phantoms(5, aimed=True), PhantomMasks(Phantoms(5))]
    assert len({digest(other) for other in [Phantoms(5), *others]} | {digest(Phantoms(5), (0, 2))}) == 6


def test_it_is_a_source_of_images():
    slices = Phantoms(2, 3)
    assert len(slices) == 6 and slices.shape == (SIDE, SIDE, 1) and slices.name(4) == "phantoms[1-1]"
    assert slices.read(np.array([4, 0]), (96, 96, 1)).shape == (2, 96, 96, 1)
    assert np.array_equal(slices.read(np.array([1]), slices.shape)[0, ..., 0], slices.native(1))
    with pytest.raises(IndexError, match="6 slices"):
        slices.native(6)


def test_drawn_slices_are_checked_like_files(tmp_path):
    """What is drawn has no file, and no list of what its masks hold."""
    from cnnkit.tasks.segmentation import checks

    path = tmp_path / "few.toml"
    path.write_text(
        "task = 'segmentation'\nreader = 'phantoms'\n[splits]\n"
        "train = { patients = 4, seed = 1 }\ntest = { patients = 1, seed = 2 }\n[options]\nslices = 1\n"
    )
    kinds = {finding.kind for finding in checks.check(path)}
    assert "few" in kinds
    assert not kinds & {"bad-file", "channels", "bits", "leak", "unknown-label"}

"""Volumes of phantoms: they repeat, lie where they say, hold all labels, and are found by `--volumes`."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cnnkit.data.cards import read_card
from cnnkit.data.reading import Request
from cnnkit.device.volumes.geometry import Turn
from cnnkit.device.volumes.nifti import write
from cnnkit.device.volumes.reading import read_volume
from cnnkit.tasks.segmentation import checks
from cnnkit.tasks.segmentation.loading import load
from cnnkit.tasks.segmentation.volumes.records import VolumeRecords
from cnnkit_scans import phantom_parts, phantom_slices, phantom_volumes, phantoms, readers
from cnnkit_scans.cli import main
from cnnkit_scans.phantom_slices import LESION, ORGAN, VESSEL
from cnnkit_scans.phantoms import LABELS, PhantomVolumeMasks, PhantomVolumes

CARD = Path(readers.__file__).parent / "datasets" / "phantom-volumes.toml"
COUNT = 12


@pytest.fixture(scope="module")
def few():
    """Some volumes with their masks."""
    volumes = PhantomVolumes(COUNT, seed=5)
    masks = PhantomVolumeMasks(volumes)
    return volumes, [volumes.native(k) for k in range(COUNT)], [masks.native(k) for k in range(COUNT)]


@pytest.fixture
def card(tmp_path):
    path = tmp_path / "few.toml"
    path.write_text(card_of(6, 1, 1))
    return path


def card_of(train, validation, test):
    return (
        f"task = 'segmentation'\nreader = 'phantom-volumes'\n[splits]\ntrain = {{ patients = {train}, seed = 1 }}\n"
        f"validation = {{ patients = {validation}, seed = 2 }}\ntest = {{ patients = {test}, seed = 3 }}\n"
    )


def forget():
    for cache in (phantom_slices.look, phantom_parts.body):
        cache.cache_clear()


def test_a_volume_is_grey_and_its_mask_a_code_map_of_its_size(few):
    volumes, grey, codes = few
    for index in range(COUNT):
        assert grey[index].dtype == codes[index].dtype == np.uint8
        assert grey[index].shape == (*codes[index].shape, 1) == (*volumes.geometry(index).shape, 1)
        assert np.ptp(grey[index]) > 100 and codes[index].max() <= len(LABELS)
        assert 30_000 < codes[index].size < 60_000, "a window holds about a whole volume, and a step stays quick"


def test_volumes_repeat_bit_for_bit_in_any_order_and_from_any_thread(few):
    _, grey, codes = few
    forget()
    again = PhantomVolumes(COUNT + 9, seed=5)  # more patients change none
    order = np.random.default_rng(0).permutation(COUNT).tolist()
    with ThreadPoolExecutor(4) as pool:
        masks = list(pool.map(PhantomVolumeMasks(again).native, order))  # a mask needs no volume before it
        for index, mask, volume in zip(order, masks, pool.map(again.native, order), strict=True):
            assert np.array_equal(volume, grey[index]) and np.array_equal(mask, codes[index])


def test_every_patient_has_another_body_and_another_seed_other_patients(few):
    _, grey, codes = few
    assert len({mask.tobytes() for mask in codes}) == len({volume.tobytes() for volume in grey}) == COUNT
    other = PhantomVolumes(2, seed=6)
    assert not any(np.array_equal(other.native(k), grey[k]) for k in range(2))


def test_whoever_changes_a_mask_changes_no_other_and_nobody_a_volume(few):
    volumes, _, codes = few
    PhantomVolumeMasks(volumes).native(3)[:] = 9
    assert np.array_equal(PhantomVolumeMasks(volumes).native(3), codes[3])
    with pytest.raises(ValueError, match="read-only"):
        volumes.native(3)[:] = 9


def test_all_labels_are_there_and_large_enough_to_be_found(few):
    _, _, codes = few
    counts = np.stack([np.bincount(mask.ravel(), minlength=4) for mask in codes])
    shares = counts / counts.sum(1, keepdims=True)
    assert (shares[:, ORGAN] > 0.1).all() and (shares[:, ORGAN] < 0.7).all()
    assert (counts[:, VESSEL] > 100).all()
    assert 0.6 < (counts[:, LESION] > 0).mean() <= 1
    assert counts[counts[:, LESION] > 0, LESION].min() >= 24, "no lesion of a few voxels"


def test_lesions_and_vessels_are_told_from_the_organ_by_their_greys(few):
    _, grey, codes = few
    for index in range(COUNT):
        shown = phantom_slices.look(5, index)
        organ = grey[index][codes[index] == ORGAN].mean()
        for code, value in ((VESSEL, shown.grey["vessel"]), (LESION, shown.lesion)):
            if (there := codes[index] == code).any():
                assert (grey[index][there].mean() - organ) * np.sign(value - shown.grey["organ"]) > 4


def test_a_threshold_does_not_find_the_labels(few):
    """The best interval of greys for each label and volume, chosen with the truth in hand, is far from them."""
    _, grey, codes = few
    best = {code: [] for code in (ORGAN, VESSEL, LESION)}
    for volume, mask in zip(grey, codes, strict=True):
        every = np.cumsum(np.bincount(volume.ravel(), minlength=256))
        for code, found in best.items():
            true = np.cumsum(np.bincount(volume[mask == code].ravel(), minlength=256))
            if true[-1]:
                hit = true[None, :] - true[:, None]
                found.append((2 * hit / np.maximum(every[None, :] - every[:, None] + true[-1], 1)).max())
    means = {code: np.mean(found) for code, found in best.items()}
    assert np.mean(list(means.values())) < 0.6
    assert means[VESSEL] < 0.5 and means[LESION] < 0.5


def test_voxels_have_a_size_in_mm_and_slices_are_thicker_than_pixels_are_wide():
    volumes = PhantomVolumes(40, seed=8)
    sizes = np.array([volumes.spacing(index) for index in range(40)])
    assert (sizes[:, 1] == pytest.approx(sizes[:, 2])) and len(set(sizes[:, 1].round(6).tolist())) == 40
    assert ((sizes[:, 1] >= 3.1) & (sizes[:, 1] <= 3.5)).all()
    assert set(sizes[:, 0].round(3).tolist()) == set(phantom_volumes.SLICES)
    assert (sizes[:, 0] / sizes[:, 1] > 1.6).any(), "some are thick"
    deep = np.array([volumes.geometry(index).shape[0] for index in range(40)]) * sizes[:, 0]
    assert deep == pytest.approx(np.full(40, phantom_volumes.DEEP), abs=3)


def test_a_volume_lies_as_all_are_turned_and_its_planes_where_its_geometry_says():
    box = phantom_volumes.Box(8, 2)
    assert box.geometry.turn() == Turn((0, 1, 2), (False,) * 3) and box.geometry.leaning == 0
    z, y, x = box.axes()
    middles = z.reshape(-1, box.planes).mean(1)
    first = box.geometry.points(np.array([[0, 0, 0]]))[0]
    last = box.geometry.points(np.array([np.array(box.geometry.shape) - 1]))[0]
    assert first == pytest.approx([x[0], y[0], middles[0]], abs=1e-3)
    assert last == pytest.approx([x[-1], y[-1], middles[-1]], abs=1e-3)


@pytest.mark.parametrize("patient", [0, 1, 2])
def test_a_voxel_of_the_organ_is_where_the_body_has_it(patient):
    """Places by the geometry alone, asked of the body itself: the two agree but at surfaces."""
    volumes = PhantomVolumes(3, seed=5)
    geometry, codes = volumes.geometry(patient), volumes.drawn(patient).codes
    indices = np.argwhere(np.ones(codes.shape, bool))
    left, back, up = geometry.points(indices).T
    made = phantom_parts.body(5, patient)
    off = made.organ(*made.bent(*made.turned(left, back), up))
    clear = np.abs(off) > 8  # mm
    assert clear.mean() > 0.5
    assert ((codes.ravel() > 0) == (off < 0))[clear].all()


def test_a_ball_is_drawn_where_it_is_and_as_large():
    volume = phantom_volumes
    made, box = phantom_parts.body(5, 0), volume.Box(5, 0)
    centre = np.array([[-60.0, 0.0, 10.0]], np.float32)
    scene = volume.Scene(made, box, phantom_parts.Tubes(centre, np.array([14.0], np.float32)))
    ball = scene._tubes(phantom_parts.Tubes(centre, np.array([14.0], np.float32)))
    z, y, x = box.axes()
    step = (z[1] - z[0]) * (y[1] - y[0]) * (x[1] - x[0])
    assert ball.sum() * step == pytest.approx(4 / 3 * np.pi * 14**3, rel=0.05)
    right, down = made.placed(*centre[0])
    middle = [(axis * ball.sum(other)).sum() / ball.sum() for axis, other in ((z, (1, 2)), (y, (0, 2)), (x, (0, 1)))]
    assert middle == pytest.approx([10, down, right], abs=0.5)


def read(split):
    (form,) = read_card(CARD).forms
    reader = readers.PHANTOM_VOLUMES
    assert form.splits[split].keys() <= reader.keys and form.options.keys() <= reader.options
    return reader.read(Request(None, {**form.splits[split], "patients": 6}, dict(form.options)))


def test_patients_are_groups_and_in_one_split_only():
    parts = [read(split) for split in ("train", "validation", "test")]
    assert len(set.union(*(set(part.groups.tolist()) for part in parts))) == 18
    assert len({part.images.native(0).tobytes() for part in parts}) == 3
    slices = phantoms.Phantoms(6, seed=0).groups
    assert not set(slices.tolist()) & set.union(*(set(part.groups.tolist()) for part in parts))
    for part in parts:
        assert part.names == LABELS == read_card(CARD).labels and len(part.images) == len(part.more) == 6
        assert part.more.regions == ((1,), (2,), (3,)) and part.more.objects(0) is None
        assert part.more.spacing(2) == part.images.spacing(2)


def test_it_is_a_source_of_volumes():
    volumes = PhantomVolumes(5, seed=5)
    assert len(volumes) == 5 and len(volumes.shape) == 4 and volumes.shape[1:] == (*phantom_volumes.SIDES, 1)
    assert volumes.name(4) == "phantoms[4]"
    for index in (-1, 5):
        with pytest.raises(IndexError, match="5 volumes"):
            volumes.native(index)


def test_the_fingerprint_is_of_the_parameters():
    def digest(source, indices=(0, 1)):
        sha = hashlib.sha256()
        source.digest(np.array(indices), sha.update)
        return sha.hexdigest()

    assert digest(PhantomVolumes(5)) == digest(PhantomVolumes(9))
    others = [PhantomVolumes(5, seed=1), PhantomVolumeMasks(PhantomVolumes(5)), phantoms.Phantoms(5)]
    assert len({digest(other) for other in [PhantomVolumes(5), *others]} | {digest(PhantomVolumes(5), (0, 2))}) == 5


def test_drawn_volumes_are_loaded_and_seen_as_volumes_are(card):
    splits = load(card)
    assert all(isinstance(part, VolumeRecords) for part in (splits.train, splits.validation, splits.test))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [6, 1, 1]
    volumes, codes = splits.train.read(np.array([0, 5]))
    assert volumes.shape == (2, *splits.train.input_shape) and codes.shape == volumes.shape[:-1]
    assert splits.train.input_shape[1:] == (*phantom_volumes.SIDES, 1), "a window shows a whole volume"


def test_drawn_volumes_are_checked_like_files(card):
    looked = []
    kinds = {finding.kind for finding in checks.check(card, looked=looked)}
    assert kinds <= {"few", "spacing", "no-foreground", "missing-label"} and "few" in kinds
    assert looked == ["8 volumes and their masks, organ, vessel, lesion"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "--volumes", "--data", "x"), "Error: --volumes and --data name data each. Leave one of them out."),
        (("data", "check", "--volumes", "x"), "Error: --volumes and x name data each. Leave one of them out."),
        (("data", "show", "x", "--volumes"), "Error: --volumes and x name data each. Leave one of them out."),
        (("train", "--volumes", "--task", "diagnose"), "is for segmentation"),
    ],
)
def test_volumes_and_other_data_or_another_task_are_one_line(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 1 and said in " ".join(found.output.split())
    assert found.output.count("Error") == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", [("train",), ("data", "check"), ("data", "show")])
def test_volumes_stand_for_their_card(verb, monkeypatch):
    """The commands hand on what `--data` would say, so a run's settings, `--config` and `--resume` know nothing else."""
    from cnnkit.verbs import data, train

    class Asked(Exception):
        pass

    def ask(recipe, given, *_, **__):
        raise Asked(given if isinstance(given, str) else given["data"])

    monkeypatch.setattr(train, "train", ask)
    monkeypatch.setattr(data, "check", ask)
    monkeypatch.setattr(data, "show", ask)
    found = CliRunner().invoke(main, [*verb, "--volumes"])
    assert isinstance(found.exception, Asked) and str(found.exception) == "phantom-volumes"


@pytest.mark.slow
class TestTrained:
    """A training with fewer volumes and views than the standard command has."""

    @pytest.fixture(scope="class")
    def home(self, tmp_path_factory):
        return tmp_path_factory.mktemp("volumes")

    def run(self, home, *words):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(home)
            found = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
        assert found.exit_code == 0, found.output
        return found

    @pytest.fixture(scope="class")
    def document(self, home):
        (home / "some.toml").write_text(card_of(16, 2, 6))
        self.run(home, "train", "--data", "some.toml", "--epochs", "2", "--out", "run")
        return json.loads((home / "run/run.json").read_text(encoding="utf-8"))

    def test_it_learns_more_than_the_baseline_knows(self, document):
        scores = document["scores"]["test"]
        assert scores["dice"] > max(0.5, scores["baseline"]["dice"])

    def test_a_drawn_volume_in_a_file_is_answered_where_it_lies(self, home, document):
        volumes = PhantomVolumes(1, seed=99)
        own, truth = volumes.geometry(0), volumes.drawn(0).codes
        write(home / "one.nii.gz", volumes.native(0)[..., 0], own)
        found = self.run(home, "predict", "run", "one.nii.gz", "--out", "found", "--json")
        mask = read_volume(home / json.loads(found.stdout)["predictions"][0]["mask"])
        assert mask.geometry.same(own)
        answer = mask.array[..., 0] > 0
        assert 2 * (answer & (truth > 0)).sum() / (answer.sum() + (truth > 0).sum()) > 0.7

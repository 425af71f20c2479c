"""Records: immutable views that read only what is asked, from any thread, at any size of the data set."""

import os
import subprocess
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cnnkit.data import records as data
from cnnkit.data import splits
from cnnkit.data.records import Records
from cnnkit.data.sources import Values
from cnnkit.data.tags import Tags
from cnnkit.device import image
from cnnkit.errors import DataError
from cnnkit.inputs.image.arrays import ArrayImages
from cnnkit.inputs.image.loading import load
from cnnkit.inputs.image.records import ImageRecords
from tests import toys


@pytest.fixture
def raw(tmp_path, toy_arrays):
    """500 images of 8 x 10 px, 7 bytes into a file, with labels; and the arrays they came from."""
    x, y = toy_arrays(n=500)
    path = tmp_path / "raw.bin"
    path.write_bytes(b"header." + x.tobytes())
    return ImageRecords(ArrayImages(path, 7, 500, (8, 10, 1)), y, ["a", "b", "c"]), x, y


def test_a_label_that_is_no_text_is_refused_before_anything_is_made_of_it():
    """Such as a folder whose name is Latin-1: no file in UTF-8 could hold it, so what is trained could not be written."""
    images = toys.MemoryImages(np.zeros((2, 4, 4, 1), np.uint8))
    for name in ("caf\udce9", "\ud800"):
        with pytest.raises(DataError, match=r"label .*\\ud\w+ is no text") as caught:
            ImageRecords(images, np.array([0, 1]), ["a", name])
        assert str(caught.value).isprintable()
    assert ImageRecords(images, np.array([0, 0]), ["日本 👨\u200d👩 \u202e\n"]).label_names


def test_records_are_read_in_the_order_asked(raw):
    records, x, y = raw
    for indices in ([3], [0, 1, 2, 3], [499, 0, 0, 250], [], list(range(500))):
        images, targets = records.read(np.array(indices, int))
        assert images.shape == (len(indices), 8, 10, 1) and images.dtype == np.uint8
        assert np.array_equal(images[..., 0], x[indices]) and np.array_equal(targets, y[indices])
        assert targets.dtype == np.int32


def test_a_view_of_a_view_reads_the_same_records(raw):
    records, x, y = raw
    odd = records.take(np.arange(1, 500, 2)).take(np.arange(0, 250, 5)).with_shape((8, 10, 1))
    assert len(odd) == 50
    images, targets = odd.read(np.arange(50))
    assert np.array_equal(images[..., 0], x[1::10]) and np.array_equal(targets, y[1::10])
    assert odd.name(1) == "raw.bin[11]" and np.array_equal(odd.native(1), x[11])
    assert np.array_equal(odd.labels, y[1::10])


def test_any_records_say_whether_they_may_have_several_labels(raw):
    plain = Records(raw[0]._source, raw[2], ["a", "b", "c"])
    assert plain.multi_label is False and raw[0].multi_label is False
    tags = Tags(raw[2], np.arange(1, 501))
    assert ImageRecords(raw[0]._source, raw[2], ["a", "b", "c"], tags=tags).take(np.arange(3)).multi_label is True


def test_records_cannot_be_changed(raw):
    records, _, _ = raw
    with pytest.raises(ValueError, match="read-only"):
        records.labels[0] = 1
    labels = records.take(np.arange(10)).labels
    assert not labels.flags.writeable


@pytest.mark.parametrize("shape", [(16, 20, 1), (4, 5, 1), (8, 10, 3), (12, 6, 4)])
def test_another_shape_is_fitted_as_on_the_device(raw, shape):
    records, x, _ = raw
    images, _ = records.with_shape(shape).read(np.array([7, 3]))
    assert images.shape == (2, *shape)
    assert np.array_equal(images[0], image.fit_image(x[7], shape))


def test_many_threads_read_at_once(raw):
    records, x, _ = raw
    orders = [np.random.default_rng(k).permutation(500) for k in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for order, (images, _) in zip(orders, pool.map(records.read, orders)):
            assert np.array_equal(images[..., 0], x[order])


@pytest.mark.parametrize("wrong", [[500], [-1], [0, 10_000]])
def test_records_that_do_not_exist_are_refused(raw, wrong):
    for ask in (raw[0].read, raw[0].take):
        with pytest.raises(IndexError, match="from 0 to 499"):
            ask(np.array(wrong))


def test_wrong_arguments_are_refused(raw):
    records, _, y = raw
    with pytest.raises(ValueError, match=r"`indices` needs int"):
        records.read(np.array([0.5]))
    with pytest.raises(ValueError, match=r"1, 3 or 4 channels\. Received: input_shape=\(8, 8, 2\)"):
        records.with_shape((8, 8, 2))
    with pytest.raises(ValueError, match="`labels` needs the shape"):
        ImageRecords(records._source, y[:4], ["a", "b", "c"])
    with pytest.raises(ValueError, match="values below 2"):
        ImageRecords(records._source, y, ["a", "b"])


def test_a_file_that_shrinks_while_in_use_is_an_error(raw, tmp_path):
    os.truncate(tmp_path / "raw.bin", 1000)
    with pytest.raises(DataError, match="truncated while in use"):
        raw[0].read(np.arange(500))


def test_an_image_that_vanishes_while_in_use_is_named(class_folders):
    root = class_folders({"a": 4, "b": 4})
    records = load(root, test=0, validation=0).train
    (root / "b" / "001.png").unlink()
    with pytest.raises(DataError, match=r"b.001\.png cannot be used: there is no such file"):
        records.read(np.arange(8))


def test_the_fingerprint_is_of_content_not_of_place(class_folders, tmp_path):
    first = load(class_folders({"a": 4, "b": 4}, tmp_path / "one")).train
    second = load(class_folders({"a": 4, "b": 4}, tmp_path / "two")).train
    other = load(class_folders({"a": 4, "b": 4}, tmp_path / "three", seed=1)).train
    assert first.fingerprint() == second.fingerprint() != other.fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        lambda records: records.take(np.arange(499)),
        lambda records: records.take(np.arange(500)[::-1]),
        lambda records: records.with_shape((8, 10, 3)),
        lambda records: ImageRecords(records._source, 2 - records.labels, records.label_names),
        lambda records: ImageRecords(records._source, records.labels, ["a", "b", "d"]),
    ],
    ids=["fewer", "other order", "other shape", "other labels", "other names"],
)
def test_the_fingerprint_changes_with(raw, change):
    assert change(raw[0]).fingerprint() != raw[0].fingerprint()
    assert raw[0].take(np.arange(500)).fingerprint() == raw[0].fingerprint()


def test_a_batch_is_read_in_well_under_half_a_millisecond(tmp_path):
    path = tmp_path / "raw.bin"
    path.write_bytes(bytes(20_000 * 784))
    records = ImageRecords(ArrayImages(path, 0, 20_000, (28, 28, 1)), np.zeros(20_000), ["a"])
    times = []
    for order in np.random.default_rng(0).integers(0, 20_000, (50, 128)):
        start = time.perf_counter()
        records.read(order)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.0004, f"128 records of 28x28 took {min(times) * 1e3:.2f} ms"


READ_ALL = """
import pathlib, re, resource, sys
import numpy as np
from cnnkit.inputs.image.loading import load
records = load(sys.argv[1], test=0, validation=0).train
order = np.random.default_rng(0).permutation(len(records))
for start in range(0, len(order), 128):
    records.read(order[start : start + 128])
status = pathlib.Path("/proc/self/status")  # what `resource` says includes the parent's memory on Linux
memory = int(re.search(r"VmHWM:\\s*(\\d+)", status.read_text())[1]) if status.exists() else 0
print(len(records), memory or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(source):
    """Read every record in a process of its own; return how many, and its peak memory in KB."""
    done = subprocess.run([sys.executable, "-c", READ_ALL, str(source)], capture_output=True, text=True, check=True)
    count, memory = map(int, done.stdout.split())
    return count, memory


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_ten_times_the_images_take_no_more_memory(tmp_path, save):
    memory = {}
    for count in (4_000, 40_000):
        x = np.random.default_rng(0).integers(0, 256, (count, 28, 28), np.uint8)
        x[:, 4:] = 0  # compresses well
        save(tmp_path / f"{count}.npz", x=x, y=np.arange(count) % 10)
        found, memory[count] = peak(tmp_path / f"{count}.npz")
        assert found == count
    assert memory[40_000] < 1.1 * memory[4_000], memory


def test_ten_times_the_files_take_no_more_memory(tmp_path, class_folders):
    memory = {}
    for count in (300, 3_000):
        root = class_folders({"a": 1, "b": 1}, tmp_path / str(count), height=16, width=16)
        for name in ("a", "b"):
            for k in range(1, count // 2):
                os.link(root / name / "000.png", root / name / f"{k:05}.png")
        found, memory[count] = peak(root)
        assert found == count
    assert memory[3_000] < 1.1 * memory[300], memory


def test_joined_sets_keep_the_first_labels_in_place_and_add_the_new_ones():
    from tests.toys import MemoryImages

    def part(value, labels, names, groups=None):
        pixels = np.arange(len(labels) * 16, dtype=np.uint8).reshape(-1, 4, 4, 1) + np.uint8(value)
        return ImageRecords(MemoryImages(pixels), np.array(labels), names, groups=groups), pixels

    old, old_pixels = part(0, [0, 1, 1], ("b", "d"), groups=np.array([7, 7, 9]))
    new, new_pixels = part(100, [2, 0, 1], ("a", "b", "c"))
    one = data.Splits(old, old.take(np.array([0])), old.take(np.arange(0)), {"warnings": ["w"]})
    other = data.Splits(new, new.take(np.array([2])), new, {"title": "new", "labels": ["a", "b", "c"]})
    whole = data.join(one, other)
    assert whole.train.label_names == ("b", "d", "a", "c")
    assert whole.card["title"] == "new" and whole.warnings == ["w"]
    assert whole.train.labels.tolist() == [0, 1, 1, 3, 2, 0]
    images, labels = whole.train.read(np.array([5, 0, 3, 2]))
    expected = np.stack([new_pixels[2], old_pixels[0], new_pixels[0], old_pixels[2]])
    assert np.array_equal(images, expected) and labels.tolist() == [0, 0, 3, 1]
    groups = whole.train.groups
    assert groups[0] == groups[1] != groups[2] and len(np.unique(groups)) == 5
    assert np.array_equal(whole.train.native(4), new_pixels[1])
    assert len(whole.validation) == 2 and len(whole.test) == 3
    assert whole.train.fingerprint() == data.join(one, other).train.fingerprint()
    assert whole.train.fingerprint() != data.join(other, one).train.fingerprint()
    bigger = whole.train.with_shape((8, 8, 1)).read(np.array([0, 4]))[0]
    assert bigger.shape == (2, 8, 8, 1)


class Halves:
    """Float inputs (n, 4, 1), each seen through two windows of 2, and as many again where its number is odd."""

    shape = (2, 1)

    def __init__(self, count, factor=1.0):
        self.values = np.arange(4 * count, dtype=np.float32).reshape(count, 4, 1)
        self.factor = factor

    def __len__(self):
        return len(self.values)

    def read(self, indices, shape):
        return self.factor * self.values[indices, :2]

    def windows(self, indices, shape):
        found = [part for index in indices for part in self.values[index].reshape(2, 2, 1)[: 1 + index % 2]]
        owners = np.repeat(np.arange(len(indices)), 1 + np.asarray(indices) % 2)
        return self.factor * np.array(found, np.float32).reshape(-1, 2, 1), owners

    def as_read_by(self, artifact):
        return Halves(len(self), artifact.metadata["input"]["factor"])

    def name(self, index):
        return f"half {index}"

    def digest(self, indices, add):
        add(self.values[indices].tobytes())


def halves(count, values=None):
    values = np.arange(count) + 0.5 if values is None else values
    return Records(Halves(count), targets=Values(values))


class TestWithoutClasses:
    def test_records_have_targets_and_no_labels(self):
        records = halves(5).take(np.array([3, 1]))
        inputs, targets = records.read(np.array([0, 1]))
        assert inputs.dtype == np.float32 and inputs[:, 0, 0].tolist() == [12, 4] and targets.tolist() == [3.5, 1.5]
        assert records.label_names == () and records.counts().tolist() == [] and records.named(()) is records

    def test_the_fingerprint_sees_targets(self):
        assert halves(3).fingerprint() == halves(3).fingerprint() != halves(3, [0.5, 1.5, 9]).fingerprint()

    def test_they_are_divided_as_one_class(self):
        divided = splits.make(halves(20), test=0.2, validation=0.1, seed=3)
        assert [len(part) for part in (divided.train, divided.validation, divided.test)] == [14, 2, 4]

    def test_joined_ones_keep_floats_and_targets(self):
        both = halves(2).plus(halves(3, [7, 8, 9]), ())
        inputs, targets = both.read(np.array([4, 0, 2]))
        assert inputs.dtype == np.float32 and inputs[:, 0, 0].tolist() == [8, 0, 0] and targets.tolist() == [9, 0.5, 7]
        assert both.take(np.array([2, 1])).read(np.array([0, 1]))[1].tolist() == [7, 1.5]
        changed = halves(2).plus(halves(3, [7, 8, 0]), ())
        assert both.fingerprint() != changed.fingerprint() and both.read(np.zeros(0, int))[0].shape == (0, 2, 1)


class TestWindows:
    def test_of_most_inputs_the_whole_is_one(self):
        inputs, owners = toys.bars(4).windows(np.array([2, 0]))
        assert inputs.shape == (2, 12, 12, 1) and owners.tolist() == [0, 1]

    def test_a_source_that_cuts_them_is_asked(self):
        inputs, owners = halves(4).take(np.array([3, 2])).windows(np.array([0, 1]))
        assert inputs[:, 0, 0].tolist() == [12, 14, 8] and owners.tolist() == [0, 0, 1]

    def test_of_joined_records_they_keep_the_order_asked_for(self):
        inputs, owners = halves(2).plus(halves(3), ()).windows(np.array([3, 1, 2]))
        assert owners.tolist() == [0, 0, 1, 1, 2] and inputs[:, 0, 0].tolist() == [4, 6, 4, 6, 0]

    def test_an_artifact_says_how_inputs_are_read(self):
        artifact = types.SimpleNamespace(input_shape=(2, 1), metadata={"input": {"factor": 2.0}})
        for records in (halves(3), halves(3).plus(halves(1), ())):
            read = records.as_read_by(artifact)
            assert read.read(np.array([1]))[0][0, 0, 0] == 8 and read.windows(np.array([1]))[0][0, 0, 0] == 8
        pictures = toys.bars(2).as_read_by(types.SimpleNamespace(input_shape=(6, 6, 1)))
        assert pictures.read(np.array([0]))[0].shape == (1, 6, 6, 1)

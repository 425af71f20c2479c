"""Records of texts: ids, targets, views, fingerprints; and how they are divided."""

import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnkit.data.records import join
from cnnkit.data.tags import Tags
from cnnkit.device.text import Tokenizer, learn
from cnnkit.errors import ConfigError, DataError
from cnnkit.inputs.text import division, files, index
from cnnkit.inputs.text import records as texts
from cnnkit.inputs.text.formats import LabelSentence
from cnnkit.inputs.text.loading import load
from cnnkit.inputs.text.records import TextRecords
from cnnkit.inputs.text.sources import ListTexts

SENTENCES = ["one two three", "two", "three four five six seven eight nine ten eleven twelve", "one one"]


@pytest.fixture
def records():
    tokenizer = learn(SENTENCES, max_length=20).tokenizer
    return TextRecords(ListTexts(SENTENCES), np.array([0, 1, 1, 0]), ("a", "b")).with_tokenizer(tokenizer)


def rows(path, count, classes=2, text="text number {k} of {y}"):
    path.write_text("".join(f"c{k % classes}\t{text.format(k=k, y=k % classes)}\n" for k in range(count)))
    return path


# reading --------------------------------------------------------------------------------------------------------------


def test_ids_are_those_of_the_tokenizer(records):
    ids, targets = records.read(np.array([2, 0, 2]))
    assert ids.dtype == np.int32 and targets.dtype == np.int32 and records.input_shape == (20,)
    assert np.array_equal(ids, records.tokenizer.batch([SENTENCES[k] for k in (2, 0, 2)]))
    assert targets.tolist() == [1, 0, 1]


def test_a_trimmed_batch_ends_with_its_longest_text_at_a_multiple_of_8(records):
    whole = records.read(np.arange(4))[0]
    short, long = records.read(np.array([0, 1]), margin=0)[0], records.read(np.arange(4), margin=0)[0]
    assert short.shape == (2, 8) and np.array_equal(short, whole[:2, :8])
    assert long.shape == (4, 16) and np.array_equal(long, whole[:, :16]) and not whole[:, 16:].any()
    assert records.with_shape((12,)).read(np.arange(4), margin=0)[0].shape == (4, 12), "not beyond the length"
    assert records.read(np.array([0, 1]), margin=8)[0].shape == (2, 16), "so much padding stays"
    assert np.array_equal(records.with_shape((2,)).read(np.arange(4))[0], whole[:, :2])


def test_ids_that_do_not_fit_are_made_anew_and_are_the_same(records, monkeypatch):
    expected = records.read(np.arange(4))[0]
    assert records._ids._kept is not None
    monkeypatch.setattr(texts, "MOST_CACHED", 8)
    fresh = records.with_tokenizer(records.tokenizer)
    assert np.array_equal(fresh.read(np.arange(4))[0], expected) and fresh._ids._kept is None


def test_many_threads_read_alike_and_fill_once(records, monkeypatch):
    calls = []
    whole = Tokenizer.batch
    monkeypatch.setattr(Tokenizer, "batch", lambda *given: calls.append(1) or whole(*given))
    found = [None] * 16

    def work(k):
        found[k] = records.read(np.arange(4))[0]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1 and all(np.array_equal(ids, found[0]) for ids in found)


def test_views_name_count_and_join(records):
    view = records.take(np.array([3, 1]))
    assert view.texts(np.array([0, 1])) == ["one one", "two"] and view.name(0) == "text 4" and view.native(1) == "two"
    assert view.counts().tolist() == [1, 1] and view.named(("b", "x", "a")).targets(np.arange(2)).tolist() == [2, 0]
    other = TextRecords(ListTexts(["two new"]), np.array([0]), ("c",))
    both = records.plus(other, ("a", "b", "c"))
    assert both.texts(np.array([4, 0])) == ["two new", "one two three"] and both.counts().tolist() == [2, 2, 1]
    assert both.read(np.array([4]))[0][0, :3].tolist() == [*records.tokenizer.batch(["two new"], 2)[0], 0]
    with pytest.raises(ValueError, match=r"is \(length,\)"):
        records.with_shape((8, 8, 3))


def test_the_fingerprint_is_of_texts_and_labels_alone(records, tmp_path):
    plain = TextRecords(ListTexts(SENTENCES), np.array([0, 1, 1, 0]), ("a", "b"))
    path = tmp_path / "x.tsv"
    path.write_text("".join(f"{y}\t{t}\n" for t, y in zip(SENTENCES, "abba")))
    found = files.read(path, "label-sentence", {}).found
    same = TextRecords(found.texts, found.codes, found.names)
    assert records.fingerprint() == plain.fingerprint() == same.fingerprint()
    other = TextRecords(ListTexts(SENTENCES), np.array([0, 1, 1, 1]), ("a", "b"))
    assert other.fingerprint() != plain.fingerprint() != plain.take(np.array([1, 0, 2, 3])).fingerprint()


def test_several_labels_are_zeros_and_ones_and_the_stratum_is_the_rarest():
    tags = Tags(np.array([0, 1, 0, 0, 2]), np.array([1, 3, 3, 5]))  # a; b, a; none; a, c
    records = TextRecords(ListTexts(SENTENCES), tags.strata(3), ("a", "b", "c"), tags=tags)
    assert records.targets(np.array([1, 2, 3])).tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 1]]
    assert records.labels.tolist() == [0, 1, 0, 2] and records.counts().tolist() == [3, 1, 1]
    view = records.take(np.array([3, 0]))
    assert view.counts().tolist() == [2, 0, 1] and view.named(("c", "b", "a")).targets(np.array([0])).tolist() == [
        [1, 0, 1]
    ]
    both = view.plus(view, ("a", "b", "c"))
    assert both.targets(np.array([2])).tolist() == [[1, 0, 1]] and both.counts().tolist() == [4, 0, 2]
    single = TextRecords(ListTexts(SENTENCES), np.zeros(4, int), ("a",))
    with pytest.raises(DataError, match="cannot be joined"):
        records.plus(single, ("a", "b", "c"))


# memory ---------------------------------------------------------------------------------------------------------------


def test_a_record_costs_few_bytes_and_no_object(tmp_path):
    count = 50_000
    path = rows(tmp_path / "a.tsv", count)
    splits = load(path, max_words=100)
    parts = (splits.train, splits.validation, splits.test)
    arrays = {id(a): a for p in parts for a in (p.labels, p._index, p.source._starts, p.source._ends) if a is not None}
    assert sum(array.nbytes for array in arrays.values()) <= 10 * count
    del splits, parts, arrays
    tracemalloc.start()
    found = files.read(path, "label-sentence", {}).found
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.texts) == count and peak < 60 * count + 4_000_000


# division -------------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=8, max_size=120), st.integers(0, 5))
def test_no_group_is_torn_apart_and_every_text_is_in_one_fold(pairs, seed):
    labels, keys = (np.array(values) for values in zip(*pairs))
    groups = division.groups_of(keys)
    folds = [division.fold(labels, groups, k, 4, seed=seed) for k in range(1, 5)]
    assert (np.sum(folds, 0) == 1).all()
    held = division.hold_out(labels, groups, 0.3, seed=seed)
    for chosen in (*folds, held):
        assert all(len(set(chosen[keys == key])) == 1 for key in set(keys))
    assert held.sum() <= 0.3 * len(labels) + 4


def test_folds_are_stratified_and_of_one_size():
    labels = np.repeat([0, 1, 2], [503, 61, 36])
    sizes = [np.bincount(labels[division.fold(labels, None, k, 10, seed=0)], minlength=3) for k in range(1, 11)]
    assert {int(size.sum()) for size in sizes} == {60}
    assert all(np.ptp(column) <= 1 for column in np.array(sizes).T)


def test_groups_do_not_depend_on_the_numbers_of_hashes_and_join_over_keys():
    assert division.groups_of(np.array([9, 4, 9, 7])).tolist() == [0, 1, 0, 2]
    assert division.groups_of(np.array([1, 2, 3])) is None
    assert division.groups_of(np.array([1, 1, 2, 3, 4]), np.array([5, 6, 6, 7, 8])).tolist() == [0, 0, 0, 1, 2]


def test_copies_stay_on_one_side(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text(
        "".join(f"c{k % 2}\tThe Text {k // 4}{k % 2}\nc{k % 2}\tthe  text {k // 4}{k % 2}\n" for k in range(80))
    )
    splits = load(path)
    sides = [
        {" ".join(t.lower().split()) for t in part.every_text()}
        for part in (splits.train, splits.validation, splits.test)
    ]
    assert all(sides) and not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert any("copies or neighbours of others" in line for line in splits.card["notes"])


def test_a_fold_is_held_out_and_validation_is_a_tenth_of_the_rest(tmp_path):
    path = rows(tmp_path / "a.tsv", 200)
    tests = []
    for k in range(1, 6):
        splits = load(path, fold=(k, 5))
        assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [144, 16, 40]
        assert splits.test.counts().tolist() == [20, 20] and splits.card["splits"]["test"] == f"fold {k} of 5, seed 0"
        tests += splits.test.every_text()
    assert len(set(tests)) == 200
    with pytest.raises(ConfigError, match="k from 1 to n"):
        load(path, fold=(0, 5))


def test_the_vocabulary_is_of_training_alone_and_shared(tmp_path):
    path = rows(tmp_path / "a.tsv", 100, text="common word{k}x and more")
    splits = load(path)
    seen = {word for text in splits.train.every_text() for word in text.split()}
    held = next(text.split()[1] for text in splits.test.every_text())
    table = splits.train.tokenizer.table
    assert held not in table and seen <= set(table)
    assert splits.test.tokenizer is splits.validation.tokenizer is splits.train.tokenizer
    assert splits.test._ids is splits.train._ids, "one file, one store of ids"
    again = load(path, tokenizer=splits.train.tokenizer, split_seed=3)
    assert again.train.tokenizer is splits.train.tokenizer and "model that is continued" in again.card["notes"][-1]
    assert any("Vocabulary of the training texts: 73 of 73 words" in line for line in splits.card["notes"])


def test_a_limit_keeps_a_stratified_subset(tmp_path):
    path = rows(tmp_path / "a.tsv", 200)
    few, more = load(path, limit=20).train, load(path, limit=60).train
    assert few.counts().tolist() == [10, 10] and set(few.every_text()) <= set(more.every_text())


def test_data_sets_join(tmp_path):
    first = load(rows(tmp_path / "a.tsv", 40))
    second = load(rows(tmp_path / "b.tsv", 60, classes=3, text="others {k} here"), tokenizer=first.train.tokenizer)
    both = join(first, second)
    assert both.train.label_names == ("c0", "c1", "c2") and len(both.train) == len(first.train) + len(second.train)
    assert both.train.read(np.arange(len(both.train)))[0].shape == (len(both.train), first.train.tokenizer.length)


@given(st.lists(st.integers(-4, 60), min_size=1, max_size=60))
def test_groups_are_numbered_in_the_order_in_which_they_first_occur(keys):
    expected = [list(dict.fromkeys(keys)).index(key) for key in keys]
    groups = division.groups_of(np.array(keys))
    assert groups is None if len(set(keys)) == len(keys) else groups.tolist() == expected


def test_a_gap_before_the_last_texts_is_left_out(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("a one\nb two\n\n\na three\nb four\n", encoding="utf-8")
    texts = index.index(path, LabelSentence()).texts
    assert texts.read(np.arange(4)) == ["one", "two", "three", "four"]
    assert [texts.name(k).split()[-1] for k in range(4)] == ["1", "2", "5", "6"]

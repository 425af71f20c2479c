"""Every format of texts gives back what was written; what cannot be used is named, in one line."""

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnkit.data import cards
from cnnkit.errors import DataError
from cnnkit.inputs.text import files as text_files
from cnnkit.inputs.text.loading import load

ROWS = [(f"a plain text number {k}", ("neg", "pos")[k % 2]) for k in range(40)]


def everything(splits):
    """All (text, label) of a data set, sorted."""
    found = []
    for part in (splits.train, splits.validation, splits.test):
        names = [part.label_names[code] for code in part.targets(np.arange(len(part)))]
        found += zip(part.texts(np.arange(len(part))), names)
    return sorted(found)


def refused(path, message, **options):
    """Whether loading fails with one line that says so."""
    with pytest.raises(DataError, match=message) as error:
        load(path, **options)
    assert "\n" not in str(error.value)


def written(path, text, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def lines(rows=ROWS):
    return "".join(f"{label} {text}\n" for text, label in rows)


# formats --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "text,label\n" + "".join(f"{t},{y}\n" for t, y in ROWS)),
        ("a.csv", "id;Sentiment;Review\n" + "".join(f"{k};{y};{t}\n" for k, (t, y) in enumerate(ROWS))),
        ("a.csv", "".join(f'"{y}","{t}"\r\n' for t, y in ROWS)),
        ("a.tsv", "".join(f"{y}\t{t}\n" for t, y in ROWS)),
        ("a.csv", "what|kind\n\n" + "".join(f"{t}|{y}\n\n" for t, y in ROWS)),
        ("a.jsonl", "".join(json.dumps({"id": k, "text": t, "label": y}) + "\n" for k, (t, y) in enumerate(ROWS))),
        ("a.txt", "".join(f"__label__{y} {t}\n" for t, y in ROWS)),
        ("a.all", lines()),
        ("a.txt", lines().rstrip("\n")),
        ("a", "\ufeff" + lines()),
    ],
    ids=[
        "csv",
        "semicolons",
        "quoted, no header",
        "tsv",
        "bars, blank lines",
        "jsonl",
        "fastText",
        "lines",
        "no end",
        "bom",
    ],
)
def test_a_format_is_found_and_read(tmp_path, name, text):
    assert everything(load(written(tmp_path / name, text))) == sorted(ROWS)


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1, max_size=20)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(CELL.filter(lambda t: t.strip()), min_size=12, max_size=24), st.sampled_from([",", ";", "\t", "|"]))
def test_a_table_of_any_text_comes_back_as_it_was(tmp_path_factory, texts, delimiter):
    path = tmp_path_factory.mktemp("any") / "a.csv"
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["text", "label"])
    writer.writerows((text, "ab"[k % 2]) for k, text in enumerate(texts))
    path.write_bytes(file.getvalue().encode())
    read = text_files.read(path, "text-csv", {"encoding": "utf-8"})
    whole = " \t\r\n\f\v"
    assert read.found.texts.read(np.arange(len(texts))) == [text.strip(whole) for text in texts]
    alone = [read.found.texts.read(np.array([k]))[0] for k in reversed(range(len(texts)))]
    assert alone == [text.strip(whole) for text in reversed(texts)]
    assert read.found.codes.tolist() == [k % 2 for k in range(len(texts))]


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(st.text(min_size=1, max_size=20).filter(lambda t: t.strip()), min_size=4, max_size=12))
def test_json_lines_of_any_text_come_back(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    path.write_text("".join(json.dumps({"text": t, "label": k % 2}) + "\n" for k, t in enumerate(texts)))
    read = text_files.read(path, "text-jsonl", {})
    expected = [text.strip().encode("utf-8", "replace").decode() for text in texts]
    assert read.found.texts.read(np.arange(len(texts))) == expected and read.found.names == ("0", "1")


def test_line_ends_inside_quotes_belong_to_the_text(tmp_path):
    rows = [(f'first "{k}"\nsecond, third', y) for k, (_, y) in enumerate(ROWS)]
    file = io.StringIO()
    csv.writer(file).writerows([("text", "label"), *rows])
    splits = load(written(tmp_path / "a.csv", file.getvalue()))
    assert everything(splits) == sorted(rows)
    assert splits.train.name(1).startswith("a.csv, line "), "counted in lines of the file"
    names = {
        part.name(k): t for part in (splits.train, splits.test) for k, t in enumerate(part.texts(np.arange(3))) if k < 3
    }
    assert all(int(n.rpartition(" ")[2]) == 2 + 2 * int(t.split('"')[1]) for n, t in names.items())


def test_quotes_inside_the_texts_of_a_tsv_are_part_of_them(tmp_path):
    rows = [(f'"Keep it {k}', y) if k % 3 else (f'he said "no" {k}', y) for k, (_, y) in enumerate(ROWS)]
    splits = load(written(tmp_path / "a.tsv", "label\ttext\n" + "".join(f"{y}\t{t}\n" for t, y in rows)))
    assert everything(splits) == sorted(rows) and "part of the text" in splits.card["notes"][0]


def test_class_folders_of_text_files_are_read_and_unlabelled_ones_said(tmp_path):
    for split, count in (("train", 10), ("test", 4)):
        for label in ("neg", "pos"):
            for k in range(count):
                written(tmp_path / "imdb" / split / label / f"{k}_7.txt", f"{split} {label} film\nnumber {k}")
    written(tmp_path / "imdb" / "train" / "unsup" / "0.txt", "who knows")
    splits = load(tmp_path / "imdb")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (18, 2, 8)
    assert (
        splits.test.texts(np.array([0])) == ["test neg film number 0"]
        and "unsup is left out" in splits.card["notes"][1]
    )
    assert splits.test.name(0) == "neg/0_7.txt"


@pytest.mark.parametrize("stem", ["{}.txt", "stsa.binary.{}", "TREC.{}.all", "my_{}_v2.csv"])
def test_files_of_one_stem_are_the_splits(tmp_path, stem):
    for split, count in (("train", 20), ("dev", 6), ("test", 8)):
        rows = ROWS[:count]
        text = "text,label\n" + "".join(f"{t},{y}\n" for t, y in rows) if stem.endswith("csv") else lines(rows)
        written(tmp_path / stem.format(split), text)
    for source in (tmp_path, tmp_path / stem.format("train")):
        splits = load(source)
        assert (len(splits.train), len(splits.validation), len(splits.test)) == (20, 6, 8)
        assert splits.card["splits"] == {"validation": "the source's own", "test": "the source's own"}
    names = [stem.format(split) for split in ("train", "dev", "test")]
    assert splits.card["notes"][0] == f"Beside {names[0]} there is {names[1]} as validation, {names[2]} as test."
    assert any("of the test split are in training too" in line for line in splits.card["warnings"])


def test_a_word_inside_another_makes_no_split(tmp_path):
    for name in ("train.csv", "latest.csv", "developed.csv"):
        written(tmp_path / name, "text,label\n" + "".join(f"{name} {t},{y}\n" for t, y in ROWS))
    splits = load(tmp_path / "train.csv")
    assert len(everything(splits)) == len(ROWS) and splits.card["splits"]["test"].startswith("held out")


def test_a_folder_of_several_data_sets_names_them(tmp_path):
    for stem in ("a", "b"):
        written(tmp_path / f"{stem}.train", lines())
    refused(tmp_path, "holds several data sets: a.train, b.train. Name one of the files")


# columns --------------------------------------------------------------------------------------------------------------


def test_columns_are_chosen_by_name_content_or_as_told_and_said(tmp_path):
    head = "nr,note,mood,remark\n"
    path = written(tmp_path / "a.csv", head + "".join(f"{k},n{k},{y},{t}\n" for k, (t, y) in enumerate(ROWS)))
    splits = load(path)
    assert everything(splits) == sorted(ROWS)
    assert (
        splits.card["notes"][1]
        == "Text is the column 'remark' (by its long cells); label is the column 'mood' (by its few values)."
    )
    told = load(path, text="note", label=2)
    assert sorted(told.test.texts(np.arange(2)))[0].startswith("n") and "'note' (as told)" in told.card["notes"][1]
    refused(
        path, r"has no column 'moood', which the option `label` names. It has nr, note, mood, remark\.", label="moood"
    )
    refused(path, "has no column 9, which the option `text` names", text=9)


def test_a_column_of_ids_is_no_label(tmp_path, monkeypatch):
    from cnnkit.inputs.text import index

    monkeypatch.setattr(index, "MOST_LABELS", 10)
    path = written(tmp_path / "a.csv", "text,label\n" + "".join(f"{t},{k}\n" for k, (t, _) in enumerate(ROWS)))
    refused(path, "more than 10 different labels, such as '10': that is no column of labels")


def test_several_labels_come_from_lists_marks_and_separators(tmp_path):
    sets = [["a"], ["b", "c"], ["a", "c"]] * 8
    texts = [f"text {k}" for k in range(24)]
    files = {
        "a.jsonl": "".join(json.dumps({"text": t, "labels": s}) + "\n" for t, s in zip(texts, sets)),
        "a.txt": "".join(" ".join(f"__label__{y}" for y in s) + f" {t}\n" for t, s in zip(texts, sets)),
        "a.csv": "text,label\n" + "".join(f"{t},{'|'.join(s)}\n" for t, s in zip(texts, sets)),
    }
    for name, content in files.items():
        splits = load(written(tmp_path / name, content), separator="|" if name == "a.csv" else None)
        for part in (splits.train, splits.validation, splits.test):
            targets = part.targets(np.arange(len(part)))
            assert targets.dtype == np.float32 and part.multi_label
            for text, row in zip(part.texts(np.arange(len(part))), targets):
                assert ["abc"[k] for k in np.flatnonzero(row)] == sets[int(text.split()[1])], name
        assert (splits.train.counts() + splits.validation.counts() + splits.test.counts()).tolist() == [16, 8, 16]


# encodings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("cp1252", "Windows-1252"), ("latin-1", "Windows-1252")],
)
def test_an_encoding_is_found_and_said(tmp_path, encoding, said):
    rows = [(f"café crème naïve {k}", y) for k, (_, y) in enumerate(ROWS)]
    splits = load(written(tmp_path / "a.txt", lines(rows), encoding))
    assert everything(splits) == sorted(rows) and f"Read as {said}." in splits.card["notes"]


def test_labels_are_read_in_the_encoding_too(tmp_path):
    rows = [(t, y.replace("e", "é")) for t, y in ROWS]
    assert load(written(tmp_path / "a.txt", lines(rows), "cp1252")).train.label_names == ("nég", "pos")


def test_utf_16_says_how_to_convert_it(tmp_path):
    refused(written(tmp_path / "a.txt", lines(), "utf-16"), r"is UTF-16\. Convert it: iconv")


def test_a_line_that_is_not_utf_8_is_named_and_can_be_left_out(tmp_path):
    raw = lines([(f"schön {k}", y) for k, (_, y) in enumerate(ROWS)]).encode().split(b"\n")
    raw[6] = b"neg \xff\xfe bytes"
    (tmp_path / "a.txt").write_bytes(b"\n".join(raw))
    refused(tmp_path / "a.txt", r"1 of 40 texts cannot be used: a.txt, line 7 \(invalid UTF-8\)\. Repair")
    splits = load(tmp_path / "a.txt", skip_bad=True)
    assert len(everything(splits)) == 39 and splits.card["warnings"][0].startswith("Left out 1 texts: a.txt, line 7")


def test_one_line_of_latin_1_beside_ascii_is_latin_1_and_one_of_garbage_is_bad(tmp_path):
    (tmp_path / "a.txt").write_bytes(lines().encode() + "pos déjà vu\n".encode("latin-1"))
    assert ("déjà vu", "pos") in everything(load(tmp_path / "a.txt"))
    (tmp_path / "b.txt").write_bytes(lines().encode() + b"pos \xff\xff\n")
    refused(tmp_path / "b.txt", r"line 41 \(invalid UTF-8\)")


# what cannot be used --------------------------------------------------------------------------------------------------


def test_texts_that_cannot_be_used_are_named_and_counted(tmp_path):
    body = "".join(f"{t},{y}\n" for t, y in ROWS)
    bad = [",pos", "no label,", "one,two,pos", "x" * 1_000_001 + ",pos", '"open,pos', ",neg", ",neg"]
    path = written(tmp_path / "a.csv", "text,label\n" + body + "\n".join(bad) + "\n" + body.replace("number", "again"))
    refused(
        path, r"7 of 87 texts cannot be used: a.csv, line 42 \(no text\), .*no label.*3 columns.*1\.0 MB.* and 2 more\."
    )
    splits = load(path, skip_bad=True)
    assert everything(splits) == sorted(ROWS + [(t.replace("number", "again"), y) for t, y in ROWS])


def test_of_several_labels_a_text_may_have_none(tmp_path):
    body = "".join(f"sentence {k} of words,{('a|b', 'a', '', 'b')[k % 4]}\n" for k in range(80))
    splits = load(written(tmp_path / "a.csv", "text,labels\n" + body), separator="|")
    assert splits.train.multi_label and splits.train.label_names == ("a", "b")
    rows = [splits.train, splits.validation, splits.test]
    targets = np.concatenate([part.targets(np.arange(len(part))) for part in rows])
    assert len(targets) == 80 and (targets.sum(1) == 0).sum() == 20


def test_texts_without_a_label_hide_no_rare_one_from_the_test(tmp_path):
    body = "".join(f"sentence {k} of words,{'a' if k < 10 else 'b' if k < 40 else ''}\n" for k in range(200))
    path = written(tmp_path / "a.csv", "text,labels\n" + body)
    found = [load(path, separator="|", test=0.2, validation=0, split_seed=seed) for seed in range(4)]
    assert [splits.test.counts()[0] for splits in found] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "is empty"),
        ("a.txt", "\n \n", "is empty"),
        ("a.csv", "text,label\n", "holds no text with a label|needs a column"),
        ("a.txt", "pos good\npos fine\npos well\n" * 4, "has one class only, pos"),
        ("a.csv", "text,label\n" + "good,pos\n" * 5 + "bad,neg\n", "has one training text only of neg"),
        ("a.csv", "just one column\n" * 9, "no table of texts and labels"),
        (
            "a.txt",
            "every line is\nanother sentence\nwith no label\nto be seen here\n" * 1 + "at all, ever\nor so\n",
            "no data set of texts",
        ),
        ("a.csv.gz", "packed", "is packed, and texts are read by position"),
        ("a.txt", "a\0b", "holds bytes of 0"),
        ("a.jsonl", "[1, 2]\n", "no line that is a JSON object"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused_in_one_line(tmp_path, name, text, message):
    refused(written(tmp_path / name, text), message)


def test_bad_json_lines_are_named(tmp_path):
    good = "".join(json.dumps({"text": t, "label": y}) + "\n" for t, y in ROWS)
    path = written(tmp_path / "a.jsonl", good + '{"text": \n{"text": 3, "label": "pos"}\n{"text": "x", "label": {}}\n')
    refused(path, r"3 of 43 .*line 41 \(not JSON\).*line 42 \('text' is no text\).*line 43 \(the label is no text")


def test_a_file_that_changed_is_refused(tmp_path):
    path = written(tmp_path / "a.txt", lines())
    found = text_files.read(path, "label-sentence", {}).found
    path.write_text("pos shorter\n")
    with pytest.raises(DataError, match="has changed since it was looked through"):
        found.texts.read(np.array([3]))


# cards ----------------------------------------------------------------------------------------------------------------


def test_a_card_can_name_texts_and_their_columns(tmp_path):
    written(tmp_path / "a.csv", "nr,note,mood\n" + "".join(f"{k},{t},{y}\n" for k, (t, y) in enumerate(ROWS)))
    head = "title = 'Moods'\ntask = 'text'\nlabels = ['pos', 'neg']\n"
    card = written(tmp_path / "moods.toml", head + "path = 'a.csv'\n")
    assert load(card).train.label_names == ("pos", "neg")
    body = "reader = 'text-csv'\n[options]\ntext = 'note'\nlabel = 'mood'\n[splits]\ntrain = {file = 'a.csv'}\ntest = 0.5\n"
    splits = load(written(tmp_path / "more.toml", head + body))
    assert len(splits.test) == 20 and splits.card["title"] == "Moods"


def test_a_file_of_texts_is_one_only_where_texts_are_asked_for(tmp_path):
    path = written(tmp_path / "a.csv", "text,label\n" + "".join(f"{t},{y}\n" for t, y in ROWS))
    assert cards.load(path).task == "classification" and cards.load(path, task="text").task == "text"


@pytest.mark.parametrize(
    ("card", "counts", "held"),
    [
        ("mr", [5331, 5331], None),
        ("subj", [5000, 5000], None),
        ("trec", [1300, 1344, 95, 1288, 916, 1009], 500),
        ("sst2", [4650, 4963], 1821),
        ("sms-spam", [4827, 747], None),
    ],
)
def test_the_research_sets_have_what_their_papers_say(research_data, card, counts, held):
    research_data("text")
    splits = load(card)
    parts = (splits.train, splits.validation, splits.test)
    assert sum(part.counts() for part in parts).tolist() == counts
    assert held is None or len(splits.test) == held
    if card == "sst2":
        assert [len(part) for part in parts] == [6920, 872, 1821]
    if card in ("mr", "subj"):
        assert "Read as Windows-1252." in splits.card["notes"]

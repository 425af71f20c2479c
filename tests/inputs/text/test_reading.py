# ruff: noqa: RUF001 - other alphabets are meant
"""Texts are read as their owner means them: separators, quotes, headers, columns, labels, encodings, containers; or refused."""

import json
import random
import zipfile

import numpy as np
import pytest

from cnnkit.errors import DataError
from cnnkit.inputs.text import checks, encodings, files
from cnnkit.inputs.text.loading import load
from tests.inputs.text.test_files import everything, refused, written

WORDS = ["soup", "bread", "goal", "match", "drum", "choir", "train", "river", "paint", "stone"]


def rows(count=60, labels=("neg", "pos"), seed=0):
    rng = random.Random(seed)
    return [(f"{' '.join(rng.sample(WORDS, 5))} nr {k}", labels[k % len(labels)]) for k in range(count)]


def table(found, head="text,label", end="\n"):
    return end.join([*([head] if head else []), *(f'"{text}",{label}' for text, label in found)]) + end


# quotes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [0, 9000], ids=["at once", "after 256 KB"])
@pytest.mark.parametrize("order", ["label first", "text first", "commas"])
def test_stray_quotes_join_no_texts(tmp_path, late, order):
    found = rows(late + 600)
    for k in range(late, late + 600, 100):
        found[k] = ('"' + found[k][0], found[k][1])
        found[k + 40] = (found[k + 40][0] + '"', found[k + 40][1])
    lines = [f"{y}\t{t}" if order == "label first" else f"{t}\t{y}" for t, y in found]
    name = "a.tsv"
    if order == "commas":
        name, lines = "a.csv", [line.replace("\t", ",") for line in lines]
    splits = load(written(tmp_path / name, "\n".join(lines) + "\n"))
    assert everything(splits) == sorted(found)
    assert "part of the text" in " ".join(splits.card["notes"])


def test_one_stray_quote_among_cells_that_need_theirs_is_named(tmp_path):
    found = rows(60)
    lines = [f'"{text}, and more",{label}' for text, label in found]
    lines[20], lines[30] = '"' + found[20][0] + ",neg", found[30][0] + '",neg'
    path = written(tmp_path / "a.csv", "text,label\n" + "\n".join(lines) + "\n")
    refused(path, r"1 of 60 texts cannot be used: a.csv, line 22 \((a quote would join it with lines|3 columns)")
    assert len(everything(load(path, skip_bad=True))) == 59


def test_texts_of_several_lines_stay_whole_and_are_said(tmp_path):
    found = [(f"{text}\nsecond, line\nthird", label) for text, label in rows(60)]
    splits = load(written(tmp_path / "a.csv", table(found)))
    assert everything(splits) == sorted(found)
    assert "60 texts hold line ends, inside quotes; the first: a.csv, line 2." in splits.card["notes"]


# headers and columns --------------------------------------------------------------------------------------------------


def test_a_number_is_a_position_and_never_a_cell(tmp_path):
    found = rows(80, ("1", "5"))
    body = "".join(f'{label},{k % 3},"{text}"\n' for k, (text, label) in enumerate(found))
    path = written(tmp_path / "a.csv", body)
    for asked in ({"label": "0"}, {"label": 0, "text": "2"}, {"label": "-3"}):
        assert everything(load(path, **asked)) == sorted(found)
    refused(path, "has no column '7'.*no header, and 3 columns", label="7")
    named = written(tmp_path / "b.csv", "1,0,text\n" + body)  # a header of numbers, as pandas writes one
    assert "the column '1' (as told)" in " ".join(load(named, label="0", skip_bad=True).card["notes"])


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"'])
def test_the_line_of_excel_says_the_separator(tmp_path, first):
    body = "".join(f'"{text}, x";{label}\r\n' for text, label in rows())
    splits = load(written(tmp_path / "a.csv", f"{first}\r\ntext;label\r\n{body}"))
    assert everything(splits) == sorted((f"{text}, x", label) for text, label in rows())
    assert splits.train.name(0) == f"a.csv, line {3 + int(splits.train.texts([0])[0].split()[-2][:-1])}"


def test_a_header_that_comes_again_is_no_text(tmp_path):
    parts = [table(rows(20, seed=k), ("review,mood", '"review","mood"', "Review,Mood")[k]) for k in range(3)]
    path = written(tmp_path / "a.csv", parts[0] + "\ufeff" + parts[1] + parts[2])
    splits = load(path)
    assert splits.train.label_names == ("neg", "pos") and len(everything(splits)) == 60
    (entry,) = splits.card["inventory"]["entries"]
    assert (entry["count"], entry["reason"]) == (2, "that are the header once more")
    assert entry["examples"] == ["a.csv, line 22", "a.csv, line 43"]
    assert any(finding.kind == "header-again" for finding in checks.check(path))


def test_a_header_behind_rows_without_one_is_no_text(tmp_path):
    body = table(rows(20), "") + table(rows(20, seed=2), "Text,Label")
    splits = load(written(tmp_path / "a.csv", body))
    assert splits.train.label_names == ("neg", "pos") and len(everything(splits)) == 40
    assert splits.card["inventory"]["entries"][0]["examples"] == ["a.csv, line 21"]


def test_the_whole_file_is_looked_at_where_it_is_sorted(tmp_path):
    rng = random.Random(1)
    found = sorted(rows(9000), key=lambda row: row[1])
    lines = [f'{y},{k},"Mon",user{rng.randrange(10**6)},"{t}"' for k, (t, y) in enumerate(found)]
    path = written(tmp_path / "a.csv", "\n".join(lines) + "\n")
    assert path.stat().st_size > 300_000
    splits = load(path)
    assert splits.train.label_names == ("neg", "pos")
    assert "label is the column number 0 (by its few values)" in splits.card["notes"][1]


def test_where_no_column_looks_like_labels_they_are_named(tmp_path):
    lines = [f'{k},user{k * 7},"{text}"' for k, (text, _) in enumerate(rows(400))]
    refused(written(tmp_path / "a.csv", "\n".join(lines)), r"no column looks like labels.*number 0 400.*with `label`")


def test_thousands_of_labels_are_checked_in_no_time():
    names = [f"user{k:05d}name" for k in range(6000)] + ["positive", "positve"]
    pairs = set(checks._neighbours(names))
    assert (6000, 6001) in pairs and len(pairs) < 100 * len(names)


def test_copies_and_leaks_are_found_where_no_spaces_are(tmp_path):
    rng = random.Random(0)
    letters = [chr(0x4E00 + k) for k in range(400)]
    found = [("".join(rng.sample(letters, 30)) + ("体育" if k % 2 else ""), ("美食", "体育")[k % 2]) for k in range(80)]
    found.append(("好" + found[0][0], "美食"))
    kinds = {finding.kind for finding in checks.check(written(tmp_path / "a.csv", table(found)))}
    assert "label-in-text" in kinds and kinds & {"near-duplicate", "near-leak"}


# several labels in columns --------------------------------------------------------------------------------------------

MARKS = [(1, 0, 0), (0, 1, 1), (0, 0, 0), (1, 1, 0)]


def several(splits):
    return {
        text: tuple(name for name, on in zip(part.label_names, row) if on)
        for part in (splits.train, splits.validation, splits.test)
        for text, row in zip(part.texts(np.arange(len(part))), part.targets(np.arange(len(part))))
    }


@pytest.mark.parametrize("form", ["csv", "jsonl", "words", "yes"])
def test_columns_of_0_and_1_are_several_labels(tmp_path, form):
    found = [(text, MARKS[k % 4]) for k, (text, _) in enumerate(rows(80))]
    if form == "jsonl":
        lines = [
            json.dumps({"nr": k, "text": t, "toxic": a, "threat": b, "rude": c})
            for k, (t, (a, b, c)) in enumerate(found)
        ]
    else:
        said = {"words": ("False", "True"), "yes": ("no", "yes")}.get(form, "01")
        lines = [f"{k},{t},{','.join(said[m] for m in marks)}" for k, (t, marks) in enumerate(found)]
        lines.insert(0, "nr,comment_text,toxic,threat,rude")
    path = written(tmp_path / ("a.jsonl" if form == "jsonl" else "a.csv"), "\n".join(lines) + "\n")
    splits = load(path)
    wanted = {
        t: tuple(n for n in ("rude", "threat", "toxic") if dict(zip(("toxic", "threat", "rude"), m))[n])
        for t, m in found
    }
    assert several(splits) == wanted and "of 0 and 1 'toxic', 'threat', 'rude'" in " ".join(splits.card["notes"])
    two = load(path, label="toxic,rude")
    assert two.train.label_names == ("rude", "toxic") and two.train.multi_label
    assert load(path, label="toxic").train.multi_label is False


def test_columns_of_which_each_row_has_one_are_one_label(tmp_path):
    lines = ["text,food,sport,art"] + [
        f"{t},{','.join('1' if j == k % 3 else '0' for j in range(3))}" for k, (t, _) in enumerate(rows())
    ]
    splits = load(written(tmp_path / "a.csv", "\n".join(lines)))
    assert not splits.train.multi_label and splits.train.label_names == ("art", "food", "sport")


def test_columns_of_0_and_1_beside_another_are_offered(tmp_path):
    lines = ["text,verified,helpful,stars_given"] + [
        f"{t},{k % 2},{k % 3 // 2},{k % 5}" for k, (t, _) in enumerate(rows())
    ]
    path = written(tmp_path / "a.csv", "\n".join(lines))
    refused(
        path,
        r"which column is the label\? 'verified', 'helpful' hold 0 and 1: `label=verified,helpful` .*'stars_given'",
    )
    assert load(path, label="stars_given").train.label_names == tuple("01234")
    lines[5] = lines[5].replace(",0,", ",2,").replace(",1,", ",2,")
    path = written(tmp_path / "b.csv", "\n".join(lines))
    refused(path, r"b.csv, line 6 \('2' in the column 'verified', where 0 or 1 says", label="verified,helpful")


# labels ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written_as", "names"),
    [
        (["1", "1.0", "0", "0.0"], ("0", "1")),
        (["2.0", "1.0"], ("1", "2")),
        (["1", "1.0", "1.5"], ("1", "1.5")),
        (["1.0", "1.1", "2.0"], ("1.0", "1.1", "2.0")),
        (["v1.0", "v1"], ("v1", "v1.0")),
        (["01", "1"], ("01", "1")),
    ],
)
def test_the_same_number_is_the_same_label(tmp_path, written_as, names):
    splits = load(written(tmp_path / "a.csv", table(rows(80, written_as))))
    assert set(splits.train.label_names) == set(names)


@pytest.mark.parametrize("missing", ["nan", "NaN", "null", "N/A", "<NA>", ""])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_missing_label_is_none(tmp_path, missing, form):
    found = [(text, missing if k % 10 == 0 else label) for k, (text, label) in enumerate(rows())]
    text = table(found)
    if form == "jsonl":
        text = "".join(json.dumps({"text": t, "label": float("nan") if y == "nan" else y}) + "\n" for t, y in found)
    path = written(tmp_path / f"a.{form}", text)
    refused(path, r"6 of 60 texts cannot be used: .*no label")
    assert load(path, skip_bad=True).train.label_names == ("neg", "pos")


def test_labels_that_look_the_same_are_the_same(tmp_path):
    found = rows(60, ("caf\u00e9", "cafe\u0301", "bar"))
    assert load(written(tmp_path / "a.csv", table(found))).train.label_names == ("bar", "caf\u00e9")


def test_a_label_that_may_mean_missing_is_said(tmp_path):
    splits = load(written(tmp_path / "a.csv", table(rows(60, ("None", "neg", "pos")))))
    assert splits.train.label_names == ("None", "neg", "pos")
    assert any("'None' is taken for a label" in line for line in splits.card["notes"])


# encodings ------------------------------------------------------------------------------------------------------------

FOREIGN = {
    "gbk": ("质量很好 值得购买", "好评", "差评"),
    "big5": ("這個產品很好 推薦給大家", "好評", "差評"),
    "shift_jis": ("とても良い商品また買います", "良い", "悪い"),
    "euc_jp": ("とても良い商品また買います", "良い", "悪い"),
    "cp949": ("정말 좋아요 추천합니다", "긍정", "부정"),
    "cp1251": ("отличный товар спасибо", "хорошо", "плохо"),
    "koi8_r": ("отличный товар спасибо", "хорошо", "плохо"),
    "cp1253": ("πολύ καλό προϊόν ευχαριστώ", "καλό", "κακό"),
    "cp1250": ("Świetny produkt, dziękuję bardzo, żółty kolor", "dobrý", "zły"),
    "iso8859_2": ("Příliš žluťoučký kůň úpěl ďábelské ódy", "dobrý", "špatný"),
    "cp1254": ("Çok güzel bir ürün, teşekkür ederim, ışık iyi", "iyi", "kötü ğ"),
    "cp1255": ("מוצר טוב מאוד תודה רבה", "טוב", "רע"),
    "cp1256": ("منتج جيد جدا شكرا لكم", "جيد", "سيئ"),
    "cp874": ("สินค้าดีมากแนะนำ", "ดี", "แย่"),
}
WESTERN = {
    "German": "Das Käsebrötchen war größer und süß – für 3 € ganz schön",
    "French": "Très déçu, l’hôtel était à côté d’un garage, ça sent où ? œuvre naïve",
    "Spanish": "¿Qué tal? El niño comió paella con piñón y jamón, ¡qué rápido!",
    "Portuguese": "Não gostei, a comunicação é péssima e você avó não têm opções",
    "Swedish": "Jag är på väg över ån och tänker på smörgåsar",
    "Danish": "Rødgrød med fløde er så lækkert på en ø",
    "Italian": "Perché è così? La città è più bella di là, già",
    "Icelandic": "Það er mjög gott að vera hér þegar sólin skín í fjörðum",
    "English": "A naïve café with crème brûlée – “fine”, they said…",
}


def foreign(tmp_path, encoding):
    text, good, bad = FOREIGN[encoding]
    found = [(f"{text} {k}", (good, bad)[k % 2]) for k in range(60)]
    return written(tmp_path / "a.csv", table(found), encoding), found


@pytest.mark.parametrize("encoding", FOREIGN)
def test_what_is_no_western_text_is_refused_and_read_when_it_is_named(tmp_path, encoding):
    path, found = foreign(tmp_path, encoding)
    refused(path, r"a\.csv is not UTF-8, and no Western European text either.*Name its encoding with `encoding`")
    splits = load(path, encoding=encoding)
    assert everything(splits) == sorted(found) and f"Read as {encoding.split('_')[0].upper()}"[:12] in " ".join(
        splits.card["notes"]
    )


def test_the_refusal_shows_how_encodings_would_read_it(tmp_path):
    for encoding, shown in (("cp1251", "отличный товар"), ("gbk", "质量很好"), ("shift_jis", "とても良い")):
        with pytest.raises(DataError, match=f"reads .*{shown}"):
            load(foreign(tmp_path, encoding)[0])


@pytest.mark.parametrize("language", WESTERN)
def test_western_texts_need_no_encoding(tmp_path, language):
    found = [(f"{WESTERN[language]} {k}", ("a", "b")[k % 2]) for k in range(40)]
    splits = load(written(tmp_path / "a.csv", table(found), "cp1252"))
    assert everything(splits) == sorted(found) and "Read as Windows-1252." in splits.card["notes"]


def test_languages_of_the_west_may_be_mixed():
    assert encodings.western([text.encode("cp1252") for name, text in WESTERN.items() if name != "Icelandic"])


def test_an_encoding_that_is_none_or_does_not_fit_is_one_line(tmp_path):
    path, _ = foreign(tmp_path, "cp1251")
    refused(path, "There is no encoding 'cp12510'", encoding="cp12510")
    refused(path, "There is no encoding 'base64'", encoding="base64")
    refused(path, r"a\.csv, line 2 is not ascii|invalid UTF-8", encoding="utf-8")
    refused(path, r"a\.csv, line 2 is not shift_jis\. Name another `encoding`", encoding="shift_jis")


def test_utf_8_is_not_spoilt_by_an_encoding_of_single_bytes(tmp_path):
    path = written(tmp_path / "a.csv", table([(f"schöner Käse {k}", "ab"[k % 2]) for k in range(40)]))
    refused(path, r"a\.csv is UTF-8, and cp1251 would read it wrongly\. Leave out `encoding`", encoding="cp1251")
    refused(path, "would read it wrongly", encoding="cp1252")


def test_folders_and_json_lines_are_read_in_the_encoding_that_is_named(tmp_path):
    for k in range(20):
        written(tmp_path / "set" / "ab"[k % 2] / f"{k}.txt", f"отличный товар {k}", "cp1251")
    refused(tmp_path / "set", "is not UTF-8, and no Western European text either")
    assert "отличный товар 0" in dict(everything(load(tmp_path / "set", encoding="cp1251")))
    lines = "".join(json.dumps({"text": f"отличный {k}", "label": k % 2}, ensure_ascii=False) + "\n" for k in range(20))
    assert len(everything(load(written(tmp_path / "a.jsonl", lines, "cp1251"), encoding="cp1251"))) == 20


# containers -----------------------------------------------------------------------------------------------------------


def test_lines_that_end_in_cr_are_lines(tmp_path):
    for name, text in (("a.csv", table(rows(), end="\r")), ("a.txt", "".join(f"{y} {t}\r" for t, y in rows()))):
        path = written(tmp_path / name, text)
        splits = load(path)
        assert everything(splits) == sorted(rows()) and splits.train.name(0).startswith(f"{name}, line ")


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_json_array_is_read(tmp_path, wrapped):
    found = [{"text": f"{t}\nsecond", "label": y} for t, y in rows()]
    path = written(tmp_path / "a.json", json.dumps({"version": 1, "data": found} if wrapped else found, indent=1))
    splits = load(path)
    assert everything(splits) == sorted((f"{t}\nsecond", y) for t, y in rows())
    assert splits.train.name(0).startswith("a.json, record ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": {"b": 1}}', "no list of objects such as|needs a field of texts"),
        ("[1, 2, 3]", "no list of objects such as"),
        ('[{"text": "a", }]', r"a\.json, line 1 is not JSON"),
        ("[" * 100_000, "too deep|is not JSON"),
    ],
)
def test_json_of_another_form_is_one_line(tmp_path, content, message):
    refused(written(tmp_path / "a.json", content), message)


@pytest.mark.parametrize(
    ("name", "start", "message"),
    [
        ("a.xlsx", None, "is an Excel workbook.*Save its sheet as CSV"),
        ("a.csv", None, "is an Excel workbook"),  # renamed
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Excel workbook"),
        ("a.parquet", b"PAR1\0\0", "is a Parquet file.*as CSV"),
        ("a.pdf", b"%PDF-1.7", "is a PDF"),
        ("a.csv", b"<!DOCTYPE html><p>Sign in", "is a web page"),
        ("a.db", b"SQLite format 3\0", "is an SQLite database"),
    ],
)
def test_what_is_no_text_is_called_by_its_name(tmp_path, name, start, message):
    path = tmp_path / name
    if start is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("xl/workbook.xml", "<workbook/>")
    else:
        path.write_bytes(start + b"x" * 100)
    refused(path, message)


@pytest.mark.parametrize("first", ["ORC", "orchestra", "PAR1", "RIFF", "Rar!", "Object"])
def test_a_text_may_begin_with_what_other_files_begin_with(tmp_path, first):
    found = [(f"{first} {text}" if k == 0 else text, label) for k, (text, label) in enumerate(rows())]
    path = written(tmp_path / "a.tsv", "".join(f"{text}\t{label}\n" for text, label in found))
    assert everything(load(path)) == sorted(found)


def test_files_without_a_suffix_are_texts_and_others_are_said(tmp_path):
    for k, (text, label) in enumerate(rows(40)):
        written(tmp_path / "news" / label / (f"{49960 + k}" if k % 2 else f"000{k}.0"), text)
    for name in ("README", "a.html", ".hidden"):
        written(tmp_path / "news" / "pos" / name, "no text")
    splits = load(tmp_path / "news")
    assert everything(splits) == sorted(rows(40))
    (entry,) = splits.card["inventory"]["entries"]
    assert entry["count"] == 2 and sorted(entry["examples"]) == ["pos/README", "pos/a.html"]


def test_a_copy_goes_with_its_texts(tmp_path):
    read = files.read(written(tmp_path / "a.csv", table(rows(), end="\r")), "text-csv", {})
    copy = read.found.texts._plain.path
    assert copy.exists() and len(read.found.texts.read(np.arange(3))) == 3
    del read
    assert not copy.exists()

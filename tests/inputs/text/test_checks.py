"""Each fault that is planted in a set of texts is found, and a clean set has none."""

import numpy as np
import pytest

from cnnkit.inputs.text.checks import check, sketch
from cnnkit.inputs.text.loading import load

WORDS = [f"w{chr(97 + k // 26)}{chr(97 + k % 26)}" for k in range(400)]
LABELS = ("sports", "weather")


def sentences(count, seed=0, length=12):
    """Different sentences of random words, with labels in turn."""
    rng = np.random.default_rng(seed)
    return [(" ".join(rng.choice(WORDS, length)), LABELS[k % 2]) for k in range(count)]


def saved(path, rows, encoding="utf-8"):
    path.write_bytes("".join(f"{label}\t{text}\n" for text, label in rows).encode(encoding))
    return path


def kinds(findings):
    return {finding.kind: finding for finding in findings}


def test_a_clean_set_has_no_findings(tmp_path):
    assert check(saved(tmp_path / "a.tsv", sentences(120))) == []


def test_copies_are_found_within_a_file_and_named(tmp_path):
    rows = sentences(60)
    found = kinds(check(saved(tmp_path / "a.tsv", [*rows, (rows[3][0].upper() + "  ", rows[3][1])])))
    assert list(found) == ["duplicate"] and found["duplicate"].severity == "warning"
    assert found["duplicate"].files == ("a.tsv, line 4 ~ a.tsv, line 61",) or "line 61 ~" in found["duplicate"].files[0]


def test_the_same_text_under_two_labels_is_an_error(tmp_path):
    rows = sentences(60)
    found = kinds(check(saved(tmp_path / "a.tsv", [*rows, (rows[4][0], "weather")])))
    assert list(found) == ["conflict"] and found["conflict"].severity == "error"
    assert "line 5" in found["conflict"].files[0] and "line 61" in found["conflict"].files[0]


def test_a_text_in_two_splits_is_an_error(tmp_path):
    rows = sentences(90)
    saved(tmp_path / "a.train.tsv", rows[:60])
    saved(tmp_path / "a.test.tsv", [*rows[60:], rows[7]])
    found = kinds(check(tmp_path))
    assert list(found) == ["leak"] and found["leak"].severity == "error"
    assert found["leak"].files == ("a.train.tsv, line 8 ~ a.test.tsv, line 31",)


def test_nearly_the_same_text_is_found_and_under_another_label_a_warning(tmp_path):
    rows = sentences(60, length=30)
    words = rows[10][0].split()
    words[17] = "other"
    digits = [("order 66 now!", "sports"), ("Order 99, now", "weather")]
    saved(tmp_path / "a.train.tsv", [*rows, (" ".join(words), rows[10][1]), *digits])
    saved(tmp_path / "a.test.tsv", sentences(20, seed=4))
    found = kinds(check(tmp_path))
    assert set(found) == {"near-duplicate", "near-conflict"}
    assert "line 11" in found["near-duplicate"].files[0] and "line 61" in found["near-duplicate"].files[0]
    assert "line 62" in found["near-conflict"].files[0] and "line 63" in found["near-conflict"].files[0]


def test_a_near_copy_in_another_split_is_a_warning(tmp_path):
    rows = sentences(90, length=40)
    saved(tmp_path / "a.train.tsv", rows[:60])
    saved(tmp_path / "a.test.tsv", [*rows[60:], (rows[8][0] + " indeed", rows[8][1])])
    assert list(kinds(check(tmp_path))) == ["near-leak"]


def test_the_sketch_estimates_how_many_runs_two_texts_share():
    rng = np.random.default_rng(0)
    same = []
    for _ in range(60):
        words = rng.choice(WORDS, 60).tolist()
        half = words[:40] + rng.choice(WORDS, 20).tolist()  # 38 of 78 runs are in both
        same.append((sketch(words) == sketch(half)).mean())
    assert abs(np.mean(same) - 38 / 78) < 0.06
    assert not sketch(["too", "few"]).any()


@pytest.mark.parametrize("typo", ["Sports", "sport", "spotrs", "sports ", "sporst", "spXrts"])
def test_a_rare_label_that_is_spelt_almost_alike_is_an_error(tmp_path, typo):
    rows = sentences(60)
    head = "text,label\n" + "".join(f"{t},{y}\n" for t, y in rows)
    (tmp_path / "a.csv").write_text(
        head + f'extra words to be read here,"{typo}"\nand more words to be seen there,"{typo}"\n'
    )
    found = kinds(check(tmp_path / "a.csv"))
    if typo == "sports ":  # spaces around a label are not part of it
        assert "label-typo" not in found
    else:
        assert found["label-typo"].severity == "error" and found["label-typo"].files[0].startswith(repr(typo))


def test_labels_that_are_numbers_or_both_common_are_no_typing_errors(tmp_path):
    rows = [(text, ("cat", "car", "1", "2")[k % 4]) for k, (text, _) in enumerate(sentences(80))]
    assert check(saved(tmp_path / "a.tsv", rows)) == []
    rows = [(text, "12" if k < 2 else ("11", "30")[k % 2]) for k, (text, _) in enumerate(sentences(80))]
    assert "label-typo" not in kinds(check(saved(tmp_path / "b.tsv", rows)))


def test_empty_texts_and_invalid_ones_are_found(tmp_path):
    saved(tmp_path / "a.tsv", sentences(40))
    with (tmp_path / "a.tsv").open("ab") as file:
        file.write("sports\t\nsports\tschön, très\n".encode() + b"sports\t\xff\xff\n")
    found = kinds(check(tmp_path / "a.tsv"))
    assert found["empty"].files == ("a.tsv, line 41 (no text)",) and found["empty"].severity == "error"
    assert found["bad-text"].files == ("a.tsv, line 43 (invalid UTF-8)",)


def test_an_encoding_that_is_not_utf_8_is_noted(tmp_path):
    saved(tmp_path / "a.tsv", [*sentences(40), ("déjà vu again, it seems to me", "sports")], "latin-1")
    found = kinds(check(tmp_path / "a.tsv"))
    assert list(found) == ["encoding"] and found["encoding"].severity == "note"


def test_labels_with_few_texts_are_starved(tmp_path):
    rows = sentences(200) + [(text, "rare thing") for text, _ in sentences(6, seed=9)]
    found = kinds(check(saved(tmp_path / "a.tsv", rows)))
    assert list(found) == ["starved"] and "rare thing" in found["starved"].files[0]


def test_a_very_long_text_is_noted(tmp_path):
    rows = [*sentences(60), *sentences(1, seed=5, length=900)]
    found = kinds(check(saved(tmp_path / "a.tsv", rows)))
    assert list(found) == ["long"] and found["long"].files == ("a.tsv, line 61 (900 words)",)


def test_a_label_that_its_texts_name_is_a_leak(tmp_path):
    rows = [(f"{text} Weather" if label == "weather" else text, label) for text, label in sentences(100)]
    found = kinds(check(saved(tmp_path / "a.tsv", rows)))
    assert (
        list(found) == ["label-in-text"] and "100% of the texts of 'weather' name it, 0%" in found["label-in-text"].text
    )


def test_a_label_that_training_lacks_is_an_error_and_not_the_end(tmp_path):
    saved(tmp_path / "a.train.tsv", sentences(60))
    saved(tmp_path / "a.test.tsv", [*sentences(20, seed=3), ("one more of an unknown kind", "politics")])
    assert "politics" in kinds(check(tmp_path))["labels"].text


def test_splits_that_are_loaded_can_be_checked(tmp_path):
    splits = load(saved(tmp_path / "a.tsv", [*sentences(60), sentences(1)[0]]))
    assert list(kinds(check(splits))) == ["duplicate"], "copies are on one side"


def test_the_questions_of_trec_that_are_in_both_splits_are_found(research_data):
    research_data("text")
    found = kinds(check("trec"))
    assert found["leak"].text.startswith(("11 ", "10 ", "12 ")), found["leak"].text

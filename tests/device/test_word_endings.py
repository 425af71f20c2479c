"""Spellings that training texts lack of words that they have."""

import time

import pytest

from cnnkit.device import text, word_endings
from cnnkit.device.text import FIRST, UNKNOWN, Tokenizer, learn
from cnnkit.device.word_endings import other_spellings

PLURALS = [form for stem in ("actor", "river", "letter", "number", "colour") for form in (stem, stem + "s")]


def test_an_ending_is_taken_from_words_that_have_both_forms():
    assert other_spellings([*PLURALS, "tutor", "rivals"], 100) == {"tutors": "tutor"}, "l is not followed by s anywhere"
    assert other_spellings([*PLURALS, "tutors"], 100) == {"tutor": "tutors"}, "and the other way round"
    assert other_spellings([*PLURALS[2:], "tutor"], 100) == {}, "four words are too few"


def test_the_letter_before_an_ending_counts():
    words = [f"{stem}{end}" for stem in ("berr", "cherr", "fair", "hurr", "carr") for end in ("y", "ies")]
    found = other_spellings([*words, "ferry", "delay"], 100)
    assert found == {"ferries": "ferry"}, "delay has no delaies"


def test_an_ending_that_few_words_change_is_none():
    words = [*PLURALS, *(f"{a}{b}m{c}or" for a in "bdfgkl" for b in "aeiou" for c in "pt")]
    assert len([word for word in words if word.endswith("r")]) > 5 / word_endings.SHARE
    assert other_spellings(words, 100) == {}


def test_the_surest_come_first_and_no_more_than_asked():
    sure = [form for stem in ("walk", "talk", "mark", "work", "park") for form in (stem, stem + "ed")]
    words = [*PLURALS, *(f"{a}{b}ttor" for a in "bdf" for b in "aeiou"), *sure, "bark"]
    first = other_spellings(words, 1)
    assert first == {"barked": "bark"}, "five of six words with k, of those with r five of twenty"
    everything = other_spellings(words, 100)
    assert len(everything) == 16 and list(everything)[:1] == ["barked"]
    assert other_spellings(words, 0) == {}
    assert not set(other_spellings(words, 100, known={"barked"})) & {"barked"}


def test_numbers_and_short_words_have_no_endings():
    assert other_spellings([*PLURALS, "4or", "or", "r2d2r"], 100) == {}


def test_other_languages_have_theirs():
    words = [form for stem in ("frau", "fabel", "gabel", "nadel", "tafel", "insel") for form in (stem, stem + "n")]
    assert other_spellings([*words, "kugel"], 100) == {"kugeln": "kugel"}


def test_a_large_vocabulary_is_read_in_a_moment():
    words = [
        f"{a}{b}{c}{d}{e}"
        for a in "bdfgklmnprs"
        for b in "aeiou"
        for c in "bdfgklmnprs"
        for d in "aeiou"
        for e in "rstl"
    ]
    words = [word + tail for word in words for tail in ("", "s", "ed", "ing")][:50_000]
    start = time.perf_counter()
    other_spellings(words, 1000)
    assert time.perf_counter() - start < 10


def test_the_vocabulary_reads_them_as_the_word_and_a_device_too():
    learnt = learn([" ".join([*PLURALS, "tutor"])])
    made = learnt.tokenizer
    assert (learnt.spellings, learnt.kept, made.size) == (1, 11, FIRST + 11), "no ids of their own"
    known = made.table["tutor"]
    assert made.ids("tutor Tutors tutors TUTORS") == [known, known, known, UNKNOWN]
    assert made.words()[known] == "tutor"
    assert Tokenizer.from_dict(made.to_dict()) == made


def test_where_case_is_kept_a_name_has_other_spellings_too():
    learnt = learn([" ".join([*PLURALS, "Tutor"])])
    made = learnt.tokenizer
    assert learnt.spellings == 1 and made.ids("Tutors tutor") == [made.table["Tutor"]] * 2


@pytest.mark.parametrize("options", [{"max_words": 11}, {"buckets": 50}])
def test_none_where_the_vocabulary_is_full_or_unknown_words_have_pieces(options):
    learnt = learn([" ".join([*PLURALS, "tutor"])], **options)
    assert learnt.spellings == 0 and "tutors" not in learnt.tokenizer.table
    assert text.split("tutors") == ["tutors"]

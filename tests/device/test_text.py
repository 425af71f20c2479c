"""The same ids everywhere: for any text, against `regex`, RE2 and MediaPipe's own algorithm."""

import json
import re
import string
import sys
import time
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cnnkit.device import text as under_test
from cnnkit.device.text import (
    ALPHABET,
    DELIMITER,
    FIRST,
    PAD,
    UNKNOWN,
    Tokenizer,
    characters,
    fnv1a,
    learn,
    spans,
    split,
)
from cnnkit.device.word_apart import apart
from cnnkit.device.word_characters import ranges
from cnnkit.errors import ArtifactError, DataError

regex = pytest.importorskip("regex")
re2 = pytest.importorskip("re2")

SENTENCES = ["The film is good .", "the Film isn't bad", "a GOOD, good film"]
EVERY = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
# letters, marks, emoji with joiners, scripts without spaces, letters newer than Python's tables, control characters
PIECES = st.sampled_from(
    [
        "a",
        "Bc",
        "isn't",
        "_",
        "e\u0301",
        "été",
        "日本語",
        "한국어",
        "مرحبا",
        "हिन्दी",
        "İ",
        "ß",
        "ŉ",
        "ǆ",
        "😀",
        "👩\u200d💻",
        "\u20dd",
    ]
    + ["\0", "\u200b", "\xa0", "\u2028", "\ufeff", "\x85", "\ufffd", "\U0001df25", "\U00011f00", "\U00031350", "\u1c89"]
    + [" ", "\t", "\n", ".", "-", "\u2019", "²", "Ⅷ", "Ⓐ", "\U0010ffff"]
)
TEXTS = st.one_of(
    st.text(), st.lists(PIECES, max_size=30).map("".join), st.text(st.characters(exclude_categories=()), max_size=40)
)


def python_syntax(pattern):
    """Write RE2's \\x{1F600} as Python and `regex` have it."""
    return re.sub(r"\\x\{([0-9A-F]+)\}", lambda m: f"\\U{int(m[1], 16):08x}", pattern)


REGEX = regex.compile(python_syntax(DELIMITER))
RE2 = re2.compile(f"({DELIMITER})")


def readable(text):
    """What is left of a text on the way into C++: no unpaired surrogate, nothing after the first NUL."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text).split("\0")[0]


def mediapipe_words(text):
    """RegexTokenizer::Tokenize, line by line: FindAndConsume until nothing is found, then what is left."""
    leftover, words = readable(text), []
    while (found := RE2.search(leftover)) is not None:
        if found.start() > 0:
            words.append(leftover[: found.start()])
        leftover = leftover[found.end() :]
    return words + ([leftover] if leftover else [])


def mediapipe_ids(text, vocabulary, length):
    """RegexPreprocessorCalculator::Process with the vocabulary file as C++ reads it."""
    table = {}
    for line in vocabulary.split("\n"):
        if line:
            fields = line.split(" ")
            table[fields[0]] = int(fields[1])
    ids = [table["<PAD>"]] * length
    for place, word in enumerate(mediapipe_words(text)[:length]):
        ids[place] = table.get(word, table["<UNKNOWN>"])
    return ids


@given(TEXTS)
@settings(max_examples=500)
@example("a\0b")
@example("\ud800a\udfffb")
@example("'' _ '")
def test_words_are_those_of_regex_and_of_mediapipe(text):
    words = split(text)
    assert words == [word for word in REGEX.split(readable(text)) if word]
    assert words == mediapipe_words(text)


@given(TEXTS, st.lists(TEXTS, max_size=3))
@settings(max_examples=300)
def test_ids_are_those_of_mediapipe_for_any_text_and_vocabulary(text, others):
    tokenizer = learn([*others, "a été İ ß 日本語"], max_length=12, cased=len(others) > 1).tokenizer
    for each in (text, text.upper(), text.lower(), text.title()):
        expected = mediapipe_ids(apart(each) if tokenizer.apart else each, tokenizer.vocabulary, 12)
        assert tokenizer.batch([each]).tolist() == [expected]
        ids = tokenizer.ids(each)
        assert ids + [PAD] * (12 - len(ids)) == expected


SPACELESS = {
    "zh": ("昨天收到了这个东西", "非常好", "很失望"),
    "zh-tw": ("昨天收到了這個東西", "推薦", "浪費時間"),
    "ja": ("きのう届いた商品を家族で使ってみた", "とても良い", "がっかり"),
    "th": ("เมื่อวานได้รับของแล้ว", "ดีมาก", "ผิดหวัง"),
    "lo": ("ມື້ວານນີ້ໄດ້ຮັບ", "ດີຫຼາຍ", "ບໍ່ດີ"),
    "km": ("ម្សិលមិញបានទទួល", "ល្អណាស់", "មិនល្អ"),
    "my": ("မနေ့ကရောက်တယ်", "ကောင်းတယ်", "မကောင်းဘူး"),
}


@pytest.mark.parametrize("language", SPACELESS)
def test_where_no_spaces_are_each_character_is_a_word(language):
    filler, good, bad = SPACELESS[language]
    texts = [filler[k % 5 :] + (good, bad)[k % 2] + filler[: 3 + k % 4] for k in range(40)]
    found = learn(texts)
    made = found.tokenizer
    assert made.apart and found.known == 1 and max(found.lengths) > 6
    new = filler[4:] + good + filler[2:5]
    assert UNKNOWN not in made.ids(new) and len(made.ids(new)) == len("".join(split(new)))
    again = Tokenizer.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again == made and again.ids(new) == made.ids(new)
    words = [new[start:end] for start, end in spans(new, True)]
    assert words == split(new, True) and [made.table[word] for word in words] == made.ids(new)


@pytest.mark.parametrize(
    "texts",
    [
        ["a plain text with one 日本 word"] * 9,
        ["정말 좋아요 추천합니다"] * 9,
        ["rất tốt sản phẩm"] * 9,
        ["Привет мир"] * 9,
    ],
)
def test_where_there_are_spaces_words_stay_whole(texts):
    made = learn(texts).tokenizer
    assert not made.apart and "apart" not in made.to_dict()
    assert made.ids(texts[0]) == [made.table[word] for word in texts[0].split()]


def test_words_of_other_scripts_stay_whole_among_characters():
    made = learn(["我的iPhone很好用", "这个USB不好"] * 9).tokenizer
    assert made.apart and split("我的iPhone很好", True) == ["我", "的", "iPhone", "很", "好"]
    assert "iPhone" in made.table and made.ids("iPhone") == [made.table["iPhone"]]


def test_a_text_is_known_where_a_fifth_of_its_words_is():
    made = learn(["soup bread goal"], max_length=12).tokenizer
    texts = ["soup", "", "x y z", "soup a b c", "soup a b c d e f", "goal"]
    assert made.known(made.batch(texts)).tolist() == [True, False, False, True, False, True]
    hashed = learn(["soup bread goal"], max_length=12, buckets=8).tokenizer
    assert hashed.known(hashed.batch(["soup", "xyzzy"])).tolist() == [True, False]


def test_the_ends_of_every_range_and_what_lies_around_them_are_as_re2_has_them():
    codes = {code for first, last in ranges() for code in (first - 1, first, last, last + 1)} | set(range(1, 0x300))
    words = "".join("x" + chr(code) + " " for code in sorted(codes) if not 0xD800 <= code <= 0xDFFF)
    assert split(words) == [word for word in RE2.split(words)[::2] if word]


def test_word_characters_are_the_letters_marks_and_numbers_of_every_older_unicode():
    ours = {code for first, last in ranges() for code in range(first, last + 1)}
    for character in EVERY:
        category = unicodedata.category(character)
        expected = category[0] in "LMN" or character in "_'"
        if category != "Cn" and float(unicodedata.unidata_version.rsplit(".", 1)[0]) <= 17:
            assert (ord(character) in ours) == expected, hex(ord(character))
    assert len(ours) == 150_141
    assert not [code for code in ours if chr(code).isspace()]  # `split` relies on it
    assert all(first <= last < after - 1 for (first, last), (after, _) in zip(ranges(), ranges()[1:]))


def test_the_delimiter_is_plain_ascii():
    assert DELIMITER.isascii() and '"' not in DELIMITER and len(DELIMITER) < 16_000


def test_a_vocabulary_by_frequency_then_alphabet():
    learnt = learn(SENTENCES, cased=False)
    tokenizer = learnt.tokenizer
    assert tokenizer.words() == ["<PAD>", "<UNKNOWN>", "film", "good", "the", "a", "bad", "is", "isn't"]
    assert (learnt.texts, learnt.tokens, learnt.distinct, learnt.kept, learnt.known) == (3, 12, 7, 7, 1.0)
    assert dict(learnt.lengths) == {4: 3}
    assert tokenizer.size == 9 and tokenizer.length == 8
    assert tokenizer.ids("The GOOD, Film; isn't Isn't good-bad nonsense") == [4, 3, 2, 8, UNKNOWN, 3, 6, UNKNOWN]
    assert learn(reversed(SENTENCES), cased=False) == learnt


def test_only_the_most_frequent_words_are_kept():
    learnt = learn(SENTENCES, max_words=3, cased=False)
    assert learnt.tokenizer.words()[FIRST:] == ["film", "good", "the"]
    assert learnt.known == pytest.approx(8 / 12)
    assert learn(SENTENCES, min_count=2, cased=False).tokenizer.words()[FIRST:] == ["film", "good", "the"]


def test_forms_that_were_seen_are_known_and_others_are_not():
    table = learn(["iPhone iphone iphone", "McDonald's McDonald's mcdonald's"], cased=False).tokenizer.table
    assert set(table) == {
        "iphone",
        "iPhone",
        "Iphone",
        "IPHONE",
        "mcdonald's",
        "McDonald's",
        "Mcdonald's",
        "MCDONALD'S",
    }
    assert "iPHONE" not in table


def test_where_case_is_kept_every_form_is_a_word_and_others_are_read_as_the_most_frequent():
    learnt = learn(["Turkey Turkey Turkey turkey Rome iPhone iPhone IPHONE"])
    made = learnt.tokenizer
    assert made.words()[FIRST:] == ["Turkey", "iPhone", "IPHONE", "Rome", "turkey"]
    assert (learnt.distinct, learnt.kept, made.size, learnt.known) == (5, 5, FIRST + 5, 1.0)
    assert made.ids("Turkey turkey TURKEY") == [FIRST, FIRST + 4, FIRST]
    assert made.ids("iPhone IPHONE iphone Iphone") == [FIRST + 1, FIRST + 2, FIRST + 1, FIRST + 1]
    assert made.ids("rome ROME") == [FIRST + 3, UNKNOWN], "a word that is there once has no variant in capitals"
    assert Tokenizer.from_dict(made.to_dict()) == made


def test_texts_in_lower_case_have_the_same_vocabulary_with_and_without_case():
    texts = ["the good film", "the actors and the film"]
    assert learn(texts) == learn(texts, cased=False)


def test_a_rare_word_has_fewer_variants():
    table = learn(["once twice twice thrice thrice thrice Upon"], cased=False).tokenizer.table
    assert set(table) == {"once", "twice", "Twice", "thrice", "Thrice", "THRICE", "upon", "Upon"}


def test_a_shared_variant_belongs_to_the_more_frequent_word():
    first = learn(["straße straße straße strasse strasse"]).tokenizer.table
    assert first["STRASSE"] == first["straße"] == FIRST
    then = learn(["straße straße strasse strasse strasse"]).tokenizer.table
    assert then["STRASSE"] == then["strasse"] == FIRST and then["straße"] == FIRST + 1


@given(st.lists(TEXTS, min_size=1, max_size=5), st.integers(0, 9), st.integers(1, 20))
@settings(max_examples=200)
def test_what_was_written_is_read_again(texts, buckets, words):
    tokenizer = learn([*texts, "a"], buckets=buckets, max_words=words, cased=words % 2 == 0).tokenizer
    again = Tokenizer.from_dict(json.loads(json.dumps(tokenizer.to_dict())))
    assert again == tokenizer and again.words() == tokenizer.words()
    assert all(FIRST <= key < tokenizer.size - buckets for key in tokenizer.table.values())
    assert all(split(token) == [token] for token in tokenizer.table)
    batch = tokenizer.batch([*texts, ""])
    assert batch.shape == (len(texts) + 1, tokenizer.length) and batch.dtype == np.int32
    assert batch.min() >= 0 and batch.max() < tokenizer.size


def test_a_vocabulary_of_before_with_words_by_their_endings_is_read():
    vocabulary = "<PAD> 0\n<UNKNOWN> 1\nactor 2\ntutor 3\nActor 2\ntutors 3\nTutors 3\n"
    made = Tokenizer.from_dict({"kind": "words", "length": 8, "size": 4, "buckets": 0, "ngram": 4}, vocabulary)
    assert made.ids("tutor Tutors tutors TUTORS actor actors") == [3, 3, 3, UNKNOWN, 2, UNKNOWN]
    assert made.words() == ["<PAD>", "<UNKNOWN>", "actor", "tutor"] and made.vocabulary == vocabulary


def test_a_vocabulary_file_is_read_with_what_editors_do_to_it():
    tokenizer = learn(SENTENCES, cased=False).tokenizer
    text = "\ufeff" + tokenizer.vocabulary.replace("\n", "\r\n\r\n").rstrip()
    assert Tokenizer.from_dict(tokenizer.to_dict(), text) == tokenizer


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d | {"vocabulary": d["vocabulary"].replace("film 2", "film two")}, r"line 3 .*'film two'"),
        (lambda d: d | {"vocabulary": d["vocabulary"].replace("film 2", "film")}, "line 3"),
        (lambda d: d | {"vocabulary": d["vocabulary"].replace("film 2", "my film 2")}, "line 3"),
        (lambda d: d | {"vocabulary": d["vocabulary"].replace("film 2", "film -2")}, "line 3"),
        (lambda d: d | {"vocabulary": d["vocabulary"].replace("film 2", "my\xa0film 2")}, "line 3"),
        (lambda d: d | {"vocabulary": d["vocabulary"] + "film 3\n"}, "'film' twice"),
        (lambda d: d | {"vocabulary": d["vocabulary"] + "films 9\n"}, "beyond its 9 ids"),
        (lambda d: d | {"vocabulary": d["vocabulary"] + "films 1\n"}, "below id 2"),
        (lambda d: d | {"vocabulary": d["vocabulary"] + "<START> 3\n"}, "<START>"),
        (lambda d: d | {"vocabulary": d["vocabulary"].replace("<PAD> 0\n", "")}, "`<PAD> 0`"),
        (lambda d: d | {"vocabulary": ""}, "`<PAD> 0`"),
        (lambda d: d | {"vocabulary": None}, "damaged"),
        (lambda d: d | {"kind": "sentences"}, "damaged"),
        (lambda d: d | {"length": 0}, "damaged"),
        (lambda d: d | {"length": True}, "damaged"),
        (lambda d: d | {"length": 10**9}, "damaged"),
        (lambda d: d | {"size": 1}, "damaged"),
        (lambda d: d | {"size": 10**12}, "damaged"),
        (lambda d: d | {"buckets": -1}, "damaged"),
        (lambda d: d | {"buckets": 5}, "beyond its 9 ids"),
        (lambda d: d | {"kind": "characters"}, "damaged"),
        (lambda d: {}, "damaged"),
    ],
)
def test_a_damaged_tokenizer_is_refused_in_one_line(change, message):
    document = learn(SENTENCES, cased=False).tokenizer.to_dict()
    with pytest.raises(ArtifactError, match=message) as caught:
        Tokenizer.from_dict(change(document), where="x.tflite")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("x.tflite")


@given(TEXTS, st.integers(0, 200), st.integers(0, 20))
@settings(max_examples=200)
def test_a_vocabulary_with_anything_in_it_is_read_or_refused(text, start, cut):
    good = learn(SENTENCES, cased=False).tokenizer
    damaged = good.vocabulary[:start] + text + good.vocabulary[start + cut :]
    try:
        table = Tokenizer.from_dict(good.to_dict(), damaged).table
    except ArtifactError as error:
        assert "\n" not in str(error)
    else:
        assert all(FIRST <= key < good.size for key in table.values())


def test_the_length_leaves_99_of_100_texts_whole():
    texts = ["w " * 9] * 98 + ["w " * 13] + ["w " * 300]
    learnt = learn(texts)
    assert learnt.tokenizer.length == 16 and learnt.cut == 0.01
    assert learn(texts[:98]).tokenizer.length == 12
    assert learn(["w"]).tokenizer.length == 8
    assert learn(["w " * 5000]).tokenizer.length == 400
    assert learn(texts, max_length=3).tokenizer.length == 3 and learn(texts, max_length=3).cut == 1


def test_texts_without_words_are_refused():
    with pytest.raises(DataError, match="None of the 2 texts has a word"):
        learn(["", "..."])
    with pytest.raises(DataError, match="None of the 0 texts"):
        learn([])


def test_memory_stays_flat_where_words_never_end(monkeypatch):
    monkeypatch.setattr(under_test, "MOST_COUNTED", 100)
    often = ["one two three"] * 5
    learnt = learn([*often, *(f"rare{number}" for number in range(1000)), *often], max_words=3)
    assert learnt.distinct <= 100
    assert learnt.tokenizer.words()[FIRST:] == ["one", "three", "two"]


def test_a_word_that_is_no_word_is_not_learnt():
    learnt = learn(["x" * 65 + " " + "y" * 64])
    assert set(learnt.tokenizer.table) == {"y" * 64}
    assert learnt.tokens == 2 and learnt.known == 0.5


# published: http://www.isthe.com/chongo/tech/comp/fnv (FNV-1a, 32 bits)
@pytest.mark.parametrize(("text", "value"), [("", 0x811C9DC5), ("a", 0xE40C292C), ("foobar", 0xBF9CF968)])
def test_hashes_are_fnv1a(text, value):
    assert fnv1a(text) == value


def test_unknown_words_become_their_ngrams():
    tokenizer = learn(SENTENCES, buckets=1000, ngram=4, max_length=8, cased=False).tokenizer
    assert tokenizer.size == 9 + 1000
    expected = [9 + fnv1a(gram) % 1000 for gram in ("<fil", "film", "ilms", "lms>")]
    assert tokenizer.ids("good Films") == [3, *expected]
    assert tokenizer.ids("Z") == [9 + fnv1a("<z>") % 1000]
    assert len(tokenizer.ids("x" * 10**6)) == 8


def test_characters_are_those_of_the_paper():
    assert len(ALPHABET) == len(set(ALPHABET)) == 69
    assert set(ALPHABET) == {*string.ascii_lowercase, *string.digits, *string.punctuation, "\n"}
    tokenizer = characters(8)
    assert tokenizer.size == 71
    assert tokenizer.ids("aB 0\n\u212aé\0zz") == [2, 3, PAD, 28, 70, PAD, PAD, PAD]
    assert tokenizer.batch(["aB 0", ""]).tolist() == [[2, 3, 0, 28, 0, 0, 0, 0], [0] * 8]
    assert all(tokenizer.ids(character) == [key] for character, key in tokenizer.table.items())
    assert Tokenizer.from_dict(json.loads(json.dumps(tokenizer.to_dict()))) == tokenizer


def test_only_the_length_of_characters_is_learnt():
    learnt = learn(["good film é"] * 3, kind="characters")
    assert learnt.tokenizer == characters(124), "what the network of characters needs"
    assert learnt.tokens == 33 and learnt.known == pytest.approx(8 / 11)


@pytest.mark.parametrize(
    "change", [{"kind": "bytes"}, {"max_length": 0}, {"buckets": -1}, {"max_words": 0}, {"min_count": 0}]
)
def test_settings_that_cannot_be_are_refused(change):
    with pytest.raises(ValueError, match="Received"):
        learn(SENTENCES, **change)


def test_batches_are_fast():
    texts = ["This is the 10th of a hundred thousand short lines."] * 20_000
    tokenizer = learn(texts).tokenizer
    seconds = []
    for _ in range(3):
        start = time.process_time()
        tokenizer.batch(texts)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 2  # 0.3 s on a slow core

"""Word vectors come out as they were written, or the fault is named."""

import gzip
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cnnkit.errors import DataError
from cnnkit.models.vectors import random_like, read

WORDS = ["the", "of", "café"]
MATRIX = np.array([[1, -2.5, 0.125], [3, 4e-5, -6], [0.1, 0.2, 0.3]], np.float32)


def text(words, matrix, *, header=False, end="\n"):
    lines = [f"{len(words)} {matrix.shape[1]}"] if header else []
    lines += [f"{word} {' '.join(repr(float(n)) for n in row)}" for word, row in zip(words, matrix)]
    return "".join(line + end for line in lines).encode()


def binary(words, matrix, *, end=b"", count=None):
    head = f"{len(words) if count is None else count} {matrix.shape[1]}\n".encode()
    return head + b"".join(word.encode() + b" " + row.astype("<f4").tobytes() + end for word, row in zip(words, matrix))


KINDS = {
    "glove": lambda w, m: text(w, m),
    "glove with Windows' line ends": lambda w, m: text(w, m, end="\r\n"),
    "word2vec text": lambda w, m: text(w, m, header=True),
    "fastText, a space at the end": lambda w, m: text(w, m, header=True, end=" \n"),
    "without a last line end": lambda w, m: text(w, m, header=True).rstrip(),
    "binary": lambda w, m: binary(w, m),
    "binary with line ends": lambda w, m: binary(w, m, end=b"\n"),
}


@pytest.fixture
def write(tmp_path):
    def written(content):
        path = tmp_path / "vectors"
        path.write_bytes(content)
        return path

    return written


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read(kind, packed, write):
    content = KINDS[kind](WORDS, MATRIX)
    found = read(write(gzip.compress(content) if packed else content), ["nothing", "café", "", "the"])
    assert found.places.tolist() == [1, 3] and found.matrix.dtype == np.float32
    np.testing.assert_array_equal(found.matrix, MATRIX[[2, 0]])
    assert found.dimensions == 3
    assert found.kind.split()[-1] == ("binary" if "binary" in kind else "text")


TOKENS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=8).filter(
    lambda token: token == token.lower() and not token.startswith("\ufeff")
)


@given(
    st.lists(TOKENS, min_size=1, max_size=20, unique=True),
    st.integers(2, 9),
    st.sampled_from(sorted(KINDS)),
    st.data(),
)
@settings(max_examples=100)
def test_what_was_written_is_read(tmp_path_factory, words, dimensions, kind, data):
    numbers = st.floats(-1e6, 1e6, width=32)
    matrix = data.draw(arrays.arrays(np.float32, (len(words), dimensions), elements=numbers))
    path = tmp_path_factory.mktemp("v") / "vectors"
    path.write_bytes(KINDS[kind](words, matrix))
    asked = data.draw(st.permutations(words))
    if "binary" in kind and not any(byte < 9 or 13 < byte < 32 for byte in path.read_bytes()):
        return  # a few bytes that could be text
    found = read(path, asked)
    assert found.places.tolist() == list(range(len(words)))
    np.testing.assert_array_equal(found.matrix, matrix[[words.index(word) for word in asked]])


def test_a_word_has_its_own_spelling_or_else_the_most_frequent_cased_one(write):
    path = write(b"Paris 1 1\nPARIS 2 2\nApple 3 3\napple 4 4\nAPPLE 5 5\napple 6 6\n")
    found = read(path, ["paris", "apple"])
    assert found.matrix.tolist() == [[1, 1], [4, 4]]


def test_words_that_differ_by_case_each_have_a_vector(write):
    found = read(write(b"turkey 1 1\nTurkey 2 2\nrome 3 3\n"), ["Turkey", "turkey", "TURKEY", "Rome", "ROME"])
    assert found.places.tolist() == [0, 1, 2, 3, 4]
    assert found.matrix.tolist() == [[2, 2], [1, 1], [1, 1], [3, 3], [3, 3]]


def test_nothing_found_is_a_matrix_of_no_rows(write):
    found = read(write(text(WORDS, MATRIX)), ["nothing"])
    assert found.matrix.shape == (0, 3) and found.places.shape == (0,)


def test_words_may_hold_spaces_and_broken_utf8(write):
    found = read(write(b"the 1 2\n. . . 3 4\nat name@domain.com 5 6\n\xff\xfe 7 8\nof 9 10\n"), ["of", "the", ". . ."])
    assert found.matrix.tolist() == [[9, 10], [1, 2], [3, 4]]
    assert read(write(binary(WORDS, MATRIX).replace(b"of ", b"\xff\xfe ")), ["café"]).places.tolist() == [0]


HUGE = np.array([[1e39, 1.0]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"the 1 2\nof 1\n", "line 2 has 1 numbers, not 2"),
        (b"the 1 2\nof 1 2 3\n", "line 2 has more than 2 numbers"),
        (b"the 1 2\n\nof 1 2\n", "line 2 is empty"),
        (b"the 1 2\nof 1 x\n", "line 2 has 'x' where a number"),
        (b"the 1 2\nof nan 2\n", "line 2 .*not finite"),
        (b"the 1 2\nof 1 -inf\n", "line 2 .*not finite"),
        (text(["the", "of"], np.array([[1.0, 2.0], HUGE[0]])), "line 2 .*not finite"),
        (b"the\nof\n", "line 1 is neither"),
        (b"GIF89a\0\0\0 1 2 3", "line 1 is neither"),
        (b"2 2\nthe 1 2\nof 1\n", "line 3 has 1 numbers, not 2"),
        (b"2 2\nthe 1\nof 1 2\n", "line 2 has 1 numbers, not 2"),
        (b"2 2\nthe 1 2 3\nof 1 2\n", "line 2 has more than 2"),
        (b"3 2\nthe 1 2\nof 1 2\n", "its header says 3 words, it holds 2"),
        (b"1 2\nthe 1 2\nof 1 2\n", "its header says 1 words, it holds 2"),
        (b"3 2\n", "its header says 3 words, it holds 0"),
        (b"0 2\n", "holds no words"),
        (b"2 0\nthe\nof\n", "have 0 numbers"),
        (b"2 10001\nthe 1\n", "have 10001 numbers"),
        (b"the " + b"1 " * 10_001, "have 10001 numbers"),
        (b"the 1 2\n" + b"o" * 100_000 + b" 1 2\n", "line 2 is longer"),
        (binary(WORDS, MATRIX)[:-1], "ends within word 3 of the 3"),
        (binary(WORDS, MATRIX)[:-18], "ends within word 3 of the 3"),
        (binary(WORDS, MATRIX, count=4), "ends within word 4 of the 4"),
        (binary(WORDS, MATRIX, count=2), "says 2 words, more bytes follow"),
        (binary(["the", "x" * 20_000], MATRIX[:2]), "word 2 of 2 has no end"),
        (binary(["the", "of"], np.array([[1, 2], [np.nan, 0]], np.float32)), "word 2 .*not finite"),
        (gzip.compress(text(WORDS, MATRIX), mtime=0)[:-9], "damaged .gz"),
        (b"\x1f\x8bnothing", "damaged .gz"),
    ],
)
def test_a_planted_fault_is_named_in_one_line(content, message, write):
    path = write(content)
    with pytest.raises(DataError, match=message) as caught:
        read(path, ["the", "of"])
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path):
    for path in (tmp_path / "none.bin", tmp_path, Path("x" * 5000)):
        with pytest.raises(DataError, match="There is no file"):
            read(path, ["the"])


def test_cutting_a_file_anywhere_never_crashes(write):
    for kind in KINDS.values():
        content = kind(WORDS, MATRIX)
        for end in range(len(content)):
            try:
                found = read(write(content[:end]), WORDS)
            except DataError:
                continue
            assert np.isfinite(found.matrix).all()


@pytest.mark.parametrize("make", [binary, text])
def test_only_the_words_asked_for_take_memory(make, write):
    matrix = np.random.default_rng(0).normal(size=(5000, 100)).astype(np.float32)  # 2 MB
    words = [f"word{number}" for number in range(5000)]
    path = write(make(words, matrix))
    tracemalloc.start()
    found = read(path, words[::500])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found.matrix, matrix[::500])
    assert peak < 1.2e6


def test_random_rows_have_the_variance_of_the_found_ones():
    vectors = np.random.default_rng(1).normal(0.3, 0.25, (500, 50)).astype(np.float32)
    rows = random_like(vectors, 2000, seed=5)
    assert rows.shape == (2000, 50) and rows.dtype == np.float32
    assert rows.var() == pytest.approx(vectors.var(), rel=0.02) and abs(rows.mean()) < 0.01
    assert np.abs(rows).max() <= np.sqrt(3 * vectors.var()) * 1.0001
    np.testing.assert_array_equal(rows, random_like(vectors, 2000, seed=5))
    assert (rows != random_like(vectors, 2000, seed=6)).any()
    with pytest.raises(ValueError, match="at least one row"):
        random_like(vectors[:0], 3, seed=0)


def test_the_real_glove_slice():
    path = Path(os.environ.get("CNNKIT_DATA", "none")) / "text" / "glove.twitter.27B.25d.top12k.txt"
    if not path.is_file():
        pytest.skip("needs text/glove.twitter.27B.25d.top12k.txt in CNNKIT_DATA")
    found = read(path, ["of", "the", "a word that is not there"])
    assert found.kind == "GloVe text" and found.places.tolist() == [0, 1]
    np.testing.assert_allclose(found.matrix[1, :3], [-0.010167, 0.020194, 0.21473])
    np.testing.assert_allclose(found.matrix[0, -1], -0.069893)

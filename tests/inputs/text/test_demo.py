"""Texts in the browser become the ids that Python makes of them."""

import json
import unicodedata

import numpy as np
import pytest

from cnnkit.demo.page import PAGE, scripts
from cnnkit.device.text import ALPHABET, Tokenizer, characters, fnv1a, learn
from cnnkit.inputs.text.device import KIND
from tests import programs

CODE = """import { Tokenizer, fnv1a } from "./inputs/text/index.js";
export default ({ about, known, texts }) => {
  const made = new Tokenizer(about, known);
  return texts.map((text) => {
    const ids = made.ids(text);
    return [Array.from(ids), made.says(ids), fnv1a(text)];
  });
}"""

WORDS = [
    "the cat sat on the mat",
    "The Cat's été naïve 日本語 ฉันรักแมว",
    "constructor __proto__ toString one two",
    "x\u0301 ½ ١٢ ß ẞ",
]


def texts():
    """Return texts of each kind of character, at the edges of ranges too, and what no text should have."""
    from cnnkit.device.word_apart import RANGES
    from cnnkit.device.word_characters import ranges

    edges = [chr(code) for pair in (*ranges(), *RANGES) for end in pair for code in (end - 1, end, end + 1)]
    rng = np.random.default_rng(0)
    found = ["".join(edges[start : start + 60]) for start in range(0, len(edges), 60)]
    found += ["a".join(rng.choice(edges, 30)) for _ in range(300)]
    found += [
        *WORDS,
        "",
        " ",
        "\0cat",
        "cat\0sat",
        "cat\ud800sat",
        "\u2028cat\u2029\ufeffsat\x85mat",
        "cat " * 99,
        ALPHABET.upper(),
    ]
    return [*found, *map(" ".join, rng.choice(" ".join(WORDS).split(), (200, 6)).tolist())]


MADE = {
    "words": learn(WORDS * 3, max_length=24).tokenizer,
    "apart": learn(["ฉันรักแมว 日本語を話す", *WORDS[1:2]] * 3, max_length=24).tokenizer,
    "hashed": learn(WORDS * 3, max_length=24, buckets=50, ngram=3).tokenizer,
    "characters": characters(124),
}


@pytest.mark.parametrize("name", MADE)
def test_ids_are_those_of_python(name, tmp_path):
    tokenizer = MADE[name]
    assert tokenizer.apart == (name == "apart")
    about = {**tokenizer.to_dict(), "vocabulary": tokenizer.vocabulary}
    asked = texts()
    if name == "hashed":  # a browser may know how to lower-case letters that came after this Python
        asked = ["".join(c for c in text if unicodedata.category(c) != "Cn") for text in asked]
    files = {**scripts(KIND.demo, "inputs/text"), **{path.name: path.read_bytes() for path in PAGE.glob("*.js")}}
    given = {"about": about, "known": KIND.for_page({}), "texts": asked}
    found = programs.javascript(tmp_path, files, CODE, given)
    wanted = tokenizer.batch(asked)
    for text, ids, own, known in zip(asked, wanted.tolist(), found, tokenizer.known(wanted).tolist(), strict=True):
        assert own[0] == ids, json.dumps(text)
        assert own[1] == known, json.dumps(text)
        if text.isprintable():
            assert own[2] == fnv1a(text), json.dumps(text)
    assert isinstance(tokenizer, Tokenizer) and len({tuple(ids) for ids in wanted.tolist()}) > 100

r"""Ids of our tokenizer and of MediaPipe's own RegexTokenizer, for every character and for random texts: none may differ.

    python benchmarks/mediapipe_ids.py [--texts 10000] [--list]

MediaPipe runs in an environment of its own (`make mediapipe`). The model is one operator, int32 to float, in a file as
`export --for mediapipe` writes them, with one label a position: its scores are the ids. `--list` prints, as `word_characters.py`
has them, the characters of which MediaPipe says \p{L}, \p{M}, \p{N}, _ or '.
"""

import argparse
import dataclasses
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import results
from cnnkit.device.text import DELIMITER, Tokenizer, learn
from cnnkit.device.word_characters import ranges
from cnnkit.quiet import quiet

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.clients.mediapipe_tasks import LACKING, VERSION, Job, answers

LENGTH = 256
CODES = [code for code in range(1, 0x110000) if not 0xD800 <= code <= 0xDFFF]


def probe(tokenizer: Tokenizer, delimiter: str) -> bytes:
    """Return a file for MediaPipe whose scores are the ids that it is fed with."""
    import keras
    import tensorflow as tf

    from cnnkit.export.profiles.mediapipe import MediaPipe

    ids = keras.Input(batch_shape=(1, LENGTH), dtype="int32", name="ids")
    model = keras.Model(ids, {"scores": keras.ops.cast(ids, "float32")})
    about = {"app": "text", "task": "classification", "labels": [str(place) for place in range(LENGTH)]}
    about |= {"format": 1, "input": {"kind": "text", "shape": [LENGTH]}, "text": tokenizer.to_dict()}
    profile = MediaPipe(model, about)
    profile.given = dataclasses.replace(profile.given, delimiter=delimiter)
    with quiet():
        content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    return profile.finished(content, "float32")


def ids_of(texts: Sequence[str], tokenizer: Tokenizer, delimiter: str = DELIMITER) -> np.ndarray:
    """Return MediaPipe's ids of texts: int (n, LENGTH)."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "probe.tflite"
        path.write_bytes(probe(tokenizer, delimiter))
        found = answers([Job("TextClassifier", path, texts)], Path(name), seconds=3600)[0]["scores"]
    return found.astype(int)


def word_characters(delimiter: str) -> list[int]:
    """Return the code points that do not separate words: x and the character make one unknown word, not the known x."""
    chunks = [CODES[start : start + LENGTH] for start in range(0, len(CODES), LENGTH)]
    texts = [" ".join("x" + chr(code) for code in chunk) for chunk in chunks]
    found = ids_of(texts, Tokenizer("words", LENGTH, {"x": 2}, 3), delimiter)
    return [code for chunk, row in zip(chunks, found) for code, key in zip(chunk, row) if key == 1]


def as_ranges(codes: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1] = (found[-1][0], code)
        else:
            found.append((code, code))
    return found


def random_text(draw: random.Random, words: list[str]) -> str:
    """Mix words in any case, letters of any script, and any code points, NUL and surrogates among them."""
    parts = []
    for _ in range(draw.randint(0, 60)):
        kind = draw.random()
        if kind < 0.5:
            word = draw.choice(words)
            parts.append(draw.choice([word, word.upper(), word.title(), word.lower()]))
        elif kind < 0.7:
            parts.append(draw.choice(" .,;!?'_-\t\n\u00a0\u200b\u2019\u3000\u0301\U0001f600\U0001f469\u200d\U0001f4bb"))
        elif kind < 0.95:
            start = draw.choice(ranges())[0]
            parts.append("".join(chr(min(start + draw.randint(-3, 20), 0x10FFFF)) for _ in range(draw.randint(1, 4))))
        else:
            parts.append(chr(draw.randint(0, 0x10FFFF)))
        parts.append(draw.choice(["", " "]))
    return "".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if LACKING:
        raise SystemExit(LACKING)
    classes = r"[^\p{L}\p{M}\p{N}_']+"
    if arguments.list:
        codes = word_characters(classes)
        print(" ".join(f"{a:x}" if a == b else f"{a:x}-{b:x}" for a, b in as_ranges(codes)))
        return
    started = time.perf_counter()
    own = word_characters(DELIMITER)
    draw = random.Random(0)
    words = [
        "film",
        "isn't",
        "été",
        "straße",
        "日本語",
        "مرحبا",
        "हिन्दी",
        "İstanbul",
        "ΟΔΟΣ",
        "naïve",
        "e\u0301te\u0301",
        "x_1",
    ]
    texts = [random_text(draw, words) for _ in range(arguments.texts)]
    tokenizer = learn(texts[::2], max_length=LENGTH, max_words=2000).tokenizer
    ours, theirs = tokenizer.batch(texts), ids_of(texts, tokenizer)
    different = np.flatnonzero((ours != theirs).any(1))
    results.write(
        "mediapipe_ids",
        {
            "mediapipe": VERSION,
            "characters": len(CODES),
            "characters_agree": as_ranges(own) == ranges(),
            "characters_that_its_own_classes_see_otherwise": len(set(word_characters(classes)) ^ set(own)),
            "texts": len(texts),
            "ids": int((ours > 0).sum()),
            "unknown": int((ours == 1).sum()),
            "texts_that_differ": len(different),
            "seconds": round(time.perf_counter() - started, 1),
        },
    )
    for place in different[:5]:
        print(ascii(texts[place]))


if __name__ == "__main__":
    main()

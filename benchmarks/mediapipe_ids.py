r"""Ids of our tokenizer and of MediaPipe's own RegexTokenizer, for every character and for random texts: none may differ.

    python -m venv mp && mp/bin/pip install mediapipe
    PYTHONPATH=. mp/bin/python benchmarks/mediapipe_ids.py [--texts 5000] [--list]

In an environment of its own, since mediapipe brings another OpenCV. The model is one operator, int32 to float, with the
metadata of a TextClassifier and one label a position: its scores are the ids. `--list` prints, as `word_characters.py` has
them, the characters of which MediaPipe says \p{L}, \p{M}, \p{N}, _ or '.
"""

import argparse
import importlib.metadata
import io
import json
import random
import re
import time
import zipfile
from pathlib import Path

import flatbuffers
from mediapipe.tasks.metadata import metadata_schema_py_generated as described
from mediapipe.tasks.metadata import schema_py_generated as lite
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.text import TextClassifier, TextClassifierOptions

from cnnkit.device.text import DELIMITER, learn
from cnnkit.device.word_characters import ranges

RESULT = Path(__file__).parent / "results" / "mediapipe_ids.json"
LENGTH = 256
CODES = [code for code in range(1, 0x110000) if not 0xD800 <= code <= 0xDFFF]


def made(kind, **fields):
    """Make an object of the flatbuffer API and set its fields."""
    thing = kind()
    for name, value in fields.items():
        assert hasattr(thing, name), name
        setattr(thing, name, value)
    return thing


def packed(root, identifier: bytes) -> bytes:
    builder = flatbuffers.Builder(1 << 14)
    builder.Finish(root.Pack(builder), file_identifier=identifier)
    return bytes(builder.Output())


def metadata(delimiter: str) -> bytes:
    files = described.AssociatedFileType
    vocabulary = made(described.AssociatedFileT, name="vocab.txt", type=files.VOCABULARY)
    labels = made(described.AssociatedFileT, name="labels.txt", type=files.TENSOR_AXIS_LABELS)
    options = made(described.RegexTokenizerOptionsT, delimRegexPattern=delimiter, vocabFile=[vocabulary])
    kind = described.ProcessUnitOptions.RegexTokenizerOptions
    unit = made(described.ProcessUnitT, optionsType=kind, options=options)
    ids = made(described.TensorMetadataT, name="ids", processUnits=[unit])
    scores = made(described.TensorMetadataT, name="scores", associatedFiles=[labels])
    graph = made(described.SubGraphMetadataT, inputTensorMetadata=[ids], outputTensorMetadata=[scores])
    return packed(made(described.ModelMetadataT, subgraphMetadata=[graph], minParserVersion="1.2.1"), b"M001")


def probe(delimiter: str, vocabulary: str, length: int = LENGTH) -> bytes:
    """Return a `.tflite` whose scores are the ids that it is fed with."""

    def tensor(name, kind):
        return made(lite.TensorT, name=name, shape=[1, length], type=kind, buffer=0)

    cast = lite.BuiltinOperator.CAST
    graph = made(
        lite.SubGraphT,
        tensors=[tensor("ids", lite.TensorType.INT32), tensor("scores", lite.TensorType.FLOAT32)],
        inputs=[0],
        outputs=[1],
        operators=[made(lite.OperatorT, opcodeIndex=0, inputs=[0], outputs=[1])],
    )
    model = made(
        lite.ModelT,
        version=3,
        operatorCodes=[made(lite.OperatorCodeT, builtinCode=cast, deprecatedBuiltinCode=cast, version=1)],
        subgraphs=[graph],
        buffers=[lite.BufferT(), made(lite.BufferT, data=list(metadata(delimiter)))],
        metadata=[made(lite.MetadataT, name="TFLITE_METADATA", buffer=1)],
    )
    appended = io.BytesIO()
    with zipfile.ZipFile(appended, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("vocab.txt", vocabulary)
        archive.writestr("labels.txt", "\n".join(map(str, range(length))))
    return packed(model, b"TFL3") + appended.getvalue()


class MediaPipe:
    """MediaPipe's text classifier around the probe."""

    def __init__(self, delimiter: str, vocabulary: str):
        base = BaseOptions(model_asset_buffer=probe(delimiter, vocabulary))
        self._classifier = TextClassifier.create_from_options(TextClassifierOptions(base_options=base, max_results=-1))

    def ids(self, text: str) -> list[int]:
        found = self._classifier.classify(re.sub("[\ud800-\udfff]", "\ufffd", text)).classifications[0].categories
        ids = [0] * LENGTH
        for category in found:
            ids[category.index] = int(category.score)
        return ids


def word_characters(delimiter: str) -> list[int]:
    """Return the code points that do not separate words: x and the character make one unknown word, not the known x."""
    judge, answer = MediaPipe(delimiter, "<PAD> 0\n<UNKNOWN> 1\nx 2\n"), []
    for start in range(0, len(CODES), LENGTH):
        chunk = CODES[start : start + LENGTH]
        ids = judge.ids(" ".join("x" + chr(code) for code in chunk))
        answer += [code for code, key in zip(chunk, ids) if key == 1]
    return answer


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
    parser.add_argument("--texts", type=int, default=5000)
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        codes = word_characters(r"[^\p{L}\p{M}\p{N}_']+")
        print(" ".join(f"{a:x}" if a == b else f"{a:x}-{b:x}" for a, b in as_ranges(codes)))
        return
    started = time.perf_counter()
    characters = as_ranges(word_characters(DELIMITER)) == ranges()
    newer = len(set(word_characters(r"[^\p{L}\p{M}\p{N}_']+")) ^ set(word_characters(DELIMITER)))
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
    phone = MediaPipe(DELIMITER, tokenizer.vocabulary)
    different = [text for text, row in zip(texts, tokenizer.batch(texts).tolist()) if phone.ids(text) != row]
    counts = tokenizer.batch(texts)
    result = {
        "mediapipe": importlib.metadata.version("mediapipe"),
        "characters": len(CODES),
        "characters_agree": characters,
        "characters_that_its_own_classes_see_otherwise": newer,
        "texts": len(texts),
        "ids": int((counts > 0).sum()),
        "unknown": int((counts == 1).sum()),
        "texts_that_differ": len(different),
        "seconds": round(time.perf_counter() - started, 1),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    for text in different[:5]:
        print(ascii(text))


if __name__ == "__main__":
    main()

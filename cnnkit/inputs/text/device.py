"""Texts, on a device: rows of ids, which run together where padding means nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.kinds import InputKind
from cnnkit.device.text import lengths, widths
from cnnkit.shown import Answers

VOCABULARY = "vocabulary.txt"  # as MediaPipe's RegexTokenizer reads it
TOGETHER = 64  # texts


class Text(InputKind):
    """Ids, int32 (length,), as `cnnkit.device.text.Tokenizer` makes them; what it needs to know is the entry `text`."""

    name = "text"
    given = "texts"
    demo = Path(__file__).with_name("demo")
    worded = True
    files: Mapping[str, tuple[str, str]] = {VOCABULARY: ("text", "vocabulary")}

    def unnamed(self, metadata: Mapping[str, Any]) -> bool:
        return "ids" in metadata["input"]

    def predicts(self) -> Callable[..., Answers]:
        from cnnkit.inputs.text.predict import Texts

        return Texts

    def answers(self) -> Callable[..., Iterator[dict[str, Any]]]:
        from cnnkit.inputs.text.predict import answered

        return answered

    def dtype(self, precision: str) -> str:
        return "int32"

    def run(self, model: Any, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run texts in batches of about the same length.

        A model whose metadata name a margin gives a text the same answers however much more of its padding is left; so short
        texts cost little (`cnnkit.device.text.widths`).
        """
        margin = model.metadata.get("text", {}).get("margin")
        if not margin or not len(inputs):
            return super().run(model, inputs)
        ids = np.asarray(inputs, np.int32)
        needed = widths(lengths(ids), ids.shape[1], margin)
        order = np.argsort(needed, kind="stable")
        found: dict[str, np.ndarray] = {}
        for start in range(0, len(order), TOGETHER):
            chosen = order[start : start + TOGETHER]
            for name, values in model.together(ids[chosen, : needed[chosen[-1]]]).items():
                found.setdefault(name, np.zeros((len(ids), *values.shape[1:]), np.float32))[chosen] = values
        model.apart()
        return found

    def noise(self, metadata: Mapping[str, Any], shape: Sequence[int], rng: "np.random.Generator") -> np.ndarray:
        most = metadata.get("input", {}).get("ids") or metadata.get("text", {}).get("size") or 256
        return rng.integers(0, max(2, most), shape)

    def examples(self, metadata: Mapping[str, Any], shape: Sequence[int]) -> list[Any]:
        """Return texts of words that the file knows, few and many, and one of other scripts and signs."""
        lines = str(metadata.get("text", {}).get("vocabulary", "")).splitlines()[2:]
        words = [line.rpartition(" ")[0] for line in lines[: 2 * shape[0]]] or ["one", "two", "Three"]
        strange = f"Été, naïve «quotes»\t{words[0]} it's 日本語! สวัสดี x\u0301 \U0001f600 {words[-1].upper()}"
        return [" ".join(words[:9]), " ".join(reversed(words)), strange]

    def for_page(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        from cnnkit.device import text, word_apart, word_characters

        about = {"ranges": word_characters.ranges(), "single": word_apart.RANGES, "alphabet": text.ALPHABET}
        return {**about, "share": text.KNOWN}

    def trials(self, model: Any) -> np.ndarray:
        """Return four texts, shorter and shorter."""
        ids = self.noise(model.metadata, (4, *model.input_shape), np.random.default_rng(0))
        ids *= np.arange(ids.shape[1]) < ids.shape[1] // np.array([[1], [2], [3], [8]])
        return ids.astype(np.int32)


KIND = Text()

"""Texts: what a graph takes, ids of any length where the network reads texts of any."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.device import word_apart
from cnnkit.device.text import ALPHABET, DELIMITER, KNOWN, Tokenizer
from cnnkit.export.forms import Tokens
from cnnkit.inputs.graph import InputGraph
from cnnkit.inputs.text.device import VOCABULARY


class Text(InputGraph):
    """int32 (1, length), in files of every precision.

    A network that reads texts of any length is converted with its length open, and the file then says that an input has as many
    ids as the tokenizer gives: clients find the static input they expect, and ours may read short texts in batches.
    """

    reads = "text"

    def load(self, source: Any, **how: Any) -> Any:
        from cnnkit.inputs.text import loading

        return loading.load(source, **how)

    def inputs(self) -> Any:
        from cnnkit.inputs.text.texts import Texts

        return Texts()

    def kept(self, parts: Any, labels: Sequence[str]) -> Any:
        from cnnkit.inputs.text import kept

        return kept.kept(parts, labels)

    def batch(self, inputs: np.ndarray) -> np.ndarray:
        return np.asarray(inputs, np.int32)

    def run(self, model: Any, inputs: np.ndarray) -> Mapping[str, Any]:
        """Call the model: a compiled step would be made anew for every number of texts."""
        return model(self.batch(inputs), training=False)

    def given(self, model: Any) -> Any:
        import keras

        return keras.Input(batch_shape=model.input_shape, name="ids", dtype="int32")

    def guarded(self, given: Any, metadata: Mapping[str, Any]) -> Any:
        """Bring ids that no word has, which other clients may feed, into range: the interpreter would crash."""
        import keras

        return keras.ops.clip(given, 0, metadata["text"]["size"] - 1)

    def stated(self, metadata: Mapping[str, Any]) -> tuple[int, ...] | None:
        return 1, metadata["input"]["shape"][0]

    def seen(self, sample: str, metadata: Mapping[str, Any], shape: Sequence[int]) -> np.ndarray:
        return Tokenizer.from_dict(metadata["text"]).batch([sample])[0]

    def held(self, records: Any, place: int) -> Any:
        return records.texts(np.array([place]))[0]

    def drawn(self, metadata: Mapping[str, Any], shape: Sequence[int], count: int) -> list[Any]:
        """Return sentences of words that the model knows, with some between them that it does not."""
        words = [word for word in Tokenizer.from_dict(metadata["text"]).words() if word.strip()][2:]
        rng = np.random.default_rng(0)
        strange = ("naïve", "日本語", "don't", "x_1", "👍🏽", '"quoted"', "$5\t(\\n)")
        chosen = [rng.choice(words, min(len(words), int(rng.integers(4, 12)))).tolist() for _ in range(count)]
        return [
            " ".join([*some, strange[number % len(strange)], "Qzxvw", *some[:2]]) for number, some in enumerate(chosen)
        ]

    def form(self, metadata: Mapping[str, Any]) -> Tokens:
        about = metadata["text"]
        how = {name: about[name] for name in ("kind", "length", "size", "buckets", "ngram")}
        how["apart"] = word_apart.CLASS if about.get("apart") else ""
        return Tokens(DELIMITER, about["vocabulary"], VOCABULARY, how, ALPHABET, KNOWN)

    def described(self, model: Any, metadata: dict[str, Any]) -> dict[str, Any]:
        """A network of one length reads all of its padding: none may be cut."""
        if model.input_shape[1] is None:
            return metadata
        return {**metadata, "text": {**metadata["text"], "margin": 0}}

    def checks(self, graph: Any, weights: Sequence[np.ndarray]) -> list[Any]:
        """Compare the tables that ids are looked up in, also in rows that no test text asks for."""
        from cnnkit.export.checks import tables

        found = tables(graph, weights)
        return [found] if found else []

    def layers(self) -> None:
        import cnnkit.models.text  # noqa: F401 - Keras knows our layers only once they are imported


KIND = Text()

"""Texts, with one label or several: what the commands ask of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.errors import ConfigError, DataError
from cnnkit.inputs.contract import Input, chosen
from cnnkit.inputs.text import settings as text_settings
from cnnkit.report.record import Record
from cnnkit.settings import fields, joined
from cnnkit.shown import Marked, Shown, Table
from cnnkit.training.settings import weights_of

SHOWN = 12  # texts of `data show`
EXPLAINED = 12  # of the worst errors, in a report
RECORDS = 2000  # training texts in which the n-grams of filters are looked for


class Texts(Input):
    """Texts.

    Attributes:
        letters: the models that read characters and not words.
    """

    kind = "text"
    noun = "texts"
    columns = ("text", "label", "separator")
    size_setting = "max_length"
    record = Record(
        "text",
        unit="ids",
        harder="with a part of the network switched off (dropout)",
        input="{sides} ids of a text, int32; longer texts are cut",
    )
    sound = "Nothing found: every text reads, no copies across the splits, no starved class, no label that looks wrong."
    rooms = text_settings.TEXTS

    def __init__(self, letters: Sequence[str] = ()):
        self.letters = tuple(letters)

    def asked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        names = [field.name for field in fields(joined(*self.rooms))]
        found = {name: settings[name] for name in names if settings.get(name) is not None}
        if "fold" in found:
            found["fold"] = _fold(found["fold"])
        if settings.get("model") in self.letters:
            if found.get("buckets"):
                raise ConfigError(f"`buckets` is for words; {settings['model']} reads characters.")
            found["kind"] = "characters"
        weights = weights_of(settings)
        if weights is not None and (weights.is_dir() or (weights.suffix == ".keras" and weights.is_file())):
            from cnnkit.device.model import read_metadata
            from cnnkit.device.text import Tokenizer
            from cnnkit.run import MODEL, Run

            written = read_metadata(Run.open(weights).file(MODEL) if weights.is_dir() else weights).get("text")
            if written and written.get("kind") == found.get("kind", "words"):  # else its ids mean nothing to this model
                found["tokenizer"] = Tokenizer.from_dict(written, where=str(weights))
        return found

    def shaped(self, splits: Any, settings: Mapping[str, Any]) -> Any:
        tokenizer = self.asked(settings).get("tokenizer") if settings.get("replay") else None
        if tokenizer is None or tokenizer == splits.train.tokenizer:
            return splits
        # what is kept may have been loaded with a vocabulary of its own
        return splits.each(lambda part: part.with_tokenizer(tokenizer))

    def rows(self, records: Any) -> Any:
        from cnnkit.models.text import WordRows

        return WordRows(records.tokenizer)

    def check(self, source: str, progress: Any, looked: list[str], **columns: Any) -> list[Any]:
        from cnnkit.inputs.text import checks

        return checks.check(source, columns=columns, looked=looked, progress=progress)

    def show(self, recipe: Any, splits: Any, settings: Any, out: Path | None) -> Shown:
        """Return texts with their labels and the words that are in the vocabulary, the others in brackets."""
        records = splits.train
        indices = chosen(records, settings, SHOWN)
        rows = []
        for index, text in zip(indices.tolist(), records.texts(indices), strict=True):
            rows.append({"name": records.name(index), "label": _labels(records, index), "text": text})
            rows[-1]["read"] = _read(records.tokenizer, text)
        plan = splits.card.get("notes", [])
        table = Table(["label", "as the model reads it: [unknown]"], [[row["label"], row["read"]] for row in rows])
        return Shown({"texts": rows, "notes": plan}, [*plan, table])

    def reported(
        self, recipe: Any, settings: Any, splits: Any, artifact: Any, scores: Any, found: Any, targets: Any
    ) -> dict[str, Any]:
        from cnnkit import explain
        from cnnkit.inputs.text import explain as explaining
        from cnnkit.inputs.text import report as reporting

        worst = recipe.task.top_losses(found, targets, splits.test, artifact.labels)
        explanations = [explaining.explain(artifact, entry["text"]) for entry in worst[:EXPLAINED]]
        few = splits.train.take(np.arange(min(len(splits.train), RECORDS)))
        return {
            "record": self.record,
            "made": reporting.sections(scores, worst, explanations, explaining.ngrams(artifact, few)),
            "layers": explain.layer_table(artifact.model, artifact.input_shape),
        }

    def explain(self, recipe: Any, artifact: Any, inputs: Sequence[Path], *, test: Any, **others: Any) -> Shown:
        """Show which words decided, in colour, for given texts or for five of the test split."""
        from cnnkit import explain as explaining_layers
        from cnnkit.inputs.text import explain as explaining

        texts = [str(entry) for entry in inputs]
        if not texts:
            records = test()
            texts = records.texts(np.arange(min(5, len(records))))
        if any(not text.strip() for text in texts):
            raise DataError("There is nothing to explain in an empty text.")
        done = [explaining.explain(artifact, text) for text in texts]
        rows = explaining_layers.layer_table(artifact.model, artifact.input_shape)
        parts: list[Any] = []
        for entry in done:
            parts += [f"\n{entry.label} ({entry.probability:.1%})", Marked(entry.text, entry.marked)]
        return Shown({"texts": [entry.to_dict() for entry in done], "layers": rows}, parts)


def _fold(text: str) -> tuple[int, int]:
    parts = text.split("/")
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise ConfigError(f"`fold` is K/N, such as 3/10 for the third of ten. Got {text!r}.")
    return int(parts[0]), int(parts[1])


def _labels(records: Any, index: int) -> str:
    target = records.targets(np.array([index]))[0]
    codes = np.flatnonzero(target > 0) if records.multi_label else [int(target)]
    return ", ".join(records.label_names[code] for code in codes) or "none"


def _read(tokenizer: Any, text: str) -> str:
    """Return a text as its tokenizer reads it: words that are not in the vocabulary in brackets."""
    from cnnkit.device.text import split

    if tokenizer.kind == "characters":
        return text[: tokenizer.length]
    words = split(text, tokenizer.apart)
    read = [word if word in tokenizer.table else f"[{word}]" for word in words[: tokenizer.length]]
    return " ".join(read) + (" ..." if len(words) > tokenizer.length else "")

"""Generated sentences that a few telling words decide: rows for files, records in memory, a recipe around them."""

import csv
import dataclasses
import io

import numpy as np

from cnnkit.evaluation.settings import Classes, Tags
from cnnkit.inputs.text.settings import TEXTS
from cnnkit.settings import joined
from cnnkit.training import settings as of_training

Settings = joined(of_training.Settings, *TEXTS, Classes, Tags)  # of its runs

TELLING = {
    "food": ("soup", "bread", "salt", "pepper"),
    "music": ("song", "drum", "choir", "flute"),
    "sport": ("goal", "match", "team", "race"),
}
LABELS = tuple(TELLING)
FILLING = tuple(a + b for a in ("ka", "lo", "mi", "tu", "re", "so") for b in ("ban", "den", "fir", "gol", "hus", "nim"))
LENGTH = 32  # ids of a text, twice as many as the longest has


def sentence(rng, names, words=14):
    """A sentence of 2 to `words` words that say nothing and one or two telling words for each of the names."""
    found = list(rng.choice(FILLING, rng.integers(2, words + 1)))
    for name in names:
        for word in rng.choice(TELLING[name], rng.integers(1, 3)):
            found.insert(rng.integers(len(found) + 1), word)
    return " ".join(found)


def rows(count, seed=0, labels=LABELS):
    """So many (label, sentence), as many of each label."""
    rng = np.random.default_rng(seed)
    return [(labels[k % len(labels)], sentence(rng, [labels[k % len(labels)]])) for k in range(count)]


def tagged(count, seed=0, labels=LABELS):
    """So many (labels, sentence) with none to all of the labels, the last one rarer."""
    rng = np.random.default_rng(seed)
    chances = np.linspace(0.6, 0.3, len(labels))
    chosen = [tuple(np.array(labels)[rng.random(len(labels)) < chances].tolist()) for _ in range(count)]
    return [(names, sentence(rng, names)) for names in chosen]


def table(found, columns=("kind", "sentence")):
    """The rows as a CSV file's text; several labels with | between them."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for names, text in found:
        writer.writerow([names if isinstance(names, str) else "|".join(names), text])
    return file.getvalue()


def records(found, tokenizer=None, labels=LABELS):
    """Records in memory; without a tokenizer one is learnt from them."""
    from cnnkit.data.tags import Tags
    from cnnkit.device.text import learn
    from cnnkit.inputs.text.records import TextRecords
    from cnnkit.inputs.text.sources import ListTexts

    texts = [text for _, text in found]
    if isinstance(found[0][0], str):
        made = TextRecords(ListTexts(texts), np.array([labels.index(name) for name, _ in found]), labels)
    else:
        codes = np.array([labels.index(name) for names, _ in found for name in names])
        tags = Tags(codes, np.cumsum([len(names) for names, _ in found]))
        made = TextRecords(ListTexts(texts), tags.strata(len(labels)), labels, tags=tags)
    return made.with_tokenizer(tokenizer or learn(texts, max_length=LENGTH).tokenizer)


def splits(train=240, validation=60, test=120, make=rows):
    """The toy data set, divided: `make` is `rows` or `tagged`."""
    from cnnkit.data.records import Splits

    first = records(make(train, 1))
    rest = [records(make(count, seed), first.tokenizer) for seed, count in enumerate((validation, test), 2)]
    card = {"name": "sentences", "title": "Sentences", "licence": "", "source": "", "citation": ""}
    return Splits(first, *rest, card)


def small(tokenizer, **changes):
    """Options of a small network of Kim's for ids of this tokenizer."""
    return {"size": tokenizer.size, "width": 12, "regions": [2, 3], "maps": 8, "dropout": 0.2} | changes


def recipe(data, **changes):
    """The app's own recipe, around data in memory."""
    from cnnkit_text import cli

    whole = cli.classification()
    return dataclasses.replace(whole.fitting(whole, data), load=lambda source, **_: data, **changes)


def artifact(model, made, **decided):
    """A model with what its artifact says of these records."""
    from cnnkit.evaluation.artifacts import KerasArtifact
    from cnnkit_text.model import describe

    task = "multilabel" if made.multi_label else "classification"
    about = {"format": 1, "app": "text", "task": task, "labels": list(made.label_names), **describe(made, "kim-rand")}
    about["input"] |= {"kind": "text", "shape": list(made.input_shape)}
    return KerasArtifact("model.keras", model, about | decided)

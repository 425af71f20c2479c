"""What is special about training on texts: networks, what training sees of a text, what it starts from, settings.

Design choices:
- The default starts from naive Bayes of the training texts, and words are dropped in training, rare ones more often: the
  ratio of a rare word comes from the very sentences that it is then trained on.
- Training batches end behind their longest text, so short texts train fast; the score is that of the full length.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnkit.device.text import UNKNOWN
from cnnkit.models import text
from cnnkit_text import naive_bayes

BUILDERS: dict[str, Callable[..., Any]] = {
    "default": text.wide_cnn,
    "kim-rand": functools.partial(text.kim, variant="rand"),
    "kim-static": functools.partial(text.kim, variant="static"),
    "kim-non-static": functools.partial(text.kim, variant="non-static"),
    "kim-multichannel": functools.partial(text.kim, variant="multichannel"),
    "char-cnn": text.char_cnn,
    "dpcnn": text.dpcnn,
}
LETTERS = ("char-cnn",)  # models that read characters
COUNTED = 50_000  # training texts from which words and pairs are counted
PAIRS_KEPT = 0.1  # pairs in two texts or more for each word of the training texts, about
SEEN_TEXTS = 30_000  # the default sees so many texts at least: small sets have more epochs,
MOST_EPOCHS = 16  # but not more than these
WHOLE = ("char-cnn", "dpcnn")  # models that need the full length


@dataclasses.dataclass(frozen=True)
class Style:
    """How the default meets texts; chosen on inner splits of training data, for docstrings on the validation split.

    Attributes:
        options: of the builder.
        words, pairs: what naive Bayes' log ratios are multiplied by.
        dropped: share of the words that become unknown in training.
        rare: a word that training has n times becomes unknown in rare / (rare + n) more.
        rate, epochs: learning rate and epochs on less than 20,000 texts; small sets have more.
        smoothing: of the labels.
        ema: momentum of the moving average of the weights; 0: none.
    """

    options: dict[str, Any]
    words: float
    pairs: float
    dropped: float
    rare: float
    rate: float
    epochs: int
    smoothing: float = 0.0
    ema: float = 0.0


# Opinions lie in single words (MR, Subj, SST-2). The kind of a short text of many lies in runs of words, its first ones too, and
# needs longer (TREC). That of a long text lies in its words again, of which there are enough to drop many (docstrings).
TWO = Style({"width": 44, "gain": 2.0}, words=0.35, pairs=0.175, dropped=0.2, rare=2.0, rate=1e-3, epochs=4)
SHORT = Style(
    {"width": 256, "regions": [2, 3, 4, 5], "maps": 50, "mean": False, "first": 3, "spatial_dropout": 0.0}
    | {"linear_dropout": 0.5},
    words=0.15,
    pairs=0.105,
    dropped=0.0,
    rare=1.0,
    rate=2e-3,
    epochs=8,
    smoothing=0.1,
    ema=0.995,
)
# Of unseen questions of TREC 12 % of the words are unknown, in training none would be; so a word that is there n times is made
# unknown in 1 / (1 + n). The score on inner folds is the same with and without.
LONG = dataclasses.replace(TWO, dropped=0.35, smoothing=0.1)
LARGE = 20_000  # texts from which most words are there often enough, and epochs are fewer
FEW_WORDS = 15  # of a short text, in the mean


def style(records: Any) -> Style:
    """Return how the default meets these training records: by how many labels and how many words a text there are."""
    if len(records.label_names) <= 2:
        return TWO
    ids, ends, _ = _ids(records)
    words = len(ids) / max(1, len(ends))
    if words <= FEW_WORDS:
        return SHORT
    return dataclasses.replace(LONG, options={**LONG.options, "typical": round(words, 1)})


class Views:
    """What training sees of texts: (indices, step) -> ids cut to the longest of the batch, targets. As `Recipe.views`.

    Args:
        records: the training records.
        seed: of what is dropped.
        rates: how often each id is dropped, float (size,), in [0, 1); None: never. It becomes unknown.
        margin: ids of padding that a batch keeps; None: pad to the full length, for networks that need it.
    """

    def __init__(self, records: Any, seed: int, *, rates: np.ndarray | None = None, margin: int | None = text.MARGIN):
        self.records, self.seed, self.rates, self.margin = records, seed, rates, margin
        self.shape = records.input_shape if margin is None else (None,)

    def __call__(self, indices: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
        ids, targets = self.records.read(indices, margin=self.margin)
        if self.rates is not None:
            rng = np.random.default_rng((self.seed, step))
            ids[(rng.random(ids.shape) < self.rates[ids]) & (ids > UNKNOWN)] = UNKNOWN
        return ids, targets


def views(records: Any, settings: Any) -> Views:
    """Return what training sees of these records; as `Recipe.views`."""
    rates = None
    if settings.model == "default":
        counts = np.bincount(_ids(records)[0], minlength=records.tokenizer.size)
        found = style(records)
        rates = 1 - (1 - found.dropped) * counts / np.maximum(found.rare + counts, 1e-9)
    return Views(records, settings.seed, rates=rates, margin=None if whole(settings.model) else margin(settings.model))


def preset(model: str, count: int, loaded: bool, found: Style = TWO) -> dict[str, Any]:
    """Return settings that suit a model, a number of training texts, loaded weights or none, and the style of the texts."""
    settings = {"batch_size": 50, "learning_rate": 1e-3, "warmup": 0.05, "weight_decay": 1e-4, "epochs": 8}
    if model == "default":
        epochs = max(found.epochs, min(MOST_EPOCHS, round(SEEN_TEXTS / max(1, count))))
        settings |= {"learning_rate": found.rate, "epochs": epochs, "label_smoothing": found.smoothing}
        settings["ema"] = found.ema
    elif model.startswith("kim"):
        settings |= {"learning_rate": 2e-3, "weight_decay": 0.0, "label_smoothing": 0.1, "ema": 0.995}
    # On four inner folds of TREC's training questions the refit gave `kim-rand` 0.3 points (86.8 for 86.5) and the default, while
    # its words were sums of n-gram vectors in training, 1.1 (87.6 for 86.5; `benchmarks/text.py inner`).
    settings["refit"] = count < LARGE and (model == "default" or model.startswith("kim"))  # the others take long
    if count >= LARGE:
        settings["epochs"] = max(2, settings["epochs"] // (2 if count < 200_000 else 4))
    if loaded:
        settings["backbone_rate"] = 1.0
    return settings


def options(records: Any, model: str) -> dict[str, Any]:
    """Return the options of a builder that suit the training records: how many ids there are, room for pairs."""
    size = records.tokenizer.size
    if model != "default":
        return {"size": size}
    pairs = round(PAIRS_KEPT * len(_ids(records)[0]))
    buckets = naive_bayes.buckets_for(pairs, len(records.label_names)) if size <= text.MOST_PAIRED else 0
    return {"size": size, "pair_buckets": buckets, **style(records).options}


def whole(model: str) -> bool:
    """Whether a model needs all of the padding; so does one that is not ours, of which nothing is known."""
    return model in WHOLE or model not in BUILDERS


def margin(model: str) -> int:
    """Return how much padding has to stay behind the longest text of a batch, in ids; 0: all of it."""
    if model not in BUILDERS:
        return 0
    return text.MASKED_MARGIN if model == "default" else text.MARGIN


def describe(records: Any, model: str) -> dict[str, Any]:
    """Return what an artifact says of its texts: how many ids there are, and the tokenizer with how much padding has to stay."""
    return {
        "input": {"ids": records.tokenizer.size},
        "text": {**records.tokenizer.to_dict(), "margin": margin(model)},
    }


def start(model: Any, records: Any, settings: Any) -> list[str]:
    """Put what the data say into a new model: naive Bayes, or given word vectors; as `Recipe.start`."""
    if settings.model == "default":
        chosen_style, gain = style(records), settings.options.get("gain", 1.0)
        ids, ends, chosen = _ids(records)
        targets = records.targets(chosen)
        if targets.ndim == 1:
            targets = np.eye(len(records.label_names), dtype=np.float32)[targets]
        found = naive_bayes.priors(ids, ends, targets, records.tokenizer.size)
        model.get_layer(text.WIDE).set_weights([chosen_style.words / gain * found.words.astype(np.float32)])
        if settings.options.get("pair_buckets"):
            pairs = naive_bayes.table(found, settings.options["pair_buckets"], text.PRIME)
            model.get_layer(text.PAIRS).set_weights([chosen_style.pairs / gain * pairs])
        words, pairs = (found.counts > 0).sum(), len(found.pairs)
        return [f"It starts from naive Bayes of {words:,} words and {pairs:,} pairs of words."]
    vectors = settings.options.get("vectors")
    if vectors is None:
        return []
    return [text.start_from_vectors(model, vectors, records.tokenizer.words(), seed=settings.seed)]


@functools.lru_cache(maxsize=1)  # style, options, start and views of a run all ask
def _ids(records: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ids of at most `COUNTED` records, one text after the other, where each ends, and which records they are."""
    chosen = np.arange(len(records))
    if len(records) > COUNTED:
        chosen = np.sort(np.random.default_rng(0).permutation(len(records))[:COUNTED])
    parts, sizes = [], []
    for begin in range(0, len(chosen), 2048):
        ids, _ = records.read(chosen[begin : begin + 2048])
        parts.append(ids[ids > 0])
        sizes.append((ids > 0).sum(1))
    return np.concatenate(parts), np.cumsum(np.concatenate(sizes)), chosen

"""What is special about training on texts: networks, what training sees of a text, settings, given word vectors."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnkit.device.text import UNKNOWN
from cnnkit.models import text

BUILDERS: dict[str, Callable[..., Any]] = {
    "default": text.kim,
    "kim-rand": functools.partial(text.kim, variant="rand"),
    "kim-static": functools.partial(text.kim, variant="static"),
    "kim-non-static": functools.partial(text.kim, variant="non-static"),
    "kim-multichannel": functools.partial(text.kim, variant="multichannel"),
    "char-cnn": text.char_cnn,
    "dpcnn": text.dpcnn,
}
LETTERS = ("char-cnn",)  # models that read characters


class Views:
    """What training sees of texts: (indices, step) -> ids cut to the longest of the batch, targets. As `Recipe.views`.

    Args:
        records: the training records.
        seed: of what is dropped.
        dropped: share of the words that become unknown.
        whole: pad to the full length, for networks that need it.
    """

    def __init__(self, records: Any, seed: int, *, dropped: float = 0.0, whole: bool = False):
        self.records, self.seed, self.dropped, self.whole = records, seed, dropped, whole
        self.shape = records.image_shape if whole else (None,)

    def __call__(self, indices: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
        ids, targets = self.records.read(indices, margin=None if self.whole else text.MARGIN)
        if self.dropped:
            rng = np.random.default_rng((self.seed, step))
            ids[(rng.random(ids.shape) < self.dropped) & (ids > UNKNOWN)] = UNKNOWN
        return ids, targets


def views(records: Any, settings: Any) -> Views:
    """Return what training sees of these records; as `Recipe.views`."""
    whole = settings.model in ("char-cnn", "dpcnn")
    return Views(records, settings.seed, dropped=0.0, whole=whole)


def preset(model: str, count: int, loaded: bool) -> dict[str, Any]:
    """Return settings that suit a model, a number of training texts, and whether it starts from loaded weights."""
    settings = {"batch_size": 50, "learning_rate": 1e-3, "warmup": 0.1, "weight_decay": 0.0}
    settings["epochs"] = 12 if count < 20_000 else 6 if count < 200_000 else 2
    return settings


def options(records: Any) -> dict[str, Any]:
    """Return the options of a builder that the training records decide: how many ids there are."""
    return {"size": records.tokenizer.size}


def describe(records: Any) -> dict[str, Any]:
    """Return what an artifact says of its texts: the input, and the tokenizer with how much padding has to stay."""
    return {
        "input": {"shape": list(records.image_shape), "ids": records.tokenizer.size},
        "text": {**records.tokenizer.to_dict(), "margin": text.MARGIN},
    }


def start(model: Any, records: Any, settings: Any) -> list[str]:
    """Put what the data say into a new model: given word vectors; as `Recipe.start`."""
    vectors = settings.options.get("vectors")
    if vectors is None:
        return []
    return [text.start_from_vectors(model, vectors, records.tokenizer.words(), seed=settings.seed)]

"""Phases of a training: which of the loaded layers learn when, and on images of what size."""

import dataclasses
import itertools

import keras

from cnnkit.models import weights as model_weights
from cnnkit.training.settings import Norms, Settings, Sizes, starts_loaded


@dataclasses.dataclass(frozen=True)
class Phase:
    """A range of epochs in which the same layers learn, on images of one size.

    Attributes:
        name: for the report.
        start, end: epochs, [start, end), counted from 0.
        free: share of the loaded layers that learn, from the top; all others always do.
        size: side of the images as a share of the model's input.
        first, last: epochs, [first, last), of the phases that share its optimizer and schedule: those with the same layers.
        sized: epoch from which images have this size: losses of earlier ones cannot be compared with its own.
    """

    name: str
    start: int
    end: int
    free: float
    size: float
    first: int
    last: int
    sized: int = 0


def planned(settings: Settings, epochs: int) -> list[Phase]:
    """Divide the epochs into phases: the head alone, then more and more of the loaded layers, from the top.

    Args:
        settings: `weights`, `freeze`, `unfreeze` and, where there are sizes, `progressive` decide.
        epochs: of the whole training.

    Returns:
        Phases that follow one another and fill the epochs; those that would have no epoch are left out.
    """
    parts = [("all layers", 0, epochs, 1.0)]
    if starts_loaded(settings):
        head = round(settings.freeze * epochs)
        if 0 < settings.freeze < 1:
            head = min(max(1, head), epochs - 1)  # something of both, unless there is one epoch: it trains all
        steps = settings.unfreeze
        cuts = [head + (epochs - head) * step // steps for step in range(steps + 1)]
        parts = [("head only", 0, head, 0.0)]
        for step, (start, end) in enumerate(itertools.pairwise(cuts), 1):
            name = "all layers" if step == steps else f"head and top {step}/{steps} of the loaded layers"
            parts.append((name, start, end, step / steps))
    sizes = settings.progressive if isinstance(settings, Sizes) else 1
    phases = []
    for name, first, last, free in parts:
        for number in range(sizes):
            start, end = max(first, number * epochs // sizes), min(last, (number + 1) * epochs // sizes)
            size = (sizes + number) / (2 * sizes - 1)  # from about a half to the whole
            title = name if size == 1 else f"{name}, images at {size:.0%} of their size"
            if start < end:
                phases.append(Phase(title, start, end, free, size, first, last, number * epochs // sizes))
    return phases


def set_free(model: keras.Model, settings: Settings, phase: Phase, loaded: frozenset[int]) -> dict[str, float]:
    """Let the layers of a phase learn and the others stand still; return the learning rates that differ, by variable.

    `loaded` are the places of loaded layers in `weighted_layers`.
    """
    known = enumerate(model_weights.weighted_layers(model).items())
    layers = [layer for place, (name, layer) in known if place in loaded and name != model_weights.HEAD]
    still = len(layers) - round(phase.free * len(layers))
    rates: dict[str, float] = {}
    keeps = isinstance(settings, Norms) and settings.freeze_norm
    for number, layer in enumerate(layers):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = number >= still and not (is_norm and keeps)
        depth = (len(layers) - 1 - number) / max(1, len(layers) - 1)  # 0 at the top, 1 at the bottom
        rates |= {w.path: settings.backbone_rate * settings.layer_decay**depth for w in layer.weights}
    return rates

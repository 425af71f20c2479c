"""Training: seeds, trains, validates, checkpoints, resumes, writes the run.

Design choices:
- Weights are drawn after the seed is set, so `fit` takes a builder, not a model.
- A checkpoint is one file, written atomically at the end of an epoch: weights, optimizer, averages, best weights and
  history. As every batch is a function of (seed, step), a run killed at any moment and resumed ends in the same weights,
  bit for bit, as one that never stopped.
- Where `minutes` are given, time decides how far training is (`cnnkit.training.pace`), and what it decided is in the
  checkpoint: the same decisions give the same weights, and a resumed run keeps those that were made.
- The best epoch is that of the lowest validation loss, measured with the averaged weights where there is an average;
  accuracy on a small validation split ties.
- The best weights then get batch norm statistics from plain images (`cnnkit.models.norm`): those that training left
  behind belong to augmented images. On held-out training images of MNIST the change was -0.05 to +0.23 points, mostly up.
  Where training cuts tiles around what is to be found, they come from such tiles: with those of whole photos, which are mostly
  background, a detector had AP50 0.756 on held-out training images, of plain tiles 0.798, of training's own 0.817 (one run).
  On 96 held-out training photos of gtsdb-200 in tiles plain ones had 0.838, training's own 0.840, what training left behind
  0.808. On whole drawn scenes plain ones and training's own differ little (0.894 and 0.898), and plain ones stay.
- AdamW without decay on biases, batch norm and embeddings; linear warm-up, then cosine to zero (`cnnkit.optimizers`).
- Fine-tuning is a list of phases, each a range of epochs in which some of the loaded layers learn on images of one size.
  Phases with the same layers share an optimizer and a schedule; others begin with their own, from averaged weights.
  Training without loaded weights is one phase of the same mechanism. What a phase trains is a function of the settings
  and of what was loaded, so a resumed run goes on inside its phase.
- What validation decides (the best epoch; temperature and thresholds, by the task) can be kept while the weights are trained
  anew on the validation records too: `refit`.
- XLA is off on a CPU (it trains three to seven times slower there) and on elsewhere.
- Several machines are for JAX: `fit` of Keras 3.15 fails under `MultiWorkerMirroredStrategy`. So models, losses and metrics
  are written in `keras.ops`.

What is named here is imported when it is used: its settings are options of the command line, which answers at once.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnkit.training.building import build, describe, save
    from cnnkit.training.checkpoint import State
    from cnnkit.training.compiling import averaging, find_learning_rate, steps
    from cnnkit.training.fitting import fit, refit, refit_fits
    from cnnkit.training.pace import Budget
    from cnnkit.training.phases import Phase, planned

_PARTS = {
    **dict.fromkeys(("build", "describe", "save"), "building"),
    "State": "checkpoint",
    **dict.fromkeys(("averaging", "find_learning_rate", "steps"), "compiling"),
    **dict.fromkeys(("fit", "refit", "refit_fits"), "fitting"),
    "Budget": "pace",
    **dict.fromkeys(("Phase", "planned"), "phases"),
}

__all__ = [
    "Budget",
    "Phase",
    "State",
    "averaging",
    "build",
    "describe",
    "find_learning_rate",
    "fit",
    "planned",
    "refit",
    "refit_fits",
    "save",
    "steps",
]


def __getattr__(name: str) -> Any:
    if name not in _PARTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PARTS[name]}"), name)

"""Settings of any training: model, weights to start from, length, optimizer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit.data.settings import Data
from cnnkit.settings import Room, room, setting

AUTO = "auto"  # weights that `cnnkit.verbs.pretrained` chooses before a training begins; where nobody chose, there are none


@room
class Model(Room, title="Model", of_data=True):
    """What is trained, and what it starts from: a model may want its own input, weights bring a vocabulary."""

    model: str = setting("default", "Model to build: a name the app knows; a wrong one lists them.")
    options: dict[str, Any] = setting({}, "Options of the model's builder.", option=False)
    # a run or its model.keras too
    weights: str = setting(AUTO, "Weights to start from.", metavar="imagenet|none|FILE|RUN")


@room
class FineTuning(Room, title="Fine-tuning"):
    """How loaded layers learn."""

    # so that its classes stay known
    replay: bool = setting(False, "Train on the data of the RUN in --weights as well.", early="keep")
    freeze: float = setting(0.0, "Share of the epochs in which only new layers learn.", least=0, most=1)
    # equal ones
    unfreeze: int = setting(1, "Steps in which loaded layers are set free then, from the top.", least=1, most=100)
    backbone_rate: float = setting(
        0.1, "Learning rate of loaded layers relative to that of new ones.", least=0, most=100
    )
    # even steps between
    layer_decay: float = setting(1.0, "The same of the lowest loaded layer relative to the highest.", above=0, most=1)


@room
class Norms(Room, title="Fine-tuning"):
    """Of kinds whose networks have batch norm."""

    # and scales, in inference mode, throughout
    freeze_norm: bool = setting(True, "Loaded batch norm keeps its averages.  [default: on]")


@room
class Devices(Room, title="Fine-tuning"):
    """Of kinds whose networks are known layer by layer, and made ready for devices in training."""

    prune: float | None = setting(
        None,
        "Share of the multiply-adds that the network of the RUN in --weights loses first, by whole filters.",
        above=0,
        below=1,
    )
    quantise_aware: bool = setting(
        False, "A last phase in which it learns with the rounding of an int8 file.", flag="--quantise-aware"
    )


@room
class Training(Room, title="Training"):
    """How long and how it is trained."""

    epochs: int = setting(10, "Passes over the training data.", least=1)
    minutes: float | None = setting(
        None, "Time for all, from start to report; it decides how long training is.", above=0
    )
    batch_size: int = setting(64, "Records a step.", least=1)
    learning_rate: float = setting(
        1e-3, "Peak learning rate; `auto` looks for one first.", above=0, metavar="RATE|auto", words=("auto",)
    )
    warmup: float = setting(
        0.05, "Share of the steps in which the learning rate rises from 0.", least=0, most=1, option=False
    )
    weight_decay: float = setting(1e-4, "Of AdamW.", least=0, most=10)  # not on biases and batch norm
    ema: float = setting(
        0.0, "Momentum of the moving average of the weights, less in short trainings; 0: none.", least=0, most=0.99999
    )
    # 0: never
    patience: int = setting(0, "Stop after so many epochs without a better validation loss.", least=0, most=10**9)
    refit: bool = setting(
        False,
        "Train anew on what was held out for validation too, once it has said for how long.  [default: as suits the data]",
    )
    mixed_precision: bool = setting(False, "16-bit compute; pays on an accelerator.")
    steps_per_execution: int = setting(1, "Steps that are compiled together.", least=1, option=False)
    seed: int = setting(0, "Of weights, order and augmentation.  [default: 0]", least=0, most=2**31 - 1)
    tensorboard: bool = setting(False, "Write a TensorBoard log into the run.", flag="--tensorboard")


@room
class Sizes(Room, title="Training"):
    """Of kinds whose samples can be seen at several sizes."""

    progressive: int = setting(
        1, "Image sizes in training, from about half to the full one.  [default: 1]", least=1, most=100
    )


@room
class Augmentation(Room, title="Augmentation"):
    """Of the app's own augmentation; kinds may have more."""

    augment: bool = setting(True, "The app's augmentation.  [default: on]")


@room
class Settings(Data, Model, FineTuning, Training, Augmentation):
    """What decides how any run comes out; those of a run have the rooms of its input and its task as well."""


def weights_of(settings: Mapping[str, Any]) -> Path | None:
    """Return the file or run that weights come from; None: from none. A folder called as a word for weights is not meant."""
    source = settings.get("weights") or "none"
    return None if source in ("none", "imagenet", AUTO) else Path(source)


def starts_loaded(settings: Settings) -> bool:
    """Whether a training begins with loaded weights."""
    return settings.weights not in ("none", AUTO)

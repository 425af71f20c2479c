"""Settings of a training run: frozen, checked on the way in, and the same as JSON, TOML and command-line options.

Order of precedence, lowest first: the defaults below, the recipe's preset for the model and the amount of data, a
`--config` file (TOML, or the `run.json` of an earlier run), options on the command line.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that decides how a run comes out, apart from the data itself."""

    data: str = ""  # card, folder or file
    model: str = "default"  # a builder of the app
    options: dict[str, Any] = dataclasses.field(default_factory=dict)  # of the builder
    weights: str = "none"  # to start from: imagenet, none, a file, or a run folder
    keep: bool = False  # train on the data of the run in `weights` as well, so that its classes stay known
    freeze: float = 0.0  # share of the epochs in which loaded layers stand still and the others learn; 1: all
    unfreeze: int = 1  # equal steps in which loaded layers are set free after that, from the top
    backbone_rate: float = 0.1  # learning rate of loaded layers relative to that of the others
    layer_decay: float = 1.0  # learning rate of the lowest loaded layer relative to the highest; even steps between
    freeze_norm: bool = True  # loaded batch norm keeps its averages and scales, in inference mode, throughout
    image_size: int | None = None  # px of a square input; None: the data's own
    prepare: bool | None = None  # lay pictures out as the app does; None: unless the data's card says that they are
    tiles: bool | None = None  # cut images into tiles for a detector; None: as their boxes ask for
    tile_scale: float | None = None  # px of a tile for one of the image; None: as the boxes ask for
    text: str | None = None  # column or field of the texts; None: found out
    label: str | None = None  # the same of the labels
    separator: str | None = None  # between several labels in one cell
    encoding: str | None = None  # of the texts; None: found out
    groups: str | None = None  # images that belong together: "none", a regular expression of paths; None: found out
    fold: str | None = None  # "3/10": the third of ten parts is the test; None: the data's own split
    words: int = 20_000  # most words of the vocabulary
    least: int = 1  # times that a word of the vocabulary occurs in training
    length: int | None = None  # ids of a text; None: as the texts ask for
    cased: bool = True  # "Turkey" and "turkey" are two words of the vocabulary
    buckets: int = 0  # ids for character n-grams of unknown words; 0: all unknown words are one
    min_precision: float | None = (
        None  # share of what a label is given that has to be right; None: one half of rare ones
    )
    progressive: int = 1  # image sizes in training, rising from about half to the full one; 1: full throughout
    epochs: int = 10
    minutes: float | None = None  # of the whole command, from start to report; they decide how long training is
    batch_size: int = 64
    learning_rate: float = 1e-3  # its peak
    warmup: float = 0.05  # share of the steps in which the learning rate rises from 0
    weight_decay: float = 1e-4  # of AdamW; not on biases and batch norm
    label_smoothing: float = 0.0  # share of the probability spread over all classes
    ema: float = 0.0  # momentum of the moving average of the weights; 0: none
    patience: int = 0  # epochs without a better validation loss before stopping; 0: never stop early
    class_weights: bool = False  # weigh each class by the inverse of its frequency
    augment: bool = True
    mirror: bool = False  # mirror half of the images in training; only where a mirrored image has the same label
    rand_augment: bool = False
    mixup: float = 0.0  # alpha of its Beta distribution; 0: off
    cutmix: float = 0.0
    mixed_precision: bool = False  # float16 compute; only where there is an accelerator
    steps_per_execution: int = 1
    validation: float | None = None  # share of the training images held out, 0: none; None: the data's own
    refit: bool = False  # train anew on what was held out for validation too, once it has said for how long
    limit: int | None = None  # at most this many training images
    skip_bad: bool = False
    seed: int = 0  # of weights, order, augmentation
    split_seed: int = 0  # of the split into train, validation and test
    tensorboard: bool = False

    def __post_init__(self) -> None:
        positive = ("epochs", "batch_size", "learning_rate", "steps_per_execution", "layer_decay")
        for name in positive:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0. Got {getattr(self, name)}.")
        for name, low, high in (
            ("label_smoothing", 0, 0.999),
            ("ema", 0, 0.99999),
            ("freeze", 0, 1),
            ("backbone_rate", 0, 100),
            ("layer_decay", 0, 1),
            ("unfreeze", 1, 100),
            ("progressive", 1, 100),
            ("warmup", 0, 1),
            ("weight_decay", 0, 10),
            ("mixup", 0, 100),
            ("cutmix", 0, 100),
            ("patience", 0, 10**9),
            ("buckets", 0, 10**7),
            ("seed", 0, 2**31 - 1),
            ("split_seed", 0, 2**31 - 1),
        ):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} must lie in [{low}, {high}]. Got {getattr(self, name)}.")
        if self.tile_scale is not None and not 0.1 <= self.tile_scale <= 4:
            raise ConfigError(f"tile_scale must lie in [0.1, 4]. Got {self.tile_scale}.")
        for name, low in (("minutes", 0), ("limit", 0), ("image_size", 0), ("words", 0), ("least", 0), ("length", 0)):
            value = getattr(self, name)
            if value is not None and not value > low:
                raise ConfigError(f"{name} must be above {low}. Got {value}.")
        if self.min_precision is not None and not 0 < self.min_precision < 1:
            raise ConfigError(f"min_precision must lie in (0, 1). Got {self.min_precision}.")
        if self.validation is not None and not 0 <= self.validation < 0.9:
            raise ConfigError(f"validation must lie in [0, 0.9). Got {self.validation}.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as `run.json` holds them."""
        return dataclasses.asdict(self)


_TYPES = typing.get_type_hints(Settings)


def checked(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Check names and types of settings read from `where`.

    Raises:
        ConfigError: naming the setting, what it needs and the settings that exist.
    """
    result = {}
    for name, value in given.items():
        if name not in _TYPES:
            raise ConfigError(f"{where}: there is no setting `{name}`. Settings: {', '.join(sorted(_TYPES))}.")
        kind = _TYPES[name]
        allowed = typing.get_args(kind) if isinstance(kind, types.UnionType) else (typing.get_origin(kind) or kind,)
        if float in allowed and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            need = " or ".join(t.__name__ for t in allowed if t is not type(None))
            raise ConfigError(f"{where}: `{name}` needs {need}. Got {value!r}.")
        result[name] = value
    return result


def read(path: Path | str) -> dict[str, Any]:
    """Read the settings given in a TOML file, or in the `run.json` of an earlier run.

    Raises:
        ConfigError: no such file, not TOML or JSON, an unknown setting, a value of the wrong type.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "run.json"
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json":
            import tomllib  # `predict` has no need of it, and starts sooner

        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist. Give a TOML file of settings or the run.json of a run.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    except ValueError as error:
        raise ConfigError(f"{path} cannot be understood: {error}.") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} needs a table of settings. Got {type(document).__name__}.")
    return checked(document.get("settings", document) if path.suffix == ".json" else document, str(path))

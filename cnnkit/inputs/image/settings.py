"""Settings of pictures."""

from cnnkit.data.settings import Folds
from cnnkit.settings import Room, room, setting
from cnnkit.training.settings import Devices, Norms, Sizes


@room
class Source(Room, title="Data", of_data=True):
    """Where labels are, and which pictures belong together."""

    label: str | None = setting(
        None,
        "Column of the labels in a table, by name or number; several, of 0 and 1, with commas.  [default: found out, and said]",
        metavar="COLUMN",
        reading="data",
    )
    separator: str | None = setting(
        None,
        "Between several labels in one cell of a table, such as |; none: a cell is one label.  [default: found out, and said]",
        metavar="CHARACTER",
        reading="data",
    )
    groups: str | None = setting(
        None,
        "Which images of a folder stay on one side of a split: none, or those whose paths match this regular expression "
        "alike.  [default: found out, and said]",
        metavar="none|PATTERN",
        reading="data",
    )


@room
class Preparation(Room, title="Data", of_data=True):
    """Of apps that lay pictures out."""

    prepare: bool | None = setting(  # None: unless the data's card says that they are laid out
        None,
        "Lay pictures out as the model knows them, or take them as they are.  "
        "[default: as the model and the data ask for]",
        reading="input",
    )


@room
class Side(Room, title="Model", of_data=True):
    """What the network sees."""

    image_size: int | None = setting(
        None, "Side of the model's square input, px.  [default: the model's, else the data's]", least=4, most=4096
    )


@room
class Mirroring(Room, title="Augmentation"):
    """Augmentation of anything that is seen."""

    mirror: bool = setting(
        False, "Mirror half of the images; only where labels allow.  [default: as suits the app and its data]"
    )


@room
class Mixing(Room, title="Augmentation"):
    """More augmentation, of pictures with one label each."""

    rand_augment: bool = setting(False, "RandAugment on top.")
    mixup: float = setting(0.0, "MixUp: alpha of its Beta distribution; 0: off.", least=0, most=100)
    cutmix: float = setting(0.0, "CutMix: alpha of its Beta distribution; 0: off.", least=0, most=100)


IMAGES = (Folds, Source, Side, Norms, Devices, Sizes, Mirroring, Mixing)  # of pictures with one label each

"""Settings of pictures."""

from cnnkit.settings import Room, room, setting
from cnnkit.training.settings import Norms, Sizes


@room
class Source(Room):
    """Where labels are, and which pictures belong together."""

    title = "Data"
    of_data = True

    label: str | None = setting(
        None,
        "Column of the labels in a table, by name or number.  [default: found out, and said]",
        metavar="COLUMN",
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
class Preparation(Room):
    """Of apps that lay pictures out."""

    title = "Data"
    of_data = True

    prepare: bool | None = setting(  # None: unless the data's card says that they are laid out
        None,
        "Lay pictures out as the model knows them, or take them as they are.  "
        "[default: as the model and the data ask for]",
        reading="input",
    )


@room
class Side(Room):
    """What the network sees."""

    title = "Model"
    of_data = True

    image_size: int | None = setting(
        None, "Side of the model's square input, px.  [default: the model's, else the data's]", least=4, most=4096
    )


@room
class Mirroring(Room):
    """Augmentation of anything that is seen."""

    title = "Augmentation"

    mirror: bool = setting(False, "Mirror half of the images; only where labels allow.  [default: off]")


@room
class Mixing(Room):
    """More augmentation, of pictures with one label each."""

    title = "Augmentation"

    rand_augment: bool = setting(False, "RandAugment on top.")
    mixup: float = setting(0.0, "MixUp: alpha of its Beta distribution; 0: off.", least=0, most=100)
    cutmix: float = setting(0.0, "CutMix: alpha of its Beta distribution; 0: off.", least=0, most=100)


IMAGES = (Source, Side, Norms, Sizes, Mirroring, Mixing)  # of pictures with one label each

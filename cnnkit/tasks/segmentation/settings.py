"""Settings of pictures with masks."""

from cnnkit.data.settings import Folds
from cnnkit.inputs.image.settings import Side
from cnnkit.settings import Room, room, setting
from cnnkit.training.settings import Devices, Norms, Sizes

# As `Plan.values`, `scoring.LOSSES` and `loading.FLIPS` have them, which take longer to load than `--help` may.
VALUES = ("as it is", "alike", "each")
LOSSES = ("dice", "batch-dice", "tversky", "focal", "boundary")
FLIPS = ("none", "horizontal", "vertical", "both")


@room
class Source(Room, title="Data", of_data=True):
    """Which pictures belong together."""

    groups: str | None = setting(
        None,
        "Which pictures are of one patient, and stay on one side of a split: none, or those whose names match this regular "
        "expression alike.  [default: found out, and said]",
        metavar="none|PATTERN",
        reading="data",
    )


@room
class Windows(Room, title="Windows", of_data=True):
    """How large pictures are looked at."""

    patches: bool | None = setting(
        None, "Look at pictures through windows, or at once whole.  [default: as the masks ask for]"
    )
    scale: float | None = setting(
        None,
        "Px of the network's input for one of the picture, where there are windows.  [default: as the masks ask for]",
        least=0.02,
        most=8,
    )
    values: str | None = setting(
        None,
        "How values become bytes: as it is, alike (of all pictures), each (by its own percentiles).  "
        "[default: as the pictures ask for]",
        choices=VALUES,
    )


@room
class Apart(Room, title="Objects", of_data=True):
    """Whether objects that touch are told apart."""

    objects: bool = setting(
        False, "Tell objects of the only label apart, such as cells, also where they touch.", reading="data"
    )


@room
class Learning(Room, title="Training"):
    """What masks are learnt by."""

    loss: str | None = setting(
        None,
        "What is learnt by, beside cross-entropy: the overlap of each input (dice) or of those of a step together, and more.  "
        "[default: as the masks ask for]",
        choices=LOSSES,
    )
    focus: float | None = setting(
        None, "Share of the windows around a pixel of a label.  [default: as the masks ask for]", least=0, most=1
    )


@room
class Moving(Room, title="Augmentation"):
    """How pictures and masks are moved together."""

    flips: str | None = setting(
        None,
        "Mirror half of the views; never across where labels say left or right and cannot be exchanged.  "
        "[default: as the masks ask for]",
        choices=FLIPS,
    )
    rotation: float = setting(15.0, "Largest angle that views are turned by, degrees.", least=0, most=180)
    elastic: float = setting(1.0, "Standard deviation of the elastic displacement, px of the input.", least=0, most=50)


MASKS = (Folds, Source, Side, Windows, Apart, Learning, Moving, Norms, Devices, Sizes)

"""Settings of numbers of pictures."""

from cnnkit.inputs.image.settings import Mirroring, Side
from cnnkit.settings import Room, room, setting
from cnnkit.training.settings import Devices, Norms, Sizes

READ_BY = ("image", "values", "group", "time", "side_angle")  # of `Columns`, what readers have as options


@room
class Columns(Room, title="Data", of_data=True):
    """Which columns of a table hold what, and how it is divided."""

    image: str | None = setting(
        None, "Column of the pictures' paths.  [default: found out]", metavar="COLUMN", reading="data"
    )
    values: str | None = setting(
        None,
        "Columns of the values, with commas between them.  [default: the only one of numbers]",
        metavar="COLUMN,...",
        reading="data",
    )
    unit: str | None = setting(
        None,
        "Unit of the values; of several with commas between them.  [default: as the data says]",
        metavar="UNIT",
        reading="data",
    )
    negate: str | None = setting(
        None,
        "Values that change their sign in a mirrored picture: names with commas between them, all or none.  "
        "[default: as the data says]",
        metavar="COLUMN,...",
    )
    group: str | None = setting(
        None,
        "Column that says which pictures belong together, such as a drive; none: there is none.  [default: found out]",
        metavar="COLUMN",
        reading="data",
    )
    time: str | None = setting(
        None,
        "Column of the time, by which pictures are in order; none: they are in order as they are.  [default: found out]",
        metavar="COLUMN",
        reading="data",
    )
    side_angle: float | None = setting(
        None,
        "Driving logs: added to the angle of the left camera's pictures, taken from the right one's.  [default: 0.2]",
        least=0,
        most=1000,
        reading="data",
    )
    by_time: bool = setting(
        True, "Hold out blocks of neighbours in time, and not single pictures.  [default: on]", reading="data"
    )
    gap: int | None = setting(
        None,
        "Pictures left out between training and what is held out, in time.  [default: a tenth of a block]",
        least=0,
        most=10**6,
        reading="data",
    )


@room
class Fitting(Room, title="Training"):
    """How errors count in training."""

    loss: str | None = setting(
        None,
        "What errors count as: huber (large ones as they are, small ones squared), absolute, squared.  [default: huber]",
        choices=("huber", "absolute", "squared"),
    )


VALUES = (Columns, Side, Norms, Devices, Sizes, Mirroring, Fitting)  # of pictures with numbers

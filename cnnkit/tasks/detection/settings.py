"""Settings of pictures with boxes."""

from cnnkit.inputs.image.settings import Mirroring, Side
from cnnkit.settings import Room, room, setting
from cnnkit.training.settings import Devices, Norms, Sizes


@room
class Tiles(Room, title="Tiles", of_data=True):
    """How large pictures are looked at."""

    tiles: bool | None = setting(None, "Cut images into tiles.  [default: as the boxes ask for]")
    tile_scale: float | None = setting(
        None,
        "Px of a tile for one of the image; small objects want more.  [default: as the boxes ask for]",
        least=0.1,
        most=4,
    )


BOXES = (Side, Tiles, Norms, Devices, Sizes, Mirroring)

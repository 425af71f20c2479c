"""Readers of what is drawn instead of downloaded: traffic signs, and road scenes with signs in them."""

import numpy as np

from cnnkit.data.reading import Part, Reader, Request
from cnnkit.tasks.detection.records import Boxes
from cnnkit_signs import drawn_signs, road_scenes

_MOST = 1_000_000
_SEEDS = 2**32 - 1


def read_drawn_signs(request: Request) -> Part:
    """Traffic signs that are drawn when they are read; the options say how many, from which seed, how large."""
    images = drawn_signs.DrawnSigns(
        views=request.whole("views", 150, 1, _MOST),
        seed=request.whole("seed", 0, 0, _SEEDS),
        side=request.whole("side", drawn_signs.SIDE, 16, 512),
    )
    return Part(images, images.codes(), drawn_signs.LABELS)


def read_road_scenes(request: Request) -> Part:
    """Road scenes with signs, drawn when they are read; the split says how many, the options from which seed, how large."""
    height, width = road_scenes.SIDE
    count = request.whole("count", 2000, 1, _MOST, request.split)
    seed = request.whole("seed", 0, 0, _SEEDS, {**request.options, **request.split})
    size = request.whole("height", height, 64, 2048), request.whole("width", width, 64, 2048)
    images = road_scenes.RoadScenes(count, seed, size)
    found = [images.boxes(index) for index in range(len(images))]
    codes = np.concatenate([codes for _, codes in found])
    boxes = Boxes(
        np.cumsum([len(codes) for _, codes in found]),
        np.concatenate([corners for corners, _ in found]),
        codes,
        np.zeros(len(codes), bool),
        np.tile(size[::-1], (len(images), 1)),
    )
    return Part(images, codes, road_scenes.LABELS, more=boxes)


DRAWN_SIGNS = Reader(read_drawn_signs, "classification", options=frozenset(["views", "seed", "side"]))
ROAD_SCENES = Reader(
    read_road_scenes,
    "detection",
    keys=frozenset(["count", "seed"]),
    options=frozenset(["seed", "height", "width"]),
)

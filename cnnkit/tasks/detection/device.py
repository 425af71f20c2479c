"""Boxes around objects, on a device; `cnnkit.device.detection` makes them of a model's answers."""

from cnnkit.device.kinds import Scores


class Detection(Scores):
    """Raw boxes (n, cells, 4) and scores (n, cells, classes) in [0, 1]."""

    name = "detection"
    outputs = ("boxes", "scores")
    entry = "detection"


KIND = Detection()

"""Several labels an input, or none, on a device."""

from cnnkit.device.kinds import Scores


class Multilabel(Scores):
    """Scores (n, labels), each in [0, 1]."""

    name = "multilabel"
    early = ("multi-label",)


KIND = Multilabel()

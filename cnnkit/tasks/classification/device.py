"""One class an input, on a device."""

from cnnkit.device.kinds import Scores


class Classification(Scores):
    """Scores (n, classes), each row summing to 1."""

    name = "classification"
    unsaid = True


KIND = Classification()

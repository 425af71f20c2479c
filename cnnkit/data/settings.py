"""Settings of any data: where it is, and how it is divided."""

from cnnkit.settings import Room, room, setting


@room
class Data(Room, title="Data", of_data=True):
    """Which data, and how much of it."""

    data: str = setting("", "Data: a card's name, a folder, or a file.", metavar="CARD|FOLDER|FILE")
    # None: the data's own, else a share of the training records
    validation: float | None = setting(None, "Share of the training data held out; 0: none.", least=0, below=0.9)
    limit: int | None = setting(None, "Train on at most so many records.", least=1)
    skip_bad: bool = setting(False, "Go on without files that cannot be read; name them.", flag="--skip-bad")
    split_seed: int = setting(0, "Of the split of the data.  [default: 0]", least=0, most=2**31 - 1)


@room
class Folds(Room, title="Data", of_data=True):
    """Cross-validation: each record is once held out."""

    folds: int | None = setting(
        None, "Train so often, each time with another part held out, and put the models together.", least=2, most=50
    )
    fold: int | None = setting(None, "Train one of the folds alone, counted from 0.", least=0, most=49)

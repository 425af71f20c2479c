"""Settings of tasks."""

from cnnkit.settings import Room, room, setting


@room
class Classes(Room, title="Training"):
    """Of classification."""

    label_smoothing: float = setting(0.0, "Share of the probability spread over all classes.", least=0, most=0.999)
    class_weights: bool = setting(False, "Weigh rare classes up.")  # each by the inverse of its frequency


@room
class Answers(Room, title="Answers"):
    """Of classification: what validation data decide about answers."""

    accept: float | None = setting(
        None,
        "Answer `unknown` below the score that this share of the validation records reach, such as 0.95.  [default: never]",
        above=0,
        below=1,
    )
    specificity: float | None = setting(
        None,
        "Two classes: the threshold, chosen on validation data, that lets this share of what is not positive go.",
        above=0,
        below=1,
    )
    positive: str | None = setting(
        None,
        "Two classes: the one that is looked for.  [default: the one that is not called none, normal, ...; else the second]",
        metavar="LABEL",
    )


@room
class Tags(Room, title="Training"):
    """Of several labels a record."""

    min_precision: float | None = setting(  # None: one half of rare ones
        None,
        "Several labels each: share of what a label is given that has to be right.  [default: 0.5]",
        above=0,
        below=1,
    )

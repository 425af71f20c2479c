"""`--minutes`: what has to be done beside training, how long that takes, and when the whole command will be done.

What can be done before training is (the baseline); what cannot is measured on a few records with the model as it begins
(scoring), or told from how long the command took to start on the same machine (report).
"""

import datetime
import time
from typing import Any

import numpy as np

from cnnkit.reporter import Reporter
from cnnkit.training.settings import Settings

REPORT = 0.5  # seconds of writing a report for each of starting the command: both are imports and files
LEAST = 0.1  # of the budget; where training has less, that is said
SAMPLES = (2, 8, 8, 32, 32)  # records scored in turn to learn how long all will take; the first compiles
SPARE = 1.2  # of the seconds measured: too late is worse than a little too early
MEASURING = 0.02  # of the budget: what this may take, about


def scoring_seconds(recipe: Any, artifact: Any, records: Any, most: float) -> tuple[float, float]:
    """Return the seconds to keep for scoring: until the first records are, and for each further one.

    Args:
        recipe: of the app.
        artifact: the model as it begins.
        records: to be scored later.
        most: seconds this may take, about.
    """
    from cnnkit.evaluation import scoring

    if not len(records):
        return 0.0, 0.0
    first, each = 0.0, 0.0
    begun = time.monotonic()
    for number, count in enumerate(SAMPLES):
        began = time.monotonic()
        scoring.outputs(artifact, records.take(np.arange(count) % len(records)), recipe.task)
        seconds = time.monotonic() - began
        first, each = (seconds, seconds) if not number else (first, min(each, seconds / count))
        if number and time.monotonic() - begun > most:
            break
    return SPARE * first, SPARE * each


def foretell(budget: Any, settings: Settings, tell: Reporter) -> None:
    """Tell when training and the whole command will be done, and where the time is too little."""
    left, now = budget.left(), datetime.datetime.now()

    def clock(seconds: float) -> str:
        return (now + datetime.timedelta(seconds=seconds)).strftime("%H:%M:%S")

    if left < LEAST * budget.seconds:
        other = budget.seconds - left
        enough = -(-other // 3) / 10  # twice as much, in minutes
        tell.warning(
            f"`minutes={settings.minutes:g}` is too little here: all but training takes about {other:.0f} s, so training has "
            f"{max(0.0, left):.0f} s and takes only the fewest steps. Give `minutes={enough:g}` or more."
        )
        return
    what = "both trainings" if budget.again else "training"
    tell.message(
        f"{settings.minutes:g} minutes in all: {budget.used():.0f} s until here, {what} "
        f"until about {clock(left)}, scored and reported by about {clock(left + budget.after)}"
    )


def in_words(seconds: float) -> str:
    """Return seconds as minutes and seconds, such as 1:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"

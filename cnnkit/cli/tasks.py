"""Of an app with several tasks: which one a command is about."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit import console, opening
from cnnkit.run import Run, to_resume
from cnnkit.run_data import settings_in


def task_of_data(source: str) -> str:
    """Return what a data set is for, such as "detection"."""
    from cnnkit.data import cards

    return cards.load(source).task


def task_to_train(
    app: str, given: Mapping[str, Any], *, config: Path | None, out: Path | None, resume: bool
) -> str | None:
    """Return what to train: what a resumed run did, what the data is for, what weights know; None: nothing says it."""
    if resume:
        path = out or to_resume(app, console)
        if (path / "run.json").is_file():
            return Run.open(path, app).document.get("task")
    source = given.get("data") or (settings_in(config).get("data") if config else None)
    if source:
        return task_of_data(source)
    weights = Path(given.get("weights", "none"))
    return opening.task_of(app, weights) if weights.is_dir() else None

"""Of an app with several tasks: which one a request is about."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit import opening
from cnnkit.reporter import SILENT, Reporter
from cnnkit.run import Run, to_resume
from cnnkit.run_data import settings_in
from cnnkit.training.settings import weights_of


def task_of_data(source: str, first: str = "") -> str:
    """Return what a data set is for, such as "detection"; `first`: what it is taken for where it can be."""
    from cnnkit.data import cards, readers

    path = cards.path_of(source)
    own = first and path is not None and path.suffix.lower() != ".toml" and readers.fits(path, first)
    return cards.load(source, first if own else "").task


def task_to_train(
    app: str,
    given: Mapping[str, Any],
    *,
    config: Path | None,
    out: Path | None,
    resume: bool,
    first: str = "",
    tell: Reporter = SILENT,
) -> str | None:
    """Return what to train: what a resumed run did, what the data is for, what weights know; None: nothing says it.

    `first`: as `task_of_data`.
    """
    if resume:
        path = out or to_resume(app, tell)
        if (path / "run.json").is_file():
            return Run.open(path, app).document.get("task")
    source = given.get("data") or (settings_in(config).get("data") if config else None)
    if source:
        return task_of_data(source, first)
    weights = weights_of(given)
    return opening.task_of(app, weights) if weights is not None and weights.is_dir() else None

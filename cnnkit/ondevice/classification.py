"""`predict` for a classifier: which class a picture shows, or that there is nothing on it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import console, ondevice
from cnnkit.device.preparation import Preparation, ready, wanted
from cnnkit.errors import DataError

BATCH = 64
NOTHING = "nothing on it"  # in place of a label


def predict(
    app: str,
    inputs: Sequence[Path],
    *,
    preparation: Preparation | None = None,
    prepare: bool | None = None,
    top: int,
    skip_bad: bool,
    threads: int | None,
) -> None:
    """Name the class of each picture, as a table or as JSON.

    Args:
        app: whose model it must be.
        inputs: an artifact, where one is named, then files, folders or -.
        preparation: what the app does to pictures.
        prepare: whether it is done; None: as the artifact says.
        top: classes shown of each.
        skip_bad: go on without files that cannot be read.
        threads: of the interpreter.
    """
    artifact, paths = ondevice.split(app, inputs)
    if not paths:
        raise DataError("There is nothing to predict. Give image files, folders, or - for an image on standard input.")
    model = ondevice.open_model(artifact, app, threads)
    how = preparation if wanted(preparation, model.metadata, prepare) else None
    names: list[tuple[str, bool]] = []
    images: list[np.ndarray] = []
    rows: list[dict[str, Any]] = []
    skipped: list[str] = []

    def flush() -> None:
        scores = model.predict(np.stack(images))["scores"] if images else np.zeros((0, len(model.labels)))
        for (name, shown), row in zip(names, scores, strict=True):
            if not shown:
                rows.append({"input": name, "label": NOTHING, "score": 0.0, "nothing": True})
                continue
            order = np.argsort(-row, kind="stable")[:top]
            best = [{"label": model.labels[i], "score": round(float(row[i]), 6)} for i in order]
            rows.append({"input": name, **best[0], **({"top": best} if top > 1 else {})})
        names.clear()
        images.clear()

    for path, image in ondevice.readable_images(paths, skipped if skip_bad else None):
        pixels, shown = ready(image, model.input_shape, how)
        images.append(pixels)
        names.append((str(path), shown))
        if len(images) == BATCH:
            flush()
    flush()
    console.document({"artifact": str(model.path), "predictions": rows, "skipped": skipped})
    if not console.is_json():
        columns = min(top, len(model.labels))
        show = [
            [row["input"], NOTHING, *[""] * (columns - 1)]
            if row.get("nothing")
            else [row["input"], *(f"{entry['label']}  {entry['score']:.1%}" for entry in row.get("top", [row]))]
            for row in rows
        ]
        console.table(["input", "prediction", *(f"{n}." for n in range(2, columns + 1))], show)

"""`predict` for a classifier: which class a picture shows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import console, ondevice
from cnnkit.device.image import fit_image
from cnnkit.errors import DataError

BATCH = 64


def predict(
    app: str,
    inputs: Sequence[Path],
    *,
    prepare: Callable[..., np.ndarray] | None,
    top: int,
    skip_bad: bool,
    threads: int | None,
) -> None:
    """Name the class of each picture, as a table or as JSON."""
    artifact, paths = ondevice.split(app, inputs)
    if not paths:
        raise DataError("There is nothing to predict. Give image files, folders, or - for an image on standard input.")
    model = ondevice.open_model(artifact, app, threads)
    names: list[str] = []
    images: list[np.ndarray] = []
    rows: list[dict[str, Any]] = []
    skipped: list[str] = []

    def flush() -> None:
        scores = model.predict(np.stack(images))["scores"] if images else np.zeros((0, len(model.labels)))
        for name, row in zip(names, scores, strict=True):
            order = np.argsort(-row, kind="stable")[:top]
            best = [{"label": model.labels[i], "score": round(float(row[i]), 6)} for i in order]
            rows.append({"input": name, **best[0], **({"top": best} if top > 1 else {})})
        names.clear()
        images.clear()

    for path, image in ondevice.readable_images(paths, skipped if skip_bad else None):
        images.append(prepare(image, model) if prepare else fit_image(image, model.input_shape))
        names.append(str(path))
        if len(images) == BATCH:
            flush()
    flush()
    console.document({"artifact": str(model.path), "predictions": rows, "skipped": skipped})
    if not console.is_json():
        show = [
            [row["input"], *(f"{entry['label']}  {entry['score']:.1%}" for entry in row.get("top", [row]))]
            for row in rows
        ]
        console.table(["input", "prediction", *(f"{n}." for n in range(2, min(top, len(model.labels)) + 1))], show)

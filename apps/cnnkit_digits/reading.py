"""What `cnnkit digits read` does: pages in, numbers out, as a table, JSON and annotated pictures. No TensorFlow."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cnnkit import console, opening, own_files
from cnnkit.errors import ArtifactError, DataError
from cnnkit.files import LONGEST, shortened, write_bytes
from cnnkit.inputs.image import device as images_of
from cnnkit.run import Run
from cnnkit.verbs.predict import readable
from cnnkit_digits import pages as page_maker
from cnnkit_digits.annotate import annotate
from cnnkit_digits.reader import read_page
from cnnkit_digits.single import DIGIT


def read(
    paths: Sequence[Path],
    *,
    out: Path | None,
    held_out: Callable[[], Any] | None,
    skip_bad: bool,
    threads: int | None,
) -> None:
    """Read every number on each page.

    Args:
        paths: artifact and pages.
        out: folder for the annotated pages; None: none are written.
        held_out: returns the app's recipe, by which held-out digits are found; they make a page that is read first.
        skip_bad: leave out pages that cannot be read.
        threads: of the interpreter; None: up to 4.

    Raises:
        DataError: no page, or one that cannot be read.
        ArtifactError: the model does not read digits of 28x28.
    """
    artifact, images = opening.split("digits", paths, console)
    model = opening.open_model(artifact, "digits", threads, console)
    if model.input_shape != (28, 28, 1) or len(model.labels) != 10:
        raise ArtifactError(
            f"{model.path} takes {model.input_shape} and knows {len(model.labels)} classes; pages need a model of 28x28 grey "
            "digits, 0 to 9. Train one with `cnnkit digits train`."
        )
    if held_out is not None:
        folder = out or (artifact / "pages" if artifact.is_dir() else Path("pages"))
        images, out = (_sample_page(artifact, held_out, folder / "sample-page.png"), *images), folder
    if not images:
        raise DataError(
            "There is no page to read. Give photos or scans, or --sample for a page made of held-out digits."
        )
    if out is not None:
        own_files.check(_drawn(out, path) for path in images)
    results: list[dict[str, Any]] = []
    skipped: list[str] = []
    for path, image in readable(images_of.KIND, images, skipped if skip_bad else None, console):
        page = read_page(image, lambda digits: model.run_batch(digits)["scores"])
        result = {"page": str(path), **page.to_dict()}
        if out is not None:
            picture = _drawn(out, path)
            _, encoded = cv2.imencode(".png", np.ascontiguousarray(annotate(image, page)[..., ::-1]))
            with own_files.replacing(picture):
                write_bytes(picture, encoded.tobytes())
            result["annotated"] = str(picture)
        results.append(result)
    console.document({"artifact": str(model.path), "pages": results, "skipped": skipped})
    if console.is_json():
        return
    for result in results:
        rows = [
            [n["text"], f"{n['confidence']:.0%}", ", ".join(f"{v:.0f}" for v in n["box"]), ", ".join(n["flags"])]
            for n in result["numbers"]
        ]
        if rows:
            console.table(["number", "confidence", "box x0, y0, x1, y1", "flags"], rows, title=result["page"])
        else:
            console.message(f"{result['page']}: no number found.")
        if "annotated" in result:
            console.message(f"Annotated: {result['annotated']}")


def _drawn(out: Path, page: Path) -> Path:
    """Return where a page goes with what was read on it."""
    return out / f"{shortened(page.stem, LONGEST - 9)}-read.png"


def _sample_page(artifact: Path, recipe: Callable[[], Any], path: Path) -> Path:
    """Write a page made of digits that the model was not trained on."""
    from cnnkit.inputs.image.loading import load

    if artifact.is_dir():
        from cnnkit.run_data import own_data

        splits = own_data(recipe(), Run.open(artifact, "digits"), tell=console).splits
    else:
        splits = load("digits", preparation=DIGIT)
    digits, labels = splits.test.read(np.arange(len(splits.test)))
    image = page_maker.sample_page(digits, labels)
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))
    with own_files.replacing(path):
        write_bytes(path, encoded.tobytes())
    return path

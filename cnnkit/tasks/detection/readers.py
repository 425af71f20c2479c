"""Readers of images with boxes, one for each format of `cnnkit.tasks.detection.formats.annotations`."""

from functools import partial
from pathlib import Path

from cnnkit.data.reading import Part, Reader, Request
from cnnkit.errors import DataError
from cnnkit.inputs.image import folders
from cnnkit.tasks.detection.formats import annotations
from cnnkit.tasks.detection.records import boxes_of


def read_boxes(request: Request, form: str) -> Part:
    """Images with boxes, in a format of `cnnkit.tasks.detection.formats.annotations`.

    The option `groups`, {name: labels}, puts labels together, as a benchmark's protocol may want; boxes of others are left out.
    """
    path = request.path("path")
    split = request.split.get("split")
    found = annotations.read(path, form, split=split, skip_bad=True, verify=request.verify, progress=request.progress)
    images = folders.files(found.root, [picture.file for picture in found.pictures])
    boxes, names = boxes_of(found), found.labels
    groups = request.options.get("groups")
    if groups is not None:
        if not isinstance(groups, dict) or not all(isinstance(labels, list) for labels in groups.values()):
            raise DataError("The option `groups` is a table of lists of labels: groups = { danger = ['Bend', ...] }.")
        place = {str(label): code for code, labels in enumerate(groups.values()) for label in labels}
        boxes, names = boxes.renamed([place.get(name, -1) for name in names]), tuple(groups)
    return Part(images, boxes.codes, names, bad=list(found.bad), entries=list(found.entries), more=boxes)


def _splits(path: Path, form: str) -> dict[str, dict[str, str]]:
    name = "." if path.is_dir() else path.name
    return {split: {"path": name, "split": split} for split in annotations.splits(path, form)}


def _reader(form: str, about: str) -> Reader:
    return Reader(
        partial(read_boxes, form=form),
        "detection",
        ("path",),
        frozenset(["split"]),
        frozenset(["groups"]),
        about=about,
        fits=lambda path, named: annotations.FORMATS[form].fits(path),
        splits=partial(_splits, form=form),
        beside=True,
    )


COCO = _reader("coco", "boxes of COCO (.json)")
GTSDB = _reader("gtsdb", "boxes of the German benchmark (gt.txt)")
VOC = _reader("voc", "boxes of Pascal VOC (.xml)")
YOLO = _reader("yolo", "boxes of YOLO (data.yaml)")

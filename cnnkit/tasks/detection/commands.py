"""What the command line says of pictures in which things have a place."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from cnnkit.commands import Commands, Number
from cnnkit.inputs.image.commands import IMAGES

FILE = click.Path(path_type=Path)

# Of the builder `cnnkit.models.detector`, beside those of a backbone.
DETECTOR_OPTIONS = [
    click.option(
        "--width", type=click.IntRange(min=1), help="Detection: channels of the feature pyramid.  [default: 64]"
    ),
]


@click.command()
@click.argument("source")
@click.argument("format", type=click.Choice(["voc", "coco", "yolo", "gtsdb"]))
@click.argument("folder", type=FILE)
@click.option(
    "--turn-boxes",
    is_flag=True,
    help="The boxes were drawn on photos as stored: turn them as EXIF turns these.",
)
def convert(source: str, format: str, folder: Path, turn_boxes: bool, tell: Any) -> dict[str, Any]:
    """Write SOURCE, a folder or file with boxes, into FOLDER in another FORMAT; nothing is lost."""
    from cnnkit.tasks.detection.converting import convert

    found = convert(source, format, folder, turn_boxes=turn_boxes, tell=tell)
    rows = [f"{split}: {images:,} images, {boxes:,} boxes" for split, (images, boxes) in found.splits.items()]
    for line in (*found.lines, f"{'; '.join(rows)} -> {folder} ({format})"):
        tell.message(line)
    return found.document()


def finding(one: str, many: str, recogniser: str) -> Commands:
    """Return the commands of an app that finds things.

    Args:
        one, many: what they are called.
        recogniser: what names each, for the help.
    """
    return dataclasses.replace(
        IMAGES,
        predict="Find and name what is in pictures and videos: files, folders, a camera, or - for standard input.",
        options=[
            click.option("--out", type=FILE, help=f"Folder for copies with the {many} drawn in."),
            click.option("--results", type=FILE, help="File of what was found: .json, .csv or .coco.json."),
            click.option(
                "--threshold",
                type=Number(0, 1),
                help=f"Score from which a {one} is shown.  [default: the model's]",
            ),
            click.option(
                "--iou",
                type=Number(0, 1),
                help=f"Overlap above which two boxes are one {one}.  [default: 0.6]",
            ),
            click.option("--recogniser", type=FILE, metavar="RUN", help=f"{recogniser}, to name each {one}."),
            click.option("--track/--no-track", default=None, help=f"Follow {many} through videos.  [default: on]"),
            click.option("--camera", metavar="NUMBER|ADDRESS", help="Read a camera or a stream."),
            click.option(
                "--limit-frames", type=click.IntRange(min=1), help="Stop after so many frames of each video or camera."
            ),
        ],
        foreign="is for detectors; this model names one picture.",
        needed=False,
        writes=True,
        data=[convert],
    )

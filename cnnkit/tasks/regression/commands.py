"""What the command line says of pictures with numbers."""

import dataclasses
from pathlib import Path

import click

from cnnkit.inputs.image.commands import IMAGES

MEASURING = dataclasses.replace(
    IMAGES,
    first="regression",
    predict="Tell the number of pictures: files, folders, or - for standard input.",
    check="Look for what spoils training: bad lines and files, values that lie far off, duplicates across splits.",
    show="Draw a contact sheet: samples with their values, and as the model sees them after augmentation.",
    options=[
        click.option("--results", type=click.Path(path_type=Path), help="File of the answers: .json or .csv."),
    ],
    foreign="means nothing to a model of numbers.",
    writes=True,
)

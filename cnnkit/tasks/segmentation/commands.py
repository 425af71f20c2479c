"""What the command line says of pictures in which areas are drawn."""

import dataclasses
from pathlib import Path

import click

from cnnkit.inputs.image.commands import IMAGES

FILE = click.Path(path_type=Path)

DRAWING = dataclasses.replace(
    IMAGES,
    first="segmentation",
    explain="Show what the model looks at (Grad-CAM of each label), where it is unsure (other views, folds), and its layers.",
    layer="Take Grad-CAM from the maps of this layer.  [default: the coarsest]",
    predict="Draw masks of pictures: files and folders.",
    options=[
        click.option("--out", type=FILE, help="Folder for masks, and for pictures with their outlines."),
        click.option("--results", type=FILE, help="File of areas and counts: .json or .csv."),
        click.option(
            "--mirrors/--no-mirrors",
            default=None,
            help="Look at each picture mirrored too, as training did: better, and up to eight times as long.  [default: off]",
        ),
    ],
    foreign="is for models that draw masks; this one names a whole picture.",
    writes=True,
)

# Of the builders `cnnkit.models.unet`, beside those of a backbone.
UNET_OPTIONS = [
    click.option(
        "--width", type=click.IntRange(min=1), help="U-Net: channels of the finest map.  [default: 8, on a backbone 16]"
    ),
    click.option(
        "--depth", type=click.IntRange(1, 6), help="U-Net: times that maps are halved.  [default: as its side asks for]"
    ),
]

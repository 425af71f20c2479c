"""What the command line says of pictures."""

import click

from cnnkit.commands import Commands, Number

IMAGES = Commands(
    kind="image",
    explained="IMAGE...",
    predict="Name what is in pictures: files, folders, or - for standard input.",
    check="Look for what spoils training: bad files, odd sizes, starved classes, duplicates across splits.",
    show="Draw a contact sheet: samples as they are, and as the model sees them after augmentation.",
    draws=True,
)

# Of the builder `cnnkit.models.images.classifier`; for the `build_options` of apps that have it.
BACKBONE_OPTIONS = [
    click.option(
        "--backbone",
        metavar="NAME",
        help="Network of keras.applications, or efficientnet_lite0.  [default: mobilenet_v2]",
    ),
    click.option("--alpha", type=Number(0, min_open=True), help="Width of a MobileNet: 0.35, 0.5, 1 ..."),
    click.option("--dropout", type=Number(0, 1, max_open=True), help="Share of the features dropped."),
]

"""`cnnkit digits`: the standard verbs, and beside them `read` and `learning-curve`."""

from pathlib import Path
from typing import Any

import click

from cnnkit import cli
from cnnkit.inputs.image import commands


def recipe() -> Any:
    from cnnkit.quiet import quiet

    with quiet():  # TensorFlow greets on standard error
        from cnnkit.inputs.image.images import Images
        from cnnkit.inputs.image.loading import load
        from cnnkit.recipe import Recipe
        from cnnkit.tasks.classification.scoring import Classification
        from cnnkit_digits import model
        from cnnkit_digits.single import DIGIT, describe

    return Recipe(
        app="digits",
        data="digits",
        task=Classification(),
        inputs=Images(DIGIT),
        load=load,
        builders=model.BUILDERS,
        augmentation=model.augmentation,
        preset=model.preset,
        describe=describe,
        intended_use="Handwritten digits 0 to 9, one an image, or as numbers on a page through `read`.",
        limits="Printed digits, letters and digits that touch were not in the training data; check them before relying on it.",
    )


def rooms() -> Any:
    from cnnkit.evaluation.settings import Answers, Classes
    from cnnkit.inputs.image.settings import IMAGES, Preparation

    return (*IMAGES, Preparation, Classes, Answers)


def preparation() -> Any:
    """Return what lays out a picture of one digit."""
    from cnnkit_digits.single import DIGIT

    return DIGIT


main = cli.app(
    "Recognise handwritten digits.",
    recipe,
    name="digits",
    rooms=rooms,
    commands=commands.IMAGES,
    preparation=preparation,
    build_options=[
        click.option(
            "--width", type=click.IntRange(1, 512), help="Filters in the first block, where the model has the option."
        ),
        click.option("--depth", type=click.IntRange(1, 16), help="Blocks, where the model has the option."),
        *commands.BACKBONE_OPTIONS,
    ],
)


@main.command()
@click.argument("pages", metavar="[ARTIFACT] PAGE...", type=cli.FILE, nargs=-1)
@click.option(
    "--out", type=cli.FILE, help="Folder for the annotated pictures.  [default: beside nothing, none are written]"
)
@cli.force_option
@click.option("--sample", is_flag=True, help="Make a page of held-out digits and read that.")
@cli.skip_bad
@cli.threads
@cli.json_option
def read(pages: tuple[Path, ...], out: Path | None, sample: bool, skip_bad: bool | None, threads: int | None) -> None:
    """Read every handwritten number on photos or scans of pages."""
    from cnnkit_digits import reading

    held_out = recipe if sample else None
    reading.read(pages, out=out, held_out=held_out, skip_bad=bool(skip_bad), threads=threads)


@main.command("learning-curve")
@click.argument("image", type=cli.FILE)
@cli.data_option
@click.option("--model", default="simple_cnn", show_default=True, help="Model to train at each fraction.")
@click.option(
    "--epochs",
    type=click.IntRange(1),
    default=6,
    show_default=True,
    help="Passes at the full data; smaller fractions get more.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    show_default=True,
    help="Of the order of the data and of training.",
)
@click.option("--out", type=cli.FILE, default="learning-curve.png", show_default=True, help="The picture to write.")
@cli.force_option
@cli.json_option
def learning_curve(image: Path, data: str | None, model: str, epochs: int, seed: int, out: Path) -> None:
    """Train on 0.1 %, 0.3 %, 1 % ... 100 % of the data and draw what the model thinks of one image each time."""
    from cnnkit_digits import curve

    curve.learning_curve(recipe(), image, data=data, model=model, epochs=epochs, seed=seed, out=out)


if __name__ == "__main__":
    main()

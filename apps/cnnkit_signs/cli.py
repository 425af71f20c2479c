"""`cnnkit signs`: the standard verbs, for finding traffic signs in photos and for naming one that is cut out."""

from typing import Any

import click

from cnnkit import cli
from cnnkit.evaluation.settings import Classes
from cnnkit.inputs.image.settings import IMAGES
from cnnkit.tasks.detection.settings import BOXES


def detection() -> Any:
    from cnnkit.quiet import quiet

    with quiet():  # TensorFlow greets on standard error
        from cnnkit.recipe import Recipe
        from cnnkit.tasks.detection.images import Boxes
        from cnnkit.tasks.detection.loading import load
        from cnnkit.tasks.detection.scoring import Detection
        from cnnkit_signs import model

    return Recipe(
        app="signs",
        data="road-scenes",
        task=Detection(),
        inputs=Boxes(),
        load=load,
        builders=model.DETECTORS,
        views=model.views,
        side_step=32,
        options=lambda records, model: {"strides": list(records.plan.strides)},
        preset=model.detection_preset,
        describe=lambda records, model: {"detection": records.plan.to_dict()},
        intended_use="Where traffic signs are in photos and videos, and of which kind each is.",
        limits="Signs that are smaller, darker or of other countries than those of the training data are found less often.",
    )


def recognition() -> Any:
    from cnnkit.quiet import quiet

    with quiet():
        from cnnkit.inputs.image.images import Images
        from cnnkit.inputs.image.loading import load
        from cnnkit.recipe import Recipe
        from cnnkit.tasks.classification.scoring import Classification
        from cnnkit_signs import model

    return Recipe(
        app="signs",
        data="drawn-signs",
        task=Classification(),
        inputs=Images(),
        load=load,
        builders=model.BUILDERS,
        augmentation=model.augmentation,
        side=model.side,
        preset=model.preset,
        intended_use="Which traffic sign a picture shows, one sign a picture, cut out of a photo.",
        limits="A picture without a sign, or with one that was not in the training data, still gets a class; look at its score.",
    )


main = cli.app(
    "Find traffic signs in photos and videos, and name them.",
    {"detect": detection, "recognise": recognition},
    name="signs",
    rooms={"detect": BOXES, "recognise": (*IMAGES, Classes)},
    build_options=[*cli.BACKBONE_OPTIONS, *cli.DETECTOR_OPTIONS],
    predict_options=[
        click.option("--out", type=cli.FILE, help="Folder for copies with the signs drawn in."),
        click.option("--results", type=cli.FILE, help="File of what was found: .json, .csv or .coco.json."),
        click.option(
            "--threshold", type=click.FloatRange(0, 1), help="Score from which a sign is shown.  [default: the model's]"
        ),
        click.option(
            "--iou", type=click.FloatRange(0, 1), help="Overlap above which two boxes are one sign.  [default: 0.6]"
        ),
        click.option(
            "--recogniser",
            type=cli.FILE,
            metavar="RUN",
            help="A run or .tflite of --task recognise, to name each sign.",
        ),
        click.option("--track/--no-track", default=None, help="Follow signs through videos.  [default: on]"),
        click.option("--camera", metavar="NUMBER|ADDRESS", help="Read a camera or a stream."),
        click.option(
            "--limit-frames", type=click.IntRange(min=1), help="Stop after so many frames of each video or camera."
        ),
    ],
)


if __name__ == "__main__":
    main()

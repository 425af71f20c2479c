"""`cnnkit signs`: the standard verbs, for finding traffic signs in photos and for naming one that is cut out."""

from typing import Any

from cnnkit import cli
from cnnkit.inputs.image.commands import BACKBONE_OPTIONS
from cnnkit.tasks.detection.commands import DETECTOR_OPTIONS, finding


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
        pretrained=model.DETECTION_STARTS,
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
        pretrained=model.STARTS,
        intended_use="Which traffic sign a picture shows, one sign a picture, cut out of a photo.",
        limits="A picture without a sign, or with one that was not in the training data, still gets a class; look at its score.",
    )


def rooms() -> Any:
    from cnnkit.evaluation.settings import Answers, Classes
    from cnnkit.inputs.image.settings import IMAGES
    from cnnkit.tasks.detection.settings import BOXES

    return {"detect": BOXES, "recognise": (*IMAGES, Classes, Answers)}


main = cli.app(
    "Find traffic signs in photos and videos, and name them.",
    {"detect": detection, "recognise": recognition},
    name="signs",
    rooms=rooms,
    commands=finding("sign", "signs", recogniser="A run or .tflite of --task recognise"),
    build_options=[*BACKBONE_OPTIONS, *DETECTOR_OPTIONS],
    pretrained=True,
)


if __name__ == "__main__":
    main()

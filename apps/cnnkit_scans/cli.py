"""`cnnkit scans`: the standard verbs, for drawing what is in medical pictures and for telling what they show."""

import dataclasses
from typing import Any

from cnnkit import cli
from cnnkit.inputs.image.commands import BACKBONE_OPTIONS
from cnnkit.inputs.volume.commands import anonymise
from cnnkit.tasks.segmentation.commands import DRAWING, UNET_OPTIONS

USE = "Research software, not a medical device: no decision on a person's health may rest on it."

VOLUMES = ("--volumes", "phantom-volumes", "Use drawn volumes instead of drawn slices.")


def segmentation() -> Any:
    from cnnkit.quiet import quiet

    with quiet():  # TensorFlow greets on standard error
        from cnnkit.recipe import Recipe
        from cnnkit.tasks.segmentation import NOTICE
        from cnnkit.tasks.segmentation.images import Masked
        from cnnkit.tasks.segmentation.loading import load
        from cnnkit.tasks.segmentation.scoring import Segmentation
        from cnnkit.tasks.segmentation.volumes.inputs import fitting
        from cnnkit_scans import model

    return Recipe(
        app="scans",
        data="phantoms",
        task=Segmentation(),
        inputs=Masked(),
        load=load,
        builders=model.MODELS,
        views=lambda records, settings: records.views(settings),
        side_step=32,
        options=model.options,
        preset=model.preset,
        pretrained=model.STARTS,
        fitting=lambda recipe, splits: fitting(recipe, splits, model.VOLUMES),
        describe=lambda records, model: {"segmentation": records.plan.to_dict()},
        intended_use=f"Where in pictures its labels are, to measure them. {USE}",
        limits="Pictures of other devices, sites or patients than those of the training data are drawn worse.",
        notice=NOTICE,
    )


def diagnosis() -> Any:
    from cnnkit.quiet import quiet

    with quiet():
        from cnnkit.inputs.image.images import Images
        from cnnkit.inputs.image.loading import load
        from cnnkit.recipe import Recipe
        from cnnkit.tasks.classification.screening import Screening
        from cnnkit.tasks.segmentation import NOTICE
        from cnnkit_scans import diagnosis

    return Recipe(
        app="scans",
        data="phantom-lesions",
        task=Screening(),
        inputs=Images(),
        load=load,
        builders=diagnosis.BUILDERS,
        augmentation=diagnosis.augmentation,
        side=lambda model: diagnosis.SIDE,
        options=diagnosis.options,
        preset=diagnosis.preset,
        pretrained=diagnosis.STARTS,
        fitting=diagnosis.fitting,
        start=diagnosis.start,
        intended_use=f"Whether a picture shows a finding, one label a picture. {USE}",
        limits="Pictures of other devices, sites or patients than those of the training data are told apart worse; how often the "
        "finding is there may differ too, and then its score says too much or too little.",
        notice=NOTICE,
    )


def rooms() -> Any:
    from cnnkit.evaluation.settings import Answers, Classes
    from cnnkit.inputs.image.settings import IMAGES
    from cnnkit.tasks.segmentation.settings import MASKS

    return {"segment": MASKS, "diagnose": (*IMAGES, Classes, Answers)}


main = cli.app(
    "Draw what is in medical pictures, or say whether they show a finding. Research software, not a medical device.",
    {"segment": segmentation, "diagnose": diagnosis},
    name="scans",
    rooms=rooms,
    commands=dataclasses.replace(DRAWING, stand_ins=[VOLUMES], data=[anonymise]),
    build_options=[*BACKBONE_OPTIONS, *UNET_OPTIONS],
    pretrained=True,
)


if __name__ == "__main__":
    main()

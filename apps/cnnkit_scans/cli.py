"""`cnnkit scans`: the standard verbs, for drawing what is in medical pictures and for telling what they show."""

from typing import Any

from cnnkit import cli
from cnnkit.inputs.image.commands import BACKBONE_OPTIONS
from cnnkit.tasks.segmentation.commands import DRAWING, UNET_OPTIONS

USE = "Research software, not a medical device: no decision on a person's health may rest on it."


def segmentation() -> Any:
    from cnnkit.quiet import quiet

    with quiet():  # TensorFlow greets on standard error
        from cnnkit.recipe import Recipe
        from cnnkit.tasks.segmentation import NOTICE
        from cnnkit.tasks.segmentation.images import Masked
        from cnnkit.tasks.segmentation.loading import load
        from cnnkit.tasks.segmentation.scoring import Segmentation
        from cnnkit_scans import model

    return Recipe(
        app="scans",
        data="phantoms",
        task=Segmentation(),
        inputs=Masked(),
        load=load,
        builders=model.MODELS,
        views=model.views,
        side_step=32,
        options=model.options,
        preset=model.preset,
        describe=lambda records, model: {"segmentation": records.plan.to_dict()},
        intended_use=f"Where in pictures its labels are, to measure them. {USE}",
        limits="Pictures of other devices, sites or patients than those of the training data are drawn worse.",
        notice=NOTICE,
    )


def rooms() -> Any:
    from cnnkit.tasks.segmentation.settings import MASKS

    return MASKS


main = cli.app(
    "Draw what is in medical pictures: vessels, organs, lesions, cells. Research software, not a medical device.",
    segmentation,
    name="scans",
    rooms=rooms,
    commands=DRAWING,
    build_options=[*BACKBONE_OPTIONS, *UNET_OPTIONS],
)


if __name__ == "__main__":
    main()

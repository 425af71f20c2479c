"""`cnnkit signs`: the standard verbs, for the recognition of traffic signs."""

from typing import Any

import click

from cnnkit import cli


def recipe() -> Any:
    from cnnkit.quiet import quiet

    with quiet():  # TensorFlow greets on standard error
        from cnnkit.data import load
        from cnnkit.evaluation.classification import Classification
        from cnnkit.recipe import Recipe
        from cnnkit_signs import model

    return Recipe(
        app="signs",
        data="drawn-signs",
        task=Classification(),
        load=load,
        builders=model.BUILDERS,
        augmentation=model.augmentation,
        side=model.side,
        preset=model.preset,
        intended_use="Which traffic sign a picture shows, one sign a picture, cut out of a photo.",
        limits="A picture without a sign, or with one that was not in the training data, still gets a class; look at its score.",
    )


main = cli.app(
    "Recognise traffic signs.",
    recipe,
    name="signs",
    build_options=[
        click.option(
            "--task",
            type=click.Choice(["recognise"]),
            default="recognise",
            show_default=True,
            expose_value=False,
            help="What to learn: which sign a picture shows.",
        ),
        *cli.BACKBONE_OPTIONS,
    ],
)


if __name__ == "__main__":
    main()

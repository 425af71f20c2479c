"""`cnnkit text`: the standard verbs, for texts with one label or several."""

import dataclasses
import functools
from typing import Any

import click

from cnnkit import cli
from cnnkit.commands import Number
from cnnkit.inputs.text import commands


def classification() -> Any:
    from cnnkit.quiet import quiet

    with quiet():  # TensorFlow greets on standard error
        from cnnkit.inputs.text.loading import load
        from cnnkit.inputs.text.texts import Texts
        from cnnkit.recipe import Recipe
        from cnnkit.tasks.classification.texts import TextClassification, TextTagging
        from cnnkit_text import model

    return Recipe(
        app="text",
        data="docstrings",
        task=TextClassification(),
        inputs=Texts(letters=model.LETTERS),
        load=load,
        builders=model.BUILDERS,
        views=model.views,
        options=model.options,
        preset=model.preset,
        follows=("size",),
        describe=model.describe,
        fitting=_fitting,
        tasks=(TextClassification.name, TextTagging.name),
        start=model.start,
        intended_use="Which label a short text belongs to, in the language and of the kind of the training texts.",
        limits="Words that training never saw say nothing. A text of another kind still gets a label; look whether it is sure.",
    )


def tagging() -> Any:
    from cnnkit.tasks.classification.texts import TextTagging

    return dataclasses.replace(classification(), task=TextTagging())


def _fitting(recipe: Any, splits: Any) -> Any:
    """Return the recipe for what texts have: one label or several, two kinds of labels or more."""
    from cnnkit_text import model

    found = tagging() if splits.train.multi_label else classification()
    return dataclasses.replace(found, preset=functools.partial(model.preset, found=model.style(splits.train)))


def rooms() -> Any:
    from cnnkit.evaluation.settings import Classes, Tags
    from cnnkit.inputs.text.settings import TEXTS

    return (*TEXTS, Classes, Tags)


main = cli.app(
    "Train, understand and ship small text classifiers.",
    {"classify": classification, "tag": tagging},
    name="text",
    rooms=rooms,
    commands=commands.TEXTS,
    by_data=True,
    build_options=[
        click.option("--vectors", metavar="FILE", help="Word vectors to start from: word2vec, GloVe or fastText."),
        click.option("--width", type=click.IntRange(1), help="Numbers of a word's vector."),
        click.option("--regions", callback=cli.numbers, help="Words that filters read, such as 3,4,5."),
        click.option("--maps", type=click.IntRange(1), help="Filters of each region."),
        click.option("--dropout", type=Number(0, 1, max_open=True), help="Share of the features dropped."),
        click.option("--max-norm", type=Number(0), help="Largest norm of a label's weights; 0: no limit."),
    ],
)


if __name__ == "__main__":
    main()

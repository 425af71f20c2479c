"""Apps that tell pictures or texts apart: what they are made of (`cnnkit.kinds`).

The data decide whether a picture has one label or several.
"""

from typing import Any

from cnnkit.app import Kind
from cnnkit.inputs.image.commands import BACKBONE_OPTIONS, IMAGES
from cnnkit.inputs.text.commands import TEXTS


def _images(**own: Any) -> Any:
    from cnnkit.inputs.image.images import Images
    from cnnkit.inputs.image.loading import load
    from cnnkit.recipe import Recipe
    from cnnkit.tasks.classification.tagging import ImageClassification, ImageTagging

    if "task" in own:  # then the data decide nothing
        return Recipe(**{"inputs": Images(), "load": load, **own})
    fit = own.pop("fitting", lambda recipe, splits: recipe)

    def fitting(recipe: Any, splits: Any) -> Any:
        several = splits.train.multi_label
        return fit(recipe.of_task((ImageTagging if several else ImageClassification).name), splits)

    made = {"task": ImageClassification(), "others": (ImageTagging(),), "inputs": Images(), "load": load}
    return Recipe(**{**made, **own, "fitting": fitting})


def _image_rooms() -> Any:
    from cnnkit.evaluation.settings import Answers, Classes, Tags
    from cnnkit.inputs.image.settings import IMAGES

    return (*IMAGES, Classes, Answers, Tags)


def _texts(**own: Any) -> Any:
    from cnnkit.inputs.text.loading import load
    from cnnkit.inputs.text.texts import Texts
    from cnnkit.recipe import Recipe
    from cnnkit.tasks.classification.texts import TextClassification

    def options(records: Any, model: str) -> dict[str, Any]:
        return {"size": records.tokenizer.size}

    def describe(records: Any, model: str) -> dict[str, Any]:
        return {"input": {"ids": records.tokenizer.size}, "text": {**records.tokenizer.to_dict(), "margin": 0}}

    known = {"options": options, "follows": ("size",), "describe": describe}
    return Recipe(**{"task": TextClassification(), "inputs": Texts(), "load": load, **known, **own})


def _text_rooms() -> Any:
    from cnnkit.evaluation.settings import Classes
    from cnnkit.inputs.text.settings import TEXTS

    return (*TEXTS, Classes)


image_classification = Kind(_images, _image_rooms, IMAGES, BACKBONE_OPTIONS)
text_classification = Kind(_texts, _text_rooms, TEXTS)

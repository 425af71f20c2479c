"""Several models of one network as one: what they say is averaged."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers


def ensemble(models: Sequence[Any], last: str = "logits") -> keras.Model:
    """Return a model that answers with the mean of others.

    Args:
        models: `keras.Model` of the same architecture, each with a layer of the name `last`.
        last: the layer whose outputs are averaged; so is the new model's last one called.

    Returns:
        `keras.Model` of the same input. Its graph is flat; the layers of the first model have names that begin with `fold0_`.
    """
    first = models[0]
    given = keras.Input(first.input_shape[1:], name=first.inputs[0].name.split(":")[0], dtype=first.inputs[0].dtype)
    found = []
    for number, model in enumerate(models):
        ends = keras.Model(model.input, model.get_layer(last).output)

        def renamed(layer: Any, number: int = number) -> Any:
            config = layer.get_config()
            return type(layer).from_config({**config, "name": f"fold{number}_{layer.name}"})

        copy = keras.models.clone_model(ends, input_tensors=given, clone_function=renamed)
        copy.set_weights(ends.get_weights())
        found.append(copy.output)
    return keras.Model(given, layers.Average(name=last, dtype="float32")(found), name="ensemble")


def members(model: Any, last: str = "logits") -> list[keras.Model]:
    """Return the models that `ensemble` put together, each with a last layer of the name `last`; [] of any other model."""
    names = {layer.name for layer in model.layers}
    found: list[keras.Model] = []
    for number in itertools.takewhile(lambda number: f"fold{number}_{last}" in names, itertools.count()):
        ends = layers.Activation("linear", dtype="float32", name=last)(model.get_layer(f"fold{number}_{last}").output)
        found.append(keras.Model(model.input, ends, name=f"fold{number}"))
    return found

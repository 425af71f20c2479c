"""Volumes: what a graph takes, windows in [0, 255]."""

from collections.abc import Mapping
from typing import Any

from cnnkit.export.forms import Unlike
from cnnkit.inputs.graph import InputGraph


class Volume(InputGraph):
    """float32 (1, d, h, w, c) in files of every precision: a scanner's numbers are no bytes."""

    rounded = True

    def given(self, model: Any) -> Any:
        import keras

        return keras.Input(batch_shape=(1, *model.input_shape[1:]), name="volume", dtype="float32")

    def form(self, metadata: Mapping[str, Any]) -> Unlike:
        return Unlike("takes volumes")


KIND = Volume()

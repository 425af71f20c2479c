"""What the graph of an exported file takes, and what converting needs: the training half of a kind of input in a file.

Kinds override what differs; `cnnkit.registry` finds them. Keras is imported inside functions. The defaults are those of arrays of
numbers, float32 in files of every precision.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.data.readable import Readable
from cnnkit.export.forms import Given, Unlike


class InputGraph(Readable):
    """The start of an exported graph.

    Attributes:
        rounded: whether int8 weights are rounded by what it does to the layers' outputs (`cnnkit.export.rounding`).
        limits: of the numbers in an input, where an int8 file takes them as they are; None: they are not known.
    """

    rounded = False
    limits: tuple[float, float] | None = None

    def batch(self, inputs: np.ndarray) -> np.ndarray:
        """Return inputs (n, *shape) as a trained model and the converter take them."""
        return np.asarray(inputs, np.float32)

    def calibration(self, inputs: np.ndarray) -> np.ndarray:
        """Return the inputs that int8 is calibrated on, as the converter is to get them."""
        return self.batch(inputs)

    def run(self, model: Any, inputs: np.ndarray) -> Mapping[str, Any]:
        """Return the outputs of a `keras.Model` for a batch, by name."""
        return model.predict_on_batch(self.batch(inputs))

    def given(self, model: Any) -> Any:
        """Return the `keras.Input` of the exported graph: one input at a time."""
        import keras

        return keras.Input(batch_shape=(1, *model.input_shape[1:]), name="input", dtype="float32")

    def guarded(self, given: Any, metadata: Mapping[str, Any]) -> Any:
        """Return the input as the model gets it: brought into range, where something else would end the interpreter."""
        return given

    def stated(self, metadata: Mapping[str, Any]) -> tuple[int, ...] | None:
        """Return the shape that a file states of its input, where the graph takes others too; None: the graph's own."""
        return None

    def seen(self, sample: Any, metadata: Mapping[str, Any], shape: Sequence[int]) -> np.ndarray:
        """Return what a model sees of an input, as its file holds it: (*shape), without what an app does to it before."""
        from cnnkit.registry import DEVICE, input_of

        return input_of(metadata, DEVICE, "The model").windows(sample, shape)[0]

    def drawn(self, metadata: Mapping[str, Any], shape: Sequence[int], count: int) -> list[Any]:
        """Return so many inputs, as files hold them, that show nobody and are always the same."""
        from cnnkit.registry import DEVICE, input_of

        kind = input_of(metadata, DEVICE, "The model")
        return list(kind.noise(metadata, (count, *shape), np.random.default_rng(0)))

    def held(self, records: Any, place: int) -> Any:
        """Return the input of a record as its file holds it."""
        return records.native(place)

    def simpler(self, sample: Any, most: int) -> Any:
        """Return an input, as its file holds it, as programs of others hold one: of so many bytes at most, where that can be."""
        return sample

    def form(self, metadata: Mapping[str, Any]) -> Given | Unlike | None:
        """Return what an input is to the programs of others (`cnnkit.export.forms`); None: nothing that they know."""
        return None

    def described(self, model: Any, metadata: dict[str, Any]) -> dict[str, Any]:
        """Return metadata with what follows from the model's own input."""
        return metadata

    def checks(self, graph: Any, weights: Sequence[np.ndarray]) -> list[Any]:
        """Return checks (`cnnkit.export.checks.Check`) of a float32 file that only this kind of input needs."""
        return []

    def layers(self) -> None:
        """Import the layers of our own that models of this kind have, so that Keras knows them."""

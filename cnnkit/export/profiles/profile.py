"""What one kind of client needs of a file; by default nothing but what LiteRT does, which all our own programs run.

Design choices:
- A file of a profile is the trained model behind another face: more channels, outputs in another order, numbers of another type.
  `inputs` and `outputs` lead from one face to the other, so that the gate compares and scores each file as the trained model,
  by what its client runs.
- A profile speaks of forms (`cnnkit.export.forms`), and knows no kind of input and no task.
"""

import functools
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.model import DeviceModel
from cnnkit.errors import CnnkitError, ConfigError
from cnnkit.export import container
from cnnkit.export.forms import Answer, Given, Unlike
from cnnkit.export.graph import Step
from cnnkit.files import one_line
from cnnkit.registry import DEVICE, TRAINING, input_of, task_of

QUANTISED = {"int8": "INT8", "int16x8": "INT16"}
"""Precisions whose layers multiply integers -> what these put out; weights are int8 in all."""


class Profile:
    """Files for LiteRT.

    Args:
        model: the trained `keras.Model`.
        metadata: of its artifact.

    Attributes:
        name: on the command line.
        title: for people.
        precisions: that its clients take, in the order in which they are made.
        more: others that they take, made where one is asked for by name.
        foreign: whether its clients have a runtime of their own: operators may be missing, and its kernels have to answer as
            LiteRT's reference kernels do.
        bare: whether a file is a graph and no more: nothing travels in it.
        metadata: what a file says of itself.
    """

    name = "litert"
    title = "LiteRT"
    precisions: tuple[str, ...] = ("float32", "float16", "int8")
    more: tuple[str, ...] = ("int16x8",)
    bare = foreign = False

    def __init__(self, model: Any, metadata: Mapping[str, Any]):
        self.kind = input_of(metadata, TRAINING, "The model")
        self.trained = self.kind.described(model, dict(metadata))
        self.metadata = dict(self.trained)
        written = metadata.get("input", {}).get("shape") or model.input_shape[1:]  # a model may take any length
        self.shape: tuple[int, ...] = tuple(int(n) for n in written)

    @functools.cached_property
    def given(self) -> Given | None:
        """What an input is to the programs of others; None: nothing that they know."""
        return None if isinstance(self._forms[0], Unlike) else self._forms[0]

    @functools.cached_property
    def answer(self) -> Answer | None:
        """What an answer is to them; the same."""
        return None if isinstance(self._forms[1], Unlike) else self._forms[1]

    @property
    def unlike(self) -> str:
        """Why they know nothing like it, where a kind says so; "": none does."""
        return next((form.why for form in self._forms if isinstance(form, Unlike)), "")

    @functools.cached_property
    def _forms(self) -> tuple[Given | Unlike | None, Answer | Unlike | None]:
        answer = task_of(self.trained, TRAINING, "The model").form(self.trained, self.shape)
        return self.kind.form(self.trained), answer

    @property
    def notes(self) -> list[str]:
        """What its clients do otherwise than our own programs, a sentence or two each, for people."""
        return []

    def refused(self, why: str) -> ConfigError:
        """Return the error that this model cannot have this profile.

        Args:
            why: what it lacks, and what to do, in sentences.
        """
        return ConfigError(f"This model cannot be exported for {self.title}. {why}")

    def lacks(self, step: Step) -> str | None:
        """Return which operator of a graph its clients lack, where they lack one."""
        return None

    def wrapped(self, model: Any) -> Any:
        """Return the graph of a file from one that takes the trained model's input and answers as a device reads it.

        Args:
            model: `keras.Model` of a batch of one, to outputs by name.
        """
        return model

    def inputs(self, inputs: np.ndarray) -> np.ndarray:
        """Return inputs of the trained model, (n, *its shape), as a file takes them."""
        return inputs

    def outputs(self, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return a file's answers as the trained model gives them."""
        return found

    @property
    def labels(self) -> tuple[str, ...]:
        """What a file names, in the order of its answers."""
        return tuple(map(str, self.metadata.get("labels") or ()))

    @property
    def lines(self) -> list[str]:
        """What stands for them in a file that has a line for each."""
        return [one_line(label) or " " for label in self.labels]  # a last line of nothing would be none

    def dtypes(self, precision: str) -> tuple[str, str]:
        """Return what the input and the outputs of a file of this precision hold, as NumPy names it."""
        return input_of(self.trained, DEVICE, "The model").dtype(precision), "float32"

    def finished(self, content: bytes, precision: str) -> bytes:
        """Return a whole file from the flatbuffer that the converter made."""
        return container.whole(content, self.kind.stated(self.trained), self.described(precision))

    def described(self, precision: str) -> dict[str, Any]:
        """Return what a file of this precision says of itself."""
        return {**self.metadata, "precision": precision}

    def opened(self, path: Path, precision: str) -> DeviceModel:
        """Open a file as its client runs it."""
        return DeviceModel.open(path)

    def runtime(self, device: DeviceModel) -> str:
        """Return what runs an opened file, and with which kernels, for people."""
        inner = any(operator["op_name"] == "DELEGATE" for operator in device._interpreter._get_ops_details())
        return f"LiteRT {importlib.metadata.version('ai-edge-litert')}, {'XNNPACK' if inner else 'built-in kernels'}"

    def plainly(self, path: Path, precision: str) -> DeviceModel:
        """Open a file with LiteRT's reference kernels, or where these lack one (TILE in eight bits) with the built-in ones."""
        try:
            return DeviceModel.open(path, kernels="reference")
        except CnnkitError:
            return DeviceModel.open(path, kernels="built-in")

    def named_beside(self, name: str, precision: str) -> list[str]:
        """Return the names of the files that `beside` writes."""
        return []

    def beside(self, folder: Path, name: str, precision: str, content: bytes) -> list[str]:
        """Write what clients need beside a file that passed the gate, and return what to tell of it, a sentence each.

        Args:
            folder: of the file.
            name: of the file, without its suffix.
            precision: of the file.
            content: of the file.
        """
        return []


class Faced:
    """A file, with the face of the trained model: what the gate scores.

    Attributes:
        metadata, labels, input_shape: the trained model's.
    """

    def __init__(self, device: DeviceModel, profile: Profile, labels: tuple[str, ...]):
        self.device, self.profile = device, profile
        self.path, self.labels, self.input_shape = device.path, labels, profile.shape
        self.metadata = {
            **profile.trained,
            **{key: device.metadata[key] for key in ("precision",) if key in device.metadata},
        }

    def run_batch(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Answer a batch; as `DeviceModel.run_batch`."""
        return self.profile.outputs(self.device.run_batch(self.profile.inputs(inputs)))

"""cnnkit: from a folder of labelled data to a small, measured model running on a device, one command per domain.

    import cnnkit

    run = cnnkit.train("digits", "photos/", epochs=5)  # an app's name, a folder of pictures
    print(run.scores["accuracy"], run.path)
    model = cnnkit.load_model(run.export("int8"))  # through the gate, or GateRefused
    print(model.predict("one.png"))

Design choices:
- Importing this loads nothing else, neither NumPy nor Keras: a public name is imported when it is first asked for.
- Type checkers see the same names through the imports below, which Python never runs.
"""

import os

TYPE_CHECKING = False  # as type checkers read it; `typing` takes longer to import than all of this
__version__ = "0.1.0"

# TensorFlow reads these once, when it is imported, so they are set before anything of cnnkit can import it; what the user has set
# stays. Without oneDNN's kernels a step takes 1.6 times the processor time (digits), 1.5 (kim-rand), 1.3 (detector), 1.04 (other
# texts; `benchmarks/onednn.py`). Left alone TensorFlow uses them only on some processors, those with AVX512-VNNI.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if TYPE_CHECKING:
    from cnnkit import augment, kinds, metrics, models
    from cnnkit.api.answering import Model, load_model
    from cnnkit.api.apps import apps
    from cnnkit.api.datasets import Data, Split, load_data
    from cnnkit.api.runs import Run, load_run, train
    from cnnkit.cli import App
    from cnnkit.data.reading import Part, Reader, Request
    from cnnkit.errors import (
        ArtifactError,
        ArtifactNotFound,
        CnnkitError,
        ConfigError,
        DataError,
        DataNotFound,
        GateRefused,
        MissingExtra,
    )
    from cnnkit.inputs.image.pictures import ImageSource
    from cnnkit.recipe import Candidate, Recipe

_ERRORS = (
    *("CnnkitError", "DataError", "DataNotFound", "ArtifactError", "ArtifactNotFound", "ConfigError", "MissingExtra"),
    "GateRefused",
)
_WHERE = {
    "App": "cnnkit.cli",
    "Candidate": "cnnkit.recipe",
    "Data": "cnnkit.api.datasets",
    "Model": "cnnkit.api.answering",
    "Part": "cnnkit.data.reading",
    "ImageSource": "cnnkit.inputs.image.pictures",
    "Reader": "cnnkit.data.reading",
    "Recipe": "cnnkit.recipe",
    "Request": "cnnkit.data.reading",
    "Run": "cnnkit.api.runs",
    "Split": "cnnkit.api.datasets",
    "apps": "cnnkit.api.apps",
    "augment": "cnnkit.augment",
    "kinds": "cnnkit.kinds",
    "load_data": "cnnkit.api.datasets",
    "load_model": "cnnkit.api.answering",
    "load_run": "cnnkit.api.runs",
    "metrics": "cnnkit.metrics",
    "models": "cnnkit.models",
    "train": "cnnkit.api.runs",
    **dict.fromkeys(_ERRORS, "cnnkit.errors"),
}

__all__ = (
    "App",
    "ArtifactError",
    "ArtifactNotFound",
    "Candidate",
    "CnnkitError",
    "ConfigError",
    "Data",
    "DataError",
    "DataNotFound",
    "GateRefused",
    "ImageSource",
    "MissingExtra",
    "Model",
    "Part",
    "Reader",
    "Recipe",
    "Request",
    "Run",
    "Split",
    "apps",
    "augment",
    "kinds",
    "load_data",
    "load_model",
    "load_run",
    "metrics",
    "models",
    "train",
)


if not TYPE_CHECKING:  # a type checker that saw this would believe any name
    from cnnkit.late import getter

    __getattr__ = getter(__name__, _WHERE, "attribute")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

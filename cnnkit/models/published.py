"""What a model says of the weights that are published for it; `cnnkit.models.weights` finds and loads them."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """The published ImageNet weights of a network: a file of Keras without a classifier, or a file of PyTorch in a package.

    Attributes:
        file: name of the file, as Keras caches it; of a package, its path there.
        url: where Keras gets it; empty for a package's.
        md5, sha256: its checksum, where one is stated.
        bgr: its first kernel reads blue first.
        package: what is installed to have it, where Keras does not publish it.
        extra: of cnnkit, that installs the package.
        layers: turns the tensors of a PyTorch file into variables by layer.
        top: layer among these that is the classifier of ImageNet, which no network here has.
    """

    file: str
    url: str = ""
    md5: str | None = None
    sha256: str | None = None
    bgr: bool = False
    package: str = ""
    extra: str = ""
    layers: Callable[[Mapping[str, np.ndarray]], dict[str, dict[str, np.ndarray]]] | None = None
    top: str = ""

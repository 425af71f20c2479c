"""What a kind says of data that it reads by itself; the training halves of inputs and of tasks are such kinds."""

from collections.abc import Sequence
from typing import Any


class Readable:
    """A kind that may read data.

    Attributes:
        reads: what data is for that `load` reads, as cards and readers say it; "": it reads none by itself.
    """

    reads = ""

    def load(self, source: Any, **how: Any) -> Any:
        """Load a data set for `reads`, divided; as `cnnkit.data.loading.load`."""
        raise NotImplementedError

    def inputs(self) -> Any:
        """Return what is asked of data for `reads`: an `Input` (`cnnkit.inputs.contract`)."""
        raise NotImplementedError

    def kept(self, parts: Any, labels: Sequence[str]) -> Any:
        """Return how arrays become files that `load` reads: a `cnnkit.data.kept.Kept`; None: they are not of this kind.

        Args:
            parts: inputs and targets of each split.
            labels: what the labels are called; none: as they are written.

        Raises:
            DataError: they are of this kind, and cannot be used.
        """
        return None

    def keras_targets(self, targets: Any) -> Any:
        """Return targets as records have them in the form that Keras's own losses and layers take: as they are."""
        return targets

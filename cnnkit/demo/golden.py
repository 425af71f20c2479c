"""What a page is held to: inputs, what the model was given of each, its outputs and the answer, by LiteRT here.

Design choices:
- Inputs are made up, never a user's: a page may be published, and scans are somebody's.
- All goes through what `predict` runs, with a model that keeps what it was given. So tiles, windows and layouts are held too.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.errors import DataError

READY = 1.0  # of 255, that an input made ready may differ by: sums of float32 are not added in one order everywhere
FLOAT, WHOLE = 1e-3, 0.03  # that outputs may differ by, of float files and of int8, whose steps are 1/256
TYPES = ("uint8", "uint16", "int32", "float32")  # that programs in other languages read


class _Kept:
    """A model that keeps what it is given and what it answers."""

    def __init__(self, model: Any):
        self._model = model
        self.runs: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def run_batch(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = self._model.run_batch(inputs)
        for place, given in enumerate(inputs):
            self.runs.append((given, {name: values[place] for name, values in found.items()}))
        return found


class Pool:
    """Arrays, one behind the other in one file, little-endian."""

    def __init__(self) -> None:
        self.content = bytearray()

    def put(self, values: np.ndarray) -> dict[str, Any]:
        """Return what says where an array is."""
        kind = np.dtype(values.dtype.name if values.dtype.name in TYPES else "float32").newbyteorder("<")
        values = np.ascontiguousarray(values, kind)
        self.content += bytes(-len(self.content) % 4)
        found = {"dtype": kind.name, "shape": list(values.shape), "offset": len(self.content)}
        self.content += values.tobytes()
        return found


def golden(
    model: Any, samples: Sequence[Any], answers: Callable[..., Iterator[Mapping[str, Any]]], litert: str
) -> dict[str, bytes]:
    """Return the files that hold what a model answers samples.

    Args:
        model: `cnnkit.device.model.DeviceModel`.
        samples: arrays or texts.
        answers: (model, samples) -> their answers, as `predict` has them.
        litert: version of the runtime.
    """
    pool = Pool()
    entries = []
    for sample in samples:
        kept = _Kept(model)
        try:
            (answer,) = answers(kept, [sample])
        except DataError:  # a model need not take pictures of every number of channels
            continue
        entries.append(
            {
                "sample": pool.put(sample) if isinstance(sample, np.ndarray) else {"value": sample},
                "runs": [
                    {
                        "given": pool.put(given.astype(model.input_dtype)),
                        "outputs": {name: pool.put(values.astype(np.float32)) for name, values in outputs.items()},
                    }
                    for given, outputs in kept.runs
                ],
                "answer": {name: value for name, value in answer.items() if not isinstance(value, np.ndarray)},
            }
        )
    exact = model.input_dtype != np.uint8
    outputs = FLOAT if exact else WHOLE
    bars = {"ready": READY, "outputs": outputs, "answer": max(outputs, 0.02)}
    document = {"litert": litert, "bars": bars, "entries": entries}
    return {"check.json": json.dumps(document, allow_nan=False).encode(), "check.bin": bytes(pool.content)}

"""Where a training is, and the file that it goes on from: one file, written whole at the end of an epoch."""

import dataclasses
import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from cnnkit.errors import ArtifactError
from cnnkit.files import atomic, write_bytes
from cnnkit.keras_files import DAMAGED
from cnnkit.optimizers import copied
from cnnkit.seals import is_sealed, sealed


class Chunk(NamedTuple):
    """What was decided of a few steps, where time decides (`cnnkit.training.pace`)."""

    steps: int
    share: float  # of the training, [0, 1], that is done when they are
    ema: float  # momentum of averaged weights in them
    validated: bool  # whether validation and a checkpoint followed


@dataclasses.dataclass
class State:
    """Where training is, beside the weights: what a checkpoint holds as JSON."""

    epoch: float = 0  # epochs done; whole ones, unless time decides
    epochs: int = 0  # epochs planned; 0: time decides
    best_epoch: float = 0
    best_loss: float = math.inf
    seconds: float = 0.0  # of training so far, over all resumes
    stopped: str = ""  # why it ended
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    # Where time decides:
    steps: int = 0  # done
    share: float = 0.0  # of the training that is done, [0, 1]
    trained: float = 0.0  # seconds of these steps alone
    best_trained: float = 0.0  # of them, those until the best weights
    best_chunk: int = 0  # chunks until then
    used: float = 0.0  # seconds of the budget
    log: list[list[float]] = dataclasses.field(default_factory=list)  # a `Chunk` each


def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    """Write `history.csv`: a line an epoch, a column a number."""
    import csv

    columns = list(dict.fromkeys(name for row in rows for name in row))
    with atomic(path, "w") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_checkpoint(path: Path, state: State, model: keras.Model, best: list[np.ndarray]) -> None:
    arrays: dict[str, Any] = {"state": np.frombuffer(json.dumps(dataclasses.asdict(state)).encode(), np.uint8)}
    for name, values in (
        ("model", copied(model.variables)),
        ("optimizer", copied(model.optimizer.variables)),
        ("best", best),
    ):
        arrays |= {f"{name}{number}": value for number, value in enumerate(values)}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(path, sealed(buffer.getvalue()))


def read_checkpoint(path: Path) -> tuple[State, dict[str, list[np.ndarray]]] | None:
    if not path.exists():
        return None
    try:
        content = path.read_bytes()
        is_sealed(content, path, "Delete it to train this run from the start.")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > len(content):
                raise ValueError("it unpacks to more than it holds")  # ours are not packed
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        state = State(**json.loads(bytes(arrays.pop("state"))))
        groups: dict[str, list[np.ndarray]] = {"model": [], "optimizer": [], "best": []}
        for name, values in groups.items():
            while f"{name}{len(values)}" in arrays:
                values.append(arrays[f"{name}{len(values)}"])
        return state, groups
    except (*DAMAGED, TypeError, AttributeError, MemoryError) as error:
        reason = (str(error).splitlines() or [""])[0][:120] or type(error).__name__
        raise ArtifactError(f"{path} is damaged ({reason}). Delete it to train this run from the start.") from error


def assign(variables: Any, values: list[np.ndarray]) -> None:
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        raise ArtifactError(
            "The checkpoint is of another model. Give the settings it was trained with, or a new `out`."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)

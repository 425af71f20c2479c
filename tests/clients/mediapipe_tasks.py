"""Runs files in MediaPipe's own client, which `make mediapipe` sets up, with a time limit."""

import dataclasses
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

PLACE = Path(__file__).parents[2] / ".mediapipe"
VERSION = Path(__file__).with_name("mediapipe.txt").read_text(encoding="utf-8").strip().partition("==")[2]
LACKING = None if (PLACE / ".there").exists() else f"{PLACE} is not set up: `make mediapipe` does it"


@dataclasses.dataclass(frozen=True)
class Job:
    """A file, and what it is asked.

    Attributes:
        task: of MediaPipe's, such as "ImageClassifier".
        model: the file.
        inputs: texts, or pictures uint8 (h, w), (h, w, 1) or (h, w, 3).
        threshold: of a detector.
    """

    task: str
    model: Path
    inputs: Sequence[Any]
    threshold: float | None = None


def answers(jobs: Sequence[Job], folder: Path, seconds: float = 240) -> list[dict[str, np.ndarray]]:
    """Return what MediaPipe answers, as `mediapipe_client` has it, a dict a job.

    Args:
        jobs: are done by one process.
        folder: for what is handed over.
        seconds: that it may take.

    Raises:
        RuntimeError: the client failed; what it said.
    """
    listed = []
    for number, job in enumerate(jobs):
        inputs = folder / f"inputs-{number}"
        if isinstance(job.inputs[0], str):
            inputs = inputs.with_suffix(".json")
            inputs.write_text(json.dumps(list(job.inputs)), encoding="utf-8")
        else:
            inputs = inputs.with_suffix(".npz")
            np.savez(inputs, *map(colours, job.inputs))
        entry = {"task": job.task, "model": str(job.model), "inputs": str(inputs)}
        entry |= {"answers": str(folder / f"answers-{number}.npz")}
        listed.append(entry if job.threshold is None else {**entry, "threshold": job.threshold})
    (folder / "jobs.json").write_text(json.dumps(listed), encoding="utf-8")
    line = [PLACE / "bin" / "python", Path(__file__).with_name("mediapipe_client.py"), folder / "jobs.json"]
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(line, capture_output=True, text=True, timeout=seconds, check=False, env=kept)
    if done.returncode:
        raise RuntimeError(f"MediaPipe ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    found = []
    for entry in listed:
        with np.load(entry["answers"]) as arrays:
            found.append(dict(arrays))
    return found


def colours(picture: np.ndarray) -> np.ndarray:
    """Return a picture as MediaPipe takes it, uint8 (h, w, 3)."""
    picture = picture[..., None] if picture.ndim == 2 else picture
    return np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else picture

"""An exported model, run by LiteRT.

Design choices:
- Everything a client needs travels inside the file: a ZIP appended to the flatbuffer (entries stored, as MediaPipe wants its
  associated files) holds `cnnkit.json` (app, task, labels, input, scores) and `labels.txt`. LiteRT ignores it; so
  `unzip x.tflite` shows it.
- A checksum of all of it is the end of the file (`cnnkit.seals`), compared before the interpreter sees any of it. A file without
  one is tried in a process of its own first (`cnnkit.trials`): what is damaged may end the process.
- Inputs and outputs are found by signature name, never by position: converters reorder them.
- Batches of images run one at a time, as on a device; a static batch of 1 is what exports have. Texts are short, and there are
  many: batches of them run together, cut to their longest text (`cnnkit.device.text.widths` says when that changes nothing).
"""

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device.text import lengths, widths
from cnnkit.errors import ArtifactError
from cnnkit.quiet import quiet
from cnnkit.seals import is_sealed
from cnnkit.trials import refusal

METADATA = "cnnkit.json"
VOCABULARY = (
    "vocabulary.txt"  # as MediaPipe's RegexTokenizer reads it; in memory it is `metadata["text"]["vocabulary"]`
)
LABELS = "labels.txt"
SEALED = "cnnkit.sealed"  # metadata of the flatbuffer itself: a checksum belongs behind it
LIMITS = {METADATA: 1 << 20, VOCABULARY: 1 << 27}  # bytes; a million words fit, a zip bomb does not
TOGETHER = 64  # texts
AGAIN = "Copy it again from where it is whole, or export it again."


def read_metadata(path: Path | str) -> dict[str, Any]:
    """Read `cnnkit.json` out of a `.tflite` or `.keras` file, with the vocabulary of a model of texts; empty where there is none.

    Raises:
        ArtifactError: the file cannot be read or is not as it was written; what is there is damaged, or larger than it can be.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}.") from error
    return metadata_in(content, path)[0]


def metadata_in(content: bytes, path: Path | str) -> tuple[dict[str, Any], bool]:
    """Read the metadata in the content of a file, as `read_metadata`, and tell whether a checksum vouches for all of it."""
    whole = is_sealed(content, path, AGAIN)
    if not whole and SEALED.encode() in content:
        raise ArtifactError(f"{path} is damaged: it has lost its end, where its checksum was. {AGAIN}")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            document = json.loads(_member(archive, METADATA, path))
            if isinstance(document, dict) and "text" in document:
                document["text"]["vocabulary"] = _member(archive, VOCABULARY, path).decode("utf-8")
    except (zipfile.BadZipFile, KeyError) as error:
        if whole or METADATA.encode() in content:  # once in front of the entry, once in the list of contents
            raise ArtifactError(f"{path}: its {METADATA} is damaged ({_reason(error)}). {AGAIN}") from error
        return {}, whole
    except (
        ValueError,
        NotImplementedError,
        EOFError,
        OSError,
        TypeError,
        RuntimeError,
        zlib.error,
        struct.error,
    ) as error:
        raise ArtifactError(f"{path}: its {METADATA} is damaged ({_reason(error)}). {AGAIN}") from error
    if not isinstance(document, dict):
        raise ArtifactError(f"{path}: its {METADATA} is damaged (it is no object). {AGAIN}")
    for name, kind in (("input", dict), ("text", dict), ("detection", dict), ("labels", list)):
        if not isinstance(document.get(name, kind()), kind):
            raise ArtifactError(
                f"{path}: its {METADATA} is damaged ({name} is a {type(document[name]).__name__}). {AGAIN}"
            )
    return document, whole


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:120] or type(error).__name__


def _member(archive: zipfile.ZipFile, name: str, path: Path | str) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > LIMITS[name]:
        raise ArtifactError(f"{path}: its {name} is larger than {LIMITS[name]} bytes. {AGAIN}")
    return archive.read(info)


def with_decided(metadata: Mapping[str, Any], decided: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata with what was decided after training; of an entry that is an object only what `decided` names changes."""
    parts = {key: {**metadata.get(key, {}), **value} for key, value in decided.items() if isinstance(value, dict)}
    return {**metadata, **decided, **parts}


def members(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the files that carry metadata inside an artifact, by name; what `read_metadata` reads."""
    text = metadata.get("text")
    if text is None:
        return {METADATA: json.dumps(metadata, indent=2)}
    rest = {key: value for key, value in text.items() if key != "vocabulary"}
    return {METADATA: json.dumps({**metadata, "text": rest}, indent=2), VOCABULARY: text.get("vocabulary", "")}


class DeviceModel:
    """A `.tflite` file, loaded. Make one with `DeviceModel.open`.

    Attributes:
        path: where it was read from.
        metadata: the content of its `cnnkit.json`; empty for a file that was not exported by cnnkit.
        labels: names of the classes, in the order of the scores; "0", "1", ... where the file names none.
        input_shape: (height, width, channels), px; of a model of texts (ids,).
        input_dtype: what the input tensor holds: float32 or uint8; of a model of texts int32.
        doubt: what a user should know of the file, one line; None: nothing.
    """

    def __init__(self, path: Path, interpreter: Any, metadata: dict[str, Any], doubt: str | None = None):
        self.path = path
        self.metadata = metadata
        self.doubt = doubt
        self._interpreter = interpreter
        runner = interpreter.get_signature_runner()
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        if len(inputs) != 1:
            raise ArtifactError(f"{path} has {len(inputs)} inputs; cnnkit runs models with one. Export it with cnnkit.")
        self._input = next(iter(inputs.values()))
        self._outputs: Mapping[str, Any] = outputs
        self.input_shape: tuple[int, ...] = tuple(int(n) for n in self._input["shape"][1:])
        self.input_dtype = np.dtype(self._input["dtype"])
        classes = int(self._outputs[self._score_name()]["shape"][-1])
        self.labels = tuple(str(label) for label in metadata.get("labels") or range(classes))
        if len(self.labels) != classes:
            raise ArtifactError(f"{path} names {len(self.labels)} labels and scores {classes}. {AGAIN}")

    @classmethod
    def open(cls, path: Path | str, *, threads: int | None = None, known: bool = False) -> "DeviceModel":
        """Load a `.tflite` file.

        One with a checksum is compared with it first. One without, which `export` did not write or an older one did, is tried
        in a process of its own the first time (`cnnkit.trials`).

        Args:
            path: the file.
            threads: threads of the interpreter; default: as many as the process may use, at most 4.
            known: whether to open it without that trial.

        Raises:
            ArtifactError: the file is missing, is damaged, is not a `.tflite`, or uses operators LiteRT does not have.
        """
        path = Path(path)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ArtifactError(f"{path} does not exist. Give a .tflite file that `export` wrote.") from None
        except OSError as error:
            raise ArtifactError(f"{path} cannot be read: {error.strerror or error}.") from error
        if content[4:8] != b"TFL3":
            raise ArtifactError(
                f"{path} is not a .tflite model (it lacks the mark TFL3). Give a file that `export` wrote."
            )
        metadata, whole = metadata_in(content, path)
        if not whole and not known and (why := refusal(path, content, "cnnkit.device.verification:check")):
            raise ArtifactError(f"{path} cannot be loaded: {why}. It is damaged, or not for this runtime. {AGAIN}")
        old = f"{path} is of an older cnnkit and has no checksum: damage to it would not be seen. Export it again."
        from ai_edge_litert.interpreter import Interpreter

        try:
            with quiet():  # "Created TensorFlow Lite XNNPACK delegate ..."
                interpreter = Interpreter(model_content=content, num_threads=threads or min(4, processors()))
                interpreter.allocate_tensors()
                return cls(path, interpreter, metadata, old if metadata and not whole else None)
        except (ValueError, RuntimeError, KeyError, IndexError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ArtifactError(f"{path} cannot be loaded: {reason}. It may be cut short; export it again.") from error

    def _score_name(self) -> str:
        return "scores" if "scores" in self._outputs else next(iter(self._outputs))

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Run one input as it is, (h, w, c); returns every output by its signature name, with its batch axis of 1."""
        tensor = np.asarray(image)[None]
        scale, zero = self._input["quantization"]
        if self.input_dtype != np.float32:
            tensor = tensor.astype(np.float32 if scale else np.float64)  # which holds every id
            if scale and (scale, zero) != (1.0, 0):
                tensor = tensor / scale + zero
            limits = np.iinfo(self.input_dtype)
            tensor = np.clip(np.rint(tensor), limits.min, limits.max)
        self._interpreter.set_tensor(self._input["index"], tensor.astype(self.input_dtype))
        self._invoke()
        found = {name: self._interpreter.get_tensor(output["index"]) for name, output in self._outputs.items()}
        for values in found.values():
            refuse_no_numbers(values, self.path)
        return found

    def _resize(self, shape: tuple[int, ...]) -> None:
        try:
            self._interpreter.resize_tensor_input(self._input["index"], shape)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:  # its metadata promise a length that its operators do not take
            raise ArtifactError(
                f"{self.path} does not take inputs of {shape[1:]} ({_reason(error)}). {AGAIN}"
            ) from error

    def _invoke(self) -> None:
        try:
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:  # an operator refuses what it is given
            raise ArtifactError(f"{self.path} stops while it runs ({_reason(error)}). {AGAIN}") from error

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Score a batch.

        Args:
            images: uint8 or float32 (n, h, w, c) in [0, 255], of this model's `input_shape`; or ids int32 (n, length) of texts.

        Returns:
            The outputs by name; for a classifier `{"scores": float32 (n, classes)}`, each row summing to 1.
        """
        if images.shape[1:] != self.input_shape:
            raise ValueError(f"`images` need the shape (n, *{self.input_shape}). Received: {images.shape}.")
        if self.metadata.get("text", {}).get("margin"):
            return {"scores": self._texts(np.asarray(images, np.int32))}
        rows = [self.run(image) for image in images]
        names = [self._score_name()] if len(self._outputs) == 1 else list(self._outputs)
        aliases = {name: "scores" if len(names) == 1 else name for name in names}
        return {
            aliases[name]: np.concatenate([row[name] for row in rows])
            if rows
            else np.zeros((0, *self._outputs[name]["shape"][1:]), np.float32)
            for name in names
        }

    def _texts(self, ids: np.ndarray) -> np.ndarray:
        """Score texts in batches of about the same length: float32 (n, classes).

        A model whose metadata name a margin gives a text the same scores however much more of its padding is left; so short
        texts cost little (`cnnkit.device.text.widths`).
        """
        needed = widths(lengths(ids), ids.shape[1], self.metadata["text"]["margin"])
        order = np.argsort(needed, kind="stable")
        scores = np.zeros((len(ids), len(self.labels)), np.float32)
        index, shape = self._input["index"], None
        output = self._outputs[self._score_name()]["index"]
        for start in range(0, len(order), TOGETHER):
            chosen = order[start : start + TOGETHER]
            batch = np.ascontiguousarray(ids[chosen, : needed[chosen[-1]]])
            if batch.shape != shape:
                shape = batch.shape
                self._resize(shape)
            self._interpreter.set_tensor(index, batch)
            self._invoke()
            scores[chosen] = self._interpreter.get_tensor(output)
        if shape is not None:
            self._resize((1, *self.input_shape))
        refuse_no_numbers(scores, self.path)
        return scores


def refuse_no_numbers(values: np.ndarray, path: Path | str) -> None:
    """Raise where a model's answers are not numbers.

    Raises:
        ArtifactError: NaN or infinity among them.
    """
    if not np.isfinite(values).all():
        raise ArtifactError(
            f"{path} answers with values that are not numbers (NaN or infinity): it is damaged. {AGAIN}"
        )


def processors() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1

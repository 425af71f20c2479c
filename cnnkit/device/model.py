"""An exported model, run by LiteRT.

Design choices:
- Everything a client needs travels inside the file: a ZIP appended to the flatbuffer (entries stored, as MediaPipe wants its
  associated files) holds `cnnkit.json` (app, task, labels, input, scores) and `labels.txt`. LiteRT ignores it; so
  `unzip x.tflite` shows it.
- A checksum of all of it is the end of the file (`cnnkit.seals`), compared before the interpreter sees any of it. A file without
  one is tried in a process of its own first (`cnnkit.trials`): what is damaged may end the process.
- Inputs and outputs are found by signature name, never by position: converters reorder them.
- Batches run one input at a time, as on a device, for a static batch of 1 is what exports have; unless the kind of input has
  inputs that are better run together (`cnnkit.device.kinds`).
- What differs between kinds of inputs and tasks, the kinds that the metadata name say; a file without metadata is run as it is.
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

from cnnkit.device.kinds import InputKind, TaskKind
from cnnkit.errors import ArtifactError, ArtifactNotFound
from cnnkit.quiet import quiet
from cnnkit.registry import DEVICE, completed, input_of, names_input, task_of
from cnnkit.seals import is_sealed
from cnnkit.trials import refusal

METADATA = "cnnkit.json"
LABELS = "labels.txt"
SEALED = "cnnkit.sealed"  # metadata of the flatbuffer itself: a checksum belongs behind it
LARGEST = 1 << 20  # bytes of the metadata
LARGEST_FILE = 1 << 27  # and of a file beside them: a million words fit, a zip bomb does not
KERNELS = {  # names of the interpreter's own, by ours
    "default": "AUTO",  # XNNPACK where it has the operators
    "built-in": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",  # slow, and plain enough to be what an operator means
}
AGAIN = "Copy it again from where it is whole, or export it again."


def read_metadata(path: Path | str) -> dict[str, Any]:
    """Read `cnnkit.json` out of a `.tflite` or `.keras` file, with the files that its kind of input has beside it.

    Empty where there is none.

    Raises:
        ArtifactError: the file cannot be read or is not as it was written; what is there is damaged, or larger than it can be.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}.") from error
    return metadata_in(content, path)[0]


def glance(path: Path | str) -> dict[str, Any]:
    """Read `cnnkit.json` alone, to see what a file is for before it is opened, which takes longer and looks at all of it.

    Empty where there is none.

    Raises:
        ArtifactError: as `read_metadata`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            document = json.loads(_member(archive, METADATA, path, LARGEST))
        document = completed(document)
        _refuse_other(document, path)
    except ArtifactError:
        raise
    except Exception:  # whatever is wrong with it, this says it
        return read_metadata(path)
    return document


def metadata_in(content: bytes, path: Path | str) -> tuple[dict[str, Any], bool]:
    """Read the metadata in the content of a file, as `read_metadata`, and tell whether a checksum vouches for all of it."""
    whole = is_sealed(content, path, AGAIN)
    if not whole and SEALED.encode() in content:
        raise ArtifactError(f"{path} is damaged: it has lost its end, where its checksum was. {AGAIN}")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            document = json.loads(_member(archive, METADATA, path, LARGEST))
            document = completed(document) if isinstance(document, dict) else document
            _refuse_other(document, path)
            for name, (entry, field) in _files(document, path).items():
                document[entry][field] = _member(archive, name, path, LARGEST_FILE).decode("utf-8")
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
    return document, whole


def _refuse_other(document: Any, path: Path | str) -> None:
    """Raise where metadata are not what they have to be.

    Raises:
        ArtifactError: they are no object, an entry is of another type than it has to be, or the task is not known here.
    """
    if not isinstance(document, dict):
        raise ArtifactError(f"{path}: its {METADATA} is damaged (it is no object). {AGAIN}")
    expected: dict[str, type] = {"input": dict, "labels": list}
    if "task" in document and (entry := task_of(document, DEVICE, path).entry):
        expected[entry] = dict
    for name, kind in expected.items():
        if not isinstance(document.get(name, kind()), kind):
            raise damaged(path, f"{name} is a {type(document[name]).__name__}")


def damaged(path: Path | str, why: str) -> ArtifactError:
    """Return the error that a file's metadata are damaged."""
    return ArtifactError(f"{path}: its {METADATA} is damaged ({why}). {AGAIN}")


def _files(metadata: Mapping[str, Any], path: Path | str) -> Mapping[str, tuple[str, str]]:
    """Return which entries of metadata are files of their own, (entry, field) by file name."""
    if not names_input(metadata):
        return {}
    files: Mapping[str, tuple[str, str]] = input_of(metadata, DEVICE, path).files
    for entry, _ in files.values():
        if not isinstance(metadata.get(entry), dict):
            raise damaged(path, f"{entry} is a {type(metadata.get(entry)).__name__}")
    return files


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:120] or type(error).__name__


def _member(archive: zipfile.ZipFile, name: str, path: Path | str, most: int) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > most:
        raise ArtifactError(f"{path}: its {name} is larger than {most} bytes. {AGAIN}")
    return archive.read(info)


def with_decided(metadata: Mapping[str, Any], decided: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata with what was decided after training; of an entry that is an object only what `decided` names changes."""
    parts = {key: {**metadata.get(key, {}), **value} for key, value in decided.items() if isinstance(value, dict)}
    return {**metadata, **decided, **parts}


def members(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the files that carry metadata inside an artifact, by name; what `read_metadata` reads."""
    rest, found = dict(metadata), {}
    for name, (entry, field) in _files(metadata, "The model").items():
        found[name] = rest[entry].get(field, "")
        rest[entry] = {key: value for key, value in rest[entry].items() if key != field}
    return {METADATA: json.dumps(rest, indent=2), **found}


class DeviceModel:
    """A `.tflite` file, loaded. Make one with `DeviceModel.open`.

    Attributes:
        path: where it was read from.
        metadata: the content of its `cnnkit.json`; empty for a file that was not exported by cnnkit.
        kind: of its inputs.
        labels: names of what it scores, in the order of the scores; "0", "1", ... where the file names none.
        input_shape: of one input, such as (height, width, channels), px.
        input_dtype: what the input tensor holds, such as float32 or uint8.
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
        self.kind: InputKind = input_of(metadata, DEVICE, path) if metadata else InputKind()
        task: TaskKind = task_of(metadata, DEVICE, path) if metadata else _unsaid(outputs)
        (alone,) = task.outputs if len(task.outputs) == 1 else (None,)
        # others may name it so
        self._names = {name: alone if alone and len(outputs) == 1 else name for name in outputs}
        shapes = {self._names[name]: output["shape"] for name, output in outputs.items()}
        try:
            self.labels = task.labels(metadata, shapes)
        except ValueError as error:
            raise ArtifactError(f"{path} {error}. {AGAIN}") from error
        self._given: tuple[int, ...] | None = None  # shape of the input tensor, where it is not that of one input

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        threads: int | None = None,
        known: bool = False,
        kernels: str = "default",
        metadata: Mapping[str, Any] | None = None,
    ) -> "DeviceModel":
        """Load a `.tflite` file.

        One with a checksum is compared with it first. One without, which `export` did not write or an older one did, is tried
        in a process of its own the first time (`cnnkit.trials`).

        Args:
            path: the file.
            threads: threads of the interpreter; default: as many as the process may use, at most 4.
            known: whether to open it without that trial.
            kernels: that compute it, one of `KERNELS`.
            metadata: what it is, where nothing in the file says so, as in one for microcontrollers.

        Raises:
            ArtifactError: the file is missing, is damaged, is not a `.tflite`, or uses operators LiteRT does not have.
        """
        path = Path(path)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ArtifactNotFound(f"{path} does not exist. Give a .tflite file that `export` wrote.") from None
        except OSError as error:
            raise ArtifactError(f"{path} cannot be read: {error.strerror or error}.") from error
        if content[4:8] != b"TFL3":
            raise ArtifactError(
                f"{path} is not a .tflite model (it lacks the mark TFL3). Give a file that `export` wrote."
            )
        own, whole = metadata_in(content, path)
        if not whole and not known and (why := refusal(path, content, "cnnkit.device.verification:check")):
            raise ArtifactError(f"{path} cannot be loaded: {why}. It is damaged, or not for this runtime. {AGAIN}")
        doubt = f"{path} says nothing of itself: labels are numbers, inputs get nothing of what its app does. Use one for LiteRT."
        old = f"{path} is of an older cnnkit and has no checksum: damage to it would not be seen. Export it again."
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        try:
            with quiet():  # "Created TensorFlow Lite XNNPACK delegate ..."
                interpreter = Interpreter(
                    model_content=content,
                    num_threads=threads or min(4, processors()),
                    experimental_op_resolver_type=OpResolverType[KERNELS[kernels]],
                )
                interpreter.allocate_tensors()
                return cls(
                    path,
                    interpreter,
                    own or dict(metadata or {}),
                    (None if whole else old) if own else None if metadata else doubt,
                )
        except (ValueError, RuntimeError, KeyError, IndexError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ArtifactError(f"{path} cannot be loaded: {reason}. It may be cut short; export it again.") from error

    @property
    def face(self) -> dict[str, Any]:
        """What another program needs to run the file: `input` with its name, type and quantisation, our name of each output."""
        scale, zero = self._input["quantization"]
        (name,) = self._interpreter.get_signature_runner().get_input_details()
        about = {"name": name, "dtype": self.input_dtype.name, "scale": float(scale), "zero": int(zero)}
        return {"input": about, "outputs": dict(self._names)}

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
        return {name: self._answer(output) for name, output in self._outputs.items()}

    def _answer(self, output: Mapping[str, Any]) -> np.ndarray:
        """Return what the interpreter left in an output, as numbers: of a quantised one those that its steps stand for."""
        values = self._interpreter.get_tensor(output["index"])
        scale, zero = output["quantization"]
        if scale and values.dtype.kind != "f":
            values = (values.astype(np.float32) - np.float32(zero)) * np.float32(scale)
        refuse_no_numbers(values, self.path)
        return values

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

    def run_batch(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Answer a batch, as the kind of its inputs has it.

        Args:
            inputs: (n, *input_shape): of pictures uint8 or float32 in [0, 255], of texts ids int32.

        Returns:
            The outputs by name, each with a row an input; for a classifier `{"scores": float32 (n, classes)}`, each row summing
            to 1.
        """
        if inputs.shape[1:] != self.input_shape:
            raise ValueError(f"`inputs` need the shape (n, *{self.input_shape}). Received: {inputs.shape}.")
        return self.kind.run(self, inputs)

    def one_by_one(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run inputs (n, *input_shape) one after the other; returns the outputs by name."""
        rows = [self.run(entry) for entry in inputs]
        return {
            alias: np.concatenate([row[name] for row in rows])
            if rows
            else np.zeros((0, *self._outputs[name]["shape"][1:]), np.float32)
            for name, alias in self._names.items()
        }

    def together(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run a batch at once, of any size that the graph allows, until `apart`; returns the outputs by name."""
        if inputs.shape != self._given:
            self._resize(inputs.shape)
            self._given = inputs.shape
        self._interpreter.set_tensor(self._input["index"], np.ascontiguousarray(inputs))
        self._invoke()
        return {alias: self._answer(self._outputs[name]) for name, alias in self._names.items()}

    def apart(self) -> None:
        """Take one input at a time again."""
        if self._given is not None:
            self._resize((1, *self.input_shape))
            self._given = None


def _unsaid(outputs: Mapping[str, Any]) -> TaskKind:
    """Return the task of a file that says nothing of itself: its scores, or its first output, have a place for each label."""
    task = TaskKind()
    task.named = "scores" if "scores" in outputs or len(outputs) == 1 else next(iter(outputs))
    task.outputs = (task.named,)
    return task


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

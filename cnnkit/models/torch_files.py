"""Tensors from a file of weights as PyTorch wrote it before version 1.6, without PyTorch, as arrays.

Design choices:
- Such a file is five pickles and then the numbers. A pickle is a program that can call anything; here nothing of it is
  ever run. Its steps are read one by one and only those that a dictionary of tensors needs are followed: a short list
  of steps, four names, two calls, and these stand for what is made here, not for what they are called.
- Whatever is not on the list refuses the file, as do counts, shapes or strides that go beyond the numbers that are there.
- Memory is bounded by the size of the file: the tensors together have no more numbers than the storages, nor these than
  the file.

Source: `torch/serialization.py` (`_legacy_save`) and `torch/_utils.py` (`_rebuild_tensor_v2`) say what is written;
`pickletools` says what the steps are.
"""

import dataclasses
import io
import math
import pickletools
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.errors import ArtifactError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
MOST_BYTES = 1 << 28  # of a file
MOST_STEPS = 1 << 20  # of a pickle
MOST_AXES = 8  # of a tensor
MOST_TEXT = 1000  # characters of a name


@dataclasses.dataclass(frozen=True)
class _Name:
    """Something that a file may name; it is never imported."""

    name: str


_DICTIONARY, _TENSOR = _Name("collections OrderedDict"), _Name("torch._utils _rebuild_tensor_v2")
_KINDS: dict[str, np.dtype] = {"torch FloatStorage": np.dtype("<f4"), "torch LongStorage": np.dtype("<i8")}
_NAMES = {known.name: known for known in (_DICTIONARY, _TENSOR, *map(_Name, _KINDS))}


@dataclasses.dataclass(frozen=True)
class _Storage:
    """A row of numbers: how many of which kind."""

    kind: np.dtype
    key: str
    count: int


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """Which numbers of a storage a tensor has, and in which order."""

    storage: _Storage
    first: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in numbers

    def fits(self) -> bool:
        """Whether all its numbers lie in the storage, and are not more than the storage has."""
        if math.prod(self.shape) > self.storage.count:
            return False
        last = self.first + sum((side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True))
        return 0 in self.shape or last < self.storage.count


class _Refused(Exception):
    """What is read is not what such a file holds."""


def read(content: bytes, path: Path) -> dict[str, np.ndarray]:
    """Read the tensors of a file.

    Args:
        content: of the file.
        path: of it, for errors.

    Returns:
        float32 or int64 arrays by name, copies, in the order of the file.

    Raises:
        ArtifactError: it is damaged, of another format, or holds anything but a dictionary of tensors. Nothing was run.
    """
    try:
        return _read(content)
    except (_Refused, ValueError, IndexError, OverflowError, struct.error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ArtifactError(f"{path} is not a file of weights that cnnkit reads ({reason}). Get it again.") from error


def _read(content: bytes) -> dict[str, np.ndarray]:
    if len(content) > MOST_BYTES:
        raise _Refused(f"it has more than {MOST_BYTES:,} bytes")
    if content.startswith(b"PK"):
        raise _Refused("it is an archive, as newer PyTorch writes it")
    file = io.BytesIO(content)
    magic, protocol, system = _followed(file), _followed(file), _followed(file)
    if magic != MAGIC or protocol != PROTOCOL:
        raise _Refused("it does not begin as a file of PyTorch")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise _Refused("its numbers are not little endian")
    tensors, keys = _followed(file), _followed(file)
    if not isinstance(tensors, dict) or not all(isinstance(tensor, _Tensor) for tensor in tensors.values()):
        raise _Refused("it holds something else than a dictionary of tensors")
    numbers = _numbers(content, file.tell(), keys, {tensor.storage for tensor in tensors.values()})
    if sum(math.prod(tensor.shape) for tensor in tensors.values()) > sum(len(row) for row in numbers.values()):
        raise _Refused("its tensors have more numbers than its storages")
    return {name: _array(tensor, numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def _numbers(content: bytes, start: int, keys: Any, wanted: set[_Storage]) -> dict[str, np.ndarray]:
    """Read the storages, one after the other to the end of the file: a count, and the numbers."""
    by_key = {storage.key: storage for storage in wanted}
    if len(by_key) != len(wanted):
        raise _Refused("a storage is said to be of two kinds")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or sorted(keys) != sorted(by_key):
        raise _Refused("its storages are not those that its tensors need")
    found = {}
    for key in keys:
        storage = by_key[key]
        (count,) = struct.unpack_from("<q", content, start)
        start += 8
        if count != storage.count or storage.count * storage.kind.itemsize > len(content) - start:
            raise _Refused(f"storage {key} has not the {storage.count} numbers that are said of it")
        found[key] = np.frombuffer(content, storage.kind, storage.count, start)
        start += storage.count * storage.kind.itemsize
    if start != len(content):
        raise _Refused("something follows after its last number")
    return found


def _array(tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    """Return the numbers of a tensor that was found to fit."""
    strides = tuple(stride * numbers.itemsize for stride in tensor.strides)
    seen = np.lib.stride_tricks.as_strided(numbers[tensor.first :], tensor.shape, strides, writeable=False)
    return np.array(seen, numbers.dtype.newbyteorder("="))


# The pickle -----------------------------------------------------------------------------------------------------------

_MARK = _Name("a mark")
_CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUES = ("BININT", "BININT1", "BININT2", "LONG1")


def _followed(file: io.BytesIO) -> Any:
    """Follow one pickle from where the file stands to behind its end: return what it makes, of plain values, `_Tensor`."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        place = next((i for i in range(len(stack) - 1, -1, -1) if stack[i] is _MARK), None)
        if place is None:
            raise _Refused("a pickle in it takes what is not there")
        items = stack[place + 1 :]
        del stack[place:]
        return items

    argument: Any
    for number, (step, argument, _) in enumerate(pickletools.genops(file)):
        if number >= MOST_STEPS:
            raise _Refused(f"a pickle in it has more than {MOST_STEPS:,} steps")
        kind = step.name
        if kind == "STOP":
            (made,) = stack
            return made
        if kind == "PROTO":
            if argument != 2 or number:
                raise _Refused("it has pickles of another protocol than 2")
        elif kind == "MARK":
            stack.append(_MARK)
        elif kind in _CONSTANTS:
            stack.append(_CONSTANTS[kind])
        elif kind in _VALUES:
            stack.append(argument)
        elif kind == "BINUNICODE":
            if len(argument) > MOST_TEXT:
                raise _Refused(f"a name in it has more than {MOST_TEXT} characters")
            stack.append(argument)
        elif kind == "EMPTY_DICT":
            stack.append({})
        elif kind == "EMPTY_LIST":
            stack.append([])
        elif kind in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif kind in ("BINGET", "LONG_BINGET"):
            if argument not in memo:
                raise _Refused("a pickle in it refers to what it does not hold")
            stack.append(memo[argument])
        elif kind == "TUPLE":
            stack.append(tuple(since_mark()))
        elif kind in ("TUPLE1", "TUPLE2"):
            size = int(kind[-1])
            stack[-size:] = [tuple(_last(stack, size))]
        elif kind == "APPENDS":
            items = since_mark()
            if not isinstance(stack[-1], list):
                raise _Refused("a pickle in it appends to what is no list")
            stack[-1].extend(items)
        elif kind in ("SETITEM", "SETITEMS"):
            items = since_mark() if kind == "SETITEMS" else [stack.pop(-2), stack.pop()]
            _enter(stack[-1], items)
        elif kind == "GLOBAL":
            if argument not in _NAMES:
                raise _Refused(f"it names {argument[:60]!r}, which no file of weights needs; nothing was run")
            stack.append(_NAMES[argument])
        elif kind == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif kind == "REDUCE":
            arguments = stack.pop()
            stack.append(_called(stack.pop(), arguments))
        elif kind == "BUILD":  # what PyTorch says of the versions of its layers; not needed
            state = stack.pop()
            if not isinstance(state, dict) or set(state) != {"_metadata"} or not isinstance(stack[-1], dict):
                raise _Refused("a pickle in it sets what is not known")
        else:
            raise _Refused(f"a pickle in it has a step {kind}, which no file of weights needs; nothing was run")
    raise _Refused("a pickle in it has no end")


def _last(stack: list[Any], size: int) -> list[Any]:
    if len(stack) < size:
        raise _Refused("a pickle in it takes what is not there")
    return stack[-size:]


def _enter(table: Any, items: list[Any]) -> None:
    """Enter keys and values, alternating, into a dictionary."""
    keys = items[::2]
    if not isinstance(table, dict) or len(items) % 2 or not all(isinstance(key, str) for key in keys):
        raise _Refused("a pickle in it has something else than entries of names")
    if len({*table, *keys}) != len(table) + len(keys):
        raise _Refused("a pickle in it has two entries of one name")
    table.update(zip(keys, items[1::2], strict=True))


def _storage(said: Any) -> _Storage:
    """Return what stands for a row of numbers that follows the pickles."""
    match said:
        case ("storage", _Name(name), str(key), "cpu", int(count), None) if name in _KINDS:
            if type(count) is int and count >= 0:
                return _Storage(_KINDS[name], key, count)
    raise _Refused("a pickle in it has a storage of another kind")


def _called(what: Any, arguments: Any) -> Any:
    """Return what stands for a call: of a dictionary or of a tensor."""
    if what is _DICTIONARY and arguments == ():
        return {}
    match arguments:
        case (_Storage() as storage, int(first), tuple(shape), tuple(strides), bool(), dict(hooks)) if what is _TENSOR:
            whole = all(type(n) is int and n >= 0 for n in (first, *shape, *strides))
            tensor = _Tensor(storage, first, shape, strides)
            if hooks or not whole or not len(shape) == len(strides) <= MOST_AXES or not tensor.fits():
                raise _Refused("a tensor in it goes beyond its storage")
            return tensor
    raise _Refused("a pickle in it calls what no file of weights needs; nothing was run")

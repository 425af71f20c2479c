"""Flatbuffers from plain values: tables as dicts from slot to value, for schemas of which no code is at hand.

Design choices:
- A value says its type: `str`, `bytes` (a vector of bytes, aligned to 16), `Byte`, `Int` and `Float` numbers, a `dict` is a
  table, a `Union` a table with its type in the slot before it; a list is a vector of any of these but bytes.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

ALIGNMENT = 16


@dataclasses.dataclass(frozen=True)
class Byte:
    """A number of one byte, an enum or a bool."""

    value: int


@dataclasses.dataclass(frozen=True)
class Int:
    """A number of four bytes."""

    value: int


@dataclasses.dataclass(frozen=True)
class Float:
    """A float32."""

    value: float


@dataclasses.dataclass(frozen=True)
class Union:
    """A table of one of several types: the type is in `slot`, the table in the next."""

    type: int
    table: Mapping[int, Any]


def packed(root: Mapping[int, Any], identifier: bytes) -> bytes:
    """Return a flatbuffer.

    Args:
        root: its table, {slot: value}.
        identifier: four bytes.
    """
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(_made(builder, root), file_identifier=identifier)
    return bytes(builder.Output())


def _made(builder: Any, value: Any) -> Any:
    """Write what is referred to, and return where it is."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, bytes):
        builder.StartVector(1, len(value), ALIGNMENT)
        builder.head -= len(value)
        builder.Bytes[builder.head : builder.head + len(value)] = value
        return builder.EndVector()
    if isinstance(value, list):
        return _vector(builder, value)
    offsets = {}
    for slot, entry in value.items():
        if isinstance(entry, Union):
            offsets[slot + 1] = _made(builder, entry.table)
        elif not isinstance(entry, Byte | Int | Float):
            offsets[slot] = _made(builder, entry)
    builder.StartObject(max(value, default=-1) + 2)
    for slot, entry in value.items():
        if isinstance(entry, Byte):
            builder.PrependInt8Slot(slot, entry.value, 0)
        elif isinstance(entry, Int):
            builder.PrependInt32Slot(slot, entry.value, 0)
        elif isinstance(entry, Float):
            builder.PrependFloat32Slot(slot, entry.value, 0.0)
        elif isinstance(entry, Union):
            builder.PrependUint8Slot(slot, entry.type, 0)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    return builder.EndObject()


def _vector(builder: Any, values: list[Any]) -> Any:
    if values and isinstance(values[0], Int | Float):
        builder.StartVector(4, len(values), 4)
        for entry in reversed(values):
            (builder.PrependInt32 if isinstance(entry, Int) else builder.PrependFloat32)(entry.value)
        return builder.EndVector()
    offsets = [_made(builder, entry) for entry in values]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()

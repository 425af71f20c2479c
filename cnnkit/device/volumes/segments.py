"""Segments that files name: put together into one map of codes, and told apart again.

Segments may overlap, as a tumour in a liver. A map has one code a voxel, so where two meet there is a code of its own, and a
label is all the codes of the voxels that it has: liver (1, 3), tumour (2, 3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnkit.device.volumes.faults import VolumeError
from cnnkit.files import printable

Names = Mapping[str, int | Sequence[int]]
"""label -> its code, or the codes of all voxels that it has"""

Colour = tuple[int, int, int]  # red, green, blue, 0 to 255

_COLOURS: tuple[Colour, ...] = (  # far apart, and told apart by the colour-blind: Okabe and Ito 2008
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)


@dataclass(frozen=True)
class Segment:
    """What a file says of one segment.

    Attributes:
        name: as a person reads it.
        value: the number of its voxels, within its layer.
        layer: which of the file's maps it is in.
        colour: its colour; None: not said.
    """

    name: str
    value: int
    layer: int = 0
    colour: Colour | None = None


class Together:
    """A map of codes that grows a layer at a time.

    Args:
        shape: (z, y, x).
        names: of all segments that there may be; several may have the same.
    """

    def __init__(self, shape: Sequence[int], names: Sequence[str]):
        self.names = tuple(dict.fromkeys(names))
        self.sets: list[frozenset[str]] = [frozenset(), *(frozenset([name]) for name in self.names)]
        self._index = {members: k for k, members in enumerate(self.sets)}
        self.map = np.zeros(tuple(shape), np.int32)  # index in `sets`

    def add(self, layer: np.ndarray, named: Mapping[int, str], where: tuple[slice, ...] = ()) -> list[int]:
        """Add a layer's segments.

        Args:
            layer: whole numbers, 0 for none, of the shape of `where`.
            named: number -> segment.
            where: the part of the map that it covers; (): all.

        Returns:
            Numbers of the layer that no segment has; nothing is added then.
        """
        view = self.map[where] if where else self.map
        inside = layer != 0
        before, values = view[inside], layer[inside].astype(np.int64)
        if not values.size:
            return []
        low, high = int(values.min()), int(values.max())
        keys = before.astype(np.int64) * (high - low + 1) + (values - low)
        found, which = np.unique(keys, return_inverse=True)
        pairs = [(int(key) // (high - low + 1), int(key) % (high - low + 1) + low) for key in found]
        unknown = sorted({value for _, value in pairs} - set(named))
        if unknown:
            return unknown
        view[inside] = np.array([self._of(self.sets[old] | {named[value]}) for old, value in pairs], np.int32)[which]
        return []

    def _of(self, members: frozenset[str]) -> int:
        if members not in self._index:
            self._index[members] = len(self.sets)
            self.sets.append(members)
        return self._index[members]

    def codes(self, names: Names | None, path: Path | str) -> tuple[np.ndarray, dict[str, tuple[int, ...]]]:
        """Return the map in codes, and each label's codes.

        Args:
            names: the labels that there are to be, with their codes; None: those of the file, counted from 1 in its order.
            path: of the file, for errors.

        Raises:
            VolumeError: it has a segment that is not among the names, or two meet where the names have no code for that.
        """
        if names is None:
            wanted = {name: tuple(k for k, members in enumerate(self.sets) if name in members) for name in self.names}
            return narrow(self.map), wanted
        wanted = {name: (codes,) if isinstance(codes, int) else tuple(codes) for name, codes in names.items()}
        used = np.flatnonzero(np.bincount(self.map.ravel(), minlength=len(self.sets)))
        means = {
            code: frozenset(name for name, codes in wanted.items() if code in codes)
            for codes in wanted.values()
            for code in codes
        }
        table = np.zeros(len(self.sets), np.int64)
        for k in used:
            members = self.sets[k]
            strange = sorted(members - set(wanted))
            if strange:
                raise VolumeError(
                    path,
                    f"it has a segment called {quoted(strange[0])}, and the labels are {quoted(*wanted)}",
                    "Call it as the label is called, or name it among them.",
                )
            if members:
                fit = [code for code, of in means.items() if members <= of]
                if not fit:
                    raise VolumeError(
                        path,
                        f"its segments {quoted(*sorted(members))} overlap, and the labels have no code for that",
                        "Name what overlaps as regions.",
                    )
                table[k] = min(fit, key=lambda code: (len(means[code]), code))
        return narrow(table[self.map]), wanted


def quoted(*names: str) -> str:
    """Return names for a message, the first six of them."""
    shown = [f"`{printable(name)[:40]}`" for name in names[:6]]
    return ", ".join(shown) + (", ..." if len(names) > 6 else "")


def narrow(codes: np.ndarray) -> np.ndarray:
    """Return codes as uint8 where they fit, else as int16 or int32."""
    low, high = (int(codes.min()), int(codes.max())) if codes.size else (0, 0)
    for kind in (np.uint8, np.int16):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return codes.astype(kind, copy=False)
    return codes.astype(np.int32, copy=False)


def as_tuples(names: Names) -> dict[str, tuple[int, ...]]:
    """Return each label's codes as a tuple."""
    return {name: (codes,) if isinstance(codes, int) else tuple(map(int, codes)) for name, codes in names.items()}


def layered(names: Names) -> list[list[str]]:
    """Return the labels in layers, as few as a greedy look finds, such that none of a layer overlaps another of it."""
    codes = {name: set(each) for name, each in as_tuples(names).items()}
    layers: list[list[str]] = []
    for name in codes:
        for layer in layers:
            if not any(codes[name] & codes[other] for other in layer):
                layer.append(name)
                break
        else:
            layers.append([name])
    return layers


def colours_for(names: Names, colours: Mapping[str, Colour] | None) -> dict[str, Colour]:
    """Return a colour for each label: the one given, else one of a row of seven, then darker ones."""
    given, found = dict(colours or {}), {}
    for k, name in enumerate(names):
        shade = 1 / (1 + k // len(_COLOURS) % 4)
        red, green, blue = (int(value * shade) for value in _COLOURS[k % len(_COLOURS)])
        found[name] = given.get(name, (red, green, blue))
    return found


def plane(codes: np.ndarray, of: Sequence[int]) -> np.ndarray:
    """Return where a map has one of these codes: bool, of its shape."""
    return codes == of[0] if len(of) == 1 else np.isin(codes, list(of))

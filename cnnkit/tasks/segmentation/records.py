"""Records of pictures with masks.

Design choices:
- A record shows picture and mask as the plan has them: bytes, at the plan's scale. What was read is kept while it is small
  enough together, as an epoch comes to the same pictures again.
- `read` shows windows that are always the same: validation while training measures these. Evaluation looks at whole pictures.
- The stratum of a picture is its rarest label, so that a split spreads what is rare.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from cnnkit.data.records import Records, Shape, Source
from cnnkit.device.contours import as_shown, outlined
from cnnkit.device.segmentation import Plan, as_bytes, scale_of, scaled, stretch
from cnnkit.errors import DataError
from cnnkit.inputs.image.records import ImageRecords, JoinedImages, at_side
from cnnkit.tasks.segmentation import objects
from cnnkit.tasks.segmentation.masks import IGNORE, Masks, Regions, planes
from cnnkit.tasks.segmentation.views import PLACES, Views

KEPT = 768 * 2**20  # bytes of pictures, masks and places that are kept


class MaskRecords(ImageRecords):
    """An immutable view of pictures with masks.

    Args:
        masks: of every picture in `source`.
        plan: how a picture meets the network.
        passes: times that an epoch sees each picture.
        focus: share of the windows around a pixel of a label, unless settings say another.
        flips: axes along which views may be mirrored, unless settings say others.
        advice: settings of training that suit the masks, by name, unless others are given.
        others: as `Records`; `labels` are the strata, `input_shape` is the network's input.
    """

    noun = "pictures"

    def __init__(
        self,
        source: Source,
        labels: np.ndarray | None,
        label_names: Sequence[str],
        *,
        masks: Masks,
        plan: Plan,
        passes: int = 1,
        focus: float = 0.33,
        flips: tuple[int, ...] = (0, 1),
        advice: Mapping[str, Any] | None = None,
        **others: Any,
    ):
        super().__init__(source, labels, label_names, **others)
        self._masks, self.plan = masks, plan
        self.passes, self.focus, self.flips, self.advice = passes, focus, flips, dict(advice or {})
        self._kept = _Kept(KEPT)

    def _changed(self, **changes: Any) -> Self:
        own = {"masks": self._masks, "plan": self.plan, "advice": self.advice}
        own |= {"passes": self.passes, "focus": self.focus, "flips": self.flips}
        return super()._changed(**{**own, **changes})

    @property
    def regions(self) -> Regions:
        """The codes of each label's pixels."""
        return self._masks.regions

    @property
    def taught(self) -> Regions:
        """The codes of what a network learns, in masks as it sees them: the labels', or those of inside and border."""
        return objects.TAUGHT if self.plan.rim else self.regions

    @property
    def in_parts(self) -> bool:
        """Whether the plan cuts windows."""
        return self.plan.scale is not None

    def with_plan(self, plan: Plan, input_shape: Shape, **learning: Any) -> "MaskRecords":
        """Return a view whose pictures meet a network otherwise; `passes`, `focus`, `flips` and `advice` may change too."""
        return self._changed(plan=plan, input_shape=input_shape, **learning)

    def with_shape(self, input_shape: Shape) -> Self:
        """Return a view at another size of the input; windows of half the side are cut at half the scale."""
        part = input_shape[0] / self.input_shape[0]
        if self.plan.scale is None or part == 1:
            return super().with_shape(input_shape)
        from dataclasses import replace

        return super().with_shape(input_shape)._changed(plan=replace(self.plan, scale=self.plan.scale * part))

    def named(self, names: Sequence[str]) -> Self:
        """Return a view whose labels are the places of the same names in `names`; as `Records.named`."""
        if tuple(names) == self.label_names:
            return self
        return self._changed(label_names=names, masks=Renamed(self._masks, names), labels=None)

    def plus(self, other: Records, names: tuple[str, ...]) -> "MaskRecords":
        """Return these records and then others with masks, seen as these are; as `Records.plus`."""
        assert isinstance(other, MaskRecords)
        return type(self)(
            JoinedImages(self, other),
            None,
            names,
            groups=self._groups_with(other),
            input_shape=self.input_shape,
            masks=JoinedMasks(self.named(names), other.named(names)),
            plan=self.plan,
            passes=self.passes,
            focus=self.focus,
            flips=self.flips,
            advice=self.advice,
        )

    @property
    def places(self) -> np.ndarray:
        """Where each record is in the data as it was read, int (n,): what tells records without groups apart."""
        return self._index

    # One picture ------------------------------------------------------------------------------------------------------

    def mask(self, index: int) -> np.ndarray:
        """Return the code map of a record, uint8 (h, w), of the size of its native picture.

        Raises:
            DataError: it is missing or damaged, or does not fit its picture.
        """
        return self._masks.native(int(self._index[index]))

    def objects(self, index: int) -> np.ndarray | None:
        """Return which object each pixel of a record is of, int32 (h, w); None where its masks do not tell."""
        return self._masks.objects(int(self._index[index]))

    def numbered(self, index: int) -> np.ndarray:
        """Return the same where masks do not tell, too: then what hangs together is an object."""
        return objects.numbered(self.mask(index), self.regions[0], self.objects(index))

    def spacing(self, index: int) -> tuple[float, ...] | None:
        """Return the distance of neighbouring pixels, mm; None where it is not known."""
        return self._masks.spacing(int(self._index[index]))

    def key(self, index: int) -> str:
        """Return what a file of folds that we write calls a record."""
        keys = getattr(self._masks, "written", None) or getattr(self._masks, "keys", None)
        return self.alias(index) if keys is None else keys[int(self._index[index])]

    def second(self, index: int) -> np.ndarray | None:
        """Return the code map that a second person drew; None where there is none."""
        drawn = getattr(self._masks, "second", None)
        return None if drawn is None else drawn(int(self._index[index]))

    def seen(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return picture and mask at the plan's scale: uint8 (h, w, c), uint8 (h, w)."""
        return self._kept("seen", index, self._seen)

    def _seen(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        picture, mask = self.native(index), self.mask(index)
        *sides, channels = self.input_shape
        if picture.shape[:2] != mask.shape:
            sizes = ["x".join(map(str, values.shape[1::-1])) for values in (picture, mask)]
            raise DataError(f"{self.name(index)} has {sizes[0]} px, its mask {sizes[1]}. Give a mask of the same size.")
        scale = scale_of(mask.shape, sides, self.plan)
        try:
            picture = as_bytes(scaled(picture, scale), stretch(picture, self.plan), channels)
        except ValueError as error:
            raise DataError(
                f"{self.name(index)} cannot be used: {error}. Leave it out, or make it like the others."
            ) from error
        if not self.plan.rim:
            return picture, nearest(mask, picture.shape[:2])
        codes = objects.rimmed(nearest(self.numbered(index), picture.shape[:2]), self.plan.rim)
        return picture, np.where(nearest(mask, picture.shape[:2]) == IGNORE, np.uint8(IGNORE), codes)

    def point(self, index: int, rng: np.random.Generator) -> tuple[int, ...] | None:
        """Return a pixel of a label that is drawn first, at the plan's scale; None where the mask is empty."""
        places = self._kept("places", index, self._places)
        if not places:
            return None
        found = places[int(rng.integers(len(places)))]
        return tuple(found[int(rng.integers(len(found)))].tolist())

    def _places(self, index: int) -> list[np.ndarray]:
        """Return some pixels of each label that a mask has, int32 (k, axes) each."""
        mask = self.seen(index)[1]
        rng = np.random.default_rng(index)
        found = []
        for region in self.taught:
            places = np.nonzero(np.isin(mask, region))
            if count := len(places[0]):
                some = rng.permutation(count)[:PLACES] if count > PLACES else slice(None)
                found.append(np.stack([axis[some] for axis in places], 1).astype(np.int32))
        return found

    @staticmethod
    def flattened(picture: np.ndarray, *masks: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return a picture and masks of it as pictures to be looked at: as they are."""
        return picture, *masks

    def sample(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a picture and its code map, of the size of that; as `mask`."""
        return self.native(index), self.mask(index)

    def words(self, index: int) -> str:
        """Return the labels that a record's mask has; as `Records.words`."""
        codes = self._codes(index)
        there = [np.isin(codes, region).any() for region in self.regions]
        return ", ".join(name for name, has in zip(self.label_names, there) if has) or "no label"

    def _codes(self, index: int) -> np.ndarray:
        """Return the codes that a record's mask has, uint8, sorted."""
        return self._kept("codes", index, lambda index: np.unique(self.mask(index)))

    def drawn(self, index: int, side: int) -> np.ndarray:
        """Return the picture with its mask; of a volume, the slice that shows most of that; as `Records.drawn`."""
        picture, mask = self.flattened(*self.sample(index))
        picture = at_side(as_shown(picture), side)
        return outlined(picture, planes(nearest(mask, picture.shape[:2]), self.regions), line=1)

    @staticmethod
    def by_pictures(picture: np.ndarray, find: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return what `find` says of a picture."""
        return find(picture)

    def advised(self, loaded: bool) -> dict[str, Any]:
        """Return what the fingerprint advises; from loaded weights twice as many inputs a step."""
        if not loaded or "batch_size" not in self.advice:
            return self.advice
        return {**self.advice, "batch_size": 2 * self.advice["batch_size"]}

    def views(self, settings: Any) -> Any:
        """Return what a network sees of these records in training, as settings have it."""
        return self._views(
            seed=settings.seed,
            rotation=settings.rotation,
            elastic=settings.elastic,
            flips=self.flips,
            focus=self.focus if settings.focus is None else settings.focus,
        )

    def _views(self, **options: Any) -> Any:
        return Views(self, **options)

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read these records as the plan shows them, always alike.

        Returns:
            pictures uint8 (b, h, w, c), volumes float32 (b, d, h, w, c); code maps uint8 (b, *sides).
        """
        return self._views(seed=0, still=True)(self._checked(indices), 0)

    def counts(self) -> np.ndarray:
        """Return the number of pictures that have each label: int64 (labels,)."""
        counts = np.zeros(len(self.label_names), np.int64)
        for index in range(len(self)):
            codes = self._codes(index)
            counts += [bool(np.isin(codes, region).any()) for region in self.regions]
        return counts

    def _digest(self, add: Callable[[Any], None]) -> None:
        super()._digest(add)
        add(repr((self.plan.scale, self.plan.values, self.plan.low, self.plan.high, self.regions)).encode())
        add(f"rim {self.plan.rim}".encode() if self.plan.rim else b"")
        self._masks.digest(self._index, add)


def nearest(mask: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """Return a mask at another size, by the nearest pixel."""
    if mask.shape == tuple(sides):
        return mask
    places = (
        np.minimum(((np.arange(side) + 0.5) * length / side).astype(int), length - 1)
        for side, length in zip(sides, mask.shape, strict=True)
    )
    return mask[np.ix_(*places)]


class _Kept:
    """What was computed of records, while it is small enough together."""

    def __init__(self, most: int):
        self._left = most
        self._found: dict[tuple[str, int], Any] = {}
        self._lock = threading.Lock()

    def __call__(self, what: str, index: int, make: Callable[[int], Any]) -> Any:
        key = what, int(index)
        found = self._found.get(key)
        if found is None:
            found = make(int(index))
            parts = found if isinstance(found, tuple | list) else [found]
            size = sum(part.nbytes for part in parts)
            with self._lock:
                if key not in self._found and size <= self._left:
                    self._left -= size
                    self._found[key] = found
        return found


class Renamed:
    """Masks whose labels are the places of the same names in `names`."""

    def __init__(self, masks: Masks, names: Sequence[str]):
        self.names, self._masks = tuple(names), masks
        table = np.arange(256, dtype=np.uint8)
        for place, name in enumerate(masks.names):
            table[place + 1] = self.names.index(name) + 1
        self._table = table
        own = dict(zip(masks.names, masks.regions, strict=True))
        self.regions: Regions = tuple(
            tuple(int(table[code]) for code in own[name]) if name in own else (place + 1,)
            for place, name in enumerate(self.names)
        )

    def __len__(self) -> int:
        return len(self._masks)

    def native(self, index: int) -> np.ndarray:
        return self._table[self._masks.native(index)]

    def objects(self, index: int) -> np.ndarray | None:
        return self._masks.objects(index)

    def spacing(self, index: int) -> tuple[float, ...] | None:
        return self._masks.spacing(index)

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        add(self._table.tobytes())
        self._masks.digest(indices, add)


class JoinedMasks:
    """The masks of two sets of records with the same labels, one after the other."""

    def __init__(self, first: MaskRecords, second: MaskRecords):
        self._parts = first, second
        self.names, self.regions = first.label_names, first.regions

    def _of(self, index: int) -> tuple[MaskRecords, int]:
        first, second = self._parts
        return (first, index) if index < len(first) else (second, index - len(first))

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def native(self, index: int) -> np.ndarray:
        part, place = self._of(index)
        return part.mask(place)

    def objects(self, index: int) -> np.ndarray | None:
        part, place = self._of(index)
        return part.objects(place)

    def spacing(self, index: int) -> tuple[float, ...] | None:
        part, place = self._of(index)
        return part.spacing(place)

    def digest(self, indices: np.ndarray, add: Callable[[Any], None]) -> None:
        """Add nothing: the joined inputs stand for the records, masks too."""

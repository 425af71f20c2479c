"""Records of images with boxes.

Design choices:
- Boxes lie in four flat arrays, some 40 bytes each, not in objects: a million boxes are 40 MB.
- `read` shows each image as the detector's plan has it: whole, its aspect kept; or, where the plan cuts tiles, one tile of it
  that is always the same. Training sees other views (`cnnkit.tasks.detection.views`); evaluation finds in the native image.
- The stratum of an image is the rarest of its classes, so that a split spreads what is rare.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from cnnkit.data.records import Records, Shape, Source
from cnnkit.device.detection import Plan
from cnnkit.device.drawing import annotate, colour
from cnnkit.inputs.image.records import ImageRecords, JoinedImages
from cnnkit.tasks.detection.boxes import Annotations
from cnnkit.tasks.detection.views import Views

NAMED = 320  # px of a drawn image, from which the names of boxes can be read in it


class Boxes:
    """The boxes of a row of images.

    Args:
        ends: int64 (n,), where the boxes of each image end in the flat arrays.
        corners: float64 (m, 4): left, top, right, bottom, px of the image.
        codes: int32 (m,), the classes.
        ignored: bool (m,), neither to be found nor wrong to find.
        sizes: int32 (n, 2), width and height of each image, px.
    """

    def __init__(
        self, ends: np.ndarray, corners: np.ndarray, codes: np.ndarray, ignored: np.ndarray, sizes: np.ndarray
    ):
        self.sizes = np.asarray(sizes, np.int32).reshape(-1, 2)
        self.ends = np.asarray(ends, np.int64)
        self.corners = np.asarray(corners, np.float64).reshape(-1, 4)
        self.codes, self.ignored = np.asarray(codes, np.int32), np.asarray(ignored, bool)

    def __len__(self) -> int:
        return len(self.ends)

    def of(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return corners (k, 4), codes (k,) and ignored (k,) of one image."""
        start = int(self.ends[index - 1]) if index else 0
        part = slice(start, int(self.ends[index]))
        return self.corners[part], self.codes[part], self.ignored[part]

    def with_codes(self, codes: np.ndarray) -> "Boxes":
        """Return the same boxes with other codes, int32 (m,)."""
        return Boxes(self.ends, self.corners, codes, self.ignored, self.sizes)

    def renamed(self, codes: Sequence[int] | np.ndarray) -> "Boxes":
        """Return boxes whose class k is `codes[k]`; those of -1 are left out."""
        table = np.asarray(codes, np.int32)
        found = table[self.codes] if len(self.codes) else self.codes
        keep = found >= 0
        ends = np.concatenate([[0], np.cumsum(keep)])[self.ends]
        return Boxes(ends, self.corners[keep], found[keep], self.ignored[keep], self.sizes)

    def take(self, indices: np.ndarray) -> "Boxes":
        """Return the boxes of these images, in this order; int (k,), which may repeat."""
        starts = np.concatenate([[0], self.ends])[:-1]
        rows = [np.arange(starts[index], self.ends[index]) for index in indices]
        places = np.concatenate([np.zeros(0, np.int64), *rows])
        ends = np.cumsum([len(row) for row in rows])
        corners, codes, ignored = (values[places] for values in self._arrays())
        return Boxes(ends, corners, codes, ignored, self.sizes[indices])

    def plus(self, other: "Boxes") -> "Boxes":
        """Return these boxes and then those of further images."""
        corners, codes, ignored = (np.concatenate(pair) for pair in zip(self._arrays(), other._arrays(), strict=True))
        ends = np.concatenate([self.ends, other.ends + len(self.corners)])
        return Boxes(ends, corners, codes, ignored, np.concatenate([self.sizes, other.sizes]))

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.corners, self.codes, self.ignored

    def strata(self, classes: int) -> np.ndarray:
        """Return the rarest class of each image, 0 where it has none: int32 (n,)."""
        counts = np.bincount(self.codes, minlength=classes)
        found = np.zeros(len(self), np.int32)
        for index in range(len(self)):
            codes = self.of(index)[1]
            if len(codes):
                found[index] = codes[counts[codes].argmin()]
        return found


def boxes_of(annotations: Annotations) -> Boxes:
    """Put the boxes of annotations into arrays; a class's code is its place in their labels."""
    place = {label: code for code, label in enumerate(annotations.labels)}
    every = [box for picture in annotations.pictures for box in picture.boxes]
    return Boxes(
        np.cumsum([len(picture.boxes) for picture in annotations.pictures]),
        np.array([(box.left, box.top, box.right, box.bottom) for box in every], np.float64),
        np.array([place[box.label] for box in every], np.int32),
        np.array([box.ignored for box in every], bool),
        np.array([(picture.width, picture.height) for picture in annotations.pictures], np.int32),
    )


class BoxRecords(ImageRecords):
    """An immutable view of images with boxes.

    Args:
        boxes: of every image in `source`.
        plan: how an image meets the detector.
        others: as `Records`; `labels` are the strata, `input_shape` is the detector's input.
    """

    def __init__(
        self,
        source: Source,
        labels: np.ndarray,
        label_names: Sequence[str],
        *,
        boxes: Boxes,
        plan: Plan,
        **others: Any,
    ):
        super().__init__(source, labels, label_names, **others)
        self._boxes, self.plan = boxes, plan

    def _changed(self, **changes: Any) -> Self:
        return super()._changed(**{"boxes": self._boxes, "plan": self.plan, **changes})

    @property
    def in_parts(self) -> bool:
        """Whether the plan cuts tiles."""
        return self.plan.scale is not None

    def with_plan(self, plan: Plan, input_shape: Shape) -> "BoxRecords":
        """Return a view whose images meet a detector otherwise."""
        return self._changed(plan=plan, input_shape=input_shape)

    def with_shape(self, input_shape: Shape) -> "BoxRecords":
        """Return a view at another size of the input; tiles of half the side are cut at half the scale."""
        part = input_shape[0] / self.input_shape[0]
        if self.plan.scale is None or part == 1:
            return super().with_shape(input_shape)
        plan = replace(self.plan, scale=self.plan.scale * part, overlap=self.plan.overlap * part)
        return super().with_shape(input_shape).with_plan(plan, input_shape)

    def named(self, names: Sequence[str]) -> Self:
        """Return a view whose classes are the places of the same names in `names`; as `Records.named`."""
        codes = np.array([names.index(name) for name in self.label_names], np.int32)
        asked = self._asked_as(names, codes)
        return super().named(names)._changed(boxes=self._boxes.renamed(codes), asked=asked)

    def plus(self, other: Records, names: tuple[str, ...]) -> "BoxRecords":
        """Return these records and then others with boxes, seen as these are; as `Records.plus`."""
        assert isinstance(other, BoxRecords)
        ours, theirs = self.named(names), other.named(names)
        boxes = ours._boxes.take(self._index).plus(theirs._boxes.take(other._index))
        return BoxRecords(
            JoinedImages(self, other),
            boxes.strata(len(names)),
            names,
            groups=self._groups_with(other),
            asked=ours._asked_with(theirs),
            input_shape=self.input_shape,
            boxes=boxes,
            plan=self.plan,
        )

    def boxes(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return corners float64 (k, 4) in px, codes int32 (k,) and ignored bool (k,) of a record."""
        return self._boxes.of(int(self._index[index]))

    def size(self, index: int) -> tuple[int, int]:
        """Return width and height of a record's image, px."""
        width, height = self._boxes.sizes[self._index[index]].tolist()
        return width, height

    def sample(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return an image and its boxes, in px of that: `boxes` float32 (k, 4), left, top, right, bottom; `labels` int32 (k,)."""
        corners, codes, ignored = self.boxes(index)
        return self.native(index), {"boxes": corners[~ignored].astype(np.float32), "labels": codes[~ignored]}

    def words(self, index: int) -> str:
        """Return the labels of a record's boxes, each with how many; as `Records.words`."""
        _, codes, ignored = self.boxes(index)
        counts = np.bincount(codes[~ignored], minlength=len(self.label_names))
        several = [f"{count} {name}" if count > 1 else name for name, count in zip(self.label_names, counts) if count]
        return ", ".join(several) or "no box"

    def drawn(self, index: int, side: int) -> np.ndarray:
        """Return the image with its boxes, each label in a colour; as `Records.drawn`."""
        image = super().drawn(index, side)
        corners, codes, ignored = self.boxes(index)
        scale = np.tile(np.array(image.shape[1::-1]) / self.size(index), 2)
        names = [self.label_names[code] if side >= NAMED else "" for code in codes[~ignored]]
        return annotate(image, corners[~ignored] * scale, names, [colour(int(code)) for code in codes[~ignored]])

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read these records as the plan shows them, always alike.

        Returns:
            images uint8 (b, h, w, c); float32 (b, m, 6): left, top, right, bottom px, class, and 1 for a box, -1 for one
            that is ignored, 0 where there is none, NOT_ASKED for a class that the image was not asked for. m is `MOST`, and one
            more for each class that some image was not asked for.
        """
        return Views(self, seed=0, still=True)(self._checked(indices), 0)

    def counts(self) -> np.ndarray:
        """Return the number of boxes of each class that are to be found: int64 (classes,)."""
        counts = np.zeros(len(self.label_names), np.int64)
        for index in range(len(self)):
            _, codes, ignored = self.boxes(index)
            counts += np.bincount(codes[~ignored], minlength=len(counts))
        return counts

    def _digest(self, add: Callable[[Any], None]) -> None:
        super()._digest(add)
        add(repr(self.plan).encode())
        for index in range(len(self)):
            corners, codes, ignored = self.boxes(index)
            add(corners.astype("<f8").tobytes() + codes.astype("<i4").tobytes() + ignored.tobytes())

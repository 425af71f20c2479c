"""What the rows of YOLO's label files hold beyond a class and four numbers, judged by all rows of a split together.

A row is a class and then one of: a box (cx cy w h); a box with a score, a track's number or both, as programs write that found
them; a box with keypoints (x y, or x y and 0, 1 or 2 for how visible they are), of a data set for poses; a polygon (x y x y ...),
of one for segmentation or turned boxes.

Design choices:
- `kpt_shape` in the data.yaml says that there are keypoints, and how many numbers each has; `task` (detect, pose, segment, obb)
  settles what is left. Else the rows themselves tell, nearly all of them: keypoints lie in the box of their row, and a polygon's
  first two corners at the edge of the others. What may be either is refused: it is one line to add.
- A row alone would not do: a score and a track's number 1 are a corner of a triangle as well.

Source: https://docs.ultralytics.com/datasets (detect, segment, pose, obb), and `save_txt` of its `predict` and `track`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from cnnkit.tasks.detection.boxes import Box
from cnnkit.tasks.detection.formats.files import Fault, number

BOX, POLYGON, KEYPOINTS, FOUND = "box", "polygon", "keypoints", "found"
_TASKS = {"segment": POLYGON, "obb": POLYGON, "detect": FOUND, "pose": KEYPOINTS}
_OUTSIDE = 0.5  # of the image's side: polygons lead out of their image by less, and px or numbers of tracks by more
_EDGE = 0.3  # of the width or height of all points, from their middle: a corner of an outline is further out
_FEW = 3  # rows that tell nothing where they may be either
_ROUNDING = 0.02
_FLAGS = (0, 1, 2)  # not labelled, hidden, seen

Values = Sequence[float]


def parsed(row: str, names: tuple[str, ...]) -> tuple[str, list[float]]:
    """Return the label of a row and the numbers behind it, of which there are four or more."""
    words = row.split()
    if len(words) < 5:
        raise Fault(f"{len(words)} values; a line is `class cx cy w h`, or `class x y x y x y ...` of a polygon")
    code = number(words[0])
    if code % 1 or not 0 <= code < len(names):
        raise Fault(f"the class {words[0]} is not one of the {len(names)} names (0 to {len(names) - 1})")
    values = [number(word) for word in words[1:]]
    if min(values[:4]) > 1:  # not even a box that leads out of its image has all four
        raise Fault("its values are px, not fractions of the image's width and height")
    return names[int(code)], values


def box_of(label: str, values: list[float], layout: str, keypoints: tuple[int, int] | None = None) -> Box:
    """Return the box of a row in fractions of its image; what is behind its four numbers is kept in `extra`."""
    if len(values) > 4 and layout == POLYGON:
        if len(values) < 6 or len(values) % 2:
            raise Fault(
                f"{len(values) + 1} values; a line is `class cx cy w h`, or `class x y x y x y ...` of a polygon"
            )
        if _is_odd(values):
            raise Fault(f"{max(values, key=abs):g} is no fraction of the image's width or height")
        left, top, right, bottom = min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])
        return Box(label, left, top, right, bottom, {"polygon": values})
    x, y, width, height = values[:4]
    if width <= 0 or height <= 0:
        raise Fault(f"a box of {width:g} x {height:g}: it needs a width and a height above 0")
    if keypoints and 4 < len(values) < 4 + keypoints[0] * keypoints[1]:
        raise Fault(
            f"{len(values) + 1} values; with `kpt_shape: {list(keypoints)}` a line has {5 + keypoints[0] * keypoints[1]}"
        )
    extra: dict[str, Any] = {layout: values[4:]} if len(values) > 4 else {}
    return Box(label, x - width / 2, y - height / 2, x + width / 2, y + height / 2, extra)


def layout(rows: Sequence[Values], keypoints: tuple[int, int] | None = None, task: str | None = None) -> str:
    """Judge what the rows of a split hold.

    Args:
        rows: the numbers of each row behind its class.
        keypoints: their number, and the numbers of each, as `kpt_shape` says.
        task: as the data.yaml says.

    Returns:
        BOX (four numbers each); POLYGON; KEYPOINTS; FOUND (a score or a track behind the box). Rows of four numbers may be
        among any of them.

    Raises:
        Fault: it may be several of these, or none.
    """
    rows = [row for row in rows if len(row) > 4]
    if not rows:
        return BOX
    if keypoints:
        return KEYPOINTS
    if task in _TASKS:
        return _TASKS[task]
    lengths = {len(row) for row in rows}
    if lengths <= {5, 6} and (5 in lengths or _tracked(rows)):
        return FOUND
    if len(lengths) == 1 and _with_flags(rows):
        return KEYPOINTS
    even = [row for row in rows if len(row) % 2 == 0]  # others cannot be polygons, and are named one by one
    if even and _share(even, _is_odd) >= 0.5:
        odd = next(row for row in even if _is_odd(row))
        raise Fault(
            f"a line of {len(odd) + 1} values with {max(odd, key=abs):g} among them is no polygon in fractions of the image. "
            "If it is a box with keypoints, say how many in data.yaml: `kpt_shape: [4, 2]`; if the box alone counts, say "
            "`task: detect`"
        )
    if len(lengths) > 1 or len(even) < len(rows) or lengths == {6}:
        return POLYGON
    polygons, poses = _share(even, _is_polygon), _share(even, _is_pose)
    few = len(even) < _FEW
    if poses < 0.5 or (polygons >= 0.9 and not (few and poses == 1)):
        return POLYGON
    if poses >= 0.95 and polygons < 0.5 and not few:
        return KEYPOINTS
    raise Fault(
        f"lines of {len(rows[0]) + 1} values may be polygons, or boxes with keypoints. Say which in data.yaml: "
        f"`task: segment`, or `kpt_shape: [{(len(rows[0]) - 4) // 2}, 2]`"
    )


def _share(rows: Sequence[Values], test: Callable[[Values], bool]) -> float:
    return sum(map(test, rows)) / len(rows)


def _is_odd(row: Values) -> bool:
    return max(row) > 1 + _OUTSIDE or min(row) < -_OUTSIDE


def _is_box(row: Values) -> bool:
    """Whether the first four numbers are a box that lies in its image."""
    return all(
        0 < side <= 1 + _ROUNDING and centre - side / 2 >= -_ROUNDING and centre + side / 2 <= 1 + _ROUNDING
        for centre, side in ((row[0], row[2]), (row[1], row[3]))
    )


def _tracked(rows: Sequence[Values]) -> bool:
    """Whether all rows of six numbers are a box, a score and a track's number: whole, in every row."""
    return all(_is_box(row) and (row[5] % 1 == 0 or row[4] % 1 == 0) for row in rows)


def _with_flags(rows: Sequence[Values]) -> bool:
    """Whether every third number behind the box says how visible a keypoint is."""
    return (len(rows[0]) - 4) % 3 == 0 and all(
        _is_box(row) and all(flag in _FLAGS for flag in row[6::3]) for row in rows
    )


def _is_pose(row: Values) -> bool:
    """Whether all points behind the box lie in it, or are 0, 0 as those that are not there."""
    x, y, width, height = row[:4]
    return _is_box(row) and all(
        (abs(a - x) <= width / 2 + _ROUNDING and abs(b - y) <= height / 2 + _ROUNDING) or a == b == 0
        for a, b in zip(row[4::2], row[5::2], strict=True)
    )


def _is_polygon(row: Values) -> bool:
    """Whether four points are a parallelogram, or the first two lie at the edge of the others and not far from them.

    The middle of a box lies among its keypoints; its width and height, taken for a point, lie anywhere.
    """
    xs, ys = row[::2], row[1::2]
    if len(xs) == 4:
        whole = max(max(xs) - min(xs), max(ys) - min(ys))
        if all(abs(a - b + c - d) <= whole / 4 for a, b, c, d in (xs, ys)):
            return True
    low, high = (min(xs[2:]), min(ys[2:])), (max(xs[2:]), max(ys[2:]))
    reach = max(high[0] - low[0], high[1] - low[1], 1e-9)
    for point in zip(xs[:2], ys[:2], strict=True):
        off = [abs(p - (a + b) / 2) / max(b - a, reach / 4) for p, a, b in zip(point, low, high, strict=True)]
        far = any(not a - 2 * reach <= p <= b + 2 * reach for p, a, b in zip(point, low, high, strict=True))
        if far or max(off) < _EDGE:
            return False
    return True

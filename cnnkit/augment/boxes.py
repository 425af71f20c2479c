"""How boxes move with their images.

Boxes are (left, top, right, bottom) in px, measured at the edges of pixels: a box around the pixel in the corner is (0, 0, 1, 1).
A matrix (a, b, c, d, e, f) says where each output pixel comes from, as Keras's and TensorFlow's do: from
(a x + b y + c, d x + e y + f), measured at the centres of pixels. So boxes go the other way, half a pixel aside.
"""

from typing import Any

PARTS = 8  # of a side, where it may bend
ROUNDS = 6  # of looking for where a point goes: each leaves at most half of the error behind


def moved(ops: Any, boxes: Any, matrix: Any, bend: Any = None) -> Any:
    """Return the smallest boxes around what is in boxes once their images have moved.

    Args:
        ops: the backend's functions, as a Keras preprocessing layer has them in `backend`.
        boxes: float32 (b, n, 4), as above.
        matrix: the six numbers of each image, each float32 (b, 1, 1).
        bend: what is added to where pixels come from: (x, y) -> (x, y), each (b, m) in px; None: nothing.

    Straight: the box around the four corners, which is exact for the box, and may be wider than the object in it. Bent: the
    box around the ends of `PARTS` parts of each side.
    """
    shares = [index / PARTS for index in range(PARTS + 1)] if bend is not None else [0.0, 1.0]
    edge = [(share, end) for share in shares for end in (0.0, 1.0)]
    across = ops.convert_to_tensor([x for x, _ in edge] + [y for _, y in edge], dtype="float32")
    down = ops.convert_to_tensor([y for _, y in edge] + [x for x, _ in edge], dtype="float32")
    left, top, right, bottom = (boxes[..., index, None] - 0.5 for index in range(4))
    x, y = left + (right - left) * across, top + (bottom - top) * down  # (b, n, points)
    a, b, c, d, e, f = matrix
    from_x, from_y = x - c, y - f
    area = a * e - b * d
    x, y = (e * from_x - b * from_y) / area, (a * from_y - d * from_x) / area
    for _ in range(ROUNDS if bend is not None else 0):
        shape = ops.shape(x)
        flat = (shape[0], -1)
        bent = bend(ops.numpy.reshape(x, flat), ops.numpy.reshape(y, flat))
        off_x, off_y = (from_ - ops.numpy.reshape(part, shape) for from_, part in zip((from_x, from_y), bent))
        x, y = (e * off_x - b * off_y) / area, (a * off_y - d * off_x) / area
    ends = (ops.numpy.min(x, -1), ops.numpy.min(y, -1), ops.numpy.max(x, -1), ops.numpy.max(y, -1))
    return ops.numpy.stack(ends, axis=-1) + 0.5

"""Small volumes with masks, as files: a bright ball in grey noise, and a darker box beside it."""

import numpy as np

from cnnkit.device.volumes.geometry import Geometry
from cnnkit.device.volumes.labels import write_labels
from cnnkit.device.volumes.nifti import write

SHAPE = (12, 18, 16)
NAMES = {"ball": 1, "box": 2}


def pair(seed, shape=SHAPE):
    """A volume float32 and its codes uint8, (z, y, x)."""
    rng = np.random.default_rng(seed)
    z, y, x = np.ogrid[tuple(slice(side) for side in shape)]
    middle = np.array(shape) / 2 + rng.uniform(-1, 1, 3)
    codes = np.zeros(shape, np.uint8)
    codes[(z - middle[0]) ** 2 + (y - middle[1]) ** 2 + (x - middle[2] + 3) ** 2 < 9] = 1
    codes[int(middle[0]) - 1 : int(middle[0]) + 2, int(middle[1]) : int(middle[1]) + 3, -5:-2] = 2
    grey = rng.normal(100, 8, shape) + 80 * (codes == 1) - 60 * (codes == 2)
    return grey.astype(np.float32), codes


def geometry(shape=SHAPE, spacing=(2.0, 1.0, 1.0)):
    return Geometry.plain(shape, spacing)


def folder(root, count=6, spacing=(2.0, 1.0, 1.0), turned=False):
    """Write `count` pairs into images/ and masks/; `turned`: as another hospital stores them, axes exchanged and reversed."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        grey, codes = pair(seed)
        own = geometry(spacing=spacing)
        if turned:
            matrix = own.matrix[:, [2, 0, 1, 3]].copy()
            grey, codes = (values.transpose(2, 0, 1)[::-1] for values in (grey, codes))
            matrix[:3, 3] += matrix[:3, 0] * (grey.shape[0] - 1)
            matrix[:3, 0] *= -1
            own = Geometry.of(matrix, grey.shape)
        write(root / "images" / f"case{seed:02}.nii.gz", np.ascontiguousarray(grey), own)
        write_labels(root / "masks" / f"case{seed:02}.nii.gz", np.ascontiguousarray(codes), own)
    return root

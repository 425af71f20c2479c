"""What other libraries say of the same masks: written into `tests/tasks/segmentation/oracles.json`, which tests compare with.

python -m venv oracles && oracles/bin/pip install surface-distance==0.1 monai==1.6.1 torch scipy numpy
oracles/bin/python benchmarks/oracles.py

An environment of its own: nothing of cnnkit is imported here, and nothing of this is a dependency of it. Written with NumPy
2.4.6, SciPy 1.17.1, PyTorch 2.13.0 (CPU). Both libraries are asked only about masks that are not empty: `surface-distance` fails
on empty ones with NumPy 2. MONAI's surface Dice is asked with `use_subvoxels`, without which it counts pixels; its losses
are asked with the smoothing of ours.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

PLACE = Path(__file__).parent.parent / "tests" / "tasks" / "segmentation" / "oracles.json"
SPACINGS = ((1.0, 1.0), (1.0, 1.0), (0.7, 0.7), (0.5, 3.0), (2.3, 0.9))
SHAPE = (40, 48)
COUNT = 15
VOLUME_SPACINGS = ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (5.0, 0.8, 0.8), (2.5, 0.7, 1.3))
VOLUME_SHAPE = (9, 14, 12)


def blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two masks that have much in common, bool (40, 48): smoothed noise, cut at a level that grows with the seed."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    common, first, second = (ndimage.gaussian_filter(rng.normal(size=SHAPE), 1 + seed % 4) for _ in range(3))
    level = (0.2 + 0.15 * (seed % 7)) * common.std()
    return common + 0.3 * first > level, common + 0.3 * second > level


def packed(mask: np.ndarray) -> str:
    return np.packbits(mask).tobytes().hex()


def distances(first: np.ndarray, second: np.ndarray, spacing: tuple[float, ...], tolerance: float) -> dict[str, float]:
    import surface_distance
    import torch
    from monai.metrics import compute_surface_dice

    between = surface_distance.compute_surface_distances(first, second, spacing)
    planes = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (first, second)]
    monai = compute_surface_dice(
        *planes, [tolerance], include_background=True, spacing=spacing, use_subvoxels=True
    ).item()
    one, other = between["distances_gt_to_pred"], between["distances_pred_to_gt"]
    lengths = [between["surfel_areas_gt"], between["surfel_areas_pred"]]
    return {
        "hd95": float(surface_distance.compute_robust_hausdorff(between, 95)),
        "hd100": float(surface_distance.compute_robust_hausdorff(between, 100)),
        "nsd": float(surface_distance.compute_surface_dice_at_tolerance(between, tolerance)),
        "nsd_monai": monai,
        "lengths": [float(part.sum()) for part in lengths],
        "averages": [float(part) for part in surface_distance.compute_average_surface_distance(between)],
        "mean": float((one @ lengths[0] + other @ lengths[1]) / (lengths[0].sum() + lengths[1].sum())),
    }


def losses(seed: int) -> dict[str, float]:
    """Return MONAI's and PyTorch's losses of codes and logits that `random` makes."""
    import torch
    from monai.losses import DiceLoss, FocalLoss, TverskyLoss

    codes, logits = random(seed)
    scores = torch.from_numpy(np.moveaxis(logits, -1, 1).copy())
    target = torch.from_numpy(codes.astype(np.int64))[:, None]
    options = {"include_background": False, "to_onehot_y": True, "softmax": True, "batch": True}
    smooth = {"smooth_nr": 1.0, "smooth_dr": 1.0}
    half = {"smooth_nr": 0.5, "smooth_dr": 0.5}
    return {
        "dice": DiceLoss(**options, **smooth)(scores, target).item(),
        "dice_sample": DiceLoss(**{**options, "batch": False}, **smooth)(scores, target).item(),
        "tversky": TverskyLoss(**options, alpha=0.3, beta=0.7, **half)(scores, target).item(),
        "cross_entropy": torch.nn.functional.cross_entropy(scores, target[:, 0]).item(),
        # MONAI means over units too; ours adds them up.
        "focal": 3 * FocalLoss(to_onehot_y=True, use_softmax=True, gamma=2.0)(scores, target).item(),
    }


def random(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return codes uint8 (2, 6, 5) of two labels, and logits float32 (2, 6, 5, 3): whole numbers of sixteenths."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, (2, 6, 5)).astype(np.uint8)
    return codes, (rng.integers(-48, 49, (2, 6, 5, 3)) / 16).astype(np.float32)


def volumes() -> list[dict[str, Any]]:
    """Return what `surface-distance` says of pairs of small volumes."""
    import surface_distance
    from scipy import ndimage

    rows = []
    for seed, spacing in enumerate(VOLUME_SPACINGS):
        rng = np.random.default_rng(seed)
        common, one, other = (ndimage.gaussian_filter(rng.normal(size=VOLUME_SHAPE), 1 + seed % 2) for _ in range(3))
        first, second = common + 0.4 * one > 0.5 * common.std(), common + 0.4 * other > 0.5 * common.std()
        tolerance = 1.13 * min(spacing)
        between = surface_distance.compute_surface_distances(first, second, spacing)
        rows.append(
            {
                "first": packed(first),
                "second": packed(second),
                "spacing": spacing,
                "tolerance": tolerance,
                "hd95": float(surface_distance.compute_robust_hausdorff(between, 95)),
                "nsd": float(surface_distance.compute_surface_dice_at_tolerance(between, tolerance)),
                "areas": [float(between[f"surfel_areas_{key}"].sum()) for key in ("gt", "pred")],
            }
        )
    return rows


def main() -> None:
    masks = []
    for seed in range(COUNT):
        first, second = blobs(seed)
        spacing = SPACINGS[seed % len(SPACINGS)]
        tolerance = (1.1, 2.05)[seed % 2]  # no distance is near these, so rounding decides nothing
        entry = {"first": packed(first), "second": packed(second), "spacing": spacing, "tolerance": tolerance}
        masks.append({**entry, **distances(first, second, spacing, tolerance)})
    drawn = []
    for seed in range(3):
        codes, logits = random(seed)
        drawn.append({"codes": codes.tolist(), "logits": logits.tolist(), **losses(seed)})
    lines = [f'{{"shape": {json.dumps(SHAPE)},', '"masks": [']
    lines += [",\n".join(json.dumps(entry) for entry in masks), "],", '"losses": [']
    lines += [",\n".join(json.dumps(entry) for entry in drawn), "],"]
    lines += [f'"volume_shape": {json.dumps(VOLUME_SHAPE)},', '"volumes": [']
    lines += [",\n".join(json.dumps(entry) for entry in volumes()), "]}", ""]
    PLACE.write_text("\n".join(lines), encoding="utf-8")
    print(f"{len(masks)} pairs of masks and {len(drawn)} batches: {PLACE}")


if __name__ == "__main__":
    main()

"""V_rand of ISBI-2012: how well the cells between membranes are told apart, whatever the width of the membranes.

    python benchmarks/membranes.py ANSWERS TRUTH [--inverted]
    oracles/bin/python benchmarks/membranes.py ANSWERS TRUTH --scikit-image

Two folders of masks of the same names, membranes bright (`--inverted`: dark, as the truth of ISBI-2012 is). The answer's
membranes are thinned to lines of one pixel, so cells are as large as they can be; cells are what hangs together without them, by
sides; pixels of true membrane do not count. What reaches a side of the picture is thinned as if it went on: otherwise lines
end before the side, cells run together there, and the truth itself has 0.57 to 0.91 in place of 1 (first four sections).
`--scikit-image` says beside it what its `skeletonize` and `adapted_rand_error` make of the same masks, in the environment of
`oracles.py` with OpenCV and scikit-image (0.26.0) added: equal to 1e-5 on the same cells, within 0.006 after their own thinning.

Sources: Arganda-Carreras et al. 2015, doi:10.3389/fnana.2015.00142 (V_rand, alpha = 0.5); Rosenfeld 1975 (thinning);
Yokoi et al. 1975 (what holds together).
"""

import argparse
from pathlib import Path

import cv2
import numpy as np


def thinned(mask: np.ndarray) -> np.ndarray:
    """Return lines of one pixel along the middle of a mask, bool (h, w): pixels of one side after the other are taken away
    unless they are an end or hold together what is there."""
    mask = np.pad(mask, 1, "edge")  # what reaches a side goes on beyond it, and stays whole
    while True:
        before = np.count_nonzero(mask)
        for side in (0, 4, 2, 6):  # up, down, right, left
            up, right, down, left = mask[:-2, 1:-1], mask[1:-1, 2:], mask[2:, 1:-1], mask[1:-1, :-2]
            ring = [up, mask[:-2, 2:], right, mask[2:, 2:], down, mask[2:, :-2], left, mask[:-2, :-2]]
            count = np.sum(ring, axis=0)
            pieces = np.sum([~ring[k] & (ring[k + 1] | ring[(k + 2) % 8]) for k in (0, 2, 4, 6)], axis=0)
            mask[1:-1, 1:-1] &= ring[side] | (count < 2) | (pieces != 1)
        if np.count_nonzero(mask) == before:
            return mask[1:-1, 1:-1]


def cells(membranes: np.ndarray) -> np.ndarray:
    """Return the cells between membranes: int32 (h, w), 0 for membrane."""
    return cv2.connectedComponents((~membranes).astype(np.uint8), connectivity=4)[1]


def v_rand(answer: np.ndarray, truth: np.ndarray, thin: bool = True) -> float:
    """Return V_rand of membranes, bool (h, w), in [0, 1]; higher is better."""
    found, there = cells(thinned(answer) if thin else answer), cells(truth)
    inside = there > 0
    pairs = np.unique(np.stack([found[inside], there[inside]]), axis=1, return_counts=True)
    (first, second), counts = pairs[0], pairs[1].astype(np.float64)
    said, true = np.bincount(first, counts), np.bincount(second, counts)
    both, said, true = ((part**2).sum() - counts.sum() for part in (counts, said, true))  # pairs of two pixels
    return float(2 * both / (said + true))


def by_scikit_image(answer: np.ndarray, truth: np.ndarray) -> float:
    from skimage.measure import label
    from skimage.metrics import adapted_rand_error
    from skimage.morphology import skeletonize

    wide = max(answer.shape) // 8
    lines = skeletonize(np.pad(answer, wide, "edge"))[wide:-wide, wide:-wide]
    found, there = label(~lines, connectivity=1), label(~truth, connectivity=1)
    return 1 - float(adapted_rand_error(there, found)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answers", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--inverted", action="store_true")
    parser.add_argument("--scikit-image", action="store_true")
    arguments = parser.parse_args()
    every = []
    for path in sorted(arguments.answers.iterdir()):
        answer, truth = (cv2.imread(str(place), 0) for place in (path, arguments.truth / path.name))
        answer, truth = (mask <= 127 if arguments.inverted else mask > 127 for mask in (answer, truth))
        scores = [v_rand(answer, truth)] + ([by_scikit_image(answer, truth)] if arguments.scikit_image else [])
        every.append(scores)
        print(path.name, *(f"{score:.4f}" for score in scores))
    print("mean", *(f"{score:.4f}" for score in np.mean(every, 0)))


if __name__ == "__main__":
    main()

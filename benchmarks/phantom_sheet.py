"""Draw the picture of the scans' README: slices of phantoms, and the same with outlines.

python benchmarks/phantom_sheet.py
"""

from pathlib import Path

import cv2
import numpy as np

from cnnkit_scans.phantoms import LABELS, PhantomMasks, Phantoms

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "phantoms.jpg"
SHOWN = (49, 33, 26, 40)  # slices of the test split
LARGER = 1.5
COLOURS = ((80, 220, 60), (70, 90, 255), (0, 215, 255))  # BGR, of each label


def main() -> None:
    slices = Phantoms(30, 4, seed=2)
    masks = PhantomMasks(slices)
    rows: list[list[np.ndarray]] = [[], []]
    for index in SHOWN:
        plain = cv2.resize(slices.native(index), None, fx=LARGER, fy=LARGER, interpolation=cv2.INTER_CUBIC)
        outlined = cv2.cvtColor(plain, cv2.COLOR_GRAY2BGR)
        rows[0].append(outlined.copy())
        codes = masks.native(index)
        for code, colour in enumerate(COLOURS[: len(LABELS)], start=1):
            place = ((codes == code) if code > 1 else (codes > 0)).astype(np.float32)
            large = cv2.resize(place, plain.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
            outlines, _ = cv2.findContours(large.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(outlined, outlines, -1, colour, 1, cv2.LINE_AA)
        rows[1].append(outlined)
    cv2.imwrite(str(PICTURE), np.vstack([np.hstack(row) for row in rows]), [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f"-> {PICTURE}")


if __name__ == "__main__":
    main()

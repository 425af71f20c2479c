"""Draw the picture of the README of steering: frames of drives, a row a drive, with the angle of the wheel in degrees.

python benchmarks/drives_sheet.py
"""

from pathlib import Path

import cv2
import numpy as np

from cnnkit_steering.drives import drive, frame

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "drives.jpg"
DRIVES, FRAMES, LENGTH = (3, 1, 7, 8, 0, 12), (0, 12, 24, 36), 40


def main() -> None:
    rows = []
    for number in DRIVES:
        row = []
        for k in FRAMES:
            shown = cv2.resize(frame(0, number, k, LENGTH), (240, 90), interpolation=cv2.INTER_CUBIC)
            angle = f"{drive(0, number, LENGTH).angle[k]:+.0f}"
            for colour, thick in ((0, 3), (255, 1)):
                cv2.putText(shown, angle, (4, 84), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (colour,) * 3, thick, cv2.LINE_AA)
            row.append(np.pad(shown, ((1, 1), (1, 1), (0, 0)), constant_values=255))
        rows.append(np.concatenate(row, 1))
    cv2.imwrite(str(PICTURE), np.concatenate(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(f"-> {PICTURE}")


if __name__ == "__main__":
    main()

"""Draw the picture of the photos' README: drawn surfaces, a row a kind.

python benchmarks/surface_sheet.py
"""

from pathlib import Path

import cv2
import numpy as np

from cnnkit_photos.drawn_surfaces import LABELS, draw

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "surfaces.jpg"
EACH, SIDE, MARGIN = 7, 120, 110  # pictures of a kind; px of one, and of the names beside them


def main() -> None:
    rows = []
    for kind, label in enumerate(LABELS):
        name = np.full((SIDE, MARGIN), 255, np.uint8)
        for line, word in enumerate(label.replace("_", " ").split()):
            cv2.putText(name, word, (6, SIDE // 2 + 18 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0, 1, cv2.LINE_AA)
        shown = [draw(0, len(LABELS) * number + kind) for number in range(EACH)]
        rows.append(np.hstack([name, *(cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in shown)]))
    cv2.imwrite(str(PICTURE), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(f"-> {PICTURE}")


if __name__ == "__main__":
    main()

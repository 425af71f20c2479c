"""Draw the picture of the README of what `demo` serves: two models in Chromium, a digit that is drawn and signs on a photo.

    python benchmarks/demo_pictures.py --digits RUN --signs RUN --photo road459.jpg

Both runs are exported already. Needs npm once, chromium and chromedriver.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

import results
from cnnkit.opening import exported
from cnnkit.verbs import demo
from cnnkit_digits.cli import main as digits
from cnnkit_signs.cli import main as signs

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.browser import browser

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "demo.jpg"
SIZE = {"width": 620, "height": 760}
THREE = [(-0.16, -0.28), (0, -0.36), (0.15, -0.28), (0.15, -0.12), (0, -0.03), (-0.04, -0.03), (0.03, -0.03)]
THREE += [(0.18, 0.07), (0.18, 0.24), (0.03, 0.34), (-0.18, 0.27)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", type=Path)
    parser.add_argument("--signs", type=Path)
    parser.add_argument("--photo", type=Path, help="the README has road459.jpg of road-signs-877")
    arguments = parser.parse_args()
    photo = results.needed(arguments.photo, "--photo", "a picture with signs")
    shown = []
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as chromium:
        for number, app in enumerate((digits.app, signs.app)):
            preparation = app.preparation() if app.preparation else None
            given = results.needed(getattr(arguments, app.name), f"--{app.name}", "a run, exported")
            made = demo.page(app.name, exported(given, app.name), title=app.help, preparation=preparation)
            with made.serving(0) as address:
                chromium.looks(dark=bool(number), **SIZE)
                chromium.open(address)
                chromium.until("return document.body.dataset.state")
                if number:
                    chromium.type("input[type=file]", str(photo.resolve()))
                else:
                    chromium.drag("canvas", THREE)
                chromium.until("return document.body.dataset.answer")
                shown.append(cv2.imdecode(np.frombuffer(chromium.picture("demo.png"), np.uint8), cv2.IMREAD_COLOR))
    cv2.imwrite(str(PICTURE), np.concatenate(shown, 1), [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f"-> {PICTURE}")


if __name__ == "__main__":
    main()

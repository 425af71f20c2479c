"""Blending of windows against MONAI's: the same answers, and what it costs without a network.

    python -m venv oracles && oracles/bin/pip install monai==1.6.1 torch numpy opencv-python-headless
    oracles/bin/python benchmarks/windows.py

An environment of its own; of cnnkit only `cnnkit/device/windows.py` is loaded, by its path. The predictor
is one of NumPy that gives each pixel a score that depends on where in its window it is, so that weights matter. Both take
windows of 192 px that overlap by half, eight at once. `seconds`: the median of seven, the two in turns, with a predictor that
does nothing but return scores.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
SIDE, AT_ONCE = 192, 8
NOTHING = np.zeros((AT_ONCE, SIDE, SIDE, 2), np.float32)
SIZES = ((584, 565), (1024, 1024), (400, 1300), (192, 500))


def ours():
    spec = importlib.util.spec_from_file_location("windows", ROOT / "cnnkit" / "device" / "windows.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "windows.json")
    arguments = parser.parse_args()
    import monai
    import torch
    from monai.inferers import sliding_window_inference

    windows = ours()
    torch.set_num_threads(1)
    ramp = np.linspace(0, 1, SIDE, dtype=np.float32)
    place = np.stack([ramp[:, None] + 0 * ramp, 0 * ramp[:, None] + ramp], -1)  # of two channels

    def answer(cuts: np.ndarray) -> np.ndarray:
        return cuts[..., :1] * place + place**2

    rows = []
    for height, width in SIZES:
        picture = np.random.default_rng(0).random((height, width, 1)).astype(np.float32)

        def blended(predict, picture=picture):
            def cut(places):
                return predict(np.stack([picture[top : top + SIDE, left : left + SIDE] for top, left in places]))

            found = np.empty((*picture.shape[:2], NOTHING.shape[-1]), np.float32)
            for place, block in windows.blended(picture.shape[:2], (SIDE, SIDE), cut, at_once=AT_ONCE):
                found[windows.there(place, block)] = block
            return found

        def by_monai(predict, picture=picture):
            def run(batch):
                found = predict(batch.numpy().transpose(0, 2, 3, 1))
                return torch.from_numpy(np.ascontiguousarray(found.transpose(0, 3, 1, 2)))

            tensor = torch.from_numpy(picture.transpose(2, 0, 1)[None])
            found = sliding_window_inference(tensor, (SIDE, SIDE), AT_ONCE, run, overlap=0.5, mode="gaussian")
            return found[0].numpy().transpose(1, 2, 0)

        apart = float(np.abs(blended(answer) - by_monai(answer)).max())
        seconds: dict[str, list[float]] = {"ours": [], "monai": []}
        for _ in range(7):
            for name, work in (("ours", blended), ("monai", by_monai)):
                began = time.perf_counter()
                work(lambda cuts: NOTHING[: len(cuts)])
                seconds[name].append(time.perf_counter() - began)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        rows.append({"size": [height, width], "largest_difference": apart, "seconds": medians})
        print(rows[-1], flush=True)
    versions = {"monai": monai.__version__, "torch": torch.__version__, "numpy": np.__version__}
    document = {"command": f"python benchmarks/{Path(sys.argv[0]).name}", "versions": versions, "rows": rows}
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()

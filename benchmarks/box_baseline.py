"""The detector without a network that every detector has to beat: AP50 on training images that it did not learn from.

    python benchmarks/box_baseline.py [--variants]

Each data set's training images (its test split is not read) are dealt into three folds; 100 images of the other two are learnt
from, 60 of the fold are looked at. `--variants` also tries other sizes of the image, of a region's grid, and other numbers of
background regions, which is how the settings of `cnnkit.tasks.detection.regions` are chosen.
"""

import argparse
import statistics
from typing import Any

import numpy as np

import results
from cnnkit.quiet import quiet

with quiet():
    from cnnkit.data import splits
    from cnnkit.tasks.detection import coco, regions
    from cnnkit.tasks.detection.loading import load

FOLDS, LEARNT, LOOKED_AT = 3, 100, 60
VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "384 px": {"SIDE": 384},
    "800 regions": {"REGIONS": 800},
    "25 of background": {"_AROUND": 25},
    "margin 0.1": {"_MARGIN": 0.1},
    "margin 0.1, 25 of background": {"_MARGIN": 0.1, "_AROUND": 25},
}


def once(records: Any, fold: int) -> float:
    """Return AP50 of one fold."""
    dealt = np.random.default_rng(0).permutation(len(records)) % FOLDS
    others, own = records.take(np.flatnonzero(dealt != fold)), records.take(np.flatnonzero(dealt == fold))
    learnt = np.sort(splits.spread(others.labels)[:LEARNT]).tolist()
    plain = regions.Regions((others.native(index), others.boxes(index)) for index in learnt)
    count = min(LOOKED_AT, len(own))
    told = [plain.find(own.native(index)) for index in range(count)]
    truth = [coco.Truth(*own.boxes(index)) for index in range(count)]
    return float(coco.score(told, truth, records.label_names)["ap50"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["road-scenes", "road-signs-877"])
    parser.add_argument("--variants", action="store_true", help="other settings too")
    options = parser.parse_args()
    before = {name: getattr(regions, name) for change in VARIANTS.values() for name in change}
    rows = []
    for name in options.data:
        records = load(name, seed=0).train
        for variant, changes in VARIANTS.items() if options.variants else [("as it is", {})]:
            for key, value in {**before, **changes}.items():
                setattr(regions, key, value)
            found = [once(records, fold) for fold in range(FOLDS)]
            rows.append({"data": name, "variant": variant, "ap50": found, "mean_ap50": statistics.mean(found)})
            print(
                f"{name}, {variant}: {100 * rows[-1]['mean_ap50']:.1f} ({', '.join(f'{100 * ap:.1f}' for ap in found)})",
                flush=True,
            )
    results.write("box_baseline", {"rows": rows})


if __name__ == "__main__":
    main()

"""What each part of the default for texts gains: all on, all off, some off, then one after the other left out.

    python benchmarks/ablation.py                                   # five sets, three folds or seeds each, four variants
    python benchmarks/ablation.py --data trec --variants all-on no-pairs --numbers 0

Folds, seeds and settings are those of `text.py accuracy`; the score is F1 of spam, elsewhere accuracy, on its test folds. Parts
are kept or go by the mean over five sets, so no row is tuned. After every training `results/ablation.json` is written, so a run
that was stopped goes on where it was; `--table` prints what is there.

All on and all off come first, number by number over all sets, so that a stopped run compares like with like. Where a part is not
in use, as the refit is not where a set has its own validation, nothing is trained: the row is that of all-on.

Rows of parts that are gone stay in the results: n-grams in training, words by their endings, a second hash of pairs. All-on had
the last two there, so did what was trained beside it; `lean` had none of them, as the default now.
"""

import argparse
import json
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import results
import text

BOUNDS = ("all-on", "all-off")  # trained first


@dataclass(frozen=True)
class Variant:
    """A default that lacks something.

    Attributes:
        options: of the builder, in place of its own.
        settings: of the training, in place of the preset's.
    """

    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def in_use(self, row: dict[str, Any]) -> bool:
        """Whether it trains otherwise than all-on, whose row of this set and number says what that had."""
        return bool((self.settings and row["refit"]) or (self.options and row["pairs"]))


VARIANTS = {
    "all-on": Variant(),
    "all-off": Variant({"pair_buckets": 0}, {"refit": False}),
    "no-refit": Variant(settings={"refit": False}),
    "no-pairs": Variant({"pair_buckets": 0}),
}


def order(variants: list[str], data: list[str], numbers: list[int]) -> list[tuple[str, str, int]]:
    """Return (variant, data, number) in the order of training: all on and all off first, then the others, number by number."""
    stages = [[name for name in variants if (name in BOUNDS) == first] for first in (True, False)]
    return [(name, one, number) for stage in stages for number in numbers for one in data for name in stage]


def trained(variant: str, data: str, number: int) -> dict[str, Any]:
    """Train and score a cell."""
    from cnnkit_text.model import options

    chosen = VARIANTS[variant]
    began = time.process_time()
    splits, whole, _, scores = text.one(data, "default", number, dict(chosen.options), settings=chosen.settings)
    own = options(splits.train, "default")
    spam = scores["per_class"].get("spam")
    return {
        "score": spam["f1"] if spam else scores["accuracy"],
        "count": scores["count"],
        "seconds": scores["seconds"],
        "processor_seconds": time.process_time() - began,  # loading and scoring too
        "parameters": scores["parameters"],
        "refit": whole is not None,
        "pairs": own.get("pair_buckets", 0),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return variant by set: mean score and difference to all-on over the numbers that both have, in points; seconds."""
    found = {(row["variant"], row["data"], row["number"]): row for row in rows}
    data, variants = (list(dict.fromkeys(row[key] for row in rows)) for key in ("data", "variant"))
    lines = [f"{'':12}" + "".join(f"{name:>20}" for name in [*data, "mean difference", "seconds"])]
    for variant in variants:
        cells, differences, seconds = [], [], []
        for name in data:
            pairs = [
                (found["all-on", name, number], found[variant, name, number])
                for number in sorted(row["number"] for row in rows if (row["variant"], row["data"]) == (variant, name))
                if ("all-on", name, number) in found
            ]
            if not pairs:
                cells.append("")
                continue
            score = 100 * statistics.mean(own["score"] for _, own in pairs)
            differences.append(score - 100 * statistics.mean(whole["score"] for whole, _ in pairs))
            seconds += [own["processor_seconds"] for _, own in pairs]
            cells.append(f"{score:.2f} {differences[-1]:+.2f} ({len(pairs)})")
        ends = [
            f"{statistics.mean(values):{form}}" if values else ""
            for values, form in ((differences, "+.2f"), (seconds, ".0f"))
        ]
        lines.append(f"{variant:12}" + "".join(f"{cell:>20}" for cell in [*cells, *ends]))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["mr", "subj", "trec", "sst2", "sms-spam"])
    parser.add_argument("--numbers", type=int, nargs="+", default=[0, 1, 2], help="folds or seeds, from 0")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--table", action="store_true", help="print what is there, and train nothing")
    arguments = parser.parse_args()
    known = results.FOLDER / "ablation.json"
    rows = json.loads(known.read_text(encoding="utf-8"))["rows"] if known.exists() else []
    done = {(row["variant"], row["data"], row["number"]): row for row in rows}
    for cell in [] if arguments.table else order(arguments.variants, arguments.data, arguments.numbers):
        if cell in done:
            continue
        variant, data, number = cell
        whole = done.get(("all-on", data, number))
        idle = variant != "all-on" and whole is not None and not VARIANTS[variant].in_use(whole)
        row = {**whole, "same_as": "all-on"} if idle else trained(variant, data, number)
        done[cell] = {**row, "variant": variant, "data": data, "number": number}
        rows.append(done[cell])
        print(variant, data, number, f"{row['score']:.4f}", f"{row['processor_seconds']:.0f} s", flush=True)
        results.write("ablation", {"rows": rows})
    print(table(rows))


if __name__ == "__main__":
    main()

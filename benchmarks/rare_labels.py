"""Rare labels of several: how often they are right where they are given, on real questions.

    CNNKIT_DATA=... python benchmarks/rare_labels.py --seeds 0 1 2     # some minutes on two cores

1,000 of TREC's training questions, with their kind as one label and `what` as another where they begin with "what": 10 of them
about abbreviations, 60 about places, the others as they come. Trained by `cnnkit text train` with its default; scored by
`evaluate` on all the other questions, of which 76 are about abbreviations. Told is, by label, how many were given it and how
many of these rightly.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import results

KINDS = ("description", "entity", "abbreviation", "human", "location", "number")
COUNTS = {"abbreviation": 10, "location": 60}
TEXTS = 1000


def questions() -> list[tuple[str, tuple[str, ...]]]:
    """Return TREC's training questions with their labels."""
    found = []
    for line in results.research("text/TREC.train.all").read_text(encoding="latin-1").splitlines():
        number, _, text = line.partition(" ")
        found.append((text, (KINDS[int(number)], *(["what"] if text.lower().startswith("what") else []))))
    return found


def divided(seed: int) -> tuple[list[int], list[int]]:
    """Return the places of training questions, with as many of each rare kind as there are to be, and of the others."""
    rng = np.random.default_rng(seed)
    kinds = np.array([labels[0] for _, labels in questions()])
    chosen = [rng.permutation(np.flatnonzero(kinds == kind))[:count] for kind, count in COUNTS.items()]
    rest = np.flatnonzero(~np.isin(kinds, list(COUNTS)))
    chosen.append(rng.permutation(rest)[: TEXTS - sum(COUNTS.values())])
    train = np.sort(np.concatenate(chosen))
    return train.tolist(), np.setdiff1d(np.arange(len(kinds)), train).tolist()


def write(path: Path, places: list[int]) -> None:
    """Write questions as rows of JSON."""
    every = questions()
    lines = [json.dumps({"text": every[place][0], "labels": list(every[place][1])}) for place in places]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark/rare-labels"))
    options = parser.parse_args()
    rows = []
    for seed in options.seeds:
        folder = options.runs / str(seed)
        train, test = divided(seed)
        write(folder / "data.jsonl", train)
        write(folder / "others.jsonl", test)
        results.trained("text", folder / "run", "--data", str(folder / "data.jsonl"), "--seed", str(seed), threads=2)
        told = results.cnnkit(
            "text", "evaluate", str(folder / "run"), "--data", str(folder / "others.jsonl"), threads=2
        )
        by_label = {}
        for label, entry in told["per_class"].items():
            right = round(entry["recall"] * entry["support"])
            given = round(right / entry["precision"]) if entry["precision"] else 0
            by_label[label] = {
                "given": given,
                "right": right,
                "there": entry["support"],
                "threshold": entry.get("threshold"),
            }
        rows.append({"seed": seed, "micro_f1": told.get("micro_f1"), "labels": by_label})
        print(
            seed,
            {label: (entry["right"], entry["given"], entry["there"]) for label, entry in by_label.items()},
            flush=True,
        )
    results.write("rare_labels", {"rows": rows})


if __name__ == "__main__":
    main()

"""`read` on seeded pages: how many digits and numbers come out right, and how many are invented.

    python benchmarks/read_pages.py --model x.tflite [--pages 100] [--blank 20] [--out FILE.json]

Pages are made by `digit_pages.py`, seeds 0, 1, 2 ...: MNIST's test digits as numbers of 1 to 8 digits, on paper that is
shaded, ruled, squared or blank, noisy, turned up to 10 degrees, at several scales, with words and doodles between; and pages
without any digit. The reader's settings were chosen on pages with seeds from 1000 on, made of training digits.

A digit is right if the reader's digit that overlaps its box most (intersection over union at least 0.3, each used once) has its
label. A number is right if the reader's number that overlaps its box most (at least 0.5) has exactly its text. A number is
invented if it touches no number of the page.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

import results
from cnnkit.device.model import DeviceModel
from cnnkit.inputs.image.loading import load
from cnnkit_digits.reader import read_page
from digit_pages import blank_page, page

Box = tuple[float, float, float, float]


def overlap(one: Box, other: Box) -> float:
    """Return the intersection of two boxes over their union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - shared)


def matched(truth: list[Any], found: list[Any], least: float) -> dict[int, int]:
    """Pair boxes, the best overlap first; each is used once."""
    pairs = sorted(
        ((overlap(a.box, b.box), i, j) for i, a in enumerate(truth) for j, b in enumerate(found)), reverse=True
    )
    pairing: dict[int, int] = {}
    for value, i, j in pairs:
        if value >= least and i not in pairing and j not in pairing.values():
            pairing[i] = j
    return pairing


def score(read: Any, truth: Any) -> dict[str, int]:
    """Count what is right on a page."""
    true_digits = [digit for number in truth.numbers for digit in number.digits]
    read_digits = [digit for number in read.numbers for digit in number.digits]
    digits = matched(true_digits, read_digits, 0.3)
    numbers = matched(list(truth.numbers), list(read.numbers), 0.5)
    return {
        "digits": len(true_digits),
        "digits_found": len(digits),
        "digits_right": sum(true_digits[i].text == read_digits[j].text for i, j in digits.items()),
        "numbers": len(truth.numbers),
        "numbers_right": sum(truth.numbers[i].text == read.numbers[j].text for i, j in numbers.items()),
        "invented": sum(all(overlap(n.box, t.box) == 0 for t in truth.numbers) for n in read.numbers),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--blank", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file  [default: benchmarks/results/read_pages.json]")
    arguments = parser.parse_args()
    test = load(arguments.data).test
    images, labels = test.read(np.arange(len(test)))
    model = DeviceModel.open(arguments.model, threads=1)
    totals: dict[str, int] = {}
    seconds = []
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.pages)
    for seed in seeds:
        picture, truth = page(seed, images, labels)
        began = time.perf_counter()
        read = read_page(picture, lambda digits: model.run_batch(digits)["scores"])
        seconds.append(time.perf_counter() - began)
        for key, value in score(read, truth).items():
            totals[key] = totals.get(key, 0) + value
    blank = [
        len(read_page(blank_page(seed)[0], lambda digits: model.run_batch(digits)["scores"]).numbers)
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.blank)
    ]
    content = {
        "model": arguments.model.name,
        "seeds": [seeds.start, seeds.stop - 1],
        "pages": arguments.pages,
        **totals,
        "digit_accuracy": totals["digits_right"] / totals["digits"],
        "number_accuracy": totals["numbers_right"] / totals["numbers"],
        "invented_beside_numbers": totals["invented"],
        "blank_pages": arguments.blank,
        "invented": sum(blank),
        "median_seconds_per_page": statistics.median(seconds),
    }
    print(content)
    results.write("read_pages", content, arguments.out)


if __name__ == "__main__":
    main()

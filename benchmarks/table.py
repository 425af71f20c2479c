"""Write the tables of measured numbers into the READMEs, from what the benchmarks left in `results/`.

python benchmarks/table.py
"""

import json
import re
from pathlib import Path
from typing import Any

from cnnkit.files import write_text

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
PAGES = [ROOT / "README.md", ROOT / "apps" / "cnnkit_digits" / "README.md"]
TITLES = {
    "digits-default": "embedded digits, held-out fifth, `default`",
    "mnist-default": "MNIST, `default`",
    "mnist-simple_cnn": "MNIST, `simple_cnn`",
    "mnist-micro": "MNIST, `micro`",
}


def read(name: str) -> dict[str, Any]:
    """Return a benchmark's results."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def accuracy() -> str:
    """Return the table of accuracies."""
    lines = [
        "| | parameters | test accuracy %, mean (spread, seeds) | linear baseline % | int8 %, mean | int8 kB | minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, title in TITLES.items():
        r = read(f"accuracy-{name}")
        spread = f"{100 * r['mean_accuracy']:.2f} ({100 * r['standard_deviation']:.2f}, {len(r['seeds'])})"
        baseline = sum(row["baseline"] for row in r["rows"]) / len(r["rows"])
        cells = [
            title,
            f"{r['parameters']:,}",
            spread,
            f"{100 * baseline:.1f}",
            f"{100 * r['mean_int8_accuracy']:.2f}",
            f"{r['int8_bytes'] / 1000:.0f}",
            f"{r['mean_minutes']:.1f} on {r['cores']} core{'s' if r['cores'] != '1' else ''}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def others() -> str:
    """Return the table of everything else."""
    fast, speed, memory = read("seconds-to-99"), read("throughput-default"), read("memory")
    start, kill, pages = read("startup"), read("kill"), read("read_pages")
    rows = [
        (
            "seconds of training to 99 % on MNIST",
            f"{fast['mean_seconds']:.1f} s ({100 * fast['lowest_accuracy']:.2f} % or more, {len(fast['rows'])} seeds)",
            "seconds_to_99.py",
        ),
        (
            "training throughput beside plain `keras.Model.fit` in memory",
            f"{speed['median_ratio']['streamed']:.2f}; with augmentation {speed['median_ratio']['augmented']:.2f}",
            "throughput.py",
        ),
        ("peak memory at ten times the images", growth(memory), "memory.py"),
        (
            "`cnnkit digits predict x.tflite image.png`, whole process",
            f"{start['median']['cnnkit digits predict x.tflite image.png']:.2f} s",
            "startup.py",
        ),
        ("`cnnkit digits --help`", f"{start['median']['cnnkit digits --help']:.2f} s", "startup.py"),
        (
            "killed at a random moment and resumed: identical weights",
            f"{kill['identical']} of {kill['kills']}",
            "kill.py",
        ),
        (
            f"`read` on {pages['pages']} made pages",
            f"{100 * pages['digit_accuracy']:.1f} % of digits, {100 * pages['number_accuracy']:.1f} % of numbers right; "
            f"{pages['invented']} invented on {pages['blank_pages']} pages without digits",
            "read_pages.py",
        ),
    ]
    return "\n".join(["| | measured | script |", "|---|---|---|", *(f"| {a} | {b} | `{c}` |" for a, b, c in rows)])


def growth(memory: dict[str, Any]) -> str:
    return "; ".join(f"{entry['kind']} {100 * entry['growth']:+.1f} %" for entry in memory["kinds"])


def machine() -> str:
    """Return one line on where this was measured."""
    r = read("accuracy-mnist-default")
    return f"Measured on {r['machine']['cores']} cores ({r['machine']['processor']}), TensorFlow {r['versions']['tensorflow']}."


def page(text: str) -> str:
    """Return a page with its tables written anew."""
    for name, table in (("accuracy", accuracy), ("others", others), ("machine", machine)):
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", re.DOTALL)
        if pattern.search(text):
            made = table()
            text = pattern.sub(lambda found, made=made: found.group(1) + made + found.group(2), text)
    return text


if __name__ == "__main__":
    for path in PAGES:
        write_text(path, page(path.read_text(encoding="utf-8")))
        print(f"-> {path.relative_to(ROOT)}")

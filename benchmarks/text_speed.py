"""Texts: speed of training beside plain Keras, cost of a large vocabulary, time of `predict`, memory of a million lines.

    python benchmarks/text_speed.py training [--data FILE] [--rounds 5]
    python benchmarks/text_speed.py vocabulary [--rounds 3]
    python benchmarks/text_speed.py predict [--run RUN] [--runs 9] [--lines 100000]
    python benchmarks/text_speed.py memory [--lines 100000] [--factor 10]

`training` and `vocabulary` train Kim's network in our loop and in `keras.Model.fit`, which has Keras's own Embedding and AdamW
and arrays of ids, padded to the full length, in memory; rounds alternate, and the median of their ratios is told. `predict` times
whole processes, wall clock and processor time. `memory` trains on generated lines with whole `cnnkit text train` commands,
baseline and report included, and compares the peaks of their resident memory.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import results

STEPS = {"training": 60, "vocabulary": 8}  # of a round
WIDTH = 300


def write_lines(path: Path, count: int, *, words: int = 30_000, seed: int = 0) -> None:
    """Write `label sentence` lines: 5 to 19 words of Zipf's frequencies, one of which tells the label in three of four."""
    rng = np.random.default_rng(seed)
    names = np.array([f"w{number}" for number in range(words)], object)
    sums = np.cumsum(1 / np.arange(1, words + 1))
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, count, 10_000):
            sizes = rng.integers(5, 20, min(10_000, count - start))
            labels = rng.integers(0, 2, len(sizes)).tolist()
            drawn = names[np.searchsorted(sums / sums[-1], rng.random(int(sizes.sum())))].tolist()
            begin = 0
            for number, (size, label) in enumerate(zip(sizes.tolist(), labels, strict=True)):
                row = drawn[begin : begin + size]
                begin += size
                if number % 4:
                    row[0] = ("good", "bad")[label]
                file.write(f"{'pn'[label]} {' '.join(row)}\n")


def spent(command: list[str], **options: Any) -> tuple[int, dict[str, float]]:
    """Run a command; return its exit code, and seconds of wall clock and processor, and the peak of its memory in MB."""
    began = time.perf_counter()
    # As pip installs a package: compiled. Some machines tell Python to compile anew every time.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(command, env=environment, **options)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }


def middle(rows: list[dict[str, float]], key: str) -> float:
    return statistics.median(row[key] for row in rows)


def memory(arguments: argparse.Namespace) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for count in (arguments.lines, arguments.lines * arguments.factor):
            data = Path(name) / f"lines-{count}.txt"
            write_lines(data, count)
            command = [sys.executable, "-m", "cnnkit_text.cli", "train", "--data", str(data), "--model", "kim-rand"]
            command += ["--width", "16", "--maps", "16", "--epochs", "1", "--batch-size", "512", "--json"]
            run = Path(name) / str(count)
            code, row = spent([*command, "--out", str(run)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            document = json.loads((run / "run.json").read_text(encoding="utf-8"))
            if code or not (run / "report.html").exists():
                raise SystemExit(f"{' '.join(command)} ended with {code}.")
            row |= {"lines": count, "lines_per_second": count / row["seconds"], "mb_of_data": data.stat().st_size / 1e6}
            row["training_seconds"] = document["training"]["seconds"]
            row["accuracy"] = document["scores"]["test"]["accuracy"]
            row["baseline"] = document["scores"]["test"]["baseline"]["accuracy"]
            rows.append(row)
            print(
                f"{count:,} lines: peak {row['peak_mb']:.0f} MB, {row['seconds']:.0f} s, {row['cpu_seconds']:.0f} s of CPU"
            )
    growth = rows[1]["peak_mb"] / rows[0]["peak_mb"] - 1
    print(f"{100 * growth:+.1f} %")
    results.write("text-memory", {"rows": rows, "growth": growth})


def plain_kim(size: int, length: int, classes: int, rate: Any) -> Any:
    """The network of `cnnkit.models.text.kim`, in Keras's own layers and with its own optimizer."""
    import keras
    from keras import layers

    ids = keras.Input((length,), dtype="int32")
    words = layers.Embedding(size, WIDTH, embeddings_initializer=keras.initializers.RandomUniform(-0.25, 0.25))(ids)
    pooled = [
        layers.GlobalMaxPooling1D()(layers.Conv1D(100, region, padding="same", activation="relu")(words))
        for region in (3, 4, 5)
    ]
    x = layers.Dropout(0.5)(layers.Concatenate()(pooled))
    logits = layers.Dense(classes, kernel_constraint=keras.constraints.MaxNorm(3.0, axis=0))(x)
    model = keras.Model(ids, logits)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.0)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss=loss, metrics=["accuracy"], jit_compile=False)
    return model


def compared(records: Any, steps: int, rounds: int, sides: tuple[str, ...] = ("ours", "keras")) -> dict[str, Any]:
    """Train on both sides in turn; return sentences a second of each round, and their ratios."""
    import keras

    from cnnkit import training
    from cnnkit_text.cli import classification

    recipe = classification()
    preset = recipe.preset("kim-rand", len(records), False)
    known = {field: value for field, value in preset.items() if field != "options"}
    options = {"size": records.tokenizer.size, "width": WIDTH}
    settings = recipe.Settings(**{**known, "model": "kim-rand", "options": options})
    classes, batch = len(records.label_names), settings.batch_size
    steps = min(steps, len(records) // batch)
    ours, batches, _ = training.steps(recipe, settings, records)
    plain = plain_kim(records.tokenizer.size, records.input_shape[0], classes, settings.learning_rate)
    ids, labels = records.read(np.arange(steps * batch))
    targets = np.eye(classes, dtype=np.float32)[labels]

    def once(side: str, number: int) -> float:
        began = time.perf_counter()
        if side == "keras":
            plain.fit(ids, targets, batch_size=batch, epochs=1, verbose=0)
        else:
            stream = batches(number * steps, (number + 1) * steps)
            ours.fit(stream, epochs=1, steps_per_epoch=steps, verbose=0, shuffle=False)
        return steps * batch / (time.perf_counter() - began)

    rates: dict[str, list[float]] = {side: [] for side in sides}
    for side in sides:
        once(side, 0)  # compile
    for number in range(1, rounds + 1):
        for side in sides:
            rates[side].append(once(side, number))
    ratios = [a / b for a, b in zip(rates["ours"], rates["keras"], strict=True)]
    found = {side: statistics.median(values) for side, values in rates.items()}
    print(
        f"{records.tokenizer.size:,} ids, batches of {batch}: ours {found['ours']:,.0f} sentences a second, "
        f"plain Keras {found['keras']:,.0f}, ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )
    keras.backend.clear_session()
    return {
        "ids": records.tokenizer.size,
        "length": records.input_shape[0],
        "batch_size": batch,
        "steps": steps,
        "sentences_per_second": rates,
        "median": found,
        "ratios": ratios,
        "ratio": statistics.median(ratios),
    }


def training(arguments: argparse.Namespace) -> None:
    from cnnkit.inputs.text import loading

    records = loading.load(arguments.data or results.research("text/rt-polarity.all")).train
    found = compared(records, STEPS["training"], arguments.rounds or 5)
    results.write("text-training", {"texts": len(records), "parameters_width": WIDTH, **found})


def vocabulary(arguments: argparse.Namespace) -> None:
    from cnnkit.device.text import FIRST, Tokenizer
    from cnnkit.inputs.text.records import TextRecords
    from cnnkit.inputs.text.sources import ListTexts

    rows = []
    for count in (10_000, 1_000_000):
        tokenizer = Tokenizer("words", 20, {f"w{number}": FIRST + number for number in range(count)}, FIRST + count)
        rng = np.random.default_rng(0)
        texts = [" ".join(f"w{number}" for number in row) for row in rng.integers(0, count, (2000, 20)).tolist()]
        records = TextRecords(ListTexts(texts), np.arange(2000) % 2, ("n", "p")).with_tokenizer(tokenizer)
        rows.append({"words": count, **compared(records, STEPS["vocabulary"], arguments.rounds or 3)})
    kept = rows[1]["median"]["ours"] / rows[0]["median"]["ours"]
    theirs = rows[1]["median"]["keras"] / rows[0]["median"]["keras"]
    print(f"With a hundred times the words: ours keeps {kept:.2f} of its speed, plain Keras {theirs:.3f}")
    results.write("text-vocabulary", {"rows": rows, "kept": {"ours": kept, "keras": theirs}})


def predict(arguments: argparse.Namespace) -> None:
    binary = shutil.which("cnnkit", path=str(Path(sys.executable).parent)) or "cnnkit"
    with tempfile.TemporaryDirectory() as name:
        run = arguments.run or Path(name) / "run"
        if arguments.run is None:
            small = ["--width", "32", "--maps", "64", "--regions", "2,3", "--epochs", "2", "--out", str(run)]
            data = str(results.research("text/rt-polarity.all"))
            results.cnnkit("text", "train", "--data", data, "--model", "kim-rand", *small, threads=2)
        if run.suffix != ".tflite" and not list((run / "export").glob("*float32*.tflite")):
            results.cnnkit("text", "export", str(run), "--precision", "float32", threads=2)
        model = run if run.suffix == ".tflite" else next((run / "export").glob("*float32*.tflite"))
        lines = results.research("text/rt-polarity.all").read_text(encoding="cp1252").split("\n")
        sentences = [line.split(" ", 1)[1].strip() for line in lines if line]
        one = [binary, "text", "predict", str(model), "a gripping and deeply moving film ."]
        single = [spent(one, stdout=subprocess.DEVNULL)[1] for _ in range(arguments.runs + 1)][1:]
        empty = [spent([sys.executable, "-c", "pass"])[1] for _ in range(arguments.runs)]
        data = Path(name) / "sentences.txt"
        data.write_text("".join(f"{sentences[k % len(sentences)]}\n" for k in range(arguments.lines)), encoding="utf-8")
        many = []
        for _ in range(3):
            with data.open("rb") as file:
                many.append(
                    spent([binary, "text", "predict", str(model), "-"], stdin=file, stdout=subprocess.DEVNULL)[1]
                )
    for title, rows in (("one sentence", single), (f"{arguments.lines:,} lines", many), ("python -c pass", empty)):
        print(f"{title}: {middle(rows, 'seconds'):.3f} s, {middle(rows, 'cpu_seconds'):.3f} s of CPU (medians)")
    rate = arguments.lines / middle(many, "seconds")
    print(f"{rate:,.0f} lines a second; {arguments.lines / middle(many, 'cpu_seconds'):,.0f} a second of CPU")
    results.write(
        "text-predict",
        {
            "model": model.name,
            "bytes": model.stat().st_size,
            "one": single,
            "one_median": middle(single, "seconds"),
            "python": middle(empty, "seconds"),
            "lines": arguments.lines,
            "many": many,
            "lines_per_second": rate,
            "lines_per_cpu_second": arguments.lines / middle(many, "cpu_seconds"),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("training", "vocabulary", "predict", "memory"))
    parser.add_argument("--data", type=Path, help="texts to train on  [default: MR]")
    parser.add_argument("--rounds", type=int, help="of both sides  [default: 5, vocabulary 3]")
    parser.add_argument(
        "--run", type=Path, help="run folder, or a .tflite  [default: a small network is trained on MR]"
    )
    parser.add_argument("--runs", type=int, default=9, help="of predicting one sentence")
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--factor", type=int, default=10, help="how many times the lines the larger set has")
    arguments = parser.parse_args()
    {"training": training, "vocabulary": vocabulary, "predict": predict, "memory": memory}[arguments.what](arguments)


if __name__ == "__main__":
    main()

"""Text classification: the small default and Kim's networks on four public sets, beside TF-IDF every time.

    python benchmarks/text.py accuracy --models default kim-rand          # MR, Subj: ten folds; TREC, SST-2: five seeds
    python benchmarks/text.py accuracy --data sms-spam --models default   # its spam: F1 at the stored answer
    python benchmarks/text.py vectors --vectors glove.txt                 # what 25 numbers of GloVe a word gain
    python benchmarks/text.py inner --data trec                           # what settings are chosen by
    python benchmarks/text.py published                                   # CNN-rand on TREC with the paper's own settings
    python benchmarks/text.py export                                      # int8 of the default on MR: size, points lost
    python benchmarks/text.py embedded                                    # `cnnkit text train`, as a whole, by the clock

Each set and model writes a file of its own in results/. Folds are dealt by the split seed 0 and the network's seed is the fold's
number; a tenth of what is left is validation, which decides the epoch, the temperature and the strength of the baseline, before
network and baseline are trained on it too, where the set has no validation of its own. No setting was chosen on a test fold or a
test file. SST-2 is the 6,920 whole sentences, without the phrases that Kim trained on too.

Published: Kim 2014, arXiv:1408.5882, table 2, CNN-rand.
"""

import argparse
import json
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import results

PUBLISHED = {"mr": 0.761, "subj": 0.896, "trec": 0.912, "sst2": 0.827}
FOLDED = ("mr", "subj", "sms-spam")
FOLDS, SEEDS = 10, 5


def one(
    data: str,
    model: str,
    number: int,
    options: dict[str, Any],
    *,
    settings: dict[str, Any] | None = None,
    loading: dict[str, Any] | None = None,
) -> tuple[Any, Any, Any, dict[str, Any]]:
    """Train and score a fold, or a seed where the set has a test of its own, as `cnnkit text train` does.

    Returns:
        splits, the splits with validation texts in training where it was trained on them too or else None, artifact, scores.
    """
    from cnnkit import training
    from cnnkit.evaluation.artifacts import open_artifact
    from cnnkit.run import MODEL, Run
    from cnnkit_text.cli import classification

    recipe = classification()
    fold = {"fold": (number + 1, FOLDS)} if data in FOLDED else {}
    fold = fold if loading is None else loading
    splits = recipe.load(data, **fold)
    recipe = recipe.fitting(recipe, splits)
    preset = recipe.preset(model, len(splits.train), False)
    chosen = {**preset, "data": data, "model": model, "seed": number, **(settings or {})}
    settled = recipe.Settings(**chosen, options={**recipe.options(splits.train, model), **options})
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", recipe.app, settled, task=recipe.task.name, data={})
        began = time.perf_counter()
        training.fit(recipe, settled, splits, run)
        seconds = time.perf_counter() - began
        artifact = open_artifact(run.path / MODEL)
        decided = recipe.task.calibrate(artifact, splits.validation)
        artifact.finalize(decided)
        whole = recipe.load(data, **{**fold, "validation": 0.0}) if settled.refit and len(splits.validation) else None
        if whole is not None and len(whole.validation):  # the set's own
            whole = None
        if whole is not None:
            training.refit(recipe.fitting(recipe, whole), whole, run, decided)
            seconds += run.document["refit"]["seconds"]
            artifact = open_artifact(run.path / MODEL)
    found, targets = recipe.task.outputs(artifact, splits.test)
    scores = recipe.task.score(found, targets, artifact.labels, artifact.metadata)
    return splits, whole, artifact, {**scores, "seconds": seconds, "parameters": artifact.model.count_params()}


def accuracy(arguments: argparse.Namespace) -> None:
    """Train on every fold or seed, beside the linear model."""
    from cnnkit_text.cli import classification

    task = classification().task
    for data in arguments.data:
        rows: dict[str, list[dict[str, Any]]] = {model: [] for model in arguments.models}
        linear: list[dict[str, Any]] = []
        for number in arguments.numbers or range(FOLDS if data in FOLDED else SEEDS):
            for model in arguments.models:
                splits, whole, _, scores = one(data, model, number, arguments.options)
                if model == arguments.models[0] and (data in FOLDED or not linear):
                    every = whole.train if whole else None
                    linear.append(task.baseline(splits.train, splits.test, splits.validation, whole=every))
                keys = ("accuracy", "macro_f1", "ece", "count", "seconds", "parameters")
                by_class = {label: values["f1"] for label, values in scores["per_class"].items()}
                rows[model].append({"number": number, **{key: scores[key] for key in keys}, "f1": by_class})
                print(
                    data, model, number, f"{scores['accuracy']:.4f}", f"TF-IDF {linear[-1]['accuracy']:.4f}", flush=True
                )
        for model, found in rows.items():
            content = {"data": data, "model": model, "published": PUBLISHED.get(data), **mean("accuracy", found)}
            content |= {"linear": {**mean("accuracy", linear), "rows": linear}, "rows": found}
            results.write(f"text-{data}-{model}{arguments.suffix}", content)


def mean(key: str, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return mean and standard deviation over folds or seeds."""
    values = [row[key] for row in rows]
    return {"mean": statistics.mean(values), "sd": statistics.stdev(values) if len(values) > 1 else 0.0}


def vectors(arguments: argparse.Namespace) -> None:
    """Kim's four with given vectors, beside rand of the same width; each set as it is done, beside those that the file has."""
    path, known = str(arguments.vectors), results.FOLDER / "text-vectors.json"
    content: dict[str, Any] = {"vectors": Path(path).name, "sets": {}}
    if known.exists():
        earlier = json.loads(known.read_text(encoding="utf-8"))
        content["sets"] = earlier["sets"] if earlier["vectors"] == content["vectors"] else {}
    for data in arguments.data:
        found: dict[str, Any] = {}
        for model in ("kim-rand", "kim-static", "kim-non-static", "kim-multichannel"):
            options = {"width": 25} if model == "kim-rand" else {"vectors": path}
            rows = []
            for number in arguments.numbers or range(FOLDS if data in FOLDED else SEEDS):
                *_, scores = one(data, model, number, options)
                rows.append({"number": number, "accuracy": scores["accuracy"]})
                print(data, model, number, f"{scores['accuracy']:.4f}", flush=True)
            found[model] = {**mean("accuracy", rows), "rows": rows}
        content["sets"][data] = {"command": results.command(), **found}
        results.write("text-vectors", content)


INNER = 4  # folds of the training texts
VARIANTS = {  # of `inner`: model, options of its builder, settings, options of the loader
    "default": ("default", {}, {}, {}),
    "default, case not kept": ("default", {}, {}, {"cased": False}),
    "default, trained on the validation tenth too": ("default", {}, {"refit": True}, {}),
    "kim-rand": ("kim-rand", {}, {}, {}),
    "kim-rand, case not kept": ("kim-rand", {}, {}, {"cased": False}),
    "kim-rand, trained on the validation tenth too": ("kim-rand", {}, {"refit": True}, {}),
}


def inner(arguments: argparse.Namespace) -> None:
    """Train on three folds of a set's training texts and score the fourth; also say how many of its words are unknown."""
    from cnnkit.device.text import UNKNOWN
    from cnnkit_text.cli import classification

    for data in arguments.data:
        content: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{data}.txt"
            train = classification().load(data, validation=0.0).train
            names = [train.label_names[code].replace(" ", "_") for code in train.labels]
            lines = (f"{name} {text}\n" for name, text in zip(names, train.every_text(), strict=True))
            path.write_text("".join(lines), encoding="utf-8")
            for name, (model, options, settings, loading) in VARIANTS.items():
                rows = []
                for number in range(INNER):
                    fold = {**loading, "fold": (number + 1, INNER)}
                    settings = {"refit": False, **settings}
                    splits, whole, _, scores = one(str(path), model, number, options, settings=settings, loading=fold)
                    ids = (whole or splits).train.tokenizer.batch(list(splits.test.every_text()))
                    row = {"number": number, "accuracy": scores["accuracy"], "seconds": scores["seconds"]}
                    row["unknown"] = float((ids == UNKNOWN).sum() / (ids > 0).sum())
                    rows.append(row)
                    print(data, name, row, flush=True)
                keys = [key for key in rows[0] if key != "number"]
                content[name] = {"mean": {key: mean(key, rows)["mean"] for key in keys}, "rows": rows}
        results.write(f"text-{data}-inner", {"data": data, "folds": INNER, "variants": content})


def published(arguments: argparse.Namespace) -> None:
    """Train CNN-rand on TREC in plain Keras as Kim 2014 did: his words and optimizer, 25 epochs, the best of them by a tenth.

    Section 3.1 of the paper and its published code (yoonkim/CNN_sentence): case is kept and punctuation marks are words; those
    that only test questions have keep random vectors; Adadelta (decay 0.95), batches of 50, dropout 0.5, norms of a label's
    weights at most 3, vectors from U(-0.25, 0.25), filters from U(-0.01, 0.01), the linear layer from zeros.
    """
    import keras
    import numpy as np
    from keras import layers

    from cnnkit_text.cli import classification

    def words(text: str) -> list[str]:
        text = re.sub(r"[^A-Za-z0-9(),!?'`]", " ", text)
        return re.sub(r"('s|'ve|n't|'re|'d|'ll|[,!()?])", r" \1 ", text).split()

    splits = classification().load("trec", validation=0.0)
    train, test = ([words(text) for text in part.every_text()] for part in (splits.train, splits.test))
    known = {word: number for number, word in enumerate(sorted({word for text in [*train, *test] for word in text}), 1)}
    targets, edge = (splits.train.labels, splits.test.labels), 4  # ids of padding on both sides

    def batches(part: int, chosen: Any) -> Iterator[tuple[Any, Any]]:
        """Yield ids, padded to the longest text of each batch, and labels."""
        for begin in range(0, len(chosen), 50):
            places = chosen[begin : begin + 50]
            texts = [(train, test)[part][place] for place in places]
            ids = np.zeros((len(texts), max(map(len, texts)) + 2 * edge), np.int32)
            for row, text in zip(ids, texts, strict=True):
                row[edge : edge + len(text)] = [known[word] for word in text]
            yield ids, targets[part][places]

    def right(model: Any, part: int, chosen: Any) -> float:
        found = [model.predict_on_batch(ids).argmax(1) == labels for ids, labels in batches(part, chosen)]
        return float(np.concatenate(found).mean())

    rows = []
    for seed in arguments.numbers or range(SEEDS):
        keras.utils.set_random_seed(seed)
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(train))
        held, kept = order[: len(train) // 10], order[len(train) // 10 :]
        inputs = keras.Input((None,), dtype="int32")
        vectors = layers.Embedding(
            len(known) + 1, 300, embeddings_initializer=keras.initializers.RandomUniform(-0.25, 0.25)
        )
        x = vectors(inputs) * keras.ops.expand_dims(keras.ops.cast(inputs > 0, "float32"), -1)
        small = keras.initializers.RandomUniform(-0.01, 0.01)
        maps = [layers.Conv1D(100, n, activation="relu", kernel_initializer=small)(x) for n in (3, 4, 5)]
        x = layers.Concatenate()([layers.GlobalMaxPooling1D()(found) for found in maps])
        limit = keras.constraints.MaxNorm(3.0, axis=0)
        last = layers.Dense(6, activation="softmax", kernel_initializer="zeros", kernel_constraint=limit)
        model = keras.Model(inputs, last(layers.Dropout(0.5)(x)))
        model.compile(keras.optimizers.Adadelta(1.0, rho=0.95, epsilon=1e-6), "sparse_categorical_crossentropy")
        best, chosen = -1.0, {}
        for epoch in range(1, 26):
            for ids, labels in batches(0, rng.permutation(kept)):
                model.train_on_batch(ids, labels)
            found = right(model, 0, held)
            if found > best:
                scored = right(model, 1, np.arange(len(test)))
                best, chosen = found, {"number": seed, "epoch": epoch, "validation": found, "accuracy": scored}
        rows.append(chosen)
        print("trec, as published", rows[-1], flush=True)
    results.write(
        "text-trec-published", {"data": "trec", "published": PUBLISHED["trec"], **mean("accuracy", rows), "rows": rows}
    )


def export(arguments: argparse.Namespace) -> None:
    """Train on MR's own division, export, and read what the gate says."""
    run = arguments.runs / "mr"
    results.trained("text", run, "--data", "mr", threads=arguments.threads)
    if not (run / "export" / "gate.json").exists():
        results.cnnkit("text", "export", str(run), threads=arguments.threads)
    gate = json.loads((run / "export" / "gate.json").read_text(encoding="utf-8"))
    keys = ("bytes", "score", "difference", "worst_class", "worst_class_difference", "passed")
    files = {name: {key: entry[key] for key in keys} for name, entry in gate["artifacts"].items()}
    results.write("text-export", {"reference": gate["reference"]["score"], "count": gate["records"], "files": files})


def embedded(arguments: argparse.Namespace) -> None:
    """The first command of a new user."""
    rows = []
    for seed in arguments.numbers or range(SEEDS):
        run = arguments.runs / f"embedded-{seed}"
        began = time.perf_counter()
        document = results.trained("text", run, "--seed", str(seed), threads=arguments.threads)
        seconds = time.perf_counter() - began
        test = document["scores"]["test"]
        rows.append(
            {
                "seed": seed,
                "accuracy": test["accuracy"],
                "baseline": test["baseline"]["accuracy"],
                "p": test["baseline"]["against"]["p"],
                "count": test["count"],
                "seconds": seconds,
                "training_seconds": document["training"]["seconds"],
                "texts": document["data"]["sizes"],
            }
        )
        print(rows[-1], flush=True)
    content = {**mean("accuracy", rows), "baseline": mean("baseline", rows), "rows": rows}
    results.write("text-embedded", content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["accuracy", "vectors", "inner", "published", "export", "embedded"])
    parser.add_argument("--data", nargs="+", default=list(PUBLISHED))
    parser.add_argument("--models", nargs="+", default=["default", "kim-rand"])
    parser.add_argument("--numbers", type=int, nargs="+", help="folds or seeds, from 0; default: all")
    parser.add_argument("--options", type=json.loads, default={}, help="of the builder, as JSON")
    parser.add_argument("--suffix", default="", help="of the results' file")
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/text"))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    parts = {
        "accuracy": accuracy,
        "vectors": vectors,
        "inner": inner,
        "published": published,
        "export": export,
        "embedded": embedded,
    }
    parts[arguments.what](arguments)


if __name__ == "__main__":
    main()

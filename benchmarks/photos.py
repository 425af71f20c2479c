"""Pictures of one's own: steel surfaces in folds and from few pictures, signs from few tracks, and the drawn surfaces.

    python benchmarks/photos.py drawn --seeds 0 1 2   # the standard command, its int8 file, and what it makes of real surfaces
    python benchmarks/photos.py neu                   # neu-surfaces in five folds, beside frozen features
    python benchmarks/photos.py few --seeds 0 1 2     # ten pictures a class, all others for the test, beside the same
    python benchmarks/photos.py gtsrb --seeds 0       # gtsrb-small, two tracks a class: EfficientNet-Lite0 and MobileNetV2 0.35

Each writes a file of its own in results/, beside what it has of other seeds. Runs are kept in --runs; one that exists is not
trained again. neu-surfaces and gtsrb-small are looked for in $CNNKIT_DATA, and MobileNetV2's weights below it.

Frozen features: what EfficientNet-Lite0 with ImageNet's weights says of a picture at the same size, its last map averaged, and
scikit-learn's logistic regression on these numbers, each of mean 0 and deviation 1; its C is chosen by folds of the training
pictures alone. In `neu` both are asked about the same records in the same folds. In `few` and `gtsrb` nothing is held out for
validation (`--validation 0`): the last epoch counts. Settings were chosen on training pictures that were held out; no test
picture was looked at. `minutes` are of training alone, `whole_minutes` of a whole command.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

import results
from cnnkit.data import cards
from cnnkit.metrics import mcnemar, wilson
from finetune import subset

MOBILENET = "weights/mobilenet_v2_0.35_224_no_top.weights.h5"  # below $CNNKIT_DATA
LITE0 = ("--weights", "imagenet", "--backbone", "efficientnet_lite0")
FOLDS, EACH, TRACKS = 5, 10, 2
COSTS = (0.001, 0.01, 0.1, 1.0, 10.0)  # C of the regression
DRAWS = 9999  # of records, for the interval of a difference


def drawn(arguments: argparse.Namespace) -> None:
    """Train and export on the drawn surfaces; score the model on the real ones too."""
    for seed in arguments.seeds:
        run = arguments.runs / f"drawn-{seed}"
        document, whole = results.timed("photos", run, "--seed", str(seed), threads=arguments.threads)
        if not (run / "export" / "gate.json").exists():
            results.cnnkit("photos", "export", str(run), threads=arguments.threads)
        real = results.cnnkit("photos", "evaluate", str(run), "--data", "neu-surfaces", threads=arguments.threads)
        test = document["scores"]["test"]
        gate = json.loads((run / "export" / "gate.json").read_text(encoding="utf-8"))["artifacts"]
        row = {
            **about(document, whole),
            "baseline": test["baseline"]["accuracy"],
            "lost": {
                name: {key: entry[key] for key in ("bytes", "difference", "worst_class_difference", "passed")}
                for name, entry in gate.items()
            },
            "real": {key: real[key] for key in ("accuracy", "accuracy_interval", "count")},
            "real_recall": {label: entry["recall"] for label, entry in real["per_class"].items()},
        }
        print(f"seed {seed}: {row['accuracy']:.4f}, real {row['real']['accuracy']:.4f}", flush=True)
        write("drawn", row)


def neu(arguments: argparse.Namespace) -> None:
    """Train five folds of the real surfaces; score each by the model that did not see it, beside frozen features."""
    from cnnkit.evaluation.scoring import outputs
    from cnnkit.run import MODEL
    from cnnkit.verbs.folds import folds_of
    from cnnkit.verbs.scoring import keras_of

    for seed in arguments.seeds:
        run = arguments.runs / f"neu-{seed}"
        words = ("--data", "neu-surfaces", "--folds", str(FOLDS), *LITE0, "--seed", str(seed))
        document, whole = results.timed("photos", run, *words, threads=arguments.threads)
        opened, recipe, splits = again(run)
        records, held = splits.train, np.array(splits.card["folds"])
        ours = np.zeros(len(records), bool)
        for number, fold in enumerate(folds_of(opened)):
            own = np.flatnonzero(held == number)
            said, targets = outputs(keras_of(fold.path / MODEL, "photos"), records.take(own), recipe.task)
            ours[own] = said["scores"].argmax(1) == targets
        features = frozen(records)
        theirs, costs = np.zeros(len(records), bool), []
        for number in range(FOLDS):
            out = held == number
            fitted = regression(features[~out], records.labels[~out])
            theirs[out] = fitted.predict(features[out]) == records.labels[out]
            costs.append(cost(fitted))
        scores = document["scores"]["folds"]
        assert abs(scores["accuracy"] - ours.mean()) < 1e-9, "not what the run says of its folds"
        row = {
            **about(document, whole),
            "accuracy": float(ours.mean()),
            "interval": wilson(int(ours.sum()), len(ours)),
            "of_folds": [float(ours[held == number].mean()) for number in range(FOLDS)],
            "parameters": document["model"]["parameters"] // FOLDS,
            "frozen": {**compared(ours, theirs), "costs": costs},
        }
        print(f"seed {seed}: {row['accuracy']:.4f}, frozen {row['frozen']['accuracy']:.4f}", flush=True)
        write("neu", row)


def few(arguments: argparse.Namespace) -> None:
    """Train on ten pictures of each class of the real surfaces, drawn by the seed; all others are the test."""
    root = results.research("neu-surfaces")
    for seed in arguments.seeds:
        run = arguments.runs / f"few-{seed}"
        data = drawn_by_seed(root, arguments.runs / f"few-data-{seed}", seed)
        words = ("--data", str(data), "--validation", "0", *LITE0, "--seed", str(seed))
        document, whole = results.timed("photos", run, *words, threads=arguments.threads)
        _, recipe, splits = again(run)
        said, targets = test_outputs(recipe, run, splits)
        ours = said["scores"].argmax(1) == targets
        fitted = regression(frozen(splits.train), splits.train.labels)
        theirs = fitted.predict(frozen(splits.test)) == splits.test.labels
        row = {**about(document, whole), "frozen": {**compared(ours, theirs), "costs": [cost(fitted)]}}
        print(f"seed {seed}: {row['accuracy']:.4f}, frozen {row['frozen']['accuracy']:.4f}", flush=True)
        write("few", row)


def gtsrb(arguments: argparse.Namespace) -> None:
    """Train on two tracks of each sign, drawn as `finetune.py` draws them, on both backbones."""
    root = Path(str(cards.load("gtsrb-small").root))
    file = str(arguments.weights or results.research(MOBILENET))
    networks = {
        "efficientnet_lite0": LITE0,
        "mobilenet_v2": ("--backbone", "mobilenet_v2", "--alpha", "0.35", "--weights", file),
    }
    for seed in arguments.seeds:
        data = subset(root, arguments.runs / f"tracks-{TRACKS}-seed-{seed}", TRACKS, seed)
        for network, words in networks.items():
            run = arguments.runs / f"gtsrb-{network}-{seed}"
            asked = ("--data", str(data), "--validation", "0", *words, "--seed", str(seed))
            document, whole = results.timed("photos", run, *asked, threads=arguments.threads)
            row = {**about(document, whole), "network": network}
            row["baseline"] = document["scores"]["test"]["baseline"]["accuracy"]
            print(f"seed {seed}, {network}: {row['accuracy']:.4f} in {row['minutes']:.1f} minutes", flush=True)
            write("gtsrb", row)


# Parts ----------------------------------------------------------------------------------------------------------------


def about(document: dict[str, Any], whole: float | None) -> dict[str, Any]:
    """Return what every row says of a run."""
    test, settings = document["scores"]["test"], document["settings"]
    keys = (
        "model",
        "options",
        "epochs",
        "image_size",
        "batch_size",
        "learning_rate",
        "freeze",
        "backbone_rate",
        "mirror",
    )
    return {
        "seed": settings["seed"],
        "accuracy": test["accuracy"],
        "interval": test["accuracy_interval"],
        "count": test["count"],
        "parameters": document["model"]["parameters"],
        "minutes": document["training"]["seconds"] / 60,
        "whole_minutes": whole,
        "settings": {key: settings[key] for key in keys},
    }


def drawn_by_seed(root: Path, folder: Path, seed: int) -> Path:
    """Make a folder of links: ten pictures of each class to train on, all others to test on."""
    rng = np.random.default_rng(seed)
    for name in sorted(path.name for path in root.iterdir() if path.is_dir()):
        files = sorted((root / name).iterdir())
        chosen = set(rng.permutation(len(files))[:EACH].tolist())
        for number, file in enumerate(files):
            link = folder / ("train" if number in chosen else "test") / name / file.name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(file.resolve())
    return folder


def again(run: Path) -> tuple[Any, Any, Any]:
    """Open a run with its recipe and its data."""
    from cnnkit.reporter import SILENT
    from cnnkit.run import Run
    from cnnkit.run_data import own_data
    from cnnkit.verbs.work import fitted
    from cnnkit_photos.cli import main as app

    opened, recipe = Run.open(run), app.for_task(None)
    splits = own_data(recipe, opened, tell=SILENT).splits
    return opened, fitted(recipe, splits, {}), splits


def test_outputs(recipe: Any, run: Path, splits: Any) -> tuple[Any, Any]:
    """Return what a run's model says of its test split, and the truth."""
    from cnnkit.evaluation.scoring import outputs
    from cnnkit.run import MODEL
    from cnnkit.verbs.scoring import keras_of

    return outputs(keras_of(run / MODEL, "photos"), splits.test, recipe.task)


def frozen(records: Any) -> np.ndarray:
    """Return what EfficientNet-Lite0 says of pictures, as they are read by the run: float32 (n, 1280)."""
    from cnnkit import models
    from cnnkit.models import weights

    network = models.backbone("efficientnet_lite0", records.input_shape, pooled=True)
    weights.load(network, "imagenet")
    blocks = (records.read(block)[0].astype(np.float32) for block in records.blocks(32))
    return np.concatenate([np.asarray(network(block, training=False)) for block in blocks])


def regression(features: np.ndarray, labels: np.ndarray) -> Any:
    """Fit a logistic regression whose C is chosen by three folds of these records."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    inner = StratifiedKFold(3, shuffle=True, random_state=0)
    return GridSearchCV(plain, {"logisticregression__C": COSTS}, cv=inner).fit(features, labels)


def cost(fitted: Any) -> float:
    """Return the C that was chosen."""
    return float(fitted.best_params_["logisticregression__C"])


def compared(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """Return how often frozen features were right, and the difference of ours, record by record, with its 95 % interval."""
    rng = np.random.default_rng(0)
    difference = ours.astype(float) - theirs
    draws = [float(difference[rng.integers(0, len(ours), len(ours))].mean()) for _ in range(DRAWS)]
    won, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return {
        "accuracy": float(theirs.mean()),
        "interval": wilson(int(theirs.sum()), len(theirs)),
        "difference": float(difference.mean()),
        "difference_interval": np.quantile(draws, [0.025, 0.975]).tolist(),
        "won": won,
        "lost": lost,
        "p": mcnemar(won, lost),
    }


def write(name: str, row: dict[str, Any]) -> None:
    """Write a row beside those of other seeds."""
    rows = results.beside(f"photos-{name}", "runs", [row], ("network", "seed"))
    accuracy = statistics.mean(entry["accuracy"] for entry in rows)
    results.write(f"photos-{name}", {"runs": rows, "mean_accuracy": accuracy})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    works = {work.__name__: work for work in (drawn, neu, few, gtsrb)}
    parser.add_argument("work", choices=works)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks/photos"))
    parser.add_argument("--weights", type=Path, help="the file of MobileNetV2 0.35")
    parser.add_argument("--threads", type=int, default=2, help="of TensorFlow")
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    works[arguments.work](arguments)


if __name__ == "__main__":
    main()

"""How well a score tells pictures of classes that a model never saw from those of its own.

    python benchmarks/unknown.py [--data FOLDER]

Classes are left out of three data sets, several times each: all pairs of six kinds of steel surfaces, five drawings of eight of
43 traffic signs, the five pairs of digits that follow each other. A logistic head learns the others on the frozen features of a
MobileNetV2 0.35, and of the digits a small network learns them as well. Each score is then asked to tell the held-out pictures of
known classes from those of classes left out ("near"), and from pictures of the two other data sets and noise ("far"):

- from what an exported classifier answers: the highest probability, with and without a fitted temperature; their entropy; the
  first over the second; and the logarithm of the highest over the mean of all logarithms (`centred`: the highest logit less the
  mean one);
- from logits: the highest, and the energy (Liu et al. 2020);
- from features: Mahalanobis' distance to the nearest class (Lee et al. 2018), and the angle to the nearest neighbour (Sun et al.
  2022).

AUROC is over pairs; `accepted` is the share of unknown pictures accepted where 95 % of the known of the test are; `kept` and
`found` are what the threshold does that accepts 95 % of validation pictures: the share of known test pictures kept, of unknown
ones found out.
"""

import argparse
import itertools
import statistics
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import results
from cnnkit.evaluation.calibration import best_temperature, softmax
from cnnkit.tasks.classification import roc

SIDE = 96
WEIGHTS = "mobilenet_v2_0.35_224_no_top.weights.h5"
ACCEPTED = 0.95


def read(paths: list[Path], side: int = SIDE) -> np.ndarray:
    """Return pictures, uint8 (n, side, side, 3)."""
    return np.stack([cv2.resize(cv2.imread(str(path)), (side, side))[..., ::-1] for path in paths])


def surfaces(root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pictures, labels and parts (0 training, 1 validation, 2 test)."""
    classes = sorted(path for path in (root / "neu-surfaces").iterdir() if path.is_dir())
    found = [(path, k) for k, folder in enumerate(classes) for path in sorted(folder.iterdir())]
    parts = np.random.default_rng(0).choice(3, len(found), p=[0.5, 0.2, 0.3])
    return read([path for path, _ in found]), np.array([k for _, k in found]), parts


def signs(root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `surfaces`; tracks of training pictures stay together."""
    found = []
    for part in ("train", "test"):
        for folder in sorted((root / "gtsrb-small" / part).iterdir()):
            for path in sorted(folder.iterdir()):
                track = int(path.name.partition("_")[0]) if part == "train" else 0
                found.append((path, int(folder.name), 2 if part == "test" else int(track % 4 == 0)))
    return read([f[0] for f in found]), np.array([f[1] for f in found]), np.array([f[2] for f in found])


def digits(root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `surfaces`, of part of them."""
    whole = np.load(root / "mnist" / "mnist.npz")
    pictures = np.concatenate([whole["x_train"][:4000], whole["x_test"][:1500]])
    labels = np.concatenate([whole["y_train"][:4000], whole["y_test"][:1500]])
    return pictures, labels.astype(int), np.repeat([0, 1, 2], [3000, 1000, 1500])


def large(pictures: np.ndarray) -> np.ndarray:
    """Return grey digits as the backbone takes pictures."""
    return np.stack([cv2.cvtColor(cv2.resize(one, (SIDE, SIDE)), cv2.COLOR_GRAY2RGB) for one in pictures])


def small(pictures: np.ndarray) -> np.ndarray:
    """Return pictures as the small network takes digits."""
    grey = [
        cv2.cvtColor(cv2.resize(one, (28, 28), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY) for one in pictures
    ]
    return np.stack(grey)


def backbone(root: Path) -> Any:
    """Return what makes features of pictures."""
    import keras

    weights = root / "weights" / WEIGHTS
    model = keras.applications.MobileNetV2(
        (SIDE, SIDE, 3), alpha=0.35, include_top=False, weights=str(weights), pooling="avg"
    )
    return lambda pictures: model.predict(pictures.astype(np.float32) / 127.5 - 1, batch_size=64, verbose=0)


def head(features: np.ndarray, labels: np.ndarray) -> Any:
    """Fit a logistic head; return what makes (features, logits) of features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler().fit(features)
    model = LogisticRegression(C=0.02, max_iter=100).fit(scale.transform(features), labels)

    def answers(some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return some, scale.transform(some) @ model.coef_.T + model.intercept_

    return answers


def network(pictures: np.ndarray, labels: np.ndarray) -> Any:
    """Train a small network on digits; return what makes (features, logits) of pictures (n, 28, 28)."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    inputs = keras.Input((28, 28, 1))
    x = layers.Rescaling(1 / 255)(inputs)
    for width in (16, 32):
        x = layers.MaxPooling2D()(layers.Conv2D(width, 3, padding="same", activation="relu")(x))
    features = layers.Dense(64, activation="relu")(layers.Flatten()(x))
    model = keras.Model(inputs, [features, layers.Dense(int(labels.max()) + 1)(features)])
    trained = keras.Model(inputs, model.outputs[1])
    trained.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    trained.fit(pictures[..., None], labels, batch_size=64, epochs=6, verbose=0)
    return lambda some: tuple(model.predict(some[..., None], batch_size=512, verbose=0))


def scorers(features: np.ndarray, train_labels: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return by name what scores (features, logits): more for known pictures.

    Args:
        features, train_labels: of training pictures.
        logits, labels: of validation pictures.
    """
    temperature = best_temperature(logits.astype(np.float64), labels)
    classes = np.unique(train_labels)
    means = np.stack([features[train_labels == k].mean(0) for k in classes])
    apart = np.concatenate([features[train_labels == k] - m for k, m in zip(classes, means)])
    spread = np.cov(apart.T)
    spread += 1e-3 * np.trace(spread) / len(spread) * np.eye(len(spread))
    whiten = np.linalg.inv(np.linalg.cholesky(spread)).T
    centres = means @ whiten
    unit = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-9)

    def mahalanobis(f: np.ndarray, z: np.ndarray) -> np.ndarray:
        turned = f @ whiten
        return -((turned**2).sum(1)[:, None] - 2 * turned @ centres.T + (centres**2).sum(1)).min(1)

    def neighbour(f: np.ndarray, z: np.ndarray) -> np.ndarray:
        return (f / np.linalg.norm(f, axis=1, keepdims=True).clip(1e-9) @ unit.T).max(1)

    def chances(z: np.ndarray) -> np.ndarray:
        return softmax(z.astype(np.float64)).astype(np.float32).clip(1e-38)

    def second(f: np.ndarray, z: np.ndarray) -> np.ndarray:
        top = np.sort(np.log(chances(z)), axis=1)
        return top[:, -1] - top[:, -2]

    return {
        "highest": lambda f, z: chances(z).max(1),
        "highest, temperature": lambda f, z: chances(z / temperature).max(1),
        "entropy": lambda f, z: (chances(z) * np.log(chances(z))).sum(1),
        "first over second": second,
        "centred": lambda f, z: np.log(chances(z)).max(1) - np.log(chances(z)).mean(1),
        "highest logit": lambda f, z: z.max(1),
        "energy": lambda f, z: np.log(np.exp(z - z.max(1, keepdims=True)).sum(1)) + z.max(1),
        "mahalanobis": mahalanobis,
        "neighbour": neighbour,
    }


def judged(held: np.ndarray, own: np.ndarray, others: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return what a score is worth, of validation and test pictures and of unknown ones by their kind; see above."""
    held, own = held.astype(np.float64), own.astype(np.float64)
    least, limit = np.quantile(own, 1 - ACCEPTED), np.quantile(held, 1 - ACCEPTED)
    found: dict[str, Any] = {"kept": float((own >= limit).mean())}
    for kind, scores in others.items():
        foreign = scores.astype(np.float64)
        there = np.repeat([True, False], [len(own), len(foreign)])
        found[kind] = {
            "auroc": roc.area(np.concatenate([own, foreign]), there),
            "accepted": float((foreign >= least).mean()),
            "found": float((foreign < limit).mean()),
        }
    return found


def measured(fit: Any, inputs: Any, labels: np.ndarray, parts: np.ndarray, left_out: Any, far: Any) -> dict[str, Any]:
    """Leave classes out, learn the others, and judge each score."""
    known = ~np.isin(labels, left_out)
    code = np.searchsorted(np.unique(labels[known]), labels)
    train, validation, test = (known & (parts == part) for part in range(3))
    answers = fit(inputs[train], code[train])
    held, own = answers(inputs[validation]), answers(inputs[test])
    others = {"near": answers(inputs[~known & (parts == 2)]), "far": answers(far)}
    scores = scorers(answers(inputs[train])[0], code[train], held[1], code[validation])
    return {
        "accuracy": float((own[1].argmax(1) == code[test]).mean()),
        "scores": {
            name: judged(score(*held), score(*own), {kind: score(*some) for kind, some in others.items()})
            for name, score in scores.items()
        },
    }


def together(runs: list[Any]) -> Any:
    """Return the mean of each number of runs, and beside an AUROC how far these spread."""
    first = runs[0]
    if not isinstance(first, dict):
        return round(statistics.mean(runs), 4)
    found = {key: together([run[key] for run in runs]) for key in first}
    if "auroc" in first:
        found["auroc_spread"] = round(statistics.stdev(run["auroc"] for run in runs), 4)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, help="folder of the three data sets  [default: $CNNKIT_DATA]")
    root = parser.parse_args().data or results.research("neu-surfaces").parent
    began = time.perf_counter()
    pictures = {"surfaces": surfaces(root), "signs": signs(root), "digits": digits(root)}
    features_of = backbone(root)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (200, SIDE, SIDE, 3), dtype=np.uint8)
    shown = {name: large(found[0]) if name == "digits" else found[0] for name, found in pictures.items()}
    features = {name: features_of(found) for name, found in shown.items()}
    drawn = {name: rng.choice(len(found), 300, replace=False) for name, found in shown.items()}
    foreign = {
        name: np.concatenate([features_of(noise), *(features[o][drawn[o]] for o in shown if o != name)])
        for name in shown
    }
    pairs = [(k, k + 1) for k in range(0, 10, 2)]
    left = {
        "surfaces": list(itertools.combinations(range(6), 2)),
        "signs": [tuple(np.random.default_rng(seed).choice(43, 8, replace=False).tolist()) for seed in range(5)],
        "digits": pairs,
    }
    runs = {}
    for name, (_, labels, parts) in pictures.items():
        print(f"{name}: {len(labels)} pictures, {time.perf_counter() - began:.0f} s", flush=True)
        runs[name] = [measured(head, features[name], labels, parts, out, foreign[name]) for out in left[name]]
    others = np.concatenate([small(noise), *(small(shown[o][drawn[o]]) for o in shown if o != "digits")])
    inputs, labels, parts = pictures["digits"]
    runs["digits, small network"] = [measured(network, inputs, labels, parts, out, others) for out in pairs]
    data = {name: {"runs": len(found), **together(found)} for name, found in runs.items()}
    seconds = round(time.perf_counter() - began)
    results.write("unknown", {"weights": WEIGHTS, "side": SIDE, "share": ACCEPTED, "seconds": seconds, "data": data})


if __name__ == "__main__":
    main()

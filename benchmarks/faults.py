"""What the export gate stops and what it lets through: planted faults on all kinds of models and precisions, and sound exports.

    python benchmarks/faults.py                      # ten seeds, all kinds: some 40 minutes on two cores
    python benchmarks/faults.py --first-seed 3 --seeds 1 --kinds text,detector --precisions int8  # a part

Small networks are trained for a few steps in memory, exported in all precisions, and must pass: of each check the number
measured and its bar are kept. Then, with the first seed, one fault after the other is planted where export could have it: in the
weights, in the graph, in what int8 is calibrated on, in what the file says of itself. Each has to be refused.
"""

import argparse
import dataclasses
import json
import logging
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))  # the toys of the tests

from cnnkit.errors import GateRefused
from cnnkit.quiet import quiet

with quiet():
    import keras
    from keras import layers

    from cnnkit.evaluation.artifacts import KerasArtifact
    from cnnkit.export import container, convert, gate
    from cnnkit.export.profiles import Profile
    from tests import toy_boxes, toy_texts, toys

import results

logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it says that many models are compiled

STEPS = 12  # of training: enough that answers are no longer all alike
PRECISIONS = convert.PRECISIONS


@dataclasses.dataclass
class Case:
    """A trained model and what its gate needs."""

    artifact: KerasArtifact
    data: Any
    task: Any

    @property
    def texts(self) -> bool:
        return "text" in self.artifact.metadata


# Models ---------------------------------------------------------------------------------------------------------------


def train(model: Any, records: Any, loss: Any, encode: Callable[[Any], Any], seed: int, steps: int = STEPS) -> None:
    optimizer = keras.optimizers.Adam(5e-3 if steps == STEPS else 3e-3)
    model.compile(optimizer, loss, run_eagerly=True)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        inputs, targets = records.read(np.sort(rng.permutation(len(records))[:16]))
        model.train_on_batch(np.asarray(inputs), np.asarray(encode(targets)))


def one_hot(classes: int) -> Callable[[Any], Any]:
    return lambda targets: np.eye(classes, dtype="float32")[targets]


def shifted_norms(model: Any, seed: int) -> None:
    """Give batch norm statistics that differ from channel to channel, as long training does."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            *scale, beta, mean, variance = layer.get_weights()
            scale = [gamma * np.exp(rng.normal(0, 0.3, gamma.shape)) for gamma in scale]
            beta = beta + rng.normal(0, 0.1, beta.shape)
            mean = mean + rng.normal(0, 0.1, mean.shape) * np.sqrt(variance)
            layer.set_weights([*scale, beta, mean, variance * np.exp(rng.normal(0, 0.7, variance.shape))])


def images_case(build: Callable[[], Any], seed: int) -> Case:
    data, task = toys.splits(train=96, validation=32, test=90), toys.recipe().task
    model = build()
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    train(model, data.train, loss, one_hot(3), seed)
    shifted_norms(model, seed)
    about = {
        "format": 1,
        "app": "toy",
        "task": "classification",
        "labels": list(data.train.label_names),
        "input": {"kind": "image", "shape": list(model.input_shape[1:]), "range": [0, 255]},
        "preparing": {"centre": True, "polarity": "dark"},
    }
    return Case(KerasArtifact(Path("model.keras"), model, about), data, task)


def plain(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    return images_case(lambda: toys.tiny_cnn((12, 12, 1), 3, width=int(rng.integers(4, 12))), seed)


def mobile(seed: int) -> Case:
    """Inverted residuals as MobileNet has them: depthwise, batch norm, ReLU6, a sum."""

    def build() -> Any:
        image = keras.Input((12, 12, 1), name="image")
        x = layers.Rescaling(1 / 127.5, -1.0)(image)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(x)))
        for number in range(2):
            y = layers.Conv2D(24, 1, use_bias=False, name=f"expand{number}")(x)
            y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
            y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"depthwise{number}")(y)
            y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
            y = layers.BatchNormalization()(layers.Conv2D(8, 1, use_bias=False, name=f"project{number}")(y))
            x = layers.Add()([x, y])
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(image, layers.Dense(3, name="logits")(x), name="mobile")

    return images_case(build, seed)


def detector(seed: int) -> Case:
    from cnnkit.models.detectors import detector as build
    from cnnkit.tasks.detection.loss import DetectionLoss

    data = toy_boxes.splits(32, 8, 20, strides=(8, 16))
    task = toy_boxes.recipe(data).task
    model = build((64, 64, 3), 2, strides=(8, 16), width=8)
    train(model, data.train, DetectionLoss(), lambda boxes: boxes, seed)
    shifted_norms(model, seed)
    about = {
        "format": 1,
        "app": "signs",
        "task": "detection",
        "labels": list(data.train.label_names),
        "input": {"kind": "image", "shape": [64, 64, 3], "range": [0, 255]},
        "detection": {**data.train.plan.to_dict(), "threshold": 0.2},
    }
    return Case(KerasArtifact(Path("model.keras"), model, about), data, task)


def text_case(name: str, seed: int, several: bool = False, **options: Any) -> Case:
    from cnnkit_text.model import BUILDERS

    data = toy_texts.splits(96, 32, 90, toy_texts.tagged if several else toy_texts.rows)
    if name == "char-cnn":
        from cnnkit.device.text import characters

        letters = characters(128)
        parts = {part: getattr(data, part).with_tokenizer(letters) for part in ("train", "validation", "test")}
        data = dataclasses.replace(data, **parts)
    tokenizer = data.train.tokenizer
    model = BUILDERS[name]((tokenizer.length,), 3, size=tokenizer.size, **options)
    recipe = toy_texts.recipe(data)
    if name == "default":
        recipe.start(model, data.train, argparse.Namespace(model="default", weights="none", seed=seed, options=options))
    kind = keras.losses.BinaryCrossentropy if several else keras.losses.CategoricalCrossentropy
    steps = STEPS * (
        8 if name == "char-cnn" else 1
    )  # letters take longer to mean something; at chance, rounding decides
    train(model, data.train, kind(from_logits=True), (lambda t: t) if several else one_hot(3), seed, steps)
    artifact = toy_texts.artifact(model, data.train, temperature=0.8, sure=0.4)
    if several:
        about = {key: value for key, value in artifact.metadata.items() if key not in ("temperature", "sure")}
        artifact = KerasArtifact(Path("model.keras"), model, {**about, "thresholds": [0.4, 0.5, 0.6]})
    return Case(artifact, data, recipe.task)


KINDS: dict[str, Callable[[int], Case]] = {
    "classifier": plain,
    "mobile": mobile,
    "detector": detector,
    "text": lambda seed: text_case("default", seed, pair_buckets=97, width=8, maps=6),
    "text-kim": lambda seed: text_case("kim-rand", seed, width=8, maps=6),
    "text-several": lambda seed: text_case("default", seed, True, pair_buckets=97, width=8, maps=6, first=3),
    "text-characters": lambda seed: text_case("char-cnn", seed, maps=16, units=64),
    "text-pyramid": lambda seed: text_case("dpcnn", seed, width=8, maps=8),
}


def made(kind: str, seed: int) -> Case:
    keras.utils.set_random_seed(seed)
    return KINDS[kind](seed)


# Faults ---------------------------------------------------------------------------------------------------------------


def altered(model: Any, change: Callable[[Any], None]) -> Any:
    """Return a copy of a model, changed."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    change(copy)
    if getattr(model, "on_steps", False):
        copy.on_steps = True  # as it would be, had the fault been in rounding or behind it
    return copy


def weight(model: Any, find: Callable[[Any], bool], place: int, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change an array of the first layer that `find` names."""
    layer = next(layer for layer in model.layers if find(layer))
    values = layer.get_weights()
    values[place] = change(values[place].copy()).astype(values[place].dtype)
    layer.set_weights(values)


def _one(values: np.ndarray) -> np.ndarray:
    flat = values.reshape(-1)
    flat[np.abs(flat).argmax()] *= -1
    return values


WEIGHED = (layers.Conv1D, layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)


def in_weights(case: Case) -> dict[str, Callable[[Any], None]]:
    """Return faults of weights that this model can have."""

    def named(name: str) -> Callable[[Any], bool]:
        return lambda layer: layer.name == name

    def kind(*kinds: Any) -> Callable[[Any], bool]:
        return lambda layer: isinstance(layer, kinds)

    model = case.artifact.model
    first = next(layer.name for layer in model.layers if isinstance(layer, WEIGHED))
    biased = [layer for layer in model.layers if isinstance(layer, WEIGHED) and layer.use_bias]
    last = biased[-1].name
    found: dict[str, Callable[[Any], None]] = {
        "a layer's weights 5 % larger": lambda m: weight(m, named(first), 0, lambda v: v * 1.05),
        "a layer's largest weight negative": lambda m: weight(m, named(first), 0, _one),
        "a filter lost": lambda m: weight(
            m, named(first), 0, lambda v: v * (np.arange(v.shape[-1] * v.shape[-2]).reshape(v.shape[-2:]) > 0)
        ),
        "bias 0.05 larger": lambda m: weight(m, named(last), 1, lambda v: v + 0.05 * np.arange(len(v))),
        "classes swapped": lambda m: [weight(m, named("logits"), k, lambda v: v[..., ::-1]) for k in (0, 1)],
    }
    if any(isinstance(layer, layers.BatchNormalization) for layer in model.layers):
        norm = kind(layers.BatchNormalization)
        found["batch norm's mean shifted"] = lambda m: weight(m, norm, -2, lambda v: v + 0.05)
        found["batch norm's variance doubled"] = lambda m: weight(m, norm, -1, lambda v: v * 2)
    if any(layer.name == "to_boxes" for layer in model.layers):
        box = named("to_boxes")
        found["boxes 18 % too small"] = lambda m: weight(m, box, 1, lambda v: v + np.log(0.82) * np.array([0, 0, 1, 1]))
        found["width and height swapped"] = lambda m: [
            weight(m, box, k, lambda v: v[..., [0, 1, 3, 2]]) for k in (0, 1)
        ]
    if case.texts:
        table = kind(layers.Embedding)
        found["rows of words moved by one"] = lambda m: weight(m, table, 0, lambda v: np.roll(v, 1, axis=0))
        found["one word's row lost"] = lambda m: weight(m, table, 0, lambda v: v * (np.arange(len(v)) != 5)[:, None])
    return found


def in_graph(case: Case) -> dict[str, Callable[..., Any]]:
    """Return faults of the layers put behind a model, each with the signature of `convert.outputs`."""
    whole = convert.outputs

    def wrapped(model: Any, metadata: Any, before: Any = None, logits: Any = None, scores: Any = None) -> Any:
        given = keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype)
        found = whole(model, metadata)(before(given) if before else given)
        if logits:  # scores were made of logits: take them back
            found["scores"] = logits(found["scores"])
        if scores:
            found["scores"] = scores(found["scores"])
        return keras.Model(given, {n: layers.Activation("linear", name=f"{n}_out")(t) for n, t in found.items()})

    def without(model: Any, metadata: Any) -> Any:
        complete = whole(model, metadata)
        left = dict(complete.output)
        left["scores"] = complete.get_layer("scores").input
        return keras.Model(complete.input, left)

    def flat(model: Any, metadata: Any) -> Any:
        classes = len(metadata["labels"])
        even = 0.5 if metadata["task"] != "classification" else 1 / classes
        return wrapped(model, metadata, scores=lambda s: layers.Rescaling(0.05, 0.95 * even)(s))

    def cooler(model: Any, metadata: Any) -> Any:
        return whole(model, {**metadata, "temperature": 1.5 * metadata.get("temperature", 1.0)})

    found = {"softmax or sigmoid left out": without, "chance-like scores": flat}
    if metadata_has_temperature(case):
        found["another temperature"] = cooler
    if case.texts:
        found["ids moved by one"] = lambda m, a: wrapped(m, a, before=lambda x: keras.ops.maximum(x - 1, 0))
    else:
        found["wrong scaling"] = lambda m, a: wrapped(m, a, before=lambda x: layers.Rescaling(1 / 1.25)(x))
        found["pixels in reverse"] = lambda m, a: wrapped(m, a, before=lambda x: layers.Rescaling(-1.0, 255.0)(x))
    return found


def metadata_has_temperature(case: Case) -> bool:
    return "temperature" in case.artifact.metadata


def calibrations(case: Case) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return what int8 could wrongly be calibrated on."""
    if case.texts:
        return {
            "padding alone": np.zeros_like,
            "two texts": lambda ids: ids[:2],
            "unknown words": lambda ids: np.minimum(ids, 1),
        }
    rng = np.random.default_rng(0)
    return {
        "zeros": np.zeros_like,
        "divided by 255": lambda images: (images / 255).astype(np.float32),
        "noise": lambda images: rng.integers(0, 256, images.shape).astype(images.dtype),
        "two images": lambda images: images[:2],
        "reversed": lambda images: 255 - images,
    }


def leaves(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield each field of metadata, with where it is."""
    for key, value in document.items():
        yield (*path, key), value
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))


def other(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1 if isinstance(value, int) else value * 0.9 + 0.01
    if isinstance(value, str):
        return "\n".join(reversed(value.split("\n"))) if "\n" in value else value + "x"
    if isinstance(value, list):
        return [*value[1:], *value[:1]] if len(set(map(str, value))) > 1 else [*value, *value]
    return 1.0 if value is None else {}


def changed(document: dict[str, Any], path: tuple[Any, ...], value: Any, *, gone: bool = False) -> dict[str, Any]:
    """Return metadata with one field changed or left out."""
    key, *rest = path
    if rest:
        return {**document, key: changed(document[key], tuple(rest), value, gone=gone)}
    return {k: v for k, v in document.items() if k != key} if gone else {**document, key: value}


# Trial ----------------------------------------------------------------------------------------------------------------


def gated(case: Case, precision: str, folder: Path, maker: Callable[..., bytes]) -> dict[str, Any]:
    """Export through the gate with another converter; return the verdict."""
    before = gate.convert
    gate.convert = maker
    try:
        document = gate.export(
            case.artifact,
            folder,
            train=case.data.train,
            held_out=case.data.test,
            validation=case.data.validation,
            task=case.task,
            precisions=[precision],
        )
    except GateRefused as error:
        return {**json.loads((folder / gate.GATE).read_text())["artifacts"][precision], "line": str(error)}
    finally:
        gate.convert = before
    return document["artifacts"][precision]


def trial(
    case: Case, folder: Path, precisions: list[str], write: Callable[[str, str, str, dict[str, Any]], None]
) -> None:
    """Plant every fault in these precisions."""
    known: dict[Any, bytes] = {}
    real = convert.convert

    def sound(model: Any, precision: str, calibration: Any, metadata: Any) -> bytes:
        key = (precision, zlib.crc32(b"".join(np.ascontiguousarray(w).tobytes() for w in model.get_weights())))
        if key not in known:
            known[key] = real(model, precision, calibration, metadata)
        return known[key]

    for precision in precisions:

        def faulty(change: Callable[..., bytes], precision: str = precision) -> Callable[..., bytes]:
            """A converter that has the fault in this precision; references of others are sound."""
            return lambda m, p, c, a: change(m, p, c, a) if p == precision else sound(m, p, c, a)

        def run(group: str, name: str, change: Callable[..., bytes], precision: str = precision) -> None:
            write(precision, group, name, gated(case, precision, folder, faulty(change, precision)))

        run("none", "sound", sound)
        for name, change in in_weights(case).items():
            run("weights", name, lambda m, p, c, a, change=change: real(altered(m, change), p, c, a))
        for name, wrong in in_graph(case).items():

            def with_wrong(m: Any, p: str, c: Any, a: Any, wrong: Any = wrong) -> bytes:
                convert.outputs, before = wrong, convert.outputs
                try:
                    return real(m, p, c, a)
                finally:
                    convert.outputs = before

            run("graph", name, with_wrong)
        if precision == "int8":
            for name, of in calibrations(case).items():
                run("calibration", name, lambda m, p, c, a, of=of: real(m, p, of(c), a))
        whole = Profile(case.artifact.model, case.artifact.metadata).described(precision)
        # An empty vocabulary that is left out is read as an empty one: no fault.
        fields = [(path, value) for path, value in leaves(whole) if path != ("text", "vocabulary") or value]
        for path, value in fields:
            for gone in (False, True):

                def described(
                    m: Any, p: str, c: Any, a: Any, path: Any = path, value: Any = value, gone: bool = gone
                ) -> bytes:
                    content = sound(m, p, c, a)
                    about = changed(Profile(m, a).described(p), path, other(value), gone=gone)
                    return repacked(content, about)

                name = f"{'.'.join(map(str, path))} {'left out' if gone else 'changed'}"
                run("metadata", name, described)


def repacked(content: bytes, metadata: dict[str, Any]) -> bytes:
    """Return a file with other metadata behind its flatbuffer."""
    import io
    import zipfile

    from cnnkit.seals import sealed

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = min(info.header_offset for info in archive.infolist())
    return sealed(content[:start] + container.appendix(metadata))


def add_sound(entry: dict[str, Any], kind: str, seed: int, precisions: list[str]) -> None:
    """Export a sound model and note what each check measured."""
    case = made(kind, seed)
    with tempfile.TemporaryDirectory() as name:
        for precision in precisions:
            place = entry.setdefault(precision, {"seeds": [], "refused": [], "said": [], "margins": {}})
            if seed in place["seeds"]:
                continue
            verdict = gated(case, precision, Path(name), convert.convert)
            place["seeds"].append(seed)
            if not verdict["passed"]:
                place["refused"].append({"seed": seed, "refused": verdict["refused"]})
                print(f"REFUSED {kind} {seed} {precision}: {verdict['refused']}", flush=True)
            if verdict.get("said"):
                place["said"].append({"seed": seed, "said": verdict["said"]})
            for check in verdict["checks"]:
                margin = place["margins"].setdefault(check["name"], {"largest": 0.0})
                margin |= {"largest": max(margin["largest"], check["measured"] or 0.0), "bar": check["bar"]}


def planted(kind: str, precisions: list[str]) -> dict[str, Any]:
    """Plant all faults; return by precision what was stopped, and by which checks."""
    rows: dict[str, list[dict[str, Any]]] = {precision: [] for precision in precisions}

    def write(precision: str, group: str, name: str, verdict: dict[str, Any]) -> None:
        stopped = {c["name"]: c["measured"] for c in verdict["checks"] if not c["passed"]}
        row = {"group": group, "fault": name, "stopped": not verdict["passed"], "by": stopped}
        rows[precision].append(row)
        if (group == "none") == row["stopped"]:
            print(f"WRONG {kind} {precision} {row} {verdict['refused']}", flush=True)

    with tempfile.TemporaryDirectory() as name:
        trial(made(kind, 0), Path(name), precisions, write)
    found = {}
    for precision, every in rows.items():
        faults = [row for row in every if row["group"] != "none"]
        groups = {row["group"] for row in faults}
        found[precision] = {
            "planted": len(faults),
            "stopped": sum(row["stopped"] for row in faults),
            "by_group": {
                group: [
                    sum(r["stopped"] for r in faults if r["group"] == group),
                    sum(r["group"] == group for r in faults),
                ]
                for group in sorted(groups)
            },
            "not_stopped": [row for row in faults if not row["stopped"]],
            "by_check": {row["fault"]: row["by"] for row in faults if row["group"] != "metadata"},
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="of sound exports")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--precisions", default=",".join(PRECISIONS))
    parser.add_argument("--no-faults", action="store_true", help="sound exports alone")
    parser.add_argument("--out", type=Path, default=results.FOLDER / "faults.json", help="what is there is added to")
    options = parser.parse_args()
    gate.CALIBRATION_IMAGES = 48
    known = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    sound, faults = known.get("sound", {}), known.get("faults", {})
    precisions = options.precisions.split(",")
    start = time.perf_counter()
    for kind in options.kinds.split(","):
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            add_sound(sound.setdefault(kind, {}), kind, seed, precisions)
            results.write("faults", {"sound": sound, "faults": faults}, options.out)
        if not options.no_faults:
            faults.setdefault(kind, {}).update(planted(kind, precisions))
            results.write("faults", {"sound": sound, "faults": faults}, options.out)
            shown = {p: (entry["stopped"], entry["planted"]) for p, entry in faults[kind].items()}
            print(f"{time.perf_counter() - start:.0f} s {kind}: stopped of planted {shown}", flush=True)


if __name__ == "__main__":
    main()

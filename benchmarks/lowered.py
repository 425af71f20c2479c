"""U-Nets of volumes written with operators of pictures, against the plain conversion of the same weights: size, time, answers.

    python benchmarks/lowered.py [--rounds 21]

`difference`: of the lowered Keras model's logits from the network's, at most, in the largest logit. `int8_error`: mean difference
of the int8 file's logits from them, in their standard deviation; weights are drawn, so it says little of a trained network.
`convolutions`: how many a file has, and how many of them take, hold and give int8. `seconds`: medians of rounds in which all
files take their turn; `of_plain`: medians of the ratios to the plain float32 file's within each round. `peak_mb`: what a process
of its own takes more at its peak than before it opens the file. Weights are random, those of batch norms too, volumes smoothed
noise.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import results

NETWORKS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "isotropic": ((40, 56, 40, 1), {"width": 8, "depth": 3}),
    "wider, no residuals": ((40, 56, 40, 1), {"width": 16, "depth": 3, "residual": False}),
    "thick slices": (
        (16, 80, 80, 1),
        {
            "width": 8,
            "depth": 3,
            "strides": [(1, 2, 2), (2, 2, 2), (2, 2, 2)],
            "kernels": [(1, 3, 3), *[(3, 3, 3)] * 3],
        },
    ),
    "large": ((64, 128, 128, 1), {"width": 8, "depth": 4}),
}
EXAMPLES = 6


def network(shape: tuple[int, ...], options: dict[str, Any]) -> Any:
    """Return a network whose batch norms do something."""
    import keras

    from cnnkit.models.unets import unet

    keras.utils.set_random_seed(0)
    model, rng = unet(shape, 2, **options), np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            ends = {"moving_variance": (0.5, 2), "gamma": (0.5, 1.5)}
            layer.set_weights([rng.uniform(*ends.get(w.name, (-0.3, 0.3)), w.shape) for w in layer.weights])
    return model


def volumes(shape: tuple[int, ...]) -> np.ndarray:
    """Return smoothed noise in [0, 255], float32 (n, *shape)."""
    from scipy import ndimage

    found = np.random.default_rng(1).random((EXAMPLES, *shape))
    found = ndimage.gaussian_filter(found, (0, *[2] * (len(shape) - 1), 0))
    low, high = found.min(), found.max()
    return (255 * (found - low) / (high - low)).astype(np.float32)


def file_of(model: Any, precision: str, examples: np.ndarray) -> bytes:
    """Convert as it is, with no metadata."""
    import keras
    import tensorflow as tf

    given = keras.Input(batch_shape=(1, *model.input_shape[1:]))
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(given, model(given)))
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ([example[None]] for example in examples)
    return converter.convert()


def convolutions(content: bytes) -> dict[str, int]:
    """Count a file's convolutions, and those that read, hold and make int8."""
    from cnnkit.export.graph import graph_of

    steps = [step for step in graph_of(content).steps if "CONV" in step.kind]
    whole = [
        step
        for step in steps
        if {t.kind for t in (*step.given, *step.outputs) if t is not None and t.kind != "INT32"} == {"INT8"}
    ]
    return {"all": len(steps), "int8": len(whole)}


def timed(files: dict[str, bytes], volume: np.ndarray, threads: int, rounds: int) -> dict[str, Any]:
    """Run all files in turns; return medians of their times, and of their ratios to the plain float32 file's."""
    from ai_edge_litert.interpreter import Interpreter

    runs = {}
    for name, content in files.items():
        runs[name] = Interpreter(model_content=content, num_threads=threads)
        runs[name].allocate_tensors()
        runs[name].set_tensor(runs[name].get_input_details()[0]["index"], volume)
        runs[name].invoke()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, interpreter in runs.items():
            began = time.perf_counter()
            interpreter.invoke()
            seconds[name].append(time.perf_counter() - began)
    plain = seconds["plain float32"]
    return {
        "threads": threads,
        "seconds": {name: statistics.median(times) for name, times in seconds.items()},
        "of_plain": {
            name: statistics.median(own / other for own, other in zip(times, plain, strict=True))
            for name, times in seconds.items()
        },
    }


def peak(content: bytes) -> float:
    """Run a file in a process of its own; return its peak memory in MB, less that of the start."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        command = [sys.executable, __file__, "--peak", str(path)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return float(json.loads(done.stdout))


def run_once(path: Path) -> None:
    """Print by how many MB the peak of this process grows with a file that is run once, by one thread."""
    from ai_edge_litert.interpreter import Interpreter

    def most() -> float:  # what `resource` says begins with that of the process that started this one
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    before = most()
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    interpreter.set_tensor(given["index"], np.ones(given["shape"], given["dtype"]))
    interpreter.invoke()
    print(json.dumps(most() - before))


def answer(content: bytes, volume: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], volume)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def measured(shape: tuple[int, ...], options: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Convert a network in each way, and compare."""
    from cnnkit.export.lowered import lowered

    model, examples = network(shape, options), volumes(shape)
    low, volume = lowered(model), examples[-1:]
    before, after = (np.asarray(one(volume, training=False)) for one in (model, low))
    files = {
        "plain float32": file_of(model, "float32", examples),
        "plain int8": file_of(model, "int8", examples[:-1]),
        **{precision: file_of(low, precision, examples[:-1]) for precision in ("float32", "float16", "int8")},
    }
    return {
        "shape": shape,
        "options": options,
        "parameters": model.count_params(),
        "difference": float(np.abs(before - after).max() / np.abs(before).max()),
        "int8_error": float(np.abs(before - answer(files["int8"], volume)).mean() / before.std()),
        "bytes": {name: len(content) for name, content in files.items()},
        "bytes_of_plain": {name: len(content) / len(files["plain float32"]) for name, content in files.items()},
        "convolutions": {name: convolutions(content) for name, content in files.items()},
        "peak_mb": {name: peak(content) for name, content in files.items()},
        "times": [timed(files, volume, threads, rounds) for threads in (1, 2)],
    }


def of_run(run: Path, rounds: int = 21) -> dict[str, Any]:
    """Compare a run's exported int8 file with the plain float conversion of its model, one thread: size, time, convolutions."""
    import keras

    model = keras.models.load_model(run / "model.keras", compile=False)
    (own,) = (run / "export").glob("*-int8.tflite")
    volume = volumes(model.input_shape[1:])[-1:]
    files = {"plain float32": file_of(model, "float32", volume), "int8": own.read_bytes()}
    return {
        "of_plain": {
            "bytes": len(files["int8"]) / len(files["plain float32"]),
            "seconds": timed(files, volume, 1, rounds)["of_plain"]["int8"],
        },
        "convolutions": convolutions(files["int8"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        run_once(arguments.peak)
        return
    rows = []
    for name, (shape, options) in NETWORKS.items():
        rows.append({"network": name, **measured(shape, options, 3 if name == "large" else arguments.rounds)})
        times = {row["threads"]: f"{row['of_plain']['int8']:.2f}" for row in rows[-1]["times"]}
        print(
            f"{name}: int8 {rows[-1]['bytes_of_plain']['int8']:.2f} of the plain size, of its time by threads {times}"
        )
    results.write("lowered", {"rows": rows})


if __name__ == "__main__":
    main()

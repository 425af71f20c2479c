"""Masks on medical pictures and volumes: drawn phantoms, vessels, membranes, polyps; what int8 loses, and what a picture takes.

    python benchmarks/scans.py phantoms --seeds 0 1 2     # the standard command
    python benchmarks/scans.py volumes --seeds 0          # the same of drawn volumes, `--volumes`
    python benchmarks/scans.py diagnose --seeds 0 1 2     # `--task diagnose` on drawn slices, a lesion or none
    python benchmarks/scans.py drive                      # DRIVE, its own division; the second person's drawings beside it
    python benchmarks/scans.py isbi                       # ISBI 2012, five folds of six neighbouring sections
    python benchmarks/scans.py kvasir                     # Kvasir-SEG, from nothing, on MobileNetV2 0.35, on EfficientNet-Lite0
    python benchmarks/scans.py overlap --seeds 0 1 2      # learnt of each picture, and of a step together, on polyps
    python benchmarks/scans.py hippocampus                # five folds of the 130 volumes; one exported, against plain conversion
    python benchmarks/scans.py speed                      # `predict` of one DRIVE picture from int8, the whole process
    python benchmarks/scans.py memory                     # its peak memory, and that of a picture ten times as large
    python benchmarks/scans.py volume-speed --file F      # the same of one volume of the hippocampus, by the int8 file F
    python benchmarks/scans.py volume-memory --file F     # and of volumes of which one is ten times as large

Each writes a file of its own in results/, beside what it has of other seeds. Runs are kept in --runs; one that exists is not
trained again. The data sets are looked for in $CNNKIT_DATA; ImageNet's weights are the file --weights.

Settings were chosen on training pictures held out; no test picture was looked at. `minutes` are of training alone, `seconds` of a
whole process.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import lowered
import membranes
import results

WEIGHTS = "weights/mobilenet_v2_0.35_224_no_top.weights.h5"  # below $CNNKIT_DATA
DRIVE = ("--data", "drive", "--validation", "0", "--weights", "none")
ISBI = ("--folds", "5", "--weights", "none")
HIPPOCAMPUS = ("--data", "hippocampus", "--folds", "5")
KVASIR = ("--data", "kvasir-seg")
OVERLAP = ("--model", "backbone", "--image-size", "128", "--epochs", "15", "--groups", "none")
PLAIN = ("--epochs", "40", "--weights", "none")
BACKBONE = ("--model", "backbone", "--image-size", "192", "--epochs", "60")
# A step of it takes three times as long, so it gets a time and not a number of epochs.
LITE0 = ("--weights", "imagenet", "--backbone", "efficientnet_lite0", "--image-size", "192", "--minutes", "30")
KEYS = ("dice", "dice_interval", "iou", "iou_interval", "nsd", "hd95", "sensitivity", "precision", "count", "patients")


def phantoms(arguments: argparse.Namespace) -> None:
    """Train and export on the drawn phantoms."""
    for seed in arguments.seeds:
        write("phantoms", row(arguments, arguments.runs / f"phantoms-{seed}", "--seed", str(seed)))


def volumes(arguments: argparse.Namespace) -> None:
    """Train and export on the drawn volumes."""
    for seed in arguments.seeds:
        write("volumes", row(arguments, arguments.runs / f"volumes-{seed}", "--volumes", "--seed", str(seed)))


def diagnose(arguments: argparse.Namespace) -> None:
    """Train and export on drawn slices with a lesion or none."""
    for seed in arguments.seeds:
        run = arguments.runs / f"diagnose-{seed}"
        document = results.trained("scans", run, "--task", "diagnose", "--seed", str(seed), threads=arguments.threads)
        exported(arguments, run)
        test = {
            key: value for key, value in document["scores"]["test"].items() if isinstance(value, int | float | list)
        }
        test = {key: value for key, value in test.items() if key not in ("roc", "reliability", "confusion")}
        write("diagnose", {**about(run, document), **test, "lost": lost(run)})


def drive(arguments: argparse.Namespace) -> None:
    """Train on DRIVE's training pictures; score its test pictures, at full resolution, inside the field of view."""
    for seed in arguments.seeds:
        found = row(arguments, arguments.runs / f"drive-{seed}", *DRIVE, "--seed", str(seed))
        print(found["dice"], flush=True)
        write("drive", found, second_person=second_person())


def second_person() -> dict[str, Any]:
    """Score what a second person drew on DRIVE's test pictures."""
    from cnnkit.tasks.segmentation.loading import load
    from cnnkit.tasks.segmentation.scoring import Segmentation, cases

    test = load("drive").test
    drawn = [test.second(index) for index in range(len(test))]
    scores = Segmentation(test.regions).score(drawn, cases(test), test.label_names)
    return {key: scores[key] for key in KEYS if key in scores}


def isbi(arguments: argparse.Namespace) -> None:
    """Train five folds of six neighbouring sections each; score every section by the model that did not see it."""
    from cnnkit.tasks.segmentation.masks import IGNORE
    from cnnkit.verbs.folds import out_of_fold

    data = arguments.runs / "isbi-data"
    blocks(data)
    for seed in arguments.seeds:
        run = arguments.runs / f"isbi-{seed}"
        document = results.trained(
            "scans", run, "--data", str(data), *ISBI, "--seed", str(seed), threads=arguments.threads
        )
        opened, recipe, splits = again(run)
        outside = out_of_fold(recipe, opened, splits, quiet())
        answers = [codes == 1 for codes in outside.found]
        truth = [case.codes == 1 for case in outside.targets]
        known = [case.codes != IGNORE for case in outside.targets]
        wrong = [
            float((said != there)[inside].mean()) for said, there, inside in zip(answers, truth, known, strict=True)
        ]
        rand = [membranes.v_rand(said, there) for said, there in zip(answers, truth, strict=True)]
        scores = document["scores"]["folds"]
        exported(arguments, run / "fold-0")
        found = {
            **about(run, document),
            "parameters": document["model"]["parameters"] // int(ISBI[1]),  # of a fold
            **{key: scores[key] for key in KEYS if key in scores},
            "pixel_error": float(np.mean(wrong)),
            "v_rand": float(np.mean(rand)),
            "baseline": scores.get("baseline"),
            "lost": lost(run / "fold-0"),
        }
        write("isbi", found)


def blocks(folder: Path) -> None:
    """Make a folder of links to the sections, with a table that calls each six neighbours a patient."""
    source = results.research("isbi2012-em")
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["image,patient"]
    for name in ("image", "label"):
        (folder / name).mkdir(exist_ok=True)
        for number in range(30):
            link = folder / name / f"{number}.png"
            if not link.exists():
                link.symlink_to((source / name / f"{number}.png").resolve())
    lines += [f"{number}.png,{number // 6}" for number in range(30)]
    (folder / "patients.csv").write_text("\n".join(lines) + "\n")
    (folder / "labels.json").write_text(json.dumps({"membrane": 0}))


def kvasir(arguments: argparse.Namespace) -> None:
    """Train on Kvasir-SEG from nothing and on ImageNet's weights."""
    networks = {"plain": PLAIN, "backbone": BACKBONE, "lite0": LITE0}
    for seed in arguments.seeds:
        for name in arguments.networks or networks:
            options = networks[name]
            if name == "backbone":
                options = (*options, "--weights", str(arguments.weights or results.research(WEIGHTS)))
            run = arguments.runs / f"kvasir-{name}-{seed}"
            found = {**row(arguments, run, *KVASIR, *options, "--seed", str(seed)), "network": name}
            print(name, found["dice"], flush=True)
            write("kvasir", found)


def overlap(arguments: argparse.Namespace) -> None:
    """Train on Kvasir-SEG's training pictures with the overlap of each picture, and of a step together; a fifth is the test."""
    weights = arguments.weights or results.research(WEIGHTS)
    data = arguments.runs / "polyps"
    for name in ("images", "masks"):
        (data / name).mkdir(parents=True, exist_ok=True)
        for file in (results.research("kvasir-seg") / "train" / name).iterdir():
            if not (data / name / file.name).exists():
                (data / name / file.name).symlink_to(file.resolve())
    for seed in arguments.seeds:
        for loss in ("dice", "batch-dice"):
            run = arguments.runs / f"overlap-{loss}-{seed}"
            words = ("--data", str(data), *OVERLAP, "--weights", str(weights), "--loss", loss, "--seed", str(seed))
            document = results.trained("scans", run, *words, threads=arguments.threads)
            test = document["scores"]["test"]
            print(loss, seed, test["dice"], flush=True)
            found = {**about(run, document), "network": loss, **{key: test[key] for key in KEYS if key in test}}
            write("overlap", found)


def hippocampus(arguments: argparse.Namespace) -> None:
    """Train five folds of the 130 volumes of the hippocampus; score each by the model that did not see it; export one."""
    for seed in arguments.seeds:
        run = arguments.runs / f"hippocampus-{seed}"
        document = results.trained("scans", run, *HIPPOCAMPUS, "--seed", str(seed), threads=arguments.threads)
        scores = document["scores"]["folds"]
        exported(arguments, run / "fold-0")
        found = {
            **about(run, document),
            "parameters": document["model"]["parameters"] // int(HIPPOCAMPUS[-1]),  # of a fold
            **{key: scores[key] for key in KEYS if key in scores},
            "per_class": scores["per_class"],
            "baseline": scores.get("baseline"),
            "lost": lost(run / "fold-0"),
            "lowered": lowered.of_run(run / "fold-0"),
        }
        write("hippocampus", found)


def speed(arguments: argparse.Namespace) -> None:
    """Time `predict` of one DRIVE picture, the whole process, from int8; TensorFlow must not be loaded."""
    picture = drive_picture()
    file = arguments.runs / "drive-0" / "export" / "scans-int8.tflite"
    words = [sys.executable, "-X", "importtime", "-m", "cnnkit_scans.cli", "predict", str(file), str(picture)]
    loaded = subprocess.run(words, capture_output=True, text=True, check=True).stderr
    assert "| tensorflow" not in loaded, "TensorFlow was loaded"
    seconds = []
    for _ in range(7):
        began = time.perf_counter()
        subprocess.run([words[0], *words[3:]], capture_output=True, check=True)
        seconds.append(time.perf_counter() - began)
    content = {"seconds": statistics.median(seconds), "every": seconds, "bytes": file.stat().st_size}
    print(content)
    results.write("scans-speed", content)


def drive_picture() -> Path:
    """Return the first of DRIVE's test pictures."""
    return sorted(results.research("drive").rglob("01_test.tif"))[0]


def memory(arguments: argparse.Namespace) -> None:
    """Measure the peak memory of `predict` from int8, less what the picture and its mask take, for pictures of two sizes."""
    import cv2

    file = arguments.runs / "drive-0" / "export" / "scans-int8.tflite"
    picture = cv2.imread(str(drive_picture()))
    rows = []
    for times in ((1, 1), (5, 2)):
        large = np.tile(picture, (*times, 1))
        path = arguments.runs / f"drive-{times[0]}x{times[1]}.png"
        cv2.imwrite(str(path), large)
        words = ["predict", str(file), str(path)]
        code = (
            "import resource; from cnnkit_scans.cli import main; "
            f"main({words!r}, standalone_mode=False); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        peaks = []
        for _ in range(3):
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            peaks.append(1024 * int(done.stdout.split()[-1]))
        height, width = large.shape[:2]
        own = statistics.median(peaks) - height * width * 4  # three bytes a pixel of the picture, one of the mask
        rows.append({"height": height, "width": width, "peak": statistics.median(peaks), "less_picture_and_mask": own})
        print(rows[-1], flush=True)
    growth = rows[1]["less_picture_and_mask"] / rows[0]["less_picture_and_mask"] - 1
    results.write("scans-memory", {"rows": rows, "growth": growth})


SMALL, LARGE = (64, 96, 96), (160, 192, 192)  # voxels along each axis; ten times as many


def volume_speed(arguments: argparse.Namespace) -> None:
    """Time `predict` of one volume of the hippocampus, the whole process, from int8; TensorFlow must not be loaded."""
    volume = sorted(results.research("hippocampus").rglob("imagesTr/hippocampus_*.nii.gz"))[0]
    out = arguments.runs / "volume-speed"
    words = [sys.executable, "-X", "importtime", "-m", "cnnkit_scans.cli", "predict", str(arguments.file), str(volume)]
    content: dict[str, Any] = {"bytes": arguments.file.stat().st_size}
    for name, more in (("seconds", []), ("seconds_written", ["--out", str(out)])):
        loaded = subprocess.run([*words, *more], capture_output=True, text=True, check=True).stderr
        assert "| tensorflow" not in loaded, "TensorFlow was loaded"
        seconds = []
        for _ in range(7):
            began = time.perf_counter()
            subprocess.run([words[0], *words[3:], *more], capture_output=True, check=True)
            seconds.append(time.perf_counter() - began)
        content |= {name: statistics.median(seconds), f"{name}_each": seconds}
    print(content)
    results.write("scans-volume-speed", content)


def volume_memory(arguments: argparse.Namespace) -> None:
    """Measure the peak memory of `predict` from int8, less what volume and mask take, for volumes of two sizes.

    Volumes are smooth noise in int16, not packed. They are turned as scanners store them, so that axes are exchanged.
    """
    from cnnkit.device.model import read_metadata
    from cnnkit.device.segmentation import Plan
    from cnnkit.device.volumes.geometry import Geometry
    from cnnkit.device.volumes.nifti import write as write_volume

    voxel = Plan.from_dict(read_metadata(arguments.file)["segmentation"]).voxel
    assert voxel is not None, "The file takes no volumes"
    rows = []
    for shape in (SMALL, LARGE):
        path = arguments.runs / f"volume-{'x'.join(map(str, shape))}.nii"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(0).integers(0, 1000, [-(-side // 8) for side in shape]).astype(np.int16)
        for axis in range(3):
            noise = noise.repeat(8, axis)
        write_volume(path, noise[tuple(map(slice, shape))], Geometry.plain(shape, voxel))
        for out in ([], ["--out", str(arguments.runs / "volume-memory")]):
            words = ["predict", str(arguments.file), str(path), *out]
            code = (
                "import resource; from cnnkit_scans.cli import main; "
                f"main({words!r}, standalone_mode=False); "
                "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
            )
            began = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            seconds = time.perf_counter() - began
            peak = 1024 * int(done.stdout.split()[-1])
            own = peak - int(np.prod(shape)) * 3  # two bytes a voxel of the volume, one of the mask
            rows.append(
                {"shape": shape, "written": bool(out), "peak": peak, "less_input_and_mask": own, "seconds": seconds}
            )
            print(rows[-1], flush=True)
        path.unlink()
    growth = {
        name: rows[place + 2]["less_input_and_mask"] / rows[place]["less_input_and_mask"] - 1
        for place, name in enumerate(("growth", "growth_written"))
    }
    print(growth)
    results.write("scans-volume-memory", {"rows": rows, **growth})


# A run ----------------------------------------------------------------------------------------------------------------


def row(arguments: argparse.Namespace, run: Path, *words: str) -> dict[str, Any]:
    """Train and export a run, unless that is done; return what it scores and what its export lost."""
    document, whole = results.timed("scans", run, *words, threads=arguments.threads)
    exported(arguments, run)
    test = document["scores"]["test"]
    return {
        **about(run, document),
        **{key: test[key] for key in KEYS if key in test},
        "per_class": test["per_class"],
        "baseline": test["baseline"],
        "command_minutes": whole,
        "lost": lost(run),
    }


def about(run: Path, document: dict[str, Any]) -> dict[str, Any]:
    settings = document["settings"]
    return {
        "seed": settings["seed"],
        "settings": {key: settings[key] for key in ("model", "options", "epochs", "batch_size", "learning_rate")},
        "shape": document["data"]["shape"],
        "parameters": document["model"]["parameters"],
        "minutes": document["training"]["seconds"] / 60,
    }


def exported(arguments: argparse.Namespace, run: Path) -> None:
    if not (run / "export" / "gate.json").exists():
        results.cnnkit("scans", "export", str(run), threads=arguments.threads)


def lost(run: Path) -> dict[str, Any]:
    """Return what each file lost against the trained model, points of the score that stands first, and its size."""
    document = json.loads((run / "export" / "gate.json").read_text(encoding="utf-8"))
    keys = ("bytes", "difference", "worst_class_difference", "passed", "refused")
    return {name: {key: entry.get(key) for key in keys} for name, entry in document["artifacts"].items()}


def again(run: Path) -> tuple[Any, Any, Any]:
    """Open a run with its recipe and its data."""
    from cnnkit.run import Run
    from cnnkit.run_data import own_data
    from cnnkit.verbs.work import fitted
    from cnnkit_scans.cli import segmentation

    opened, recipe = Run.open(run), segmentation()
    splits = own_data(recipe, opened, tell=quiet()).splits
    return opened, fitted(recipe, splits, {}), splits


def quiet() -> Any:
    from cnnkit.reporter import SILENT

    return SILENT


def write(name: str, found: dict[str, Any], **more: Any) -> None:
    """Write a row beside those of other seeds."""
    rows = results.beside(f"scans-{name}", "runs", [found], ("network", "seed"))
    results.write(f"scans-{name}", {"runs": rows, **more})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = (
        phantoms,
        volumes,
        diagnose,
        drive,
        isbi,
        kvasir,
        overlap,
        hippocampus,
        speed,
        memory,
        volume_speed,
        volume_memory,
    )
    works = {work.__name__.replace("_", "-"): work for work in every}
    parser.add_argument("work", choices=works)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--file", type=Path, help="an int8 file of volumes")
    parser.add_argument("--networks", nargs="+", choices=["plain", "backbone", "lite0"], help="of kvasir; default: all")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.work.startswith("volume-"):
        results.needed(arguments.file, "--file", "an int8 file of volumes, as `hippocampus` exports one")
    works[arguments.work](arguments)


if __name__ == "__main__":
    main()

"""Write the tables of measured numbers into the READMEs, from what the benchmarks left in `results/`.

python benchmarks/table.py
"""

import json
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from cnnkit.files import write_text

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "devices.md",
    *(
        ROOT / "apps" / f"cnnkit_{app}" / "README.md"
        for app in ("digits", "photos", "scans", "signs", "steering", "text")
    ),
]
TITLES = {
    "digits-default": "embedded digits, held-out fifth, `default`",
    "mnist-default": "MNIST, `default`",
    "mnist-simple_cnn": "MNIST, `simple_cnn`",
    "mnist-micro": "MNIST, `micro`",
}


def read(name: str) -> dict[str, Any]:
    """Return a benchmark's results."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def table(head: str, rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells, below a head that is a line of Markdown."""
    return "\n".join([head, "|---" * (head.count("|") - 1) + "|", *(f"| {' | '.join(cells)} |" for cells in rows)])


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


def signs() -> str:
    """Return the table of fine-tuning, and what follows from it."""
    result = read("finetune")
    cells = {(cell["tracks"], cell["mode"]): cell for cell in result["cells"]}
    names = {
        "fine-tuned": "fine-tuned",
        "frozen": "backbone frozen",
        "scratch": "the same network from scratch",
        "plain": "the app's plain CNN (48 px) from scratch",
    }
    lines = [
        "| 43 classes, test accuracy %, mean (sd, seeds); minutes | 1 track a class | 2 tracks | 5 tracks |",
        "|---|---|---|---|",
    ]
    for mode, title in names.items():
        texts = []
        for tracks in (1, 2, 5):
            cell = cells[tracks, mode]
            spread = f"{100 * cell['mean_accuracy']:.1f} ({100 * cell['standard_deviation']:.1f}, {len(cell['rows'])})"
            texts.append(f"{spread}; {cell['mean_minutes']:.1f}")
        lines.append(f"| {title} | {' | '.join(texts)} |")
    lines.append(
        "| linear baseline | "
        + " | ".join(f"{100 * cells[tracks, 'fine-tuned']['mean_baseline']:.1f}" for tracks in (1, 2, 5))
        + " |"
    )
    best = cells[5, "fine-tuned"]["rows"]
    int8 = [row["exported"]["int8"] for row in best]
    passed = sum(entry["passed"] for entry in int8)
    again = read("continue_run")
    mean = again["mean"]
    lines += [
        "",
        f"MobileNetV2 at width 0.35, {best[0]['parameters']:,} parameters, 128 px, one thread. "
        f"In int8, 5 tracks: {100 * sum(entry['score'] for entry in int8) / len(int8):.1f} %, "
        f"{', '.join(format(entry['difference'], '+.2f') for entry in int8)} points beside the trained models, "
        f"{max(entry['bytes'] for entry in int8) / 1000:.0f} kB; the gate at 1 point let {passed} "
        f"of {len(int8)} pass (a refused one lost too much in one class). "
        f"Continued with `--replay` on ten new classes: the 33 old ones have {100 * mean['old_before']:.1f} % before and "
        f"{100 * mean['old_after']:.1f} % after (largest loss of a seed: {max(0, -again['lowest_change_points']):.2f} points), "
        f"the new ones {100 * mean['new_after']:.1f} %. Scripts: `finetune.py`, `continue_run.py`.",
    ]
    return "\n".join(lines)


STARTS = {"mobilenet_v2": "on MobileNetV2 0.35", "efficientnet_lite0": "on EfficientNet-Lite0", "none": "from nothing"}


def detection() -> str:
    """Return what detectors reach, of what was measured."""
    names = ("scenes", "starts", "road", "gtsdb", "real", "speed")
    known = {name: read(f"detection-{name}") for name in names if (RESULTS / f"detection-{name}.json").exists()}

    def points(value: float | None) -> str:
        return "" if value is None else f"{100 * value:.1f}"

    def minutes(rows: list[dict[str, Any]]) -> str:
        found = sorted(round(row["minutes"]) for row in rows)
        return str(found[0]) if found[0] == found[-1] else f"{found[0]} to {found[-1]}"

    lines = [
        "| | AP50 (sd, seeds) | AP | AP50 of small, medium, large signs | int8: AP50, worst class, size | minutes |",
        "|---|---|---|---|---|---|",
    ]
    ways = (
        [("drawn scenes, from scratch", known["scenes"]["rows"], known["scenes"]["mean"])] if "scenes" in known else []
    )
    for start, title in STARTS.items():
        if start in known.get("starts", {}).get("starts", {}):
            row = known["starts"]["starts"][start]
            ways.append((f"road-signs-877, {title}, defaults, 20 minutes asked", [row], row))
    if "road" in known:
        ways.append(("road-signs-877, on drawn scenes", known["road"]["rows"], known["road"]["mean"]))
    for title, rows, mean in ways:
        sizes = []
        for size in ("small", "medium", "large"):
            there = [row[f"ap50_{size}"] for row in rows if row[f"ap50_{size}"] is not None]
            sizes.append(points(sum(there) / len(there)) if there else "none")
        int8 = [row["exported"]["int8"] for row in rows]
        lost = ", ".join(f"{entry['difference']:+.2f}" for entry in int8)
        worst = min(entry["worst_class_difference"] for entry in int8)
        tiled = rows[0].get("tile_scale")
        seen = f"tiles of {rows[0]['shape'][0]} px at {tiled:g} times" if tiled else f"{rows[0]['shape'][0]} px"
        cells = [
            f"{title}; {rows[0]['parameters']:,} parameters, {seen}",
            f"{points(mean['ap50'])} ({points(mean['ap50_sd']) if len(rows) > 1 else '-'}, {len(rows)})",
            points(mean["ap"]),
            ", ".join(sizes),
            f"{lost}; {worst:+.2f}; {max(entry['bytes'] for entry in int8) / 1e6:.2f} MB",
            f"{minutes(rows)} on {rows[0]['threads']} thread{'s' if rows[0]['threads'] > 1 else ''}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if "gtsdb" in known:
        folds = known["gtsdb"]
        dealt = "five-fold" if len(folds["folds"]) == 5 else f"{len(folds['folds'])} of five folds"
        for mode, title in (("tiles", "tiles at full resolution"), ("whole", "whole images, same input")):
            result = folds["modes"][mode]
            by_size = ", ".join(points(result[f"ap50_{size}"]) for size in ("small", "medium", "large"))
            minutes = [row["minutes"] for row in folds["rows"] if row["mode"] == mode]
            score = f"{points(result['ap50'])} | {points(result['ap'])} | {by_size} | "
            mean_minutes = f"{sum(minutes) / len(minutes):.0f}"
            lines.append(f"| gtsdb-200, {dealt}, 3 super-classes, {title} | {score} | {mean_minutes} |")
    texts = []
    if "real" in known:
        found = known["real"]
        any_sign = [row["any_sign"] for row in found["rows"]]
        recall, precision = (sum(row[key] for row in any_sign) / len(any_sign) for key in ("recall", "precision"))
        texts.append(
            f"A detector trained on drawn scenes alone finds {points(recall)} % of the {any_sign[0]['boxes']} signs in the "
            f"{found['images']} photos of gtsdb-200, of any kind; {points(precision)} % of what it reports are signs."
        )
    if "speed" in known:
        speed = known["speed"]
        texts.append(
            f"`predict` of one 1360x800 photo in tiles, 2 threads, whole process: {speed['median']['int8']:.2f} s from int8, "
            f"{speed['median']['keras']:.1f} s in Keras, {speed['keras_over_int8']:.1f} times as long."
        )
    return "\n".join([*lines, "", " ".join([*texts, "Script: `detection.py`."])])


def checks() -> str:
    """Return the table of what `data check` finds of planted faults."""
    labels, copies = read("label_check"), read("duplicates")

    def share(entry: dict[str, float]) -> str:
        return f"{100 * entry['mean']:.1f} % ({100 * entry['spread']:.1f})"

    def planted(kind: str) -> str:
        return str(labels[kind]["rows"][0]["planted"])

    worst = min(entry["worst"] for entry in copies["found"].values())
    seconds = {entry["data"]: entry for entry in labels["clean"] if entry["kind"] == "images"}
    rows = [
        ("`data check`, planted into gtsrb-small, 3 seeds", "found (sd)", "of what is named, planted (sd)"),
        ("---", "---", "---"),
        (
            f"5 % of single labels wrong ({planted('images')})",
            share(labels["images"]["recall"]),
            share(labels["images"]["precision"]),
        ),
        (
            f"5 % of whole tracks wrong ({planted('tracks')})",
            share(labels["tracks"]["recall"]),
            share(labels["tracks"]["precision"]),
        ),
        (
            f"copies across the split: {', '.join(copies['found'])}; {copies['copies_of_each_kind']} of each",
            f"{100 * worst:.0f} % of each kind and seed",
            f"on the clean set {copies['clean']['test_images_named']} images are named; five of them are the same scene",
        ),
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    clean = ", ".join(f"{entry['named']} of {entry['judged']:,} ({name})" for name, entry in seconds.items())
    return (
        f"{table}\n\nLabels named on sets as they are published: {clean}. Scripts: `label_check.py`, `duplicates.py`."
    )


def texts() -> str:
    """Return the tables of texts, of what was measured."""
    titles = {"mr": "MR", "subj": "Subj", "trec": "TREC", "sst2": "SST-2", "sms-spam": "SMS spam"}
    folded = ("mr", "subj", "sms-spam")
    rows = []
    for data, title in titles.items():
        found = {model: maybe(f"text-{data}-{model}") for model in ("default", "kim-rand")}
        if found["default"] is None:
            continue
        cells = [title]
        for document in found.values():
            if document is None:
                cells.append("")
                continue
            number = len(document["rows"])
            unit = ("folds" if number == 10 else "of ten folds") if data in folded else "seeds"
            cells.append(f"{100 * document['mean']:.1f} ({100 * document['sd']:.1f}, {number} {unit})")
        linear, published = found["default"]["linear"], found["default"]["published"]
        cells.append(f"{100 * linear['mean']:.1f}" + (f" ({100 * linear['sd']:.1f})" if data in folded else ""))
        cells.append("" if published is None else f"{100 * published:.1f}")
        cells.append(f"{statistics.median(row['seconds'] for row in found['default']['rows']):.0f}")
        rows.append(f"| {' | '.join(cells)} |")
    columns = ("accuracy %, mean (sd, how many)", "`default`", "`kim-rand`", "TF-IDF, logistic regression", "Kim 2014")
    head = f"| {' | '.join(columns)} | seconds a training, median |"
    parts = ["\n".join([head, "|---|---|---|---|---|---|", *rows])] if rows else []
    facts = []
    embedded, export = maybe("text-embedded"), maybe("text-export")
    if embedded is not None:
        seconds = max(row["seconds"] for row in embedded["rows"])
        facts.append(
            f"Docstrings, the first command: {100 * embedded['mean']:.1f} % ({100 * embedded['sd']:.1f}, "
            f"{len(embedded['rows'])} seeds), TF-IDF {100 * embedded['baseline']['mean']:.1f} %, all of it in {seconds:.0f} s."
        )
    if export is not None:
        int8 = export["files"]["int8"]
        facts.append(
            f"int8 of the default on MR: {int8['difference']:+.2f} points, {int8['bytes'] / 1e6:.2f} MB with its vocabulary."
        )
    spam = maybe("text-sms-spam-default")
    if spam is not None:
        f1 = [100 * row["f1"]["spam"] for row in spam["rows"]]
        facts.append(f"SMS spam: F1 of spam {sum(f1) / len(f1):.1f} % ({min(f1):.1f} to {max(f1):.1f}).")
    speed, words, lines = maybe("text-training"), maybe("text-vocabulary"), maybe("text-predict")
    if speed is not None:
        facts.append(f"Kim's network trains {speed['ratio']:.1f} times as fast as in plain Keras on MR, in turns.")
    if words is not None:
        facts.append(
            f"With a million words instead of ten thousand a step keeps {100 * words['kept']['ours']:.0f} % of its speed, "
            f"in plain Keras {100 * words['kept']['keras']:.0f} %."
        )
    if lines is not None:
        one = sorted(row["seconds"] for row in lines["one"])
        facts.append(
            f"`predict` with MR's default: one sentence in {one[len(one) // 2]:.2f} s as a whole process, "
            f"{lines['lines_per_second']:,.0f} lines a second from standard input."
        )
    given = maybe("text-vectors")
    for data, models in (given["sets"] if given else {}).items():
        scores = {name: f"{100 * found['mean']:.1f}" for name, found in models.items() if name != "command"}
        facts.append(
            f"{titles[data]} with {given['vectors']}: kim-static {scores['kim-static']}, "
            f"kim-non-static {scores['kim-non-static']}, kim-multichannel {scores['kim-multichannel']} %; "
            f"random vectors as wide {scores['kim-rand']}."
        )
    again = maybe("text-trec-published")
    if again is not None:
        facts.append(
            f"CNN-rand on TREC in plain Keras, with the words, the optimizer and the epochs of the paper: "
            f"{100 * again['mean']:.1f} % ({100 * again['sd']:.1f}, {len(again['rows'])} seeds)."
        )
    return "\n\n".join([*parts, "\n".join(f"- {fact}" for fact in facts), "Scripts: `text.py`, `text_speed.py`."])


def scans() -> str:
    """Return the table of masks, a row a data set that was measured."""
    lines = [
        "| | parameters | Dice %, mean (95 % interval, or spread of seeds) | plain model % | a second person % "
        "| int8: points lost, kB | minutes of training | also |",
        "|---|---|---|---|---|---|---|---|",
    ]
    titles = {
        "phantoms": ("drawn phantoms, `cnnkit scans train`", None),
        "volumes": ("drawn volumes, `cnnkit scans train --volumes`", None),
        "drive": ("DRIVE, its own test pictures, in the field of view", None),
        "isbi": ("ISBI 2012, five folds, out of fold", None),
        "hippocampus": ("Hippocampus, 130 volumes, five folds, out of fold", None),
        "kvasir-plain": ("Kvasir-SEG, 100 test pictures, from nothing", "plain"),
        "kvasir-backbone": ("Kvasir-SEG, on MobileNetV2 0.35 of ImageNet", "backbone"),
        "kvasir-lite0": ("Kvasir-SEG, on EfficientNet-Lite0 of ImageNet", "lite0"),
    }
    for name, (title, network) in titles.items():
        found = maybe(f"scans-{name.split('-')[0]}")
        rows = [row for row in (found or {}).get("runs", []) if row.get("network") == network]
        if not rows:
            continue
        values = [100 * row["dice"] for row in rows]
        interval = [100 * bound for bound in rows[0]["dice_interval"]]
        person = (found or {}).get("second_person")
        int8 = [row["lost"]["int8"] for row in rows]
        cells = [
            title,
            f"{rows[0]['parameters']:,}",
            f"{statistics.mean(values):.1f} ({_spread(values, interval)})",
            f"{100 * statistics.mean(row['baseline']['dice'] for row in rows):.1f}",
            f"{100 * person['dice']:.1f}" if person else "",
            f"{-statistics.mean(entry['difference'] for entry in int8):+.2f}, {int8[0]['bytes'] / 1000:.0f}",
            f"{statistics.mean(row['minutes'] for row in rows):.0f}",
            _also(rows),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    for row in (maybe("scans-diagnose") or {}).get("runs", [])[:1]:
        low, high = row["auc_interval"]
        lost = row["lost"]["int8"]
        lines += [
            "",
            f"A lesion or none, on drawn slices (`--task diagnose`): AUC {row['auc']:.4f} ({low:.4f} to {high:.4f}), sensitivity "
            f"{100 * row['sensitivity']:.1f} % and specificity {100 * row['specificity']:.1f} % at the threshold that validation "
            f"data chose, {row['parameters']:,} parameters, {row['minutes']:.0f} minutes; int8 {lost['bytes'] / 1000:.0f} kB.",
        ]
    return "\n".join(lines)


def photos() -> str:
    """Return the table of pictures of anything, a row a data set that was measured."""
    lines = [
        "| | accuracy %, mean (95 % interval, or sd of seeds) | beside it % | int8: points lost, kB | minutes, all of it |",
        "|---|---|---|---|---|",
    ]
    titles = {
        ("drawn", None): "drawn surfaces, `cnnkit photos train`",
        ("neu", None): "NEU surfaces, 1,770 photos, five folds, on EfficientNet-Lite0",
        ("few", None): "the same, from 10 photos a class, all others for the test",
        ("gtsrb", "efficientnet_lite0"): "gtsrb-small, 2 tracks a sign, on EfficientNet-Lite0",
        ("gtsrb", "mobilenet_v2"): "the same on MobileNetV2 0.35",
    }
    facts = []
    for (name, network), title in titles.items():
        rows = [row for row in (maybe(f"photos-{name}") or {}).get("runs", []) if row.get("network") == network]
        if not rows:
            continue
        values = [100 * row["accuracy"] for row in rows]
        interval = [100 * bound for bound in rows[0]["interval"]]
        what = "frozen features" if "frozen" in rows[0] else "linear baseline"
        other = [row["frozen"]["accuracy"] if "frozen" in row else row["baseline"] for row in rows]
        int8 = [row["lost"]["int8"] for row in rows if "lost" in row]
        lost = (
            f"{-statistics.mean(entry['difference'] for entry in int8):+.2f}, {int8[0]['bytes'] / 1000:.0f}"
            if int8
            else ""
        )
        cells = [
            title,
            f"{statistics.mean(values):.1f} ({_spread(values, interval)})",
            f"{100 * statistics.mean(other):.1f}, {what}",
            lost,
            _minutes([row["whole_minutes"] for row in rows]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
        if "frozen" in rows[0]:
            said = ", ".join(
                f"{100 * row['frozen']['difference']:+.1f} points ({100 * row['frozen']['difference_interval'][0]:.1f} to "
                f"{100 * row['frozen']['difference_interval'][1]:.1f}; p {_p(row['frozen']['p'])})"
                for row in rows
            )
            many = "in five folds" if name == "neu" else "from 10 photos a class"
            facts.append(f"Beside frozen features on the same photos, {many}: {said}.")
        if name == "drawn":
            real = statistics.mean(row["real"]["accuracy"] for row in rows)
            best, *_, worst = sorted(rows[0]["real_recall"].items(), key=lambda entry: -entry[1])
            facts.append(
                f"A model that knows drawings alone has {100 * real:.1f} % of {rows[0]['real']['count']:,} real photos right, "
                f"where one in six is chance: of {best[0]} {100 * best[1]:.0f} %, of {worst[0]} {100 * worst[1]:.0f} % (seed "
                f"{rows[0]['seed']})."
            )
    if not facts:
        return "Not measured yet. Script: `photos.py`."
    return "\n".join([*lines, "", " ".join([*facts, "Script: `photos.py`."])])


def steering() -> str:
    """Return what the first command of steering reaches, in sentences."""
    found = maybe("steering")
    if found is None:
        return "Not measured yet. Script: `steering.py`."
    rows = [row for row in found["runs"] if row["loss"] == "huber"]
    first = rows[0]
    errors = [row["mean_absolute_error"] for row in rows]
    spread = _spread(errors, first["mean_absolute_error_interval"], places=2)
    minutes = _minutes([row["whole_seconds"] and row["whole_seconds"] / 60 for row in rows])
    straight = next(value for name, value in first["always"].items() if name.startswith("always 0"))
    int8 = [row["files"]["int8"] for row in rows]
    return (
        f"Error {statistics.mean(errors):.2f} degrees ({spread}); {first['baseline']['name']} "
        f"{first['baseline']['mean_absolute_error']:.2f}, always straight {straight:.2f}. The interval of its answers held for "
        f"{100 * statistics.mean(row['coverage']['share'] for row in rows):.1f} % of the test. int8: "
        f"{statistics.mean(entry['difference'] for entry in int8):+.3f} degrees, {int8[0]['bytes'] / 1000:.0f} kB. "
        f"{first['parameters']:,} parameters; {minutes} minutes, all of "
        "it. Script: `steering.py`."
    )


CALIBRATED = {
    "digits": "embedded digits",
    "mnist": "MNIST",
    "signs": "signs cut out, `gtsrb-small` (EfficientNet-Lite0)",
    "scenes": "signs in drawn scenes (boxes)",
    "road": "signs in photos, `road-signs-877` (boxes)",
    "surfaces": "drawn surfaces",
    "sms-spam": "SMS spam",
    "trec": "TREC",
    "texts": "embedded texts",
}


def calibration() -> str:
    """Return the table of how true scores are, without the temperature and with it."""
    found = read("calibration")["rows"]
    head = "| | seeds | test records | NLL without, with | ECE without, with | of true scores, up to | int8: NLL, ECE |"
    lines = []
    for case, title in CALIBRATED.items():
        rows = [row for row in found if row["case"] == case]
        if not rows:
            continue

        def mean(precision: str, which: str, key: str, rows: list[dict[str, Any]] = rows) -> str:
            values = [row[precision][which][key] for row in rows]
            return f"{statistics.mean(value[1] if key == 'by_chance' else value for value in values):.3f}"

        cells = [
            title,
            f"{len(rows)}",
            f"{rows[0]['records']['test']:,}",
            *(f"{mean('trained', 'without', key)}, {mean('trained', 'with', key)}" for key in ("nll", "ece")),
            mean("trained", "with", "by_chance"),
            ", ".join(mean("int8", "with", key) for key in ("nll", "ece")),
        ]
        lines.append(cells)
    return table(head, lines)


def micro() -> str:
    """Return the table of files in TensorFlow Lite Micro."""
    head = "| | parameters | test records | trained model % | file in TFLM % | answers equal % | flash kB | arena kB |"
    lines = []
    for name, row in read("micro")["rows"].items():
        cells = [
            name,
            f"{row['model']['parameters']:,}",
            f"{row['records']:,}",
            *(f"{100 * row[key]:.2f}" for key in ("trained", "score", "equal")),
            f"{row['flash'] / 1000:.0f}",
            f"{row['arena']['size'] / 1000:.0f}",
        ]
        lines.append(cells)
    return table(head, lines)


def quantise_aware() -> str:
    """Return the table of int8 files that were trained for, beside those of the same networks that were not."""
    found = read("quantise_aware")["rows"].values()
    head = "| | test records | trained % | int8 after training % (passed) | trained for eight bits % (passed) | alike, of 1,000 |"
    lines = []
    for case in dict.fromkeys(row["case"] for row in found):
        rows = [row for row in found if row["case"] == case]

        def mean(key: str, rows: list[dict[str, Any]] = rows) -> str:
            passed = [row["gates"][key]["passed"] for row in rows if key in row["gates"]]
            share = f" ({sum(passed)} of {len(passed)})" if passed else ""
            return f"{100 * statistics.mean(row[key] for row in rows):.2f}{share}"

        cells = [
            QUANTISED[case],
            f"{rows[0]['records']:,}",
            *(mean(key) for key in ("unrounded", "after", "aware")),
            f"{1000 * min(row['alike'] for row in rows):.0f}",
        ]
        lines.append(cells)
    return table(head, lines)


QUANTISED = {
    "digits": "embedded digits, `default`",
    "signs": "signs cut out, `gtsrb-small`, MobileNetV2 0.35 fine-tuned",
}


def pruning() -> str:
    """Return the table of pruned networks beside whole ones and beside the same widths from nothing: float32, int8."""
    found = read("pruning")["rows"]
    head = (
        "| | seeds | test records | multiply-adds | whole % | pruned % | from nothing % | as long % | faster, times |"
    )
    lines = []
    for case in dict.fromkeys(row["case"] for row in found):
        files = [row["files"] for row in found if row["case"] == case]
        row = next(row for row in found if row["case"] == case)

        def means(of: Callable[[Any], float], places: int, files: list[Any] = files) -> str:
            return ", ".join(
                f"{statistics.mean(of(one[name]) for one in files):.{places}f}" for name in ("float32", "int8")
            )

        before, after = row["cut"]["multiply_adds"]
        cells = [
            PRUNED[case],
            f"{len(files)}",
            f"{row['records']:,}",
            f"{before / 1e6:.2f} M to {after / 1e6:.2f} M",
            *(
                means(lambda one, n=name: 100 * one[n]["accuracy"], 2)
                for name in ("whole", "pruned", "nothing", "short")
            ),  # type: ignore[misc]
            means(lambda one: one["faster"], 1),
        ]
        lines.append(cells)
    return table(head, lines)


PRUNED = {
    "digits": "embedded digits, `default`",
    "mnist-5000": "MNIST of 5,000 training images, `default`",
    "published": "signs cut out, `gtsrb-small`, MobileNetV2 0.35 on published weights",
    "mnist": "MNIST, `default`",
    "drawn-signs": "drawn signs cut out, `default`",
}


def _spread(values: Sequence[float], interval: Sequence[float], places: int = 1) -> str:
    """Return how far a mean of seeds may be trusted: of one seed the interval of its score, of several their deviation."""
    if len(values) > 1:
        return f"sd {statistics.stdev(values):.{places}f}, {len(values)} seeds"
    return " to ".join(f"{bound:.{places}f}" for bound in interval)


def _minutes(known: Sequence[float | None]) -> str:
    """Return the mean of those runs whose command was timed."""
    timed = [minutes for minutes in known if minutes is not None]
    return f"{statistics.mean(timed):.1f}" if timed else "unknown"


def _p(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else "below 0.01"


def _also(rows: list[dict[str, Any]]) -> str:
    """Return what else is known of runs: IoU of those scored by it, what membranes are scored by."""
    means = {
        name: statistics.mean(row[key] for row in rows)
        for name, key in (("pixel error", "pixel_error"), ("V_rand", "v_rand"), ("IoU", "iou"))
        if all(key in row for row in rows)
    }
    found = [f"{name} {value:.3f}" for name, value in means.items()]
    if all("lowered" in row for row in rows):
        labels = rows[0]["per_class"]
        for label in labels:
            found.append(f"{label} {100 * statistics.mean(row['per_class'][label]['dice'] for row in rows):.1f}")
        for name, key, unit in (("NSD at 1 mm", "nsd", ""), ("HD95", "hd95", " mm")):
            found.append(f"{name} {statistics.mean(row[key] for row in rows):.2f}{unit}")
        of_plain = rows[0]["lowered"]["of_plain"]
        found.append(
            f"int8 {of_plain['bytes']:.2f} of the plain float file's size and {of_plain['seconds']:.2f} of its time"
        )
    return ", ".join(found)


def maybe(name: str) -> dict[str, Any] | None:
    """Return a benchmark's results, if it was run."""
    return read(name) if (RESULTS / f"{name}.json").exists() else None


def growth(memory: dict[str, Any]) -> str:
    return "; ".join(f"{entry['kind']} {100 * entry['growth']:+.1f} %" for entry in memory["kinds"])


def machine() -> str:
    """Return one line on where this was measured."""
    r = read("accuracy-mnist-default")
    return f"Measured on {r['machine']['cores']} cores ({r['machine']['processor']}), TensorFlow {r['versions']['tensorflow']}."


def page(text: str) -> str:
    """Return a page with its tables written anew."""
    for name, table in (
        ("accuracy", accuracy),
        ("others", others),
        ("signs", signs),
        ("detection", detection),
        ("checks", checks),
        ("photos", photos),
        ("scans", scans),
        ("steering", steering),
        ("text", texts),
        ("machine", machine),
        ("calibration", calibration),
        ("micro", micro),
        ("quantise-aware", quantise_aware),
        ("pruning", pruning),
    ):
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", re.DOTALL)
        if pattern.search(text):
            made = table()
            text = pattern.sub(lambda found, made=made: found.group(1) + made + found.group(2), text)
    return text


if __name__ == "__main__":
    for path in PAGES:
        write_text(path, page(path.read_text(encoding="utf-8")))
        print(f"-> {path.relative_to(ROOT)}")

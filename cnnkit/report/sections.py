"""The sections of a report, each made from a part of `run.json`, `history.csv`, `gate.json` or arrays of images.

Choices:
- Here is what every run has: training, classes where there are some, the gate, layers, the card. What a task has beside it makes
  the task, what shows its inputs the kind of input (`report.py` of its folder).
- A section is made from what is there.
- Every section says in plain words how to read it.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.report import blocks, figures
from cnnkit.report.record import Record
from cnnkit.score import SHARE, Score, headline, unit

ANY = Record()

NAMES = {
    "val_accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
    "exact": "All labels right",
    "ece": "Calibration error",
    "nll": "Negative log-likelihood",
    "auc": "Area under the ROC curve",
    "f1": "F1",
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_small": "AP small",
    "ap_medium": "AP medium",
    "ap_large": "AP large",
    "ap50_small": "AP50 small",
    "ap50_medium": "AP50 medium",
    "ap50_large": "AP50 large",
    "iou": "IoU",
    "nsd": "Surface Dice",
    "hd95": "HD95",
    "support": "records",
}
NOTES = {
    "sensitivity": "of what is there, found",
    "specificity": "of those without it, let go",
    "macro_f1": "mean over classes",
    "exact": "share of the records",
    "ece": "confidence against truth",
    "nll": "of what is true; less is better",
    "ap": "mean over IoU 0.5 to 0.95",
    "ap75": "boxes at IoU 0.75",
    "ap_small": "below 32\u00d732 px",
    "ap_medium": "up to 96\u00d796 px",
}
MATRIX_CLASSES = 24  # more are drawn as a picture
TABLE_CLASSES = 60  # more are left out, the best first


def named(key: str) -> str:
    """A score's name for people."""
    return NAMES.get(key, key.replace("_", " ").capitalize())


def intervals(scores: Mapping[str, Any], model: str) -> list[blocks.Interval]:
    """The headline score beside those of others that answered the same records, and of its baseline."""
    score = headline(scores)
    if score is None:
        return []
    low, high = score.interval or (None, None)
    entries = [blocks.Interval(model, score.value, low, high, main=True)]
    for beside in (*scores.get("beside", ()), scores.get("baseline") or {}):
        if score.name in beside:
            other = score.of(beside)
            entries.append(blocks.Interval(beside["name"], other.value, *(other.interval or (None, None))))
    return entries


def tiles(run: Mapping[str, Any], scores: Mapping[str, Any], gate: Mapping[str, Any] | None) -> list[blocks.Tile]:
    """The numbers that matter beside the headline."""
    found: list[blocks.Tile] = []
    score = headline(scores)
    for key, value in scores.items():
        if isinstance(value, float) and (score is None or key != score.name) and len(found) < 3:
            what = unit(scores, key)
            found.append(
                blocks.Tile(named(key), blocks.measured(value, what) if what else f"{value:.3f}", NOTES.get(key, ""))
            )
    parameters = run.get("model", {}).get("parameters")
    if parameters is not None:
        found.append(blocks.Tile("Parameters", f"{parameters:,}", run["model"].get("name", "")))
    passed = {name: entry for name, entry in (gate or {}).get("artifacts", {}).items() if entry["passed"]}
    if passed:
        name, entry = min(passed.items(), key=lambda item: item[1]["bytes"])
        change = f"{name}, {blocks.points(entry['difference'])} {score.step if score else 'points'}"
        found.append(blocks.Tile("On the device", blocks.size(entry["bytes"]), change.strip()))
    training, again = run.get("training", {}), run.get("refit")
    if "seconds" in training:
        epochs = f"{training['epochs']} epochs" if "epochs" in training else ""
        if again:
            epochs += f", then {training['best_epoch']} on validation data too"
        found.append(
            blocks.Tile("Training", blocks.duration(training["seconds"] + (again or {}).get("seconds", 0)), epochs)
        )
    return found


def training(run: Mapping[str, Any], history: figures.ROWS, record: Record = ANY) -> blocks.Section | None:
    """Curves of everything in the history; a column and its `val_` twin share a chart."""
    if not history:
        return None
    columns = [name for name in history[0] if name not in ("epoch", "seconds") and not name.startswith("val_")]
    columns.sort(key=lambda name: "loss" not in name)
    document = run.get("training", {})
    best, phases, again = document.get("best_epoch"), document.get("phases") or (), run.get("refit")
    rounding = run.get("quantise_aware")
    charts: list[blocks.Chart] = []
    for name in columns if len(history) > 1 else ():
        pair = [name, f"val_{name}"] if any(f"val_{name}" in row for row in history) else [name]
        last = {column: history[-1].get(column) for column in pair}
        ends = ", ".join(f"{column} ends at {value:.4g}" for column, value in last.items() if value is not None)
        legend = (("two", "training"), ("one", "validation")) if len(pair) > 1 else ()
        svg = figures.curve(history, pair, best=best, phases=phases)
        charts.append(blocks.Chart(svg, named(name), f"{named(name)} over {len(history)} epochs; {ends}.", legend))
    text = f"How the model learnt, epoch by epoch. Training is measured {record.harder}, so validation may be better."
    losses = {row["epoch"]: row["val_loss"] for row in history if "val_loss" in row}
    if best and losses:
        lowest = losses.get(best) == min(losses.values())
        why = "where the validation loss was lowest" if lowest else "the last"
        kept = "The best was" if again else "The weights kept are those of"
        text += f" {kept} epoch {best}, marked, {why}."
    elif best:
        text += " Nothing was held out for validation: the weights kept are those of the last epoch."
    if document.get("stopped"):
        text += f" Why it ended: {document['stopped']}."
    if rounding:
        text += (
            f" Then it learnt for {rounding['epochs']} epochs more with the rounding of an int8 file, its batch norm folded: "
            "the model is that of these."
        )
    if again:
        text += (
            f" Then the network was trained anew for as many epochs on all {again['records']:,} {record.one}s, those of "
            "validation too; these weights are the model's. What validation had decided beside that stays as it was."
        )
    content: list[blocks.Block] = [blocks.Charts(charts)]
    if len(history) == 1:
        content = [
            blocks.Facts(
                "After one epoch", {n: blocks.plain(v) for n, v in history[0].items() if n not in ("epoch", "seconds")}
            )
        ]
    if phases:
        rows = [[str(phase.get("name", "")), f"{phase['start']} to {phase['end']}"] for phase in phases]
        content.append(blocks.Table(["phase", "epochs"], rows))
    loaded = run.get("weights") or {}
    if loaded.get("file"):
        found = (
            f"{loaded['parameters']:,} parameters of {len(loaded['layers'])} layers from {Path(loaded['file']).name}"
        )
        facts = {"Loaded": found, "Left at initial values": ", ".join(loaded["left"]) or "nothing"}
        if loaded.get("notes"):
            facts["On the way"] = " ".join(loaded["notes"])
        content.append(blocks.Facts("Weights to start from", facts))
    if cut := run.get("pruned"):
        shares = {"Multiply-adds": cut["multiply_adds"], "Parameters": cut["parameters"]}
        facts = {name: f"{after:,} of {before:,}" for name, (before, after) in shares.items()}
        content.append(blocks.Facts("What pruning left before that", facts))
        content.append(
            blocks.Table(
                ["layer", "filters", "of"],
                [[n, str(after), str(before)] for n, (before, after) in cut["widths"].items()],
            )
        )
    return blocks.Section("Training", text, content, wide=True)


def confusion(
    labels: Sequence[str], counts: Sequence[Sequence[int]], text: str, nothing: tuple[str, str] | None = None
) -> blocks.Section:
    """A matrix of what was taken for what, and the pairs confused most.

    Args:
        labels: of rows and columns.
        counts: a row a true class, a column a predicted one.
        text: how to read it.
        nothing: what the last row and the last column are called in the table, where they stand for nothing there and for nothing
            found; None: they are classes too.
    """
    last = len(labels) - 1 if nothing else -1
    matrix = blocks.Matrix(list(labels), counts)
    content: list[blocks.Block] = []
    if len(labels) <= MATRIX_CLASSES:
        content.append(matrix)
    else:
        description = f"Confusion matrix of {len(labels)} classes: a row a true class, a column a predicted one."
        content.append(blocks.Pictures([blocks.Picture(blocks.matrix_picture(matrix), description)], side=560))
    array = np.array(counts)
    wrong = [(int(array[i, j]), i, j) for i, j in zip(*np.nonzero(array)) if i != j]
    wrong.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
    if wrong:
        rows = [
            [
                nothing[0] if nothing and i == last else labels[i],
                nothing[1] if nothing and j == last else labels[j],
                str(count),
                "" if i == last else blocks.percent(count / array[i].sum(), 1),
            ]
            for count, i, j in wrong[:8]
        ]
        title = "Confused most often" if len(wrong) > 8 else "Every confusion"
        content.append(blocks.Table(["true", "read as", "times", "of its class"], rows, numbers=(2, 3), caption=title))
    return blocks.Section("Confusions", text, content)


def sure(scores: Mapping[str, Any]) -> blocks.Section | None:
    """From which confidence on an answer counts as sure, and what such answers are worth."""
    found = scores.get("sure")
    if not found:
        return None
    right = found.get("accuracy")
    facts = {
        "Sure from": f"{blocks.percent(found['confidence'], 1)} confidence on",
        "Records with a sure answer": blocks.percent(found["answered"], 1),
        "Of these right": "no answer is that sure" if right is None else blocks.percent(right, 1),
    }
    whole = scores.get("accuracy", scores.get("exact"))
    if right is not None and found["answered"] < 1 and isinstance(whole, float):
        rest = (whole - right * found["answered"]) / (1 - found["answered"])
        facts["Of the others right"] = blocks.percent(min(1.0, max(0.0, rest)), 1)
    text = (
        "Where the model is less confident than this, it says that it is not sure. The limit was chosen on validation records, "
        "so that 95 % of the sure answers are right where that can be had; these are its shares of the test records."
    )
    if "exact" in scores:
        text += " An answer of several labels is right where all of them are, and none is lacking."
    return blocks.Section("What counts as sure", text, [blocks.Facts("Sure answers", facts)])


def per_class(scores: Mapping[str, Any]) -> blocks.Section | None:
    """A table of every class's scores, whatever they are called."""
    classes = scores.get("per_class")
    if not classes:
        return None
    keys = list(next(iter(classes.values())))
    lead = next((key for key in ("f1", "ap50", "ap") if key in keys), keys[0])
    first = headline(scores)
    score = first if first and first.name == lead else Score(lead, 0.0, unit(scores, lead))
    shown = list(classes.items())

    def weakness(value: float | None) -> float:
        return math.inf if value is None else score.gain(0.0, value)

    scored = [label for label, values in shown if values[lead] is not None]  # others have no records of their own
    text = "Precision: how many of these answers are right. Recall: how many of these were found. F1 weighs both."
    if "ap50" in keys:
        text = (
            "AP50: the area under precision over recall, at IoU 0.5. Recall and precision are those at the threshold."
        )
    elif "precision" not in keys:
        text = "The scores of every class on its own."
    if len(shown) > TABLE_CLASSES:
        shown = sorted(shown, key=lambda item: weakness(item[1][lead]))[:TABLE_CLASSES]
        text += f" Of {len(classes)} classes the {TABLE_CLASSES} weakest are shown."
    weakest = min(scored, key=lambda label: weakness(classes[label][lead]), default=None)
    lowest = 0.0 if weakest is None else classes[weakest][lead]
    start = blocks.scale_start([lowest])
    if weakest is not None and score.unit == SHARE:
        text += f" The dots are on a scale from {blocks.percent(start, 1)} to 100{blocks.THIN}%."
    if weakest is not None:
        text += f" The weakest class is marked: {weakest}."

    def cell(key: str, value: Any) -> blocks.Cell:
        if value is None:
            return blocks.Cell("\u2013", tone="quiet")
        if isinstance(value, int):
            return blocks.Cell(f"{value:,}")
        what = unit(scores, key)
        tone = "bad" if key == lead and value == lowest and (what != SHARE or lowest < 1) else ""
        if what != SHARE:
            return blocks.Cell(f"{value:.2f}", None, tone)
        return blocks.Cell(blocks.percent(value), (value - start) / (1 - start) if key == lead else None, tone)

    rows = [[label, *(cell(key, values[key]) for key in keys)] for label, values in shown]
    units = {key: f", {unit(scores, key)}" if unit(scores, key) not in (SHARE, "") else "" for key in keys}
    names = [NAMES.get(key, key.replace("_", " ")) + units[key] for key in keys]
    if "ap50" in keys:
        names = ["objects" if key == "support" else name for key, name in zip(keys, names)]
    return blocks.Section("Classes", text, [blocks.Table(["class", *names], rows, numbers=range(1, len(keys) + 1))])


def calibration(scores: Mapping[str, Any]) -> blocks.Section | None:
    """How true scores are: the reliability diagram, and what the temperature did."""
    bins = scores.get("reliability")
    if not bins:
        return None
    finding, about = scores.get("finding"), scores.get("calibration") or {}
    if finding:
        text = f"Is {finding} there in nine of ten that have a score of 90 %? On the dashed line it is."
    else:
        text = (
            "Does 90 % sure mean right nine times in ten? On the dashed line it does; below it the model is too sure."
        )
    text += " The pale bars are 95 % intervals: long where few answers fall. The columns count the answers."
    total = sum(point["count"] for point in bins)
    gap = sum(point["count"] * (point["confidence"] - point["accuracy"]) for point in bins) / total
    if "ece" in scores and not finding:
        leaning = "more often right than it claims" if gap < 0 else "more confident than it should be"
        text += f" On the whole the model is {leaning}."
    facts = {}
    if "ece" in scores:
        facts["Calibration error (ECE)"] = _with_range(scores, "ece", 4)
    if "nll" in scores:
        facts["Negative log-likelihood (NLL)"] = f"{_with_range(scores, 'nll', 4)} nats; less is better"
    if about.get("by_chance"):
        low, high = about["by_chance"]
        within = "no more than that" if scores["ece"] <= high else "more than that"
        facts["By chance"] = (
            f"a model whose scores are all true has an ECE of {low:.4f} to {high:.4f} here; this is {within}"
        )
    if about.get("temperature") is not None:
        facts["Temperature"] = (
            f"{about['temperature']:.3f}, decided by validation data, in the graph and so in every file"
        )
    if before := about.get("before"):
        facts["Without it"] = f"ECE {before['ece']:.4f}, NLL {before['nll']:.4f} nats"
    described = "; ".join(
        f"{blocks.percent(p['confidence'], 0)} sure, {blocks.percent(p['accuracy'], 0)} right" for p in bins
    )
    title = f"{finding}, by its score" if finding else "Right, by how sure the model is"
    chart = blocks.Chart(figures.reliability(bins), title, f"Reliability diagram: {described}.", axes="how sure")
    return blocks.Section(
        "Calibration", text, [chart, *([blocks.Facts("How true scores are", facts)] if facts else [])]
    )


def _with_range(scores: Mapping[str, Any], name: str, digits: int) -> str:
    found = scores.get(f"{name}_interval")
    return f"{scores[name]:.{digits}f}" + (f" ({found[0]:.{digits}f} to {found[1]:.{digits}f})" if found else "")


def errors(entries: Sequence[Mapping[str, Any]]) -> blocks.Section | None:
    """The worst errors, as a table; each: `name`, `true`, `predicted`, and what `how_bad` reads."""
    if not entries:
        return None
    rows = [[str(entry["name"]), str(entry["true"]), str(entry["predicted"]), how_bad(entry)] for entry in entries]
    return blocks.Section("Worst errors", worst_first(entries), [blocks.Table(["record", "is", "read as", ""], rows)])


def how_bad(entry: Mapping[str, Any]) -> str:
    """A few words on an error: its `note`, or how sure the model was, `confidence`."""
    return entry["note"] if "note" in entry else f"{blocks.percent(entry['confidence'], 1)} sure"


def worst_first(entries: Sequence[Mapping[str, Any]]) -> str:
    """How to read the worst errors."""
    sure = "confidence" in entries[0]
    most, how = (
        ("of which the model was most sure", "how sure it was") if sure else ("that are largest", "how large it is")
    )
    return (
        f"The errors {most}, worst first: what it said, what it is, {how}. Some show a gap in the data, some "
        "a label that people would dispute."
    )


def export_gate(
    document: Mapping[str, Any] | None, score: Score | None, record: Record = ANY, client: str = ""
) -> blocks.Section | None:
    """What the exported files score beside the trained model; `score` stands first, None: a share without a name.

    `client` is named in the title.
    """
    if not document:
        return None
    reference = document["reference"]
    score = score or Score("score", reference["score"])
    rows: list[list[blocks.Cell | str]] = [
        [
            "trained model",
            "",
            blocks.measured(reference["score"], score.unit),
            "",
            "",
            _true(reference.get("calibration")),
            "",
        ]
    ]

    def scored(entry: Mapping[str, Any]) -> list[blocks.Cell | str]:
        if "score" not in entry:  # it could not be scored at all
            return ["", "", ""]
        worst = entry["worst_class"]
        label = f"{worst}: {blocks.points(entry['worst_class_difference'])}" if worst else ""
        return [blocks.measured(entry["score"], score.unit), blocks.points(entry["difference"]), label]

    refusals, losses, true = {}, {}, {}
    compared: list[list[blocks.Cell | str]] = []
    for name, entry in document["artifacts"].items():
        verdict = blocks.Cell("passed", tone="good") if entry["passed"] else blocks.Cell("refused", tone="bad")
        true[name] = _true(entry.get("calibration"))
        rows.append([name, blocks.size(entry["bytes"]), *scored(entry), true[name], verdict])
        if entry.get("refused"):
            refusals[name] = "; ".join(entry["refused"])
        if entry.get("said"):
            losses[name] = "; ".join(entry["said"])
        for check in entry.get("checks", ()):
            mark = blocks.Cell("passed", tone="good") if check["passed"] else blocks.Cell("refused", tone="bad")
            number = "none" if check["measured"] is None else f"{check['measured']:.2g}"
            what = f"{check['name']}: {check['what']}"
            compared.append([name, what, check["where"], number, f"{check['bar']:.2g}", mark])
    if half := document.get("half"):
        rows.append(
            ["in half precision", "", *scored(half), "", blocks.Cell("lost", tone="bad") if half["lost"] else ""]
        )
    name = named(score.name)
    name = name if name[:2].isupper() else name.lower()  # AP50 stays as it is
    head = ["file", "size", name, score.step, "worst class", "ECE, NLL", "gate"]
    if not any(true.values()):
        head, rows = head[:5] + head[6:], [row[:5] + row[6:] for row in rows]
    content: list[blocks.Block] = [blocks.Table(head, rows, numbers=(1, 2, 3))]
    if refusals:
        content.append(blocks.Facts("Refused, because", refusals))
    if losses:
        content.append(blocks.Facts("Lost, and may be chance", losses))
    if compared:
        content.append(
            blocks.Table(["file", "comparison", "where", "measured", "at most", "gate"], compared, numbers=(3, 4))
        )
    on = f"{document['records']:,} held-out {record.one}s" if "records" in document else "held-out data"
    most, in_class = document["tolerance"], document.get("class_tolerance", document["tolerance"])
    where = "overall or in a class" if most == in_class else f"overall or {in_class:g} in a class"
    loss = f"{most:g} {score.step}".strip()
    loss = f"{most:g} point" if most == 1 and score.unit == SHARE else loss
    text = (
        f"Every exported file is held against the trained model number by number, and answers the same {on}. One that is not "
        f"the model, or that loses more than {loss} {where}, and more than chance would, "
        "is refused."
    )
    if document.get("interpreter"):
        text += f" Scored with {document['interpreter']}, as `predict` runs it."
    text = " ".join([text, *document.get("notes", ())])
    return blocks.Section("Export gate" + f", {client}" * bool(client), text, content)


def _true(about: Mapping[str, Any] | None) -> str:
    """How true a file's scores are."""
    return f"{about['ece']:.4f}, {about['nll']:.4f}" if about else ""


def layers(rows: Sequence[Mapping[str, Any]], record: Record = ANY) -> blocks.Section | None:
    """The layer table, as `cnnkit.explain.layer_table` makes it."""
    if not rows:
        return None

    def sides(value: Sequence[float | None] | None) -> str:
        return blocks.TIMES.join("n" if side is None else f"{side:g}" for side in value or ())

    def formula(text: str) -> str:
        return text.replace("*", "\u00b7").replace(" - ", f" {blocks.MINUS} ").replace("->", "\u2192")

    body: list[list[blocks.Cell | str]] = [
        [
            row["name"],
            blocks.Cell(row["kind"], tone="quiet"),
            sides(row["kernel"]),
            sides(row["stride"]),
            row["padding"] or "",
            sides(row["output_size"]),
            blocks.Cell(formula(row["formula"]), tone="quiet"),
            sides(row["receptive_field"]) or "unknown",
            f"{row['parameters']:,}" if row["parameters"] else "",
            "unknown" if row["multiply_adds"] is None else f"{row['multiply_adds']:,}" if row["multiply_adds"] else "",
        ]
        for row in rows
    ]
    parameters, work = (sum(row[key] or 0 for row in rows) for key in ("parameters", "multiply_adds"))
    total = ["total", "", "", "", "", "", "", "", f"{parameters:,}", f"{work:,}"]
    head = ["layer", "kind", "kernel", "stride", "padding", "output", "worked out", "sees"]
    head += ["parameters", "multiply-adds"]
    text = (
        f"What each layer does to the size, with the formula filled in; how much of the {record.one} one of its outputs "
        f"sees (its receptive field, {record.unit}); what it remembers (parameters) and computes for one {record.one} "
        "(multiply-adds)."
    )
    return blocks.Section("Layers", text, [blocks.Table(head, body, numbers=(8, 9), total=total)], wide=True)


def card(
    run: Mapping[str, Any],
    gate: Mapping[str, Any] | None,
    intended_use: str,
    limits: str,
    record: Record = ANY,
    silent: str = "",
    notice: str = "",
) -> blocks.Section:
    """The model card; `silent`: what the task says that the model cannot say; `notice`: what everyone is to know."""
    data, model, scores = run.get("data", {}), run.get("model", {}), run.get("scores", {}).get("test", {})
    labels, sizes = data.get("labels", []), data.get("sizes", {})
    shown = ", ".join(map(str, labels[:30])) + (f" ... ({len(labels)})" if len(labels) > 30 else "")
    about = {
        "Name": data.get("title") or data.get("name"),
        "Licence": data.get("licence"),
        "Source": data.get("source"),
        "Citation": data.get("citation"),
        "Classes": shown,
        "Records": ", ".join(f"{count:,} {name}" for name, count in sizes.items())
        + (", of which validation was trained on in the end" if run.get("refit") else ""),
        "Fingerprint": data.get("fingerprint"),
    }
    files = {
        name: blocks.size(entry["bytes"])
        for name, entry in (gate or {}).get("artifacts", {}).items()
        if entry["passed"]
    }
    shape = data.get("shape")
    what = {
        "Made by": f"cnnkit {run.get('app', '')}".strip(),
        "Kind": model.get("name"),
        "Input": record.input.format(sides=blocks.TIMES.join(map(str, shape))) if shape else None,
        "Parameters": f"{model['parameters']:,}" if "parameters" in model else None,
        "Files": blocks.plain(files) if files else None,
        "Starts from": (run.get("weights_choice") or {}).get("why"),
        "Made": run.get("created", "").replace("T", " "),
    }

    def written(key: str, value: float) -> str:
        what = unit(scores, key)
        return f"{value:.4f}" if what in (SHARE, "") else f"{value:.4f} {what}"

    score = headline(scores)
    found = {named(name): written(name, value) for name, value in scores.items() if isinstance(value, float)}
    use = {"Notice": notice, "Intended use": intended_use, "Limits": limits}
    if score is not None:
        baseline = scores.get("baseline") or {}
        if score.name in baseline:
            found["Baseline"] = f"{written(score.name, baseline[score.name])}, {baseline['name']}"
    if score is not None and score.interval is not None:
        low, high = score.interval
        found[named(score.name)] += f" (95 % interval {low:.4f} to {high:.4f})"
        use["Precision of the score"] = (
            f"With {scores.get('count', sizes.get('test', 0)):,} test records, differences below about "
            f"{score.apart((high - low) / 2)} say nothing."
        )
    if "count" in scores:
        found["Measured on"] = f"{scores['count']:,} records of the test split, used for nothing else"
    if silent:
        use["What it cannot say"] = silent
    content = [
        blocks.Facts(title, {name: value for name, value in pairs.items() if value})
        for title, pairs in [("Model", what), ("Use", use), ("Data", about), ("Scores", found)]
    ]
    text = "What this model is, what it was made from, what it may be used for, and what is known of its limits."
    return blocks.Section("Model card", text, [block for block in content if block.pairs])


def settings(run: Mapping[str, Any]) -> blocks.Section | None:
    """Everything needed to make the run again."""
    parts = {"Settings": "settings", "Versions": "versions", "Machine": "machine"}
    content = [
        blocks.Facts(title, {n: blocks.plain(v) for n, v in run[key].items()})
        for title, key in parts.items()
        if run.get(key)
    ]
    text = "What to repeat the run with: the same settings, versions and data give the same weights."
    return blocks.Section("To repeat it", text, content) if content else None

"""What verbs return, printed: tables and lines for a person, one JSON document with `--json`."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cnnkit import console
from cnnkit.score import Score, Scores, unit
from cnnkit.shown import Answers, Marked, Shown, Table

EXPLAINED = 12  # layers of a file that are listed


def shown(found: Shown) -> None:
    """Print what an input shows."""
    console.document(found.document)
    if console.is_json():
        return
    for part in found.parts:
        if isinstance(part, Table):
            console.table(part.columns, part.rows, title=part.title)
        elif isinstance(part, Marked):
            console.coloured(part.text, part.marked)
        else:
            console.line(part)


def known(found: dict[str, Any]) -> None:
    """Print the known data sets."""
    names = ("name", "title", "licence", "where")
    rows = [[row[name] for name in names] for row in found["cards"]]
    shown(Shown(found, [Table(["card", *names[1:]], rows)]))


def fetched(found: Any) -> None:
    """Print what was fetched, a `cnnkit.verbs.data.Fetched`."""
    console.document({"card": found.card, "files": [str(path) for path in found.files]})
    if not found.files:
        console.message(f"{found.title} needs no download.")
        return
    count = found.verified
    what = "there already, and used as it is" if count is None else f"{count:,} files verified and in place"
    console.message(f"{found.title}: {what}, in {found.folder}.")


def checked(found: Any) -> None:
    """Print what a look at data found, a `cnnkit.verbs.data.Checked`."""
    findings = [dataclasses.replace(finding, text=console.spelled(finding.text)) for finding in found.findings]
    rows = [dataclasses.asdict(finding) for finding in findings]
    document = {"data": found.data, "looked_at": found.looked, "findings": rows, "fit": found.fit}
    cells = [
        [f.severity, f.text, ", ".join(map(str, f.files[:3])) + (", ..." if len(f.files) > 3 else "")] for f in findings
    ]
    table = Table(["severity", "finding", "files"], cells)
    shown(Shown(document, [*found.looked, table if cells else found.sound]))


def trained(found: Any) -> None:
    """Print what came of a training, a `cnnkit.verbs.train.Trained`."""
    document = found.run.document
    sections = {name: document[name] for name in ("model", "training", "scores")}
    console.document({"run": str(found.run.path), **sections, "report": str(found.report)})
    scores(found.task, document["settings"]["model"], found.scores, found.baseline)
    console.message(f"Run: {found.run.path}\nReport: {found.report}")
    verdict(found.verdict)
    if found.taken:
        console.message(found.taken)
    console.message(f"Next: {found.next}")


def evaluated(found: Any) -> None:
    """Print what an artifact scores, a `cnnkit.verbs.evaluate.Evaluated`."""
    console.document(
        {
            "artifact": str(found.artifact),
            "split": found.split,
            "data": found.data,
            "own_data": found.own_data,
            "seen_in_training": found.seen_in_training,
            **found.scores,
            "baseline": found.baseline,
            "verdict": found.verdict,
            **({} if found.unknown is None else {"unknown": found.unknown}),
        }
    )
    scores(found.task, found.artifact.name, found.scores, found.baseline, per_class=True)
    if strange := found.unknown:
        low, high = strange["interval"]
        console.message(
            f"Of {strange['count']:,} in {strange['folder']}, which show none of the classes, {100 * strange['found']:.1f} % "
            f"({100 * low:.1f} to {100 * high:.1f}) are found out to be unknown."
        )
    verdict(found.verdict)
    if found.next:
        console.message(f"Next: {found.next}")


def scores(task: Any, name: str, found: Scores, baseline: Mapping[str, Any] | None, *, per_class: bool = False) -> None:
    """Print a table of scores, those of an artifact of this name and a baseline's; and perhaps one of its classes."""
    if console.is_json():
        return
    score, columns = found.headline, task.columns(found)

    def row(name: str, shown: Score, others: Iterable[str]) -> list[str]:
        return [name, shown.number(shown.value), shown.range(shown.interval), *others]

    rows = [row(name, score, columns.values())]
    for beside in found.get("beside", ()):
        rows.append(row(beside["name"], score.of(beside), [""] * len(columns)))
    if baseline is not None:
        rows.append(row(f"baseline: {baseline['name']}", score.of(baseline), [""] * len(columns)))
    if found.get("undefined"):
        rows = [[name, "", *rest] for name, _, *rest in rows]
    console.table(["", score.title, "95 % interval", *columns], rows)
    if baseline is not None and (line := task.compared(baseline)):
        console.message(line)
    if per_class:
        _classes(found, task.counted)
    if notice := found.get("notice"):
        console.message(notice)


def _classes(found: Scores, counted: str) -> None:
    """Print a table of the classes' scores, where there are classes; `counted` is what a class has some of."""
    classes = found.get("per_class")
    if not classes:
        return
    names = {"f1": "F1", "ap": "AP", "ap50": "AP50"}
    shown = [Score(name, 0.0, unit(found, name)) for name in next(iter(classes.values())) if name != "support"]
    titles = [dataclasses.replace(score, name=names.get(score.name, score.name)).title for score in shown]
    lines = [
        [label, *("" if v[s.name] is None else s.number(v[s.name]) for s in shown), v["support"]]
        for label, v in classes.items()
    ]
    console.table(["class", *titles, counted], lines)


def verdict(judged: Mapping[str, Any]) -> None:
    """Print what is to be said of a bad model, in red, and of one that is not above its baseline."""
    from cnnkit.evaluation.verdict import behind  # it needs NumPy, and many commands do not

    if judged["bad"]:
        console.alarm(judged["text"])
    elif behind(judged):
        console.warning(judged["text"])
    elif judged["kind"] == "level":
        console.message(judged["text"])


def reported(page: Path) -> None:
    """Print where a report is."""
    console.document({"report": str(page)})
    console.message(f"Report: {page}")


def written(folder: Path) -> None:
    """Print where a page for the browser is."""
    console.document({"folder": str(folder)})
    console.message(
        f"Page: {folder}. Any web server of files can serve it: python3 -m http.server --directory {folder}"
    )


def serving(address: str) -> None:
    """Print where a page is served."""
    console.document({"address": address})
    console.message(f"Page: {address} (on this machine alone; Ctrl-C ends it)")


def exported(found: Any) -> None:
    """Print what was exported, a `cnnkit.verbs.export.Exported`."""
    console.document({"folder": str(found.folder), **found.document})
    gate(found.document)
    count = sum(len(v["checks"]) for v in found.document["artifacts"].values())
    console.message(f"Every file is the trained model, by {count} comparisons. {found.summary} Files: {found.folder}")
    if code := found.document["code"]:
        first = found.folder / code[0]
        console.message(f"Code that runs them without cnnkit: {first.parent}. Try `python {first} --check`.")
    for line in (line for v in found.document["artifacts"].values() for line in v.get("told", [])):
        console.message(line)
    for line in found.document["notes"]:
        console.warning(line)
    if found.verdict:
        verdict(found.verdict)


def gate(document: dict[str, Any]) -> None:
    """Print what the gate found of each file, as `gate.json` has it."""
    if console.is_json():
        return
    from cnnkit.export.gate import compared

    score = compared(document)

    def told(v: Mapping[str, Any]) -> list[str]:
        change, in_class = (score.change(v[key] / score.scale) for key in ("difference", "worst_class_difference"))
        return [score.number(v["score"]), change, f"{v['worst_class']}: {in_class}" if v["worst_class"] else ""]

    rows = [["trained model", "", score.number(score.value), "", "", ""]]
    for name, v in document["artifacts"].items():
        if "score" not in v:  # it could not be scored at all
            rows.append([name, f"{v['bytes'] / 1000:.1f}", "", "", "", "REFUSED"])
            continue
        rows.append([name, f"{v['bytes'] / 1000:.1f}", *told(v), "passed" if v["passed"] else "REFUSED"])
    if half := document.get("half"):
        rows.append(
            ["in half precision", "", *(told(half) if "score" in half else [""] * 3), "LOST" if half["lost"] else ""]
        )
    console.table(["", "size kB", score.title, score.step, "worst class", "gate"], rows)
    listed = [
        [name, check["name"], check["where"], *_measured(check), "" if check["passed"] else "REFUSED"]
        for name, v in document["artifacts"].items()
        for check in v["checks"]
    ]
    console.table(["", "check", "where", "measured", "at most", ""], listed)
    for name, v in document["artifacts"].items():
        if about := v.get("explained"):
            shares = ("alone", "so_far")
            rows = [[row["layer"], row["operator"], *(f"{row[key]:.2%}" for key in shares)] for row in about["layers"]]
            console.table([f"layers of {name}", "", "lost, alone", "so far"], rows[:EXPLAINED])
            console.message(about["said"])
    if document["interpreter"]:
        console.message(f"Scored with {document['interpreter']}, as its clients run it.")


def _measured(check: Mapping[str, Any]) -> tuple[str, str]:
    return "none" if check["measured"] is None else f"{check['measured']:.2g}", f"{check['bar']:.2g}"


def predicted(found: Answers) -> None:
    """Print answers: each as it comes, where there may be many."""
    if found.streams and not console.is_json():
        for block in found.lines():
            console.lines(block)
        return
    shown(found.shown())


def measured(found: Any) -> None:
    """Print what exported models need, a `cnnkit.verbs.bench.Measured`."""
    several = len({(row["runs_in"], row["threads"]) for row in found.models}) > 1
    told = ["in", "threads"] if several else []
    columns = ["model", *told, "size kB", "load ms", "median ms", "95 % ms", "99 % ms", "times as long", "memory MB"]
    rows = [
        [
            row["file"],
            *([row["runs_in"], f"{row['threads']}"] if several else []),
            f"{row['bytes'] / 1000:.1f}",
            f"{row['load_ms']:.1f}",
            f"{row['median_ms']:.3f}",
            f"{row['p95_ms']:.3f}",
            f"{row['p99_ms']:.3f}",
            f"{row['times_as_long']:.2f}",
            "" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:.1f}",
        ]
        for row in found.models
    ]
    parts: list[str | Table] = [Table(columns, rows)]
    first = found.models[0]
    if (runtime := first["runtime_memory_mb"]) is not None:
        parts.append(
            "Memory: what a file adds at its peak to a process of its own that has loaded the runtime alone "
            f"({runtime:.0f} MB)."
        )
    if len(found.models) > 1:
        parts.append(f"They ran by turns; times as long: beside {first['file']}, within a turn.")
    shown(Shown({"models": found.models, "runs": found.runs}, parts))

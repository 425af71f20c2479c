"""What verbs return, printed: tables and lines for a person, one JSON document with `--json`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cnnkit import console
from cnnkit.review import say_verdict
from cnnkit.shown import Marked, Shown, Table


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
            console.message(part)


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


def converted(found: Any) -> None:
    """Print what was converted, a `cnnkit.verbs.data.Converted`."""
    console.document({"folder": str(found.folder), "format": found.format, "splits": found.splits})
    rows = [f"{split}: {images:,} images, {boxes:,} boxes" for split, (images, boxes) in found.splits.items()]
    for line in found.lines:
        console.message(line)
    console.message(f"{'; '.join(rows)} -> {found.folder} ({found.format})")


def exported(found: Any) -> None:
    """Print what was exported, a `cnnkit.verbs.export.Exported`."""
    console.document({"folder": str(found.folder), **found.document})
    gate(found.document)
    count = sum(len(v["checks"]) for v in found.document["artifacts"].values())
    console.message(f"Every file is the trained model, by {count} comparisons. {found.summary} Files: {found.folder}")
    for line in found.document["notes"]:
        console.warning(line)
    if found.verdict:
        say_verdict(found.verdict)


def gate(document: dict[str, Any]) -> None:
    """Print what the gate found of each file, as `gate.json` has it."""
    if console.is_json():
        return
    from cnnkit.export.gate import compared

    score = compared(document)
    rows = [["trained model", "", score.number(score.value), "", "", ""]]
    for name, v in document["artifacts"].items():
        if "score" not in v:  # it could not be scored at all
            rows.append([name, f"{v['bytes'] / 1000:.1f}", "", "", "", "REFUSED"])
            continue
        change, in_class = (score.change(v[key] / score.scale) for key in ("difference", "worst_class_difference"))
        worst = f"{v['worst_class']}: {in_class}" if v["worst_class"] else ""
        verdict = "passed" if v["passed"] else "REFUSED"
        rows.append([name, f"{v['bytes'] / 1000:.1f}", score.number(v["score"]), change, worst, verdict])
    console.table(["", "size kB", score.title, score.step, "worst class", "gate"], rows)
    listed = [
        [name, check["name"], check["where"], *_measured(check), "" if check["passed"] else "REFUSED"]
        for name, v in document["artifacts"].items()
        for check in v["checks"]
    ]
    console.table(["", "check", "where", "measured", "at most", ""], listed)
    if document["interpreter"]:
        console.message(f"Scored with {document['interpreter']}, as `predict` runs it.")


def _measured(check: Mapping[str, Any]) -> tuple[str, str]:
    return "none" if check["measured"] is None else f"{check['measured']:.2g}", f"{check['bar']:.2g}"

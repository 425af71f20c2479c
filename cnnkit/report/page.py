"""The page: one HTML file that needs nothing else, now or in ten years.

Choices:
- No scripts, no requests: styles and pictures are inside, and a Content-Security-Policy holds the page to that.
- Everything that comes from users (labels, names, settings) is escaped by the template.
- Light or dark as the reader's system is; one column on a phone; printable.
- The same run gives the same bytes: the page's date is the run's.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from cnnkit import files
from cnnkit.evaluation import verdict
from cnnkit.metrics import CHANCE
from cnnkit.report import blocks, sections
from cnnkit.report.blocks import Section, measured, percent
from cnnkit.report.record import Record
from cnnkit.score import Score
from cnnkit.score import headline as headline_of


def write(path: Path | str, *, run: Mapping[str, Any], **parts: Any) -> None:
    """Write the report of a run, atomically.

    Args:
        path: the page.
        run: the content of `run.json`.
        parts: as in `render`.

    Errors: `CnnkitError` where the page cannot be written.
    """
    files.write_text(path, render(run=run, **parts))


def render(
    *,
    run: Mapping[str, Any],
    history: Sequence[Mapping[str, float]] = (),
    gate: Mapping[str, Any] | None = None,
    gates: Sequence[Mapping[str, Any]] = (),
    made: Sequence[Section | None] = (),
    samples: Section | None = None,
    layers: Sequence[Mapping[str, Any]] = (),
    record: Record = sections.ANY,
    intended_use: str = "",
    limits: str = "",
    silent: str = "",
    notice: str = "",
) -> str:
    """Make the report of a run. A section appears where its data is there.

    Args:
        run: the content of `run.json`.
        history: the rows of `history.csv`, as numbers.
        gate: the content of `gate.json`.
        gates: the same of files for clients of others.
        made: the sections of the task's scores, then those that show inputs, as these make them; None: left out.
        samples: a section of training data.
        layers: a layer table.
        record: the words for a record.
        intended_use, limits: for the model card.
        silent: what the model cannot say, as the task has it; for the card too.
        notice: what everyone is to know who looks at the page; near its top, and on the card.

    Returns:
        HTML.
    """
    scores = run.get("scores", {}).get("test", {})
    data = run.get("data", {})
    score = headline_of(scores)
    every = [
        sections.training(run, history, record),
        *made,
        sections.export_gate(gate, score, record),
        *(sections.export_gate(other, score, record, other["profile"]) for other in gates),
        samples,
        sections.layers(layers, record),
        sections.card(run, gate, intended_use, limits, record, silent, notice),
        sections.settings(run),
    ]
    model_name = str(run.get("model", {}).get("name", "model"))
    facts = {
        "app": run.get("app", ""),
        "model": model_name,
        "title": data.get("title") or data.get("name") or "Report",
        "created": run.get("created", ""),
        "notice": notice,
        "verdict": _verdict(scores, score),
        "summary": _summary(scores, score, record.one),
        "headline": (sections.named(score.name), measured(score.value, score.unit)) if score else None,
        "interval": [measured(value, score.unit) for value in score.interval or ()] if score else None,
        "intervals": blocks.Intervals(sections.intervals(scores, model_name), score.unit) if score else None,
        "tiles": sections.tiles(run, scores, gate),
        "sections": [section for section in every if section is not None],
    }
    text = _environment().get_template("page.html").render(facts)
    return re.sub(r"\n\s*\n", "\n", text).strip() + "\n"  # the template's own blank lines


def _verdict(scores: Mapping[str, Any], score: Score | None) -> str | None:
    """What a bad model is told to be, above everything else; None for others."""
    if score is None:
        return None
    judged = scores.get("verdict") or verdict.judge(scores, scores.get("baseline"))
    if not judged["bad"]:
        return None
    return f"{judged['text']} Train it longer or on more data, look at the errors below, and do not put it on a device as it is."


def _summary(scores: Mapping[str, Any], score: Score | None, noun: str) -> str:
    """The result in two sentences, for who reads no further; `noun`: what a record is."""
    if score is None:
        return "This run has no scores yet."
    count = f"{scores['count']:,} held-out records" if "count" in scores else "held-out data"
    text = f"{sections.named(score.name)} {measured(score.value, score.unit, 1)} on {count} that played no part in training"
    if score.interval is not None:
        low, high = (measured(value, score.unit, 1) for value in score.interval)
        text += f"; with 95 % confidence the true value lies between {low} and {high}"
    text += "."
    baseline = scores.get("baseline") or {}
    if score.name in baseline:
        other = score.of(baseline)
        ahead = score.gain(other.value, score.value)
        how = "better than" if ahead > 0 else "worse than" if ahead < 0 else "no better than"
        by = f"{score.apart(ahead)} {how}" if ahead else how
        text += f" That is {by} the baseline."
        paired = baseline.get("against")  # answers to the same records, compared one by one, say more than intervals
        if paired and ahead and paired["p"] >= CHANCE:
            text += f" Compared {noun} by {noun}, the difference may be chance."
        if ahead > 0 and not paired and _overlap(score, other):
            text += " Their intervals overlap, so the difference may be chance."
    return text


def _overlap(one: Score, other: Score) -> bool:
    """Whether the intervals of two scores overlap; one that is not known may be as wide as it likes."""
    if one.interval is None or other.interval is None:
        return True
    return one.interval[0] <= other.interval[1] and other.interval[0] <= one.interval[1]


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cnnkit.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["drawn"] = lambda chart: markupsafe.Markup(chart.svg)  # by this package, never from outside
    environment.filters["percent"] = percent
    environment.filters["measured"] = measured
    return environment

"""What a notebook shows of a run, of scores and of a data set: tables, a few pictures with what is in them.

Design choices:
- Everything from data is escaped; nothing is fetched, and nothing runs.
- No colours but those of the pictures: a notebook may be light or dark.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MOST = 12  # labels in a table
SHOWN, SIDE = 8, 112  # records, px
ALONE = 320  # px of a record that is looked at alone, at most
TEXT = 160  # letters of a text


def of_run(run: Any) -> str:
    """Return a run as HTML: its headline score beside the baseline's, what it is worth, where it lies."""
    model = run.document.get("model", {})
    parameters = f", {model['parameters']:,} parameters" if "parameters" in model else ""
    head = f"<b>{_text(run.app)}</b>: {_text(model.get('name') or run.settings['model'])}{parameters}, in {_text(run.path)}"
    return _divided([head, of_scores(run.scores) if run.scores else "Not finished."])


def of_scores(scores: Mapping[str, Any]) -> str:
    """Return scores as HTML: the headline with its interval, the baseline's beside it, each label's, and what they are worth."""
    from cnnkit.score import headline

    score = headline(scores)
    if score is None:
        return _table(["", ""], [[name, value] for name, value in scores.items() if np.isscalar(value)])
    baseline = scores.get("baseline") or {}
    rows = [["model", score.number(score.value), score.range(score.interval)]]
    if score.name in baseline:
        plain = score.of(baseline)
        rows.append([f"baseline: {baseline.get('name', '')}", score.number(plain.value), score.range(plain.interval)])
    parts = [_table([f"{scores.get('count', 0):,} records", score.title, "95 % interval"], rows)]
    each = [(label, found) for label, found in (scores.get("per_class") or {}).items() if isinstance(found, Mapping)]
    if each:
        names = [name for name, value in each[0][1].items() if isinstance(value, int | float)]
        rows = [[label, *(_number(name, found.get(name)) for name in names)] for label, found in each[:MOST]]
        rows += [["...", *([""] * len(names))]] if len(each) > MOST else []
        parts.append(_table(["label", *(name.replace("_", " ") for name in names)], rows))
    parts += [_text(line) for line in ((scores.get("verdict") or {}).get("text"), scores.get("notice")) if line]
    return _divided(parts)


def of_data(data: Any) -> str:
    """Return a data set as HTML: how many records of each label its splits have, and the first of training."""
    counts = [part.counts() for part in data]
    rows = [[label, *(f"{count.get(label, 0):,}" for count in counts)] for label in data.labels[:MOST]]
    rows += [["...", "", "", ""]] if len(data.labels) > MOST else []
    rows.append([data.train.records.noun, *(f"{len(part):,}" for part in data)])
    parts = [f"<b>{_text(data.title)}</b>", _table(["", *(part.name for part in data)], rows)]
    parts.append("".join(of_record(data.train, index) for index in _spread(len(data.train))))
    parts += [f"Warning: {_text(line)}" for line in data.warnings]
    return _divided(parts)


def of_record(part: Any, index: int, shape: Sequence[int] = ()) -> str:
    """Return a record of a split as HTML: its picture or its text, and its words.

    Args:
        part: the split.
        index: of the record.
        shape: of the record as it is stored, where it is looked at alone: it is as large as it has pixels, within `ALONE`.
    """
    records = part.records
    words = records.words(index)
    image = records.drawn(index, min(max((*shape[:3], SIDE)), ALONE))
    if image is None:
        native = records.native(index)
        said = native if isinstance(native, str) else f"{type(native).__name__} {np.shape(native)}"
        said = said if len(said) <= TEXT else f"{said[:TEXT]}..."
        return f"<div style='text-align:left'><b>{_text(words)}</b> {_text(said)}</div>"
    from cnnkit.report.blocks import picture

    shown = f'<img alt="{_text(words)}" style="max-width:none;margin:0" src="{picture(image)}">'
    box = f"display:inline-block;vertical-align:top;text-align:center;margin:2px;width:{image.shape[1]}px"
    return f'<div style="{box}">{shown}<br>{_text(words)}</div>'


def _spread(count: int) -> list[int]:
    return [int(place) for place in np.unique(np.linspace(0, count - 1, SHOWN).astype(int))] if count else []


def _number(name: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _table(head: list[str], rows: list[list[Any]]) -> str:
    top = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _divided(parts: list[str]) -> str:
    return "".join(f"<div>{part}</div>" for part in parts)


def _text(value: Any) -> str:
    return html.escape(str(value))

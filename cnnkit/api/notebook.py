"""What a notebook shows of a run and of a data set: a table of scores, a few pictures where that is cheap.

Everything from data is escaped; nothing is fetched, and nothing runs.
"""

import base64
import html
from typing import Any

import numpy as np

MOST = 12  # labels in a table
SHOWN, SIDE = 8, 96  # pictures, px


def of_run(run: Any) -> str:
    """Return a run as HTML: its headline score beside the baseline's, what it is worth, where it lies."""
    from cnnkit.score import headline

    scores = run.scores
    score = headline(scores)
    parts = [f"<b>{_text(run.app)}</b>, {_text(run.document.get('model', {}).get('name', ''))}: {_text(run.path)}"]
    if score is not None:
        baseline = scores.get("baseline") or {}
        rows = [["model", score.said(score.value), score.range(score.interval)]]
        if score.name in baseline:
            rows.append([baseline.get("name", "baseline"), score.said(baseline[score.name]), ""])
        parts.append(_table(["", score.title, "95 %"], rows))
        if per_class := score.per_class:
            rows = [[label, score.said(value)] for label, value in list(per_class.items())[:MOST]]
            parts.append(_table(["label", score.title], rows))
        if text := (scores.get("verdict") or {}).get("text"):
            parts.append(_text(text))
    parts += [f"Warning: {_text(line)}" for line in run.warnings]
    return "".join(f"<div>{part}</div>" for part in parts)


def of_data(data: Any) -> str:
    """Return a data set as HTML: how many records of each label its splits have, and the first pictures of training."""
    counts = [part.counts() for part in data]
    rows = [[label, *(f"{count.get(label, 0):,}" for count in counts)] for label in data.labels[:MOST]]
    rows.append(["all", *(f"{len(part):,}" for part in data)])
    parts = [f"<b>{_text(data.title)}</b>", _table(["", *(part.name for part in data)], rows)]
    parts.append("".join(_picture(data.train, index) for index in _spread(len(data.train))))
    parts += [f"Warning: {_text(line)}" for line in data.warnings]
    return "".join(f"<div>{part}</div>" for part in parts)


def _spread(count: int) -> list[int]:
    return [int(place) for place in np.unique(np.linspace(0, count - 1, SHOWN).astype(int))] if count else []


def _picture(part: Any, index: int) -> str:
    """Return an input as a small picture; "" where it is none."""
    native = part.records.native(index)
    if not isinstance(native, np.ndarray) or native.dtype != np.uint8 or not 1 < native.ndim < 4:
        return ""
    import cv2

    if native.shape[2:] in ((3,), (4,)):
        native = native[..., [2, 1, 0, *range(3, native.shape[2])]]  # OpenCV has blue first
    scale = SIDE / max(native.shape[:2])
    size = (max(1, round(native.shape[1] * scale)), max(1, round(native.shape[0] * scale)))
    drawn = cv2.imencode(".png", cv2.resize(native, size, interpolation=cv2.INTER_AREA))[1].tobytes()
    source = base64.b64encode(drawn).decode("ascii")
    return f'<img alt="" style="margin:2px" src="data:image/png;base64,{source}">'


def _table(head: list[str], rows: list[list[str]]) -> str:
    top = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _text(value: Any) -> str:
    return html.escape(str(value))

"""`predict` for texts: from an exported model, without TensorFlow, one text or a hundred thousand lines.

Design choices:
- Lines are read, turned into ids, scored and printed a block at a time, so memory does not grow with them. Blocks are scored
  side by side, each by an interpreter of its own with one thread, which needs no Python; meanwhile the next are turned into
  ids. Threads inside one interpreter would wait for each other at every operator, and those of texts are small.
- An answer below the artifact's own confidence is "not sure": a wrong answer costs a person more than none.
"""

import collections
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from cnnkit import console, ondevice
from cnnkit.device.model import DeviceModel, processors
from cnnkit.device.text import Tokenizer
from cnnkit.errors import ArtifactError, DataError

BLOCK = 2048  # texts
MOST_BYTES = 1 << 20  # of a line; what is longer is not a text
SHOWN = 80  # characters of a text in a table


def predict_texts(app: str, inputs: Sequence[str], *, top: int, sure: float | None, threads: int | None) -> None:
    """Name what texts are, as a table, as lines with tabs, or as JSON.

    Args:
        app: whose models.
        inputs: perhaps an artifact; then texts, files of a text a line, or - for standard input.
        top: labels to show.
        sure: probability below which an answer is not sure; None: the artifact's.
        threads: of the interpreter.

    Raises:
        DataError: nothing to predict, or a line that is not UTF-8 or longer than 1 MB.
        ArtifactError: not a model of texts.
    """
    artifact, texts = ondevice.split(app, inputs)
    if not texts:
        raise DataError(
            "There is nothing to predict. Give texts, files with a text a line, or - for lines on standard input."
        )
    model = ondevice.open_model(artifact, app, threads)
    if "text" not in model.metadata:
        raise ArtifactError(f"{model.path} is not a model of texts. Give one that `cnnkit {app} export` wrote.")
    answers = _Answers(model, top, sure, threads or min(4, processors()))
    lines = any(entry == "-" or _is_file(entry) for entry in texts)
    if lines and not console.is_json():
        for block, scores in answers.blocks(_every(texts)):
            console.lines(answers.lines(block, scores))
        return
    rows = [row for block, scores in answers.blocks(_every(texts)) for row in answers.rows(block, scores)]
    console.document({"artifact": str(model.path), "predictions": rows})
    if len(rows) == 1 and not console.is_json():
        console.message(_told(rows[0]))  # a table takes longer to draw than the answer to find
    elif not console.is_json():
        console.table(["text", "prediction"], [[_short(row["input"]), _told(row)] for row in rows])


class _Answers:
    """What a model says of texts.

    Args:
        model: an artifact.
        top: labels to show.
        sure: as in `predict_texts`.
        threads: blocks that are scored side by side.
    """

    def __init__(self, model: Any, top: int, sure: float | None, threads: int = 1):
        self.threads = threads
        self.model, self.top = model, min(top, len(model.labels))
        self.tokenizer = Tokenizer.from_dict(model.metadata["text"], where=str(model.path))
        self.sure = model.metadata.get("sure", 0.0) if sure is None else sure
        self.thresholds = model.metadata.get("thresholds")  # of several labels a text
        self._asked = sure

    def blocks(self, texts: Iterator[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        """Yield texts, some thousands at a time, with their scores float32 (n, labels)."""
        first = list(itertools.islice(texts, BLOCK))
        if len(first) < BLOCK:  # nothing follows, so there is nothing to do meanwhile
            if first:
                yield first, self.model.predict(self.tokenizer.batch(first))["scores"]
            return
        from concurrent.futures import Future, ThreadPoolExecutor
        from queue import SimpleQueue

        models = [self.model]  # a `.keras` takes long to open again
        if isinstance(self.model, DeviceModel):
            models = [DeviceModel.open(self.model.path, threads=1) for _ in range(self.threads)]
        free: SimpleQueue[Any] = SimpleQueue()
        for model in models:
            free.put(model)

        def score(ids: np.ndarray) -> np.ndarray:
            model = free.get()
            try:
                return model.predict(ids)["scores"]
            finally:
                free.put(model)

        waiting: collections.deque[tuple[list[str], Future[np.ndarray]]] = collections.deque()
        with ThreadPoolExecutor(len(models)) as pool:
            for block in itertools.chain([first], self._rest(texts)):
                waiting.append((block, pool.submit(score, self.tokenizer.batch(block))))
                if len(waiting) > len(models):  # one more than can be scored at once, so that nobody waits for a block
                    done, scores = waiting.popleft()
                    yield done, scores.result()
            for done, scores in waiting:
                yield done, scores.result()

    def _rest(self, texts: Iterator[str]) -> Iterator[list[str]]:
        while block := list(itertools.islice(texts, BLOCK)):
            yield block

    def lines(self, texts: Sequence[str], scores: np.ndarray) -> Iterator[str]:
        """Yield label, probability, `sure` or `not sure`, text, with tabs between."""
        if self.thresholds is not None or self.top > 1:
            for row in self.rows(texts, scores):
                best = row["top"]
                names = ", ".join(entry["label"] for entry in best) or "none"
                numbers = ", ".join(f"{entry['score']:.4f}" for entry in best)
                yield "\t".join((names, numbers, "sure" if row["sure"] else "not sure", _plain(row["input"])))
            return
        labels = self.model.labels
        best = scores.argmax(1)
        values = scores[np.arange(len(best)), best]
        for text, code, value in zip(texts, best.tolist(), values.tolist(), strict=True):
            yield f"{labels[code]}\t{value:.4f}\t{'sure' if value >= self.sure else 'not sure'}\t{_plain(text)}"

    def rows(self, texts: Sequence[str], scores: np.ndarray) -> Iterator[dict[str, Any]]:
        """Yield for each text `input`, `label`, `score`, `sure` and `top`: the best labels, or those above their thresholds."""
        for text, row in zip(texts, scores, strict=True):
            order = np.argsort(-row, kind="stable")
            if self.thresholds is None:
                chosen = order[: self.top].tolist()
                certain = bool(row[order[0]] >= self.sure)
            else:
                least = self.thresholds if self._asked is None else [self._asked] * len(row)
                chosen = [k for k in order.tolist() if row[k] >= least[k]]
                certain = bool(len(chosen))
            best = [{"label": self.model.labels[k], "score": round(float(row[k]), 6)} for k in chosen]
            first = best[0] if best else {"label": None, "score": None}
            yield {"input": text, **first, "sure": certain, "top": best}


def _every(inputs: Sequence[str]) -> Iterator[str]:
    """Yield the texts that inputs name."""
    for entry in inputs:
        if entry == "-":
            yield from _lines(sys.stdin.buffer, "standard input")
        elif _is_file(entry):
            with Path(entry).open("rb") as file:
                yield from _lines(file, entry)
        else:
            yield entry


def _lines(file: IO[bytes], name: str) -> Iterator[str]:
    number = 0
    while line := file.readline(MOST_BYTES + 1):
        number += 1
        if len(line) > MOST_BYTES:
            raise DataError(f"{name}, line {number} is longer than 1 MB. Give a text a line.")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{name}, line {number} is not UTF-8. Convert it first.") from None
        yield text.rstrip("\r\n")


def _is_file(entry: str) -> bool:
    try:
        return Path(entry).is_file()
    except (OSError, ValueError):  # a text that cannot be a path
        return False


def _plain(text: str) -> str:
    return text.replace("\t", " ") if "\t" in text else text


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _told(row: dict[str, Any]) -> str:
    named = ", ".join(f"{entry['label']}  {entry['score']:.1%}" for entry in row["top"]) or "none of the labels"
    return named if row["sure"] or not row["top"] else f"not sure: {named}"

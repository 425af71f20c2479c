"""`predict` for texts: from an exported model, without TensorFlow, one text or a hundred thousand lines.

Design choices:
- Lines are read, turned into ids, scored and handed on a block at a time, so memory does not grow with them. Blocks are scored
  side by side, each by an interpreter of its own with one thread, which needs no Python; meanwhile the next are turned into
  ids. Threads inside one interpreter would wait for each other at every operator, and those of texts are small.
- An answer below the artifact's own confidence is "not sure": a wrong answer costs a person more than none. A text without a word
  that the model knows is never sure, whatever the number: it is the answer to nothing.
- Of several labels "none" is an answer, and may be sure.
"""

import collections
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit import opening
from cnnkit.device.model import DeviceModel, processors
from cnnkit.device.several import confidence, rare_of, thresholds_of
from cnnkit.device.text import Tokenizer
from cnnkit.errors import ArtifactError, ConfigError, DataError
from cnnkit.inputs.text import named
from cnnkit.reporter import SILENT, Reporter
from cnnkit.shown import Answers, Shown, Table

BLOCK = 2048  # texts
_PLAIN = str.maketrans("\t\r\n", "   ")  # an answer is a line
SHOWN = 80  # characters of a text in a table


class Texts(Answers):
    """What texts are, one after the other: `input`, `label`, `score`, `sure`, `known` and `top`, as `_Answers.rows` has them.

    Args:
        app: whose models.
        artifact: the model.
        inputs: texts, files of a text a line, tables or JSON lines with a column of texts, or - for standard input.
        top: labels to name.
        min_confidence: below which an answer is not sure; None: the artifact's.
        threads: of the interpreter.
        thresholds: of several labels, in place of the artifact's: "LABEL=0.6", or "0.6" for all.
        column: of the texts, in tables and JSON lines; a name, or a number from 0. None: found out, and said.
        encoding: of files; None: UTF-8.
        tell: hears of what was found out of files.

    Raises:
        DataError: nothing to predict, a file that is not there, or, while texts are read, a line that is not UTF-8 or longer than
            1 MB.
        ArtifactError: not a model of texts.
        ConfigError: thresholds of labels that the model does not have.
    """

    def __init__(
        self,
        app: str,
        artifact: Path,
        inputs: Sequence[Any],
        *,
        top: int = 1,
        min_confidence: float | None = None,
        threads: int | None = None,
        thresholds: Sequence[str] = (),
        column: str | None = None,
        encoding: str | None = None,
        tell: Reporter = SILENT,
    ):
        texts = [str(entry) for entry in inputs]
        for entry in texts:
            named.check(entry)
        if not texts:
            raise DataError(
                "There is nothing to predict. Give texts, files with a text a line, or - for lines on standard input."
            )
        self.model = opening.open_model(artifact, app, threads, tell)
        if "text" not in self.model.metadata:
            raise ArtifactError(
                f"{self.model.path} is not a model of texts. Give one that `cnnkit {app} export` wrote."
            )
        self.streams = any(entry == "-" or named.is_file(entry) for entry in texts)
        self._made = _Answers(self.model, top, min_confidence, threads or min(4, processors()), thresholds)
        self._blocks = self._made.blocks(named.every(texts, column, encoding, tell))
        super().__init__(row for block in self._blocks for row in self._made.rows(*block))

    def lines(self) -> Iterator[Sequence[str]]:
        """Answer what is left, a block at a time: label, probability, `sure` or `not sure`, text, with tabs between."""
        return (list(self._made.lines(*block)) for block in self._blocks)

    def shown(self) -> Shown:
        rows = list(self)
        document = {"artifact": str(self.model.path), "predictions": rows}
        if len(rows) == 1:
            return Shown(document, [_told(rows[0])])  # a table takes longer to draw than the answer to find
        return Shown(document, [Table(["text", "prediction"], [[_short(row["input"]), _told(row)] for row in rows])])


def answered(
    model: Any,
    texts: Sequence[str],
    *,
    top: int = 1,
    min_confidence: float | None = None,
    thresholds: Sequence[str] = (),
) -> Iterator[dict[str, Any]]:
    """Yield what texts are, as `Texts` has them without `input`; arguments as there."""
    made = _Answers(model, top, min_confidence, 1, thresholds)
    for start in range(0, len(texts), BLOCK):
        block = list(texts[start : start + BLOCK])
        ids = made.tokenizer.batch(block)
        for row in made.rows(block, model.run_batch(ids)["scores"], made.tokenizer.known(ids)):
            yield {name: value for name, value in row.items() if name != "input"}


class _Answers:
    """What a model says of texts.

    Args:
        model: an artifact.
        top: labels to show.
        min_confidence: as `Texts` has it.
        threads: blocks that are scored side by side.
        thresholds: as `Texts` has them.
    """

    def __init__(
        self, model: Any, top: int, min_confidence: float | None, threads: int = 1, thresholds: Sequence[str] = ()
    ):
        self.threads = threads
        self.model, self.top = model, min(top, len(model.labels))
        self.tokenizer = Tokenizer.from_dict(model.metadata["text"], where=str(model.path))
        self.min_confidence = model.metadata.get("sure", 0.0) if min_confidence is None else min_confidence
        self.thresholds: np.ndarray | None = None  # of several labels a text
        self.rare: list[int] = []
        if model.metadata.get("task") == "multilabel":
            written = thresholds_of(model.metadata, model.labels)
            self.thresholds = _thresholds(written, thresholds, model.labels)
            self.rare = rare_of(model.metadata, model.labels)
        elif thresholds:
            raise ConfigError(
                "`threshold` is for models of several labels a text; this one gives one. `min_confidence` says how sure."
            )

    def blocks(self, texts: Iterator[str]) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
        """Yield texts, some thousands at a time, with their scores float32 (n, labels), and whether each has known words."""
        first = list(itertools.islice(texts, BLOCK))
        if len(first) < BLOCK:  # nothing follows, so there is nothing to do meanwhile
            if first:
                ids = self.tokenizer.batch(first)
                yield first, self.model.run_batch(ids)["scores"], self.tokenizer.known(ids)
            return
        from concurrent.futures import Future, ThreadPoolExecutor
        from queue import SimpleQueue

        models = [self.model]  # a `.keras` takes long to open again
        if isinstance(self.model, DeviceModel):
            models = [DeviceModel.open(self.model.path, threads=1) for _ in range(self.threads)]
        free: SimpleQueue[Any] = SimpleQueue()
        for model in models:
            free.put(model)

        def score(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            model = free.get()
            try:
                return model.run_batch(ids)["scores"], self.tokenizer.known(ids)
            finally:
                free.put(model)

        waiting: collections.deque[tuple[list[str], Future[tuple[np.ndarray, np.ndarray]]]] = collections.deque()
        with ThreadPoolExecutor(len(models)) as pool:
            for block in itertools.chain([first], self._rest(texts)):
                waiting.append((block, pool.submit(score, self.tokenizer.batch(block))))
                if len(waiting) > len(models):  # one more than can be scored at once, so that nobody waits for a block
                    done, scores = waiting.popleft()
                    yield done, *scores.result()
            for done, scores in waiting:
                yield done, *scores.result()

    def _rest(self, texts: Iterator[str]) -> Iterator[list[str]]:
        while block := list(itertools.islice(texts, BLOCK)):
            yield block

    def lines(self, texts: Sequence[str], scores: np.ndarray, known: np.ndarray) -> Iterator[str]:
        """Yield label, probability, `sure` or `not sure`, text, with tabs between."""
        if self.thresholds is not None or self.top > 1:
            for row in self.rows(texts, scores, known):
                best = row["top"]
                names = ", ".join(entry["label"] for entry in best) or "none"
                numbers = ", ".join(f"{entry['score']:.4f}" for entry in best)
                yield "\t".join((names, numbers, "sure" if row["sure"] else "not sure", _plain(row["input"])))
            return
        labels = self.model.labels
        best = scores.argmax(1)
        values = scores[np.arange(len(best)), best]
        certain = self._certain(scores, known)
        for text, code, value, sure in zip(texts, best.tolist(), values.tolist(), certain.tolist(), strict=True):
            yield f"{labels[code]}\t{value:.4f}\t{'sure' if sure else 'not sure'}\t{_plain(text)}"

    def _certain(self, scores: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Return which answers are sure: bool (n,)."""
        values = scores.max(1) if self.thresholds is None else confidence(scores, self.thresholds, self.rare)
        return known & (values >= self.min_confidence)

    def rows(self, texts: Sequence[str], scores: np.ndarray, known: np.ndarray) -> Iterator[dict[str, Any]]:
        """Yield for each text `input`, `label`, `score`, `sure`, `known` and `top`: the best labels, or those it is given."""
        certain = self._certain(scores, known)
        if self.thresholds is not None:
            scores = scores * known[:, None]  # of several labels none is due to a text that says nothing
        for text, row, sure, said in zip(texts, scores, certain.tolist(), known.tolist(), strict=True):
            order = np.argsort(-row, kind="stable")
            chosen = order[: self.top].tolist()
            if self.thresholds is not None:
                chosen = [k for k in order.tolist() if row[k] >= self.thresholds[k]]
            best = [{"label": self.model.labels[k], "score": round(float(row[k]), 6)} for k in chosen]
            first = best[0] if best else {"label": None, "score": None}
            yield {"input": text, **first, "sure": sure, "known": said, "top": best}


def _thresholds(written: np.ndarray, asked: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """Return thresholds with those that a person asks for, "LABEL=0.6" or "0.6", in their place.

    Raises:
        ConfigError: no such label, or no number from 0 to 1.
    """
    found = written.copy()
    for entry in asked:
        label, _, number = entry.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise ConfigError(f"`threshold` is LABEL=NUMBER, or a NUMBER for all labels, from 0 to 1. Got {entry!r}.")
        if label and label not in labels:
            raise ConfigError(f"`threshold`: the model has no label {label!r}. It has {', '.join(labels[:20])}.")
        found[list(labels).index(label) if label else slice(None)] = value
    return found


def _plain(text: str) -> str:
    return text.translate(_PLAIN)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _told(row: dict[str, Any]) -> str:
    named = ", ".join(f"{entry['label']}  {entry['score']:.1%}" for entry in row["top"]) or "none of the labels"
    if row["sure"]:
        return named
    return f"not sure: {named}" if row["known"] else f"not sure, hardly a word is known: {named}"

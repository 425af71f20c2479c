"""Why a network of texts answers as it does: the words that decided, and what each of its filters reads.

Design choices:
- Two measures for each word. Occlusion asks the question that people ask: what would the answer be if the network did not know
  this word? It runs on any artifact. Integrated gradients (Sundararajan et al. 2017) ask for the share of each word in
  the logit; the path goes from the text with every word unknown to the text as it is, so the shares add up to what the
  words change, and on a linear model both measures say the same.
- A word is a word of the text, never an id: what a tokenizer made of one word (n-grams, characters) is put together again.
- A filter's n-grams are looked for in real texts, at the places where it fires most. The network is only listened to.
- Filters are ordered by what they can change: their weight in the last layer times how much their pooled value varies. Where
  there is more than pooling between them and the last layer, by how much it varies alone.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import keras
import numpy as np
from keras import layers as kl
from keras import ops

from cnnkit.device.text import PAD, UNKNOWN, Tokenizer, lengths
from cnnkit.device.text_spans import Placed, placed
from cnnkit.errors import ArtifactError, ConfigError
from cnnkit.explain import graph

STEPS = 16  # of the integral; the middle of each, so that a linear model is exact with one
IDS_AT_ONCE = 1 << 17  # in one batch: 300 texts of 400 words
TEXTS = 4000  # in which n-grams are looked for; more of them change little
LOOKED_AT = 500  # texts a filter, for n-grams that differ
SPACE = "\u2423"  # how white space is written among characters, where it would not be seen
STRANGE = "(unknown)"  # how a word outside the vocabulary is written, since a filter cannot tell one from another
PASSED_ON = (kl.Dropout, kl.SpatialDropout1D, kl.Activation, kl.ReLU, kl.BatchNormalization, kl.LayerNormalization)
POOLED = (kl.GlobalMaxPooling1D, kl.GlobalAveragePooling1D)


class Texts(Protocol):
    """What `ngrams` needs of records."""

    def __len__(self) -> int: ...
    def texts(self, indices: np.ndarray) -> list[str]: ...


@dataclasses.dataclass(frozen=True)
class Word:
    """A word and what it did.

    Attributes:
        text: as it is written.
        start, end: its place in the text, characters.
        known: whether the vocabulary has it; what is made of hashed n-grams or characters counts as known.
        occlusion: by how much the label's probability is higher with the word than with an unknown one in its place, in
            [-1, 1]; above 0: it speaks for the label.
        gradient: its share in the label's logit, by integrated gradients; None where the artifact has no gradients.
    """

    text: str
    start: int
    end: int
    known: bool
    occlusion: float
    gradient: float | None


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Which words of a text speak for a label.

    Attributes:
        text: as it came.
        label: the label asked about; where none was named, the most probable one.
        probability: of the label, in [0, 1].
        words: those that the network reads, in order; of the last one perhaps a part.
        unread: words behind them, beyond the network's input.
        scores: every label's probability.
    """

    text: str
    label: str
    probability: float
    words: tuple[Word, ...]
    unread: int
    scores: dict[str, float]

    @property
    def marked(self) -> list[tuple[int, int, float]]:
        """Place and influence (start, end, occlusion) of each word."""
        return [(word.start, word.end, word.occlusion) for word in self.words]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Ngram:
    """A run of words (or of characters) that a filter fires on: `activation` is what the filter's layer puts out."""

    text: str
    activation: float


@dataclasses.dataclass(frozen=True)
class Filter:
    """What a filter of a convolution reads.

    Attributes:
        layer: its layer.
        number: its place in the layer.
        size: ids that it reads at once.
        importance: absolute weight times spread, or the spread of its largest value over texts alone; at least 0.
        label: the label that it speaks for, or against; None where more than pooling lies before the last layer.
        weight: its weight for that label, less the mean over labels that exclude each other; below 0: it speaks against it.
        ngrams: those it fires on most, the strongest first, each another.
    """

    layer: str
    number: int
    size: int
    importance: float
    label: str | None
    weight: float | None
    ngrams: tuple[Ngram, ...]


def explain(artifact: Any, text: str, *, target: str | int | None = None) -> Explanation:
    """Measure what each word of a text does to an answer.

    Args:
        artifact: a `KerasArtifact`, or a `DeviceModel`, which has no gradients; its metadata hold the tokenizer as "text".
        text: any, also an empty one.
        target: the label asked about, by name or number; None: the most probable one.

    Raises:
        ArtifactError: the artifact is not of texts.
        ConfigError: it has no such label.

    Source: occlusion: Li, Monroe and Jurafsky 2016, arXiv:1612.08220; integrated gradients: Sundararajan, Taly and Yan 2017,
    arXiv:1703.01365, by the midpoint rule.
    """
    tokenizer = tokenizer_of(artifact)
    found = placed(tokenizer, text, artifact.input_shape[0])
    (ids,) = _padded([found.ids], artifact.input_shape[0])
    scores = artifact.run_batch(ids[None])["scores"][0]
    number = int(scores.argmax()) if target is None else _number(artifact.labels, target)
    owners = np.full(len(ids), -1)
    owners[: len(found.owners)] = found.owners
    occluded = [artifact.run_batch(batch)["scores"][:, number] for batch in _occluded(ids, owners, len(found.words))]
    without = np.concatenate([np.zeros(0), *occluded])
    model = getattr(artifact, "model", None)
    shares = _integrated(model, ids, owners >= 0, number) if model is not None and found.words else None
    words = []
    for place, ((start, end), left) in enumerate(zip(found.words, without, strict=True)):
        own = owners == place
        known = bool((ids[own] != UNKNOWN).any())
        words.append(
            Word(
                text=text[start:end],
                start=start,
                end=end,
                known=known,
                occlusion=float(scores[number] - left) if known else 0.0,  # nothing changed but the size of the batch
                gradient=None if shares is None else float(shares[own].sum()),
            )
        )
    every = {label: float(score) for label, score in zip(artifact.labels, scores, strict=True)}
    return Explanation(text, artifact.labels[number], float(scores[number]), tuple(words), found.unread, every)


def ngrams(artifact: Any, records: Texts, *, per_filter: int = 5, filters: int = 12) -> list[Filter]:
    """Find what the filters of the first convolutions fire on.

    Args:
        artifact: a `KerasArtifact`.
        records: texts to look in; of more than 4,000 as many, evenly spread.
        per_filter: n-grams of each filter.
        filters: how many, those that matter most.

    Returns:
        The filters, the most important first; those that never fire are left out. Words that the vocabulary lacks are written
        "(unknown)", white space among characters "\u2423".

    Raises:
        ArtifactError: the artifact is not of texts.
    """
    if per_filter < 1 or filters < 1:
        raise ValueError(f"`per_filter` and `filters` are at least 1. Received: {per_filter}, {filters}.")
    tokenizer, (length,) = tokenizer_of(artifact), artifact.input_shape
    places = np.unique(np.linspace(0, len(records) - 1, min(TEXTS, len(records))).astype(int))
    convolutions = _first_convolutions(artifact.model)
    if not len(places) or not convolutions:
        return []
    weights, exclusive = _last_weights(artifact.model, convolutions), artifact.metadata.get("task") != "multilabel"
    watched = {name: _Watched(layer, length) for name, layer in convolutions.items()}
    listener = keras.Model(artifact.model.input, {name: layer.output for name, layer in convolutions.items()})
    step = max(1, IDS_AT_ONCE // 8 // length)  # every map of every place is there at once
    for start in range(0, len(places), step):
        ids = tokenizer.batch(records.texts(places[start : start + step]), length)
        for name, maps in listener.predict_on_batch(ids).items():
            watched[name].see(np.asarray(ops.convert_to_numpy(maps), np.float32), lengths(ids))
    made: list[tuple[float, Filter, _Watched]] = []
    for name, one in watched.items():
        one.finish()
        for number, spread in enumerate(one.spread):
            row = None if weights is None else weights[name][number]
            label, weight, size = _speaks(row, artifact.labels, exclusive)
            importance = float(spread) * size
            if one.fired[:, number].max() > 0:
                made.append((importance, Filter(name, number, one.size, importance, label, weight, ()), one))
    made.sort(key=lambda entry: -entry[0])
    read: dict[int, tuple[str, Placed]] = {}
    return [
        dataclasses.replace(entry, ngrams=_strongest(one, entry.number, per_filter, tokenizer, records, places, read))
        for _, entry, one in made[:filters]
    ]


def tokenizer_of(artifact: Any) -> Tokenizer:
    """Return the tokenizer that travels in an artifact."""
    written = artifact.metadata.get("text")
    if written is None:
        raise ArtifactError(f"{artifact.path} is not a model of texts. Give one that `cnnkit text train` made.")
    return Tokenizer.from_dict(written, where=str(artifact.path))


def _number(labels: Sequence[str], target: str | int) -> int:
    if isinstance(target, str) and target in labels:
        return list(labels).index(target)
    if isinstance(target, int) and 0 <= target < len(labels):
        return target
    raise ConfigError(f"The model has no label {target!r}. It has: {', '.join(labels[:30])}.")


def _padded(rows: Sequence[Sequence[int]], length: int) -> np.ndarray:
    ids = np.full((len(rows), length), PAD, np.int32)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
    return ids


def _occluded(ids: np.ndarray, owners: np.ndarray, words: int) -> Iterator[np.ndarray]:
    """Yield the text with one word after the other unknown: int32 (b, length)."""
    step = max(1, IDS_AT_ONCE // len(ids))
    for start in range(0, words, step):
        numbers = np.arange(start, min(words, start + step))
        yield np.where(owners == numbers[:, None], UNKNOWN, ids).astype(np.int32)


def _integrated(model: keras.Model, ids: np.ndarray, words: np.ndarray, target: int) -> np.ndarray | None:
    """Return each id's share in a logit, float32 (length,), on the way from all words unknown to the text.

    Every table that is looked up is on the way together. A table of pairs of neighbours starts from zeros, since an unknown
    word has no pairs, and its shares go to both words alike; one that does not learn, such as flags of pairs, stays as it is.
    None where there is no table.
    """
    ends = np.stack([np.where(words, UNKNOWN, ids), ids]).astype(np.int32)
    own_input = graph.graph_of(model).inputs[0]
    looked_up: dict[int, np.ndarray] = {}  # by the node: (2, places, width), where the way begins and where it ends

    def look(name: str, node: Any, args: tuple, kwargs: dict) -> Any:
        outputs = graph.run(node, args, kwargs)
        if isinstance(node.operation, kl.Embedding):
            plain = node.input_tensors[0] is own_input
            if plain or node.operation.trainable:
                looked_up[id(node)] = ops.convert_to_numpy(ops.cast(outputs, "float32")) * [[[float(plain)]], [[1.0]]]
        return outputs

    graph.interpret(model, [ops.convert_to_tensor(ends)], look)
    if not looked_up:
        return None
    edges = dict(zip(looked_up, np.cumsum([0] + [vectors[0].size for vectors in looked_up.values()])))
    base, whole = np.concatenate([vectors.reshape(2, -1) for vectors in looked_up.values()], 1).astype(np.float32)
    change = whole - base
    total = np.zeros_like(change)
    parts = (np.arange(STEPS, dtype=np.float32) + 0.5) / STEPS
    at_once = max(1, IDS_AT_ONCE // len(ids))
    for start in range(0, STEPS, at_once):
        part = parts[start : start + at_once, None]
        repeated = ops.convert_to_tensor(np.repeat(ids[None], len(part), 0))

        def logit(vectors: Any, repeated: Any = repeated) -> Any:
            def put(name: str, node: Any, args: tuple, kwargs: dict) -> Any:
                if id(node) not in edges:
                    return graph.run(node, args, kwargs)
                first, own = edges[id(node)], looked_up[id(node)][0]
                values = ops.reshape(vectors[:, first : first + own.size], (-1, *own.shape))
                return ops.cast(values, node.operation.compute_dtype)

            return ops.sum(ops.cast(graph.interpret(model, [repeated], put)[0][:, target], "float32"))

        total += graph.gradient_of(logit, ops.convert_to_tensor(base + part * change)).sum(0)
    product, shares = total / STEPS * change, np.zeros(len(ids), np.float32)
    for key, vectors in looked_up.items():
        own = product[edges[key] : edges[key] + vectors[0].size].reshape(vectors.shape[1:]).sum(-1)
        spread = max(0, len(ids) - len(own)) + 1  # ids behind one place: 2 of a table of pairs
        for step in range(spread):
            shares[step : step + len(own)] += own / spread
    return shares


def _first_convolutions(model: keras.Model) -> dict[str, Any]:
    """Return the layers whose filters read the text itself: those named `region`, else the first convolution."""
    own = [layer for layer in model.layers if isinstance(layer, kl.Conv1D)]
    regions = [layer for layer in own if layer.name.startswith("region")]
    return {layer.name: layer for layer in regions or own[:1]}


@dataclasses.dataclass(frozen=True)
class _Features:
    """A value in the graph: the filter that each of its features is of, and the dense layer that it comes from with its input."""

    of: list[tuple[str, int] | None]
    made_by: tuple[Any, list[tuple[str, int] | None]] | None = None


def _last_weights(model: keras.Model, convolutions: dict[str, Any]) -> dict[str, np.ndarray] | None:
    """Return each filter's weights in the last layer by its layer, float (filters, classes); None where more lies between.

    The graph is run on descriptions: a value says of each of its features which filter it is of. Between filters and last
    layer there may be pooling, dropout, products with a mask; behind it sums with what other parts of the network say.
    """

    def describe(name: str, node: Any, args: tuple, kwargs: dict) -> list[_Features]:
        layer = node.operation
        values = [value for value in keras.tree.flatten((args, kwargs)) if isinstance(value, _Features)]
        unknown = [_Features([None] * int((tensor.shape or (0,))[-1] or 0)) for tensor in node.outputs]
        own = [value for value in values if any(value.of)]
        if name in convolutions:
            return [_Features([(name, number) for number in range(layer.filters)])]
        if isinstance(layer, kl.Concatenate):
            return [_Features([feature for value in values for feature in value.of])]
        kind = type(layer).__name__
        if len(own) == 1 and (isinstance(layer, PASSED_ON + POOLED) or kind == "Multiply"):
            return own
        made = [value.made_by for value in values if value.made_by]
        if kind in ("Add", "Activation") and len(made) == 1:
            return [_Features(unknown[0].of, made[0])]
        if isinstance(layer, kl.Dense) and own and layer.units == model.output_shape[-1]:
            return [_Features(unknown[0].of, (layer, own[0].of))]
        return unknown

    (last,) = graph.interpret(model, [_Features([])] * len(model.inputs), describe)
    if last.made_by is None:
        return None
    layer, features = last.made_by
    kernel = ops.convert_to_numpy(ops.cast(layer.kernel, "float32"))
    found = {name: np.zeros((conv.filters, kernel.shape[1]), np.float32) for name, conv in convolutions.items()}
    for feature, row in zip(features, kernel, strict=True):
        if feature is not None:
            found[feature[0]][feature[1]] += row  # pooled in two ways, it has a weight for each
    return found


def _speaks(row: np.ndarray | None, labels: Sequence[str], exclusive: bool) -> tuple[str | None, float | None, float]:
    """Return the label that weights, one a label, speak for (or against), the weight, and its size."""
    if row is None:
        return None, None, 1.0
    if exclusive:
        row = row - row.mean()
    size = float(np.abs(row).max())
    number = int(row.argmax()) if row.max() >= size * (1 - 1e-5) else int(row.argmin())
    return labels[number], float(row[number]), size


class _Watched:
    """What one convolution put out for many texts: the largest value of each filter, and where it was."""

    def __init__(self, layer: Any, length: int):
        (self.size,), (self._stride,), (self._dilation,) = layer.kernel_size, layer.strides, layer.dilation_rate
        self.width = (self.size - 1) * self._dilation + 1  # ids from the first that a place reads to the last
        places = layer.compute_output_shape((1, length, 1))[1]
        before = {
            "valid": 0,
            "causal": self.width - 1,
            "same": max(0, (places - 1) * self._stride + self.width - length) // 2,
        }[layer.padding]
        self.starts = np.arange(places) * self._stride - before
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def see(self, maps: np.ndarray, counts: np.ndarray) -> None:
        """Note the largest values of maps (b, places, filters); n-grams need an id of the text, `counts` are there."""
        pooled = maps.max(1)
        inside = (self.starts < counts[:, None]) & (self.starts + self.width > 0)
        maps = np.where(inside[..., None], maps, -np.inf)
        self._parts.append((pooled, maps.max(1), maps.argmax(1).astype(np.int32)))

    def finish(self) -> None:
        """Put the batches together: `fired` float32 and `places` int32 (texts, filters), `spread` (filters,)."""
        pooled, self.fired, self.places = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        self.spread = pooled.std(0)
        self._parts.clear()


def _strongest(
    one: _Watched,
    number: int,
    count: int,
    tokenizer: Tokenizer,
    records: Texts,
    indices: np.ndarray,
    read: dict[int, tuple[str, Placed]],
) -> tuple[Ngram, ...]:
    """Return the n-grams of one filter, each another; `read` keeps the texts that were looked at."""
    fired = one.fired[:, number]
    found: dict[str, Ngram] = {}
    order = np.argsort(-fired, kind="stable")[:LOOKED_AT]
    missing = [int(row) for row in order[: 4 * count] if int(row) not in read]
    for row, text in zip(missing, records.texts(indices[missing]) if missing else [], strict=True):
        read[row] = text, placed(tokenizer, text)
    for row in order.tolist():
        if len(found) == count or fired[row] <= 0:
            break
        if row not in read:
            (text,) = records.texts(indices[[row]])
            read[row] = text, placed(tokenizer, text)
        start = int(one.starts[one.places[row, number]])
        ngram = _written(*read[row], tokenizer, range(max(0, start), max(0, start + one.width)))
        if ngram.strip(SPACE):
            found.setdefault(ngram.casefold(), Ngram(ngram, float(fired[row])))
    return tuple(found.values())


def _written(text: str, found: Placed, tokenizer: Tokenizer, places: range) -> str:
    """Return the words, or the characters, that stand behind some places of ids."""
    if tokenizer.kind == "characters":
        part = text[places.start : min(places.stop, len(found.ids))]
        return "".join(SPACE if character.isspace() else character for character in part)
    owners = sorted({found.owners[place] for place in places if place < len(found.owners)})
    words = [text[slice(*found.words[owner])] for owner in owners]
    if tokenizer.buckets:
        return " ".join(words)
    return " ".join(word if word in tokenizer.table else STRANGE for word in words)

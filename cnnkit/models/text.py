"""Networks for texts: the small default, Kim's four, one of characters, one for large sets.

Design choices:
- Input are ids, int32 (b, length), as `cnnkit.device.text` makes them; 0 is padding. Output are logits.
- Networks that pool over all places take any length: their input is (None,), batches may be cut to their longest text
  (`MARGIN` says how much padding has to stay), and a phone still gets the full length.
- A step costs the same whatever the size of the vocabulary: `WordEmbedding` looks rows up in the variable itself, where Keras's
  own layer reads all of it first, and the optimizer updates the rows of a batch alone (`cnnkit.training`).
- Every operator is one LiteRT has: gathers, convolutions along one axis, pooling, dense layers.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import layers, ops

from cnnkit.device.text import ALPHABET, FIRST, PAD, UNKNOWN, Tokenizer
from cnnkit.errors import DataError
from cnnkit.models.arguments import check_positive
from cnnkit.models.axes import Axes, means
from cnnkit.models.vectors import dimensions, random_like, read

MARGIN = 8  # ids of padding that a cut batch keeps, at least: what the widest filter reads
MASKED_MARGIN = 1  # the same of one that masks its padding, half of a batch of short texts; 0: cut nothing
WIDE, PAIRS = "word_weights", "pair_weights"  # the linear tables of the default
PRIME = 7919  # of the hash of a pair
MOST_PAIRED = 200_000  # ids: much larger ones times the prime would leave int32
MEAN_SCALE = 3.0  # of the mean vector, which is smaller than largest values are
EMBEDDING = "embedding"  # the layer whose rows are words
STATIC = "vectors"  # the layer of given vectors that do not learn
WORDS = Axes("words", "vocabulary")  # what the rows of a table stand for
WORD_CLASSES = Axes("words", "vocabulary", classes=True)
HASH_CLASSES = Axes("words", "vocabulary", hashed=True, classes=True)
SPREAD = 0.05  # root mean square of given vectors, whatever it is in their file


@keras.saving.register_keras_serializable("cnnkit")
class WordEmbedding(layers.Embedding):
    """As `keras.layers.Embedding`, but rows are read one by one, so a step's cost does not grow with the vocabulary."""

    def call(self, inputs):
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs)
        import tensorflow as tf

        return ops.cast(tf.gather(self.embeddings.value, tf.cast(inputs, "int32")), self.compute_dtype)


def _check(image_shape: tuple[int, ...], classes: int) -> int:
    if len(image_shape) != 1 or not isinstance(image_shape[0], int) or image_shape[0] < 1:
        raise ValueError(f"`image_shape` needs (ids of a text,). Received: image_shape={image_shape}.")
    if classes < 1:
        raise ValueError(f"`classes` needs at least 1. Received: classes={classes}.")
    return image_shape[0]


def _check_regions(regions: Sequence[int]) -> tuple[int, ...]:
    regions = tuple(regions)
    if not regions or not all(isinstance(n, int) and 1 <= n <= MARGIN for n in regions):
        raise ValueError(f"`regions` needs sizes of 1 to {MARGIN} words. Received: regions={regions}.")
    return regions


def _largest(words: Any, regions: Sequence[int], maps: int, mask: Any = None) -> list[Any]:
    """Return the largest value of each filter over the places of a text, for each region: (b, maps) each."""
    pooled = []
    for region in regions:
        found = layers.Conv1D(maps, region, padding="same", activation="relu", name=f"region{region}")(words)
        pooled.append(layers.GlobalMaxPooling1D(name=f"pool{region}")(found if mask is None else found * mask))
    return pooled


def _uniform(limit: float) -> Any:
    return keras.initializers.RandomUniform(-limit, limit)


def wide_cnn(
    image_shape: tuple[int, ...],
    classes: int,
    *,
    size: int,
    pair_buckets: int = 0,
    width: int = 64,
    regions: Sequence[int] = (1, 2, 3, 4),
    maps: int = 64,
    mean: bool = True,
    first: int = 0,
    gain: float = 1.0,
    dropout: float = 0.5,
    spatial_dropout: float = 0.1,
    linear_dropout: float = 0.0,
    typical: float = 0.0,
) -> keras.Model:
    """Build the default: small convolutions beside a linear model of words and of pairs of neighbours, trained together.

    Args:
        image_shape: (ids of a text,).
        classes: number of labels.
        size: ids there are, the rows of the embedding.
        pair_buckets: rows of the table of pairs; 0: no pairs.
        width: numbers of a word's vector.
        regions: words that the filters read, each 1 to 8.
        maps: filters of each region.
        mean: whether the mean of a text's vectors is a feature too.
        first: words at the beginning of a text whose vectors are features too, at most 8.
        gain: what vectors and the linear model's weights are multiplied by; at 2 they learn at twice the rate of the rest.
        dropout: share of the pooled features, and of the pairs, dropped in training.
        spatial_dropout: share of a vector's numbers dropped throughout a text.
        linear_dropout: share of the words that the linear model does not see in training.
        typical: words of a typical text; the linear model's sums are multiplied by the root of it over the words of a text, so
            that long texts do not sound surer than short ones. 0: they are sums.

    Returns:
        `keras.Model`: int32 ids (b, any length) -> logits (b, classes).

    The convolutions' largest values, the mean vector and the first words go through one linear layer; each word and each pair
    adds its own weights to the logits. These tables may start from naive Bayes, so that on a few
    thousand texts the network begins about where a linear model ends. A pair finds its row by a hash of its ids; what falls on
    one row shares it, pairs that training lacks too.

    Sources: Kim 2014, arXiv:1408.5882 (convolutions, largest values); Iyyer et al. 2015 (the mean); Wang and Manning 2012 (naive
    Bayes as a start); Cheng et al. 2016, arXiv:1606.07792 (wide and deep).

    Example:
        >>> model = cnnkit.models.wide_cnn((40,), 2, size=1000, maps=8)
        >>> model.output_shape
        (None, 2)
    """
    _check(image_shape, classes)
    regions = _check_regions(regions)
    check_positive(size=size, width=width, maps=maps)
    if not 0 <= first <= MARGIN:  # no batch is cut shorter
        raise ValueError(f"`first` needs 0 to {MARGIN} words. Received: first={first}.")
    ids = keras.Input((None,), dtype="int32", name="ids")
    mask = ops.expand_dims(ops.cast(ops.minimum(ids, 1), "float32"), -1)
    start = _uniform(0.8 / width**0.5 / gain)
    words = means(WordEmbedding(size, width, embeddings_initializer=start, name=EMBEDDING), WORDS)(ids)
    words *= gain * mask
    words = layers.SpatialDropout1D(spatial_dropout, name="spatial_dropout")(words)
    pooled = _largest(words, regions, maps, mask)
    if mean:
        pooled.append(MEAN_SCALE * ops.sum(words, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0))
    if first:
        pooled.append(ops.reshape(words[:, :first], (-1, first * width)))
    x = layers.Concatenate(name="features")(pooled)
    x = layers.Dropout(dropout, name="dropout")(x)
    parts = [layers.Dense(classes, name="logits")(x)]
    table = means(WordEmbedding(size, classes, embeddings_initializer="zeros", name=WIDE), WORD_CLASSES)
    weights = table(ids) * (gain * mask)
    weights = layers.Dropout(linear_dropout, noise_shape=(None, None, 1), name="word_dropout")(weights)
    share = ops.sqrt(typical / ops.maximum(ops.sum(mask, axis=1), 1.0)) if typical else 1.0
    parts.append(share * ops.sum(weights, axis=1))
    if pair_buckets:
        if size > MOST_PAIRED:
            raise ValueError(f"`pair_buckets` are for vocabularies up to {MOST_PAIRED:,} ids. Received: size={size}.")
        first, second = ids[:, :-1], ids[:, 1:]
        known = gain * ops.cast(ops.clip(ops.minimum(first, second) - UNKNOWN, 0, 1), "float32")
        rows = ops.mod(first * PRIME + second, pair_buckets)
        table = WordEmbedding(pair_buckets, classes, embeddings_initializer="zeros", name=PAIRS)
        pairs = means(table, HASH_CLASSES)(rows) * ops.expand_dims(known, -1)
        pairs = layers.Dropout(dropout, noise_shape=(None, None, 1), name="pair_dropout")(pairs)
        parts.append(share * ops.sum(pairs, axis=1))
    return keras.Model(ids, layers.Add(name="both")(parts), name="wide_cnn")


def kim(
    image_shape: tuple[int, ...],
    classes: int,
    *,
    size: int,
    variant: str = "rand",
    width: int = 300,
    vectors: str | None = None,
    regions: Sequence[int] = (3, 4, 5),
    maps: int = 100,
    dropout: float = 0.5,
    max_norm: float = 3.0,
) -> keras.Model:
    """Build the network of Kim 2014: convolutions of several region sizes, the largest value of each map, a linear layer.

    Args:
        image_shape: (ids of a text,).
        classes: number of labels.
        size: ids there are, the rows of the embedding.
        variant: "rand": vectors of random numbers that learn; "static": given vectors that do not; "non-static": given
            vectors that learn; "multichannel": both, and each filter reads both.
        width: numbers of a word's vector.
        vectors: a file of word vectors, whose width is taken; what it holds is put in by who has the words
            (`start_from_vectors`).
        regions: words that the filters read, each 1 to 8.
        maps: filters of each region.
        dropout: share of the pooled features dropped in training.
        max_norm: largest L2 norm of a class's weights; 0: no limit.

    Returns:
        `keras.Model`: int32 ids (b, any length) -> logits (b, classes). 5,991,002 parameters for 18,765 words and
        two classes.

    Source: Kim 2014, arXiv:1408.5882; multichannel: filters of both channels are added, which is one filter over both.

    Example:
        >>> model = cnnkit.models.kim((40,), 2, size=1000, width=16, maps=8)
        >>> model.output_shape
        (None, 2)
    """
    _check(image_shape, classes)
    regions = _check_regions(regions)
    check_positive(size=size, width=width, maps=maps)
    if variant not in ("rand", "static", "non-static", "multichannel"):
        raise ValueError(f"`variant` is rand, static, non-static or multichannel. Received: variant={variant!r}.")
    if (vectors is None) != (variant == "rand"):
        needed = "needs given vectors: name their file" if vectors is None else "has random vectors: leave out the file"
        raise ValueError(f"the variant {variant} {needed} with `--vectors`.")
    width = width if vectors is None else dimensions(vectors)
    ids = keras.Input((None,), dtype="int32", name="ids")
    channels = []
    if variant != "static":
        table = WordEmbedding(size, width, embeddings_initializer=_uniform(0.05), name=EMBEDDING)
        channels.append(means(table, WORDS)(ids))
    if variant in ("static", "multichannel"):
        table = WordEmbedding(size, width, embeddings_initializer="zeros", trainable=False, name=STATIC)
        channels.append(means(table, WORDS)(ids))
    words = channels[0] if len(channels) == 1 else layers.Concatenate(name="channels")(channels)
    pooled = _largest(words, regions, maps)
    x = pooled[0] if len(pooled) == 1 else layers.Concatenate(name="features")(pooled)
    x = layers.Dropout(dropout, name="dropout")(x)
    limit = keras.constraints.MaxNorm(max_norm, axis=0) if max_norm else None
    return keras.Model(ids, layers.Dense(classes, kernel_constraint=limit, name="logits")(x), name=f"kim_{variant}")


def char_cnn(
    image_shape: tuple[int, ...], classes: int, *, size: int, maps: int = 256, units: int = 1024, dropout: float = 0.5
) -> keras.Model:
    """Build the network of characters of Zhang, Zhao and LeCun 2015: six convolutions, three dense layers.

    Args:
        image_shape: (characters of a text,); the paper has 1014, and 123 is the least.
        classes: number of labels.
        size: ids there are; those of the paper's alphabet.
        maps: filters of each convolution; 256 is the paper's small network, 1024 its large one.
        units: of the two hidden dense layers; the paper's small network has 1024.
        dropout: share of their outputs dropped in training.

    Returns:
        `keras.Model`: int32 ids (b, characters) -> logits (b, classes).

    A character is a vector with one 1, as in the paper; what is not in the alphabet, the space too, is zeros.

    Source: Zhang, Zhao and LeCun 2015, arXiv:1509.01626, tables 1 and 2.

    Example:
        >>> model = cnnkit.models.char_cnn((123,), 2, size=70, maps=8, units=16)
        >>> model.output_shape
        (None, 2)
    """
    length = _check(image_shape, classes)
    check_positive(size=size, maps=maps, units=units)
    kernels = ((7, 3), (7, 3), (3, 0), (3, 0), (3, 0), (3, 3))
    left = length
    for kernel, pool in kernels:
        left = (left - kernel + 1) // (pool or 1)
    if left < 1:
        raise ValueError(f"`image_shape` needs at least 123 characters. Received: image_shape={image_shape}.")
    ids = keras.Input((length,), dtype="int32", name="ids")
    letters = len(ALPHABET)
    one_hot = layers.Embedding(
        FIRST + letters, letters, embeddings_initializer=OneHot(), trainable=False, name="alphabet"
    )
    x = one_hot(ids)
    for number, (kernel, pool) in enumerate(kernels, 1):
        x = layers.Conv1D(maps, kernel, activation="relu", kernel_initializer="he_normal", name=f"conv{number}")(x)
        if pool:
            x = layers.MaxPooling1D(pool, name=f"pool{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    for number in (1, 2):
        x = layers.Dense(units, activation="relu", name=f"dense{number}")(x)
        x = layers.Dropout(dropout, name=f"dropout{number}")(x)
    return keras.Model(ids, layers.Dense(classes, name="logits")(x), name="char_cnn")


@keras.saving.register_keras_serializable("cnnkit")
class OneHot(keras.initializers.Initializer):
    """Rows of one 1 each, after rows of zeros for what is no letter."""

    def __call__(self, shape, dtype=None):
        return ops.eye(shape[0], shape[1], k=shape[1] - shape[0], dtype=dtype or "float32")


def dpcnn(
    image_shape: tuple[int, ...],
    classes: int,
    *,
    size: int,
    width: int = 128,
    maps: int = 250,
    dropout: float = 0.5,
) -> keras.Model:
    """Build a deep pyramid (Johnson and Zhang 2017) for larger sets: pairs of convolutions, halving the places each time.

    Args:
        image_shape: (ids of a text,), at least 8.
        classes: number of labels.
        size: ids there are.
        width: numbers of a word's vector.
        maps: filters of every convolution; 250 in the paper.
        dropout: share of the last features dropped in training.

    Returns:
        `keras.Model`: int32 ids (b, length) -> logits (b, classes). Work is less than twice that of its first pair, whatever the
        length.

    Source: Johnson and Zhang 2017, "Deep Pyramid Convolutional Neural Networks for Text Categorization", ACL, section 2: regions
    of 3, shortcuts without projections, activation before convolution, pooling of 3 by 2. The region embedding is a
    convolution of 3 words, without the unsupervised part.

    Example:
        >>> model = cnnkit.models.dpcnn((40,), 2, size=1000, width=16, maps=8)
        >>> model.output_shape
        (None, 2)
    """
    length = _check(image_shape, classes)
    check_positive(size=size, width=width, maps=maps)
    if length < 8:
        raise ValueError(f"`image_shape` needs at least 8 ids. Received: image_shape={image_shape}.")
    ids = keras.Input((length,), dtype="int32", name="ids")
    x = means(WordEmbedding(size, width, embeddings_initializer=_uniform(0.05), name=EMBEDDING), WORDS)(ids)
    x = layers.Conv1D(maps, 3, padding="same", name="region")(x)
    x = _pair(x, maps, "pair0")
    level = 0
    while length > 2:
        level += 1
        x = layers.MaxPooling1D(3, 2, padding="same", name=f"half{level}")(x)
        length = -(-length // 2)
        x = _pair(x, maps, f"pair{level}")
    x = layers.GlobalMaxPooling1D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(ids, layers.Dense(classes, name="logits")(x), name="dpcnn")


def _pair(x: Any, maps: int, name: str) -> Any:
    shortcut = x
    for number in (1, 2):
        x = layers.Activation("relu", name=f"{name}_relu{number}")(x)
        he = keras.initializers.HeNormal()
        x = layers.Conv1D(maps, 3, padding="same", kernel_initializer=he, name=f"{name}_conv{number}")(x)
    return layers.Add(name=f"{name}_add")([x, shortcut])


def start_from_vectors(model: keras.Model, path: str, words: Sequence[str], *, seed: int = 0) -> str:
    """Put the vectors of a file into a model's embeddings; words that it lacks get random ones of the same variance.

    All are multiplied by one number so that their root mean square is `SPREAD`, about what random vectors begin with. Adam moves
    every number by at most the learning rate a step, so vectors with numbers near 1, as GloVe's, would hardly learn: on an
    inner fold of SST-2 `kim-non-static` had 68.0 % with vectors as they are in the file, and 77.4 % scaled.

    Args:
        model: has the layer `EMBEDDING` or `STATIC` or both, as wide as the vectors.
        path: word2vec, GloVe or fastText.
        words: the vocabulary, a word a row; rows after them are left random.
        seed: of the random ones.

    Returns:
        A line that says how many words were found.

    Raises:
        DataError: the file is none of word vectors, or has none of the words.

    Source: Kim 2014, section 3.1.
    """
    found = read(path, words)
    if not len(found.places):
        raise DataError(f"{path} has a vector of none of the {len(words):,} words. Is it of another language?")
    size = float(np.sqrt(np.mean(np.square(found.matrix, dtype=np.float64))))
    matrix = (found.matrix * (SPREAD / size if size else 1.0)).astype(np.float32)
    for layer in model.layers:
        if layer.name not in (EMBEDDING, STATIC):
            continue
        (table,) = layer.get_weights()
        table = random_like(matrix, len(table), seed=seed)
        table[found.places] = matrix
        table[PAD] = 0
        layer.set_weights([np.asarray(table)])
    count = sum(bool(word) for word in words[FIRST:])
    return f"Vectors of {len(found.places):,} of {count:,} words from {path} ({found.kind}, {found.dimensions} numbers each)."


@dataclasses.dataclass(frozen=True)
class WordRows:
    """The names of rows that stand for words (`cnnkit.models.axes.Rows`)."""

    tokenizer: Tokenizer

    def earlier(self, metadata: Mapping[str, Any], where: str) -> Self | None:
        written = metadata.get("text")
        return type(self)(Tokenizer.from_dict(written, where=where)) if written else None

    def shared(self, earlier: Self, count: int) -> tuple[np.ndarray, np.ndarray, str] | None:
        here, there = self.tokenizer, earlier.tokenizer
        if (there.kind, there.size) != (here.kind, count):
            return None
        rows = [(key, there.table[word]) for key, word in enumerate(here.words()) if word in there.table]
        rows += [(PAD, PAD), (UNKNOWN, UNKNOWN)]
        if there.buckets == here.buckets and there.ngram == here.ngram:  # a hash falls on the same one of the last rows
            rows += zip(range(here.size - here.buckets, here.size), range(there.size - there.buckets, there.size))
        own, theirs = (np.array(side) for side in zip(*rows))
        words = here.size - here.buckets - FIRST
        common = len({key for key in own.tolist() if FIRST <= key < here.size - here.buckets})
        return own, theirs, f"{common:,} of {words:,} words"

"""From records to batches, through tf.data.

Design choices:
- Every training batch is a pure function of (seed, step): the order of an epoch is a permutation drawn from (seed, epoch),
  augmentation draws from (seed, step). So a resumed run starts at its step without replaying anything, and runs repeat bit
  for bit however the threads are scheduled.
- Only the records of the batches at hand are in memory. Reading and decoding run in parallel, augmentation in order.
"""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnkit.data.records import Records
from cnnkit.data.splits import places


class Order:
    """Which records each step reads: a fresh permutation an epoch, whole batches only.

    Args:
        count: number of records.
        batch_size: records a step; fewer where there are fewer records.
        seed: of the permutations.
        passes: times that an epoch reads each record, where a network sees another part of it each time.
    """

    def __init__(self, count: int, batch_size: int, seed: int, passes: int = 1):
        if count < 1:
            raise ValueError(f"`count` needs at least one record. Received: count={count}.")
        self.records, self.count = count, count * passes
        self.batch_size, self.seed = min(batch_size, self.count), seed
        self.steps_per_epoch = self.count // self.batch_size
        self._lock = threading.Lock()
        self._epochs: dict[int, np.ndarray] = {}

    def indices(self, step: int) -> np.ndarray:
        """Return the records of a step, int64 (batch_size,)."""
        epoch, position = divmod(step, self.steps_per_epoch)
        with self._lock:
            if epoch not in self._epochs:
                for old in sorted(self._epochs)[:-1]:  # batches of two epochs may be on their way at once
                    del self._epochs[old]
                self._epochs[epoch] = np.random.default_rng([self.seed, epoch]).permutation(places(self.count))
            order = self._epochs[epoch]
        chosen = order[position * self.batch_size : (position + 1) * self.batch_size].astype(np.int64)
        return chosen % self.records


def training_batches(
    records: Records,
    order: Order,
    *,
    start: int,
    stop: int,
    encode: Callable[[Any], Any],
    augmentation: Callable[[Any, Any, Any], tuple[Any, Any]] | None = None,
    weights: Callable[[Any], Any] | None = None,
    views: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]] | None = None,
) -> Any:
    """Make the batches of steps `start` to `stop`.

    Args:
        records: the training records.
        order: which records a step reads.
        start, stop: steps, [start, stop).
        encode: turns targets as the records have them into what the loss takes.
        augmentation: (images, targets, step) -> (images, targets), a pure function of the step.
        weights: encoded targets -> one weight a sample, for rare classes.
        views: (indices, step) -> images and targets to train on, a pure function of both; None: the records as they are.

    Returns:
        `tf.data.Dataset` of (images float32 (b, h, w, c) in [0, 255] or ids int32 (b, length), targets[, weights (b,)]).
    """
    tf = _tensorflow()

    def prepare(step: Any, images: Any, targets: Any) -> Any:
        targets = encode(targets)
        images = _as_read(images)
        sample_weights = () if weights is None else (weights(targets),)
        if augmentation is not None:
            images, targets = augmentation(images, targets, step)
        return images, targets, *sample_weights

    read = _reader(records, order.indices, batch=order.batch_size, views=views)
    return (
        tf.data.Dataset.range(start, stop)
        .map(lambda step: (step, *read(step)), num_parallel_calls=2, deterministic=True)
        .map(prepare)  # in order, so that it repeats: with parallel augmentation none of 5 reruns did
        .prefetch(4)
        .with_options(_options())
    )


def evaluation_batches(records: Records, *, batch_size: int, encode: Callable[[Any], Any]) -> Any:
    """Make batches of all records in their order; the last may be smaller. Returns as `training_batches`."""
    tf = _tensorflow()

    def indices(step: int) -> np.ndarray:
        return np.arange(step * batch_size, min(len(records), (step + 1) * batch_size))

    read = _reader(records, indices, batch=None)
    steps = -(-len(records) // batch_size)
    return (
        tf.data.Dataset.range(steps)
        .map(read, num_parallel_calls=2, deterministic=True)
        .map(lambda images, targets: (_as_read(images), encode(targets)))
        .prefetch(2)
        .with_options(_options())
    )


def _reader(
    records: Records,
    indices: Callable[[int], np.ndarray],
    batch: int | None,
    views: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]] | None = None,
) -> Callable[[Any], Any]:
    tf = _tensorflow()
    images, targets = records.read(np.array([0]))
    shape = getattr(views, "shape", images.shape[1:])  # views of texts are as long as the longest of a batch

    def of_step(step: Any) -> tuple[np.ndarray, np.ndarray]:
        chosen = indices(int(step))
        return records.read(chosen) if views is None else views(chosen, int(step))

    def read(step: Any) -> Any:
        pixels, values = tf.numpy_function(of_step, [step], (images.dtype, targets.dtype), stateful=False)
        return tf.ensure_shape(pixels, (batch, *shape)), tf.ensure_shape(values, (batch, *targets.shape[1:]))

    return read


def _as_read(inputs: Any) -> Any:
    """Return bytes as float32, and ids as they are."""
    tf = _tensorflow()
    return inputs if inputs.dtype == tf.int32 else tf.cast(inputs, tf.float32)


def _options() -> Any:
    options = _tensorflow().data.Options()
    options.deterministic = True
    options.autotune.enabled = False  # its thread would take a core from training
    return options


def _tensorflow() -> Any:
    import tensorflow as tf

    return tf

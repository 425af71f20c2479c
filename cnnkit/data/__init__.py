"""Data: cards, readers, records, splits, checks; and the tf.data pipeline, which alone needs TensorFlow.

splits = data.load("mnist", seed=0)
images, labels = splits.train.read(np.arange(32))  # uint8 (32, 28, 28, 1), int32 (32,)
"""

from cnnkit.data.checks import Finding, check
from cnnkit.data.loading import load
from cnnkit.data.records import Records, Splits, join

__all__ = ["Finding", "Records", "Splits", "check", "join", "load"]

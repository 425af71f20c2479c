"""Data: cards, readers, records, splits, batches; and the tf.data pipeline, which alone needs TensorFlow."""

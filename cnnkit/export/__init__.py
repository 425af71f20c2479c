"""The only place that converts: from a trained Keras model to LiteRT files that are proven to score like it."""

"""Look into a model: its layers worked out by hand, its filters, its feature maps, and what a decision rests on.

`layers` takes any functional or Sequential Keras model; `images` and `texts` explain the answers of classifiers. The functions
return plain data and NumPy arrays; the `*_figure` functions draw them. All work with the TensorFlow and the JAX backend.
"""

from cnnkit.explain.layers import layer_table, totals

__all__ = ["layer_table", "totals"]

"""Look into a model: its layers worked out by hand, its filters, its feature maps, and what a decision rests on.

`layers` takes any functional or Sequential Keras model; what explains an answer is the input's (`cnnkit.inputs.image.explain`,
`cnnkit.inputs.text.explain`). The functions return plain data and NumPy arrays; the `*_figure` functions draw them. All work with
the TensorFlow and the JAX backend.
"""

from cnnkit.explain.layers import layer_table, totals

__all__ = ["layer_table", "totals"]

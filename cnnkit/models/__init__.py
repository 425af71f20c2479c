"""Model builders: f(shape, classes, *, options) -> `keras.Model`, from inputs as records have them to logits.

Nothing is imported here: naming one network must not load the others.
"""

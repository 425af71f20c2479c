"""A toy kind of input: series of floats with gaps and of different lengths, seen through windows."""

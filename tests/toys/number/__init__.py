"""A toy task: a number, of which the error counts; there are no classes."""

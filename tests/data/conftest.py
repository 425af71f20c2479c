"""Small data sets written by hand, and a cache of its own for each test."""

from tests.small_data import class_folders, fresh_cache, picture, save, toy_arrays  # noqa: F401

"""Small data sets for these tests."""

from tests.small_data import class_folders, fresh_cache, picture, save, toy_arrays  # noqa: F401

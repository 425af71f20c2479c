"""Several labels an input, or none."""

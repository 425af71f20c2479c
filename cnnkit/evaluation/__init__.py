"""Scores any artifact, `.keras` or `.tflite`, with the same code."""

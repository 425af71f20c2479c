"""Volumes of scanners."""

"""Volumes with masks: their files, what a network sees of them, what is drawn in them."""

"""Texts as ids of words or characters."""

"""One class an input."""

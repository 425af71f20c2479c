"""Which pixels belong to what."""

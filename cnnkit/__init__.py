"""cnnkit: from a folder of labelled data to a small, measured model running on a device, one command per domain."""

__version__ = "0.1.0"

"""Fixtures: small data sets written by hand, and an empty cache."""

import cv2
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path_factory, monkeypatch):
    """Give each test an empty cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CNNKIT_CACHE", str(folder))
    return folder


@pytest.fixture
def picture():
    """Make a smooth picture, another for every seed: uint8 (height, width, channels)."""

    def make(seed, height=24, width=24, channels=3):
        noise = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
        smooth = cv2.GaussianBlur(noise, (0, 0), 1.5).reshape(height, width, channels)
        return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).reshape(height, width, channels)

    return make


@pytest.fixture
def save():
    """Write RGB, RGBA or grey pixels as an image file."""

    def write(path, pixels):
        path.parent.mkdir(parents=True, exist_ok=True)
        if pixels.ndim == 3 and pixels.shape[2] >= 3:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
        path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
        return path

    return write


@pytest.fixture
def class_folders(tmp_path, picture, save):
    """Write ROOT/CLASS/N.png with so many images a class; returns the root."""

    def make(counts, root=tmp_path / "pictures", seed=0, **size):
        for k, (name, count) in enumerate(counts.items()):
            (root / name).mkdir(parents=True, exist_ok=True)
            for n in range(count):
                save(root / name / f"{n:03}.png", picture((seed, k, n), **size))
        return root

    return make


@pytest.fixture
def toy_arrays():
    """Make x (n, h, w) and y (n,), alike for every call."""

    def make(n=60, height=8, width=10, classes=3, seed=0):
        rng = np.random.default_rng(seed)
        return rng.integers(0, 256, (n, height, width), np.uint8), np.arange(n) % classes

    return make

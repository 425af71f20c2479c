"""`cnnkit digits`: the contract of every app, and what only digits do."""

import cv2
import numpy as np
from cnnkit_digits.cli import main

from tests.contracts import AppContract


def held_out(count):
    from cnnkit.data import load

    return load("digits").test.read(np.arange(count))


class TestDigits(AppContract):
    app = "digits"
    group = main
    small = ("--epochs", "2", "--limit", "300")

    def inputs(self, folder):
        images, _ = held_out(3)
        for number, image in enumerate(images):
            cv2.imwrite(str(folder / f"{number}.png"), image)
        return [str(folder / f"{number}.png") for number in range(3)]

"""What differs between kinds of inputs: how they are loaded, checked, shown, explained and reported. A recipe has one of them.

A folder here is a kind of input, with all that is its own: `device.py`, `training.py`, readers, checks, what is drawn of it.

from cnnkit.inputs.image.images import Images  # one label an image
from cnnkit.inputs.text.texts import Texts
from cnnkit.tasks.detection.images import Boxes  # images in which things have a place

The commands ask the recipe's inputs, and never which kind they are.
"""

"""What differs between kinds of inputs: how they are loaded, checked, shown, explained and reported. A recipe has one of them.

from cnnkit.inputs.images import Images  # one label an image
from cnnkit.inputs.boxes import Boxes    # images in which things have a place

The commands (`cnnkit.workflow`) ask the recipe's inputs, and never which kind they are.
"""

"""What runs on a device: NumPy, OpenCV and LiteRT, never TensorFlow.

The same code serves training-side evaluation, so what is measured here is what a phone or a Raspberry Pi does.
"""

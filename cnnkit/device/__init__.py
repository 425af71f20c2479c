"""What runs on a device: NumPy, OpenCV and LiteRT, never TensorFlow.

The same code serves training-side evaluation, so what is measured here is what a phone or a Raspberry Pi does. `import keras`
takes 3.5 to 5 s and 770 MB; LiteRT, OpenCV and NumPy together take 0.09 s and 52 MB.
"""

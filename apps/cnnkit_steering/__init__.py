"""`cnnkit steering`: how far the wheel is turned, from a picture of the road ahead."""

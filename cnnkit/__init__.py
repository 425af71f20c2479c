"""cnnkit: from a folder of labelled data to a small, measured model running on a device, one command per domain."""

import os

__version__ = "0.1.0"

# TensorFlow reads these once, when it is imported, so they are set before anything of cnnkit can import it; what the user has set
# stays. Without oneDNN's kernels a step takes 1.6 times the processor time (digits), 1.5 (kim-rand), 1.3 (detector), 1.04 (other
# texts; `benchmarks/onednn.py`). Left alone TensorFlow uses them only on some processors, those with AVX512-VNNI.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

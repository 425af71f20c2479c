"""`cnnkit steering`: the standard verbs, for the angle of a steering wheel."""

from typing import Any

import cnnkit


def fields() -> dict[str, Any]:
    from cnnkit_steering import model

    return {
        "data": "road-drives",
        "builders": {"default": model.pilot_net, "backbone": model.on_backbone},
        "augmentation": model.augmentation,
        "preset": model.preset,
        "numbers": {"zero": "straight", "negated": ("steer", "angle", "wheel", "yaw", "curvature")},
        "intended_use": "How far a steering wheel is to be turned, from a camera that looks ahead: to learn and "
        "to experiment with.",
        "limits": "It looks at single pictures of roads like those of its data, and knows no traffic, no rules and no map. "
        "Nothing that could hurt anybody may drive by it.",
    }


main = cnnkit.App(
    "Tell how far to turn the wheel, from a picture of the road.",
    fields,
    name="steering",
    kind=cnnkit.kinds.image_regression,
    build_options=cnnkit.kinds.image_regression.build_options,
)


if __name__ == "__main__":
    main()

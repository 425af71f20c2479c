"""`cnnkit photos`: the standard verbs, for telling apart pictures of anything, by labels of one's own."""

from typing import Any

import cnnkit


def fields() -> dict[str, Any]:
    from cnnkit_photos import model

    return {
        "data": "drawn-surfaces",
        "builders": model.BUILDERS,
        "augmentation": model.augmentation,
        "side": model.side,
        "side_step": 32,
        "preset": model.preset,
        "pretrained": model.STARTS,
        "intended_use": "What a picture shows, of the labels that it was trained on.",
        "limits": "What no training picture shows, or shows like that, still gets one of the labels; look at its score.",
    }


main = cnnkit.App(
    "Tell pictures apart: photos of one's own, by labels of one's own.",
    fields,
    name="photos",
    kind=cnnkit.kinds.image_classification,
    build_options=cnnkit.kinds.image_classification.build_options,
    pretrained=True,
)

if __name__ == "__main__":
    main()

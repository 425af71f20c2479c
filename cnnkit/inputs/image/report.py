"""The sections of a report that show images: errors, what decided, samples.

As everywhere in a report, a section appears where its data is there, and says in plain words how to read it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.report.blocks import Contact, Picture, Pictures, Section, percent, picture
from cnnkit.report.sections import how_bad, worst_first


def top_losses(entries: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> Section | None:
    """The most confident errors, as pictures."""
    shown = [entry for entry in entries if entry.get("image") is not None]
    if not shown:
        return None

    def name(value: Any) -> str:
        return str(labels[int(value)]) if isinstance(value, (int, np.integer)) else str(value)

    pictures = []
    for entry in shown:
        true, predicted, note = name(entry["true"]), name(entry["predicted"]), how_bad(entry)
        description = f"A {true} read as {predicted}, {note}: {entry.get('name', '')}"
        pictures.append(Picture(picture(entry["image"]), description, f"{true} read as {predicted}", note, "bad"))
    return Section("Worst errors", worst_first(shown), [Pictures(pictures)])


def samples(images: np.ndarray, names: Sequence[str], rounds: np.ndarray) -> Section | None:
    """Samples as they are, and what augmentation makes of them; as `figures.samples`."""
    if not len(images):
        return None

    def row(batch: np.ndarray, how: str) -> list[Picture]:
        return [
            Picture(picture(image, largest=96), f"{how}: {name}", str(name) if how == "Sample" else "")
            for image, name in zip(batch, names)
        ]

    rows = [("as it is", row(images, "Sample"))]
    rows += [("augmented" if index == 0 else "", row(batch, "Augmented")) for index, batch in enumerate(rounds)]
    text = "Some of the training data."
    if len(rounds):
        text += (
            " Below each, what augmentation makes of it: never the same image twice, and its labels must still hold."
        )
    return Section("Samples", text, [Contact(rows)])


def evidence(examples: Sequence[Mapping[str, Any]]) -> Section | None:
    """Grad-CAM pictures. Each example: `image` (h, w, 3) as `overlay` makes it, `label`, `predicted`, `confidence`."""
    if not examples:
        return None
    groups: dict[bool, list[Picture]] = {True: [], False: []}
    for example in examples:
        right = str(example["label"]) == str(example["predicted"])
        title = str(example["predicted"]) if right else f"{example['label']} read as {example['predicted']}"
        sure = percent(example["confidence"], 1)
        description = f"Grad-CAM for the answer {example['predicted']} to a {example['label']}, {sure} sure."
        source = picture(example["image"], largest=168)
        groups[right].append(Picture(source, description, title, f"{sure} sure", "" if right else "bad"))
    text = (
        "Grad-CAM: where the image speaks for the answer, in orange. A model that looks at a margin or a watermark "
        "has learnt the wrong thing, however well it scores."
    )
    titles = {True: "Right answers", False: "Errors"}
    shown = [Pictures(found, titles[right], smooth=True, side=116) for right, found in groups.items() if found]
    return Section("Evidence", text, shown)

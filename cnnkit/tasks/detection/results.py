"""Files of what was found: JSON, CSV, COCO.

Design choices:
- The suffix decides: `.coco.json` is COCO, other `.json` the document that `--json` prints, `.csv` one line a box.
- The COCO file is a whole data set, so that it loads as annotations to correct and train on; each annotation has its `score`
  too, so its `annotations` alone are what COCO's tools take as results.
- Where a recogniser named the boxes, its names are COCO's categories, and the score is that of the box times that of the name.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnkit import files
from cnnkit.results import form_of, write_table

COLUMNS = (
    ("input", "frame", "time", "width", "height", "track")
    + ("label", "score", "left", "top", "right", "bottom")
    + ("recognised", "recognised_score")
)


def writer(path: Path) -> Callable[[Mapping[str, Any], Sequence[str]], None]:
    """Return what writes a file of this name: (document, names of the classes). Each is written whole or not at all.

    Raises:
        DataError: its suffix is none that is known, or it is a folder.
    """
    write = form_of(path, {".coco.json": _coco, ".json": _json, ".csv": _csv})
    return lambda document, labels: write(path, document, labels)


def _json(path: Path, document: Mapping[str, Any], labels: Sequence[str]) -> None:
    files.write_json(path, document)


def _csv(path: Path, document: Mapping[str, Any], labels: Sequence[str]) -> None:
    write_table(path, COLUMNS, _rows(document["predictions"]))


def _rows(entries: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        for box in entry["boxes"]:
            yield {**entry, **box, **dict(zip(("left", "top", "right", "bottom"), box["box"], strict=True))}


def _coco(path: Path, document: Mapping[str, Any], labels: Sequence[str]) -> None:
    categories = {label: number for number, label in enumerate(labels, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, entry in enumerate(document["predictions"], 1):
        source = _below(entry["input"], path.parent)
        image = {"id": number, "file_name": source, "width": entry["width"], "height": entry["height"]}
        if "frame" in entry:  # as tools that cut videos into frames name them
            image |= {"file_name": f"{source}/{entry['frame']:06d}.png", "video": source, "frame": entry["frame"]}
        images.append(image)
        for box in entry["boxes"]:
            left, top, right, bottom = box["box"]
            width, height = round(right - left, 2), round(bottom - top, 2)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": categories[box.get("recognised", box["label"])],
                    "bbox": [left, top, width, height],
                    "area": round(width * height, 2),
                    "iscrowd": 0,
                    "score": round(box["score"] * box.get("recognised_score", 1.0), 6),
                    **({"track_id": box["track"]} if "track" in box else {}),
                }
            )
    files.write_json(
        path,
        {
            "info": {"description": f"Found by {Path(document['artifact']).name}"},
            "images": images,
            "annotations": annotations,
            "categories": [{"id": number, "name": label} for label, number in categories.items()],
        },
    )


def _below(name: str, folder: Path) -> str:
    """Return an input's path from the folder of the results where it lies below it, else as it was given; with /."""
    try:
        return Path(name).resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return Path(name).as_posix()

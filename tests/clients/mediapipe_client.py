"""MediaPipe's own client, in an environment of its own: `python mediapipe_client.py jobs.json`.

Nothing of cnnkit is imported here. A job is {"task", "model", "inputs", "answers"}, perhaps "threshold" (of a detector). Inputs
are JSON (texts) or `.npz` (pictures uint8 (h, w, 3), in order), answers are written as `.npz`: `scores` (n, labels) or `values`
(n, numbers); of a detector `boxes` (k, 6), each with the number of its picture, left, top, right, bottom and score, and `names`
(k,) of labels; of a segmenter `scores_N` (h, w, channels) and `codes_N` (h, w) of picture N.
"""

import json
import re
import sys
from pathlib import Path

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, text, vision


def ordered(categories):
    """Return the scores of all labels, in the order of the labels."""
    scores = np.full(len(categories), np.nan, np.float32)
    for category in categories:
        scores[category.index] = category.score
    return scores


def classified(task, inputs):
    return {"scores": np.stack([ordered(task.classify(entry).classifications[0].categories) for entry in inputs])}


def embedded(task, inputs):
    return {"values": np.stack([task.embed(entry).embeddings[0].embedding for entry in inputs])}


def segmented(task, inputs):
    found = {}
    for number, entry in enumerate(inputs):
        answer = task.segment(entry)
        masks = [np.array(mask.numpy_view(), np.float32) for mask in answer.confidence_masks]
        found[f"scores_{number}"] = np.stack([mask.reshape(mask.shape[:2]) for mask in masks], -1)
        codes = np.array(answer.category_mask.numpy_view())
        found[f"codes_{number}"] = codes.reshape(codes.shape[:2])
    return found


def detected(task, inputs):
    rows, names = [], []
    for number, entry in enumerate(inputs):
        for one in task.detect(entry).detections:
            box, category = one.bounding_box, one.categories[0]
            corners = box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height
            rows.append((number, *corners, category.score))
            names.append(category.category_name)
    return {"boxes": np.array(rows, np.float32).reshape(-1, 6), "names": np.array(names, np.str_)}


TASKS = {
    "ImageClassifier": (vision, {"max_results": -1}, classified),
    "ImageEmbedder": (vision, {}, embedded),
    "ImageSegmenter": (vision, {"output_category_mask": True}, segmented),
    "ObjectDetector": (vision, {"max_results": -1}, detected),
    "TextClassifier": (text, {"max_results": -1}, classified),
}


def read(path):
    """Return texts as they may be given to MediaPipe, without unpaired surrogates, or its pictures."""
    if path.suffix == ".json":
        return [re.sub("[\ud800-\udfff]", "\ufffd", entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    with np.load(path) as arrays:
        pictures = [np.ascontiguousarray(arrays[f"arr_{number}"]) for number in range(len(arrays.files))]
    return [mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture) for picture in pictures]


def main():
    for job in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        module, options, answer = TASKS[job["task"]]
        if "threshold" in job:
            options = {**options, "score_threshold": job["threshold"]}
        chosen = getattr(module, f"{job['task']}Options")
        made = chosen(base_options=BaseOptions(model_asset_path=job["model"]), **options)
        with getattr(module, job["task"]).create_from_options(made) as task:  # one left open may hang at the end
            np.savez(job["answers"], **answer(task, read(Path(job["inputs"]))))


if __name__ == "__main__":
    main()

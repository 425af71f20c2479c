"""MediaPipe Tasks: one file for Android, iOS, the web and Python, with labels, anchors, vocabulary and all inside.

Design choices:
- MediaPipe's own writers of metadata cannot be imported beside current versions of it, so it is written here, with the published
  schemas (`metadata_schema.fbs` 1.5.0 and those of detectors and segmenters) as tables of slots.
- Its pictures are RGB: a grey model gets a front that weighs the colours as our own reader does.
- A segmenter of one channel would have its category mask inverted, so one label becomes two channels, background first: by a
  softmax, as one minus a sigmoid is a step of int8 off in another version of LiteRT.
- A detector has one anchor a cell, its size the cell's stride: that is what our raw boxes mean already.
- Numbers that are no shares go through the image embedder, which hands on what a model answers as it is.
- It takes float32 and uint8 alone.
- Scores are calibrated in the graph (`cnnkit.evaluation.calibration`), so nothing is said of a second calibration here.
- A model of which its clients would make something else without a word is refused, such as one of texts that another tokenizer
  read. What they leave out, and a user can do in code, is said: `notes`.

Sources: the schemas; `docs` of MediaPipe Tasks; what each client was seen to do is in `docs/devices.md`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.device.model import with_decided
from cnnkit.export import container, flat
from cnnkit.export.flat import Byte, Float, Int, Union
from cnnkit.export.forms import Boxes, Map, Numbers, Pixels, Shares, Tokens
from cnnkit.export.graph import graph_of
from cnnkit.export.profiles.profile import Profile

ENTRY = "TFLITE_METADATA"
GREY = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, as OpenCV has it
AXIS_LABELS, VOCABULARY = 2, 5  # types of associated files
NORMALISATION, REGEX = 1, 6  # types of process units
PICTURE, BOX = 2, 3  # types of contents
RGB, BOUNDARIES, RATIO, NONE = 1, 1, 0, 0  # of colours, boxes (another is refused), coordinates, activations
IOU = 0.3  # its own
NAMES = "names.txt"  # of the answers, as MediaPipe reads them
TASKS = {
    (Pixels, Shares): "ImageClassifier",
    (Pixels, Boxes): "ObjectDetector",
    (Pixels, Map): "ImageSegmenter",
    (Pixels, Numbers): "ImageEmbedder",
    (Tokens, Shares): "TextClassifier",
}


class MediaPipe(Profile):
    """Files for MediaPipe Tasks.

    Attributes:
        task: of MediaPipe's, that loads them.
    """

    name = "mediapipe"
    title = "MediaPipe"
    precisions, more = ("float32", "int8"), ()

    def __init__(self, model: Any, metadata: Mapping[str, Any]):
        super().__init__(model, metadata)
        if why := self._unlike():
            raise self.refused(
                f"It {why}, and {self.title} does not. Its files for LiteRT, of `export` alone, have all of it."
            )
        found = TASKS.get((type(self.given), type(self.answer)))
        if found is None:
            raise self.refused(
                f"None of its tasks takes such inputs and gives such answers: {', '.join(TASKS.values())} do not."
            )
        self.task = found
        self.grey = isinstance(self.given, Pixels) and self.shape[-1] == 1
        if isinstance(self.given, Pixels) and self.shape[-1] not in (1, 3):
            raise self.refused(
                f"Its pictures have 3 channels, and this model's {self.shape[-1]}. Train on RGB or grey pictures."
            )
        if self.grey:
            self.metadata["input"] = {**self.metadata["input"], "shape": [*self.shape[:-1], 3]}
        self.paired = isinstance(self.answer, Map) and not self.answer.exclusive and len(self.answer.thresholds) == 1
        if isinstance(self.answer, Map) and self.paired:
            self.metadata = with_decided(self.metadata, self.answer.paired)

    def _unlike(self) -> str:
        """Say what of this model it has nothing like; "": nothing."""
        how = self.given.how if isinstance(self.given, Tokens) else {}
        if self.unlike or how.get("kind") == "characters":
            return self.unlike or "reads characters instead of words"
        return "has ids for pieces of unknown words (`buckets`)" if how.get("buckets") else ""

    @property
    def labels(self) -> tuple[str, ...]:
        if isinstance(self.answer, Map):
            return (*(("background",) if self.answer.exclusive or self.paired else ()), *super().labels)
        return self.answer.names if isinstance(self.answer, Numbers) else super().labels

    @property
    def notes(self) -> list[str]:
        found, cut = [], getattr(self.given, "cut", "") or getattr(self.answer, "cut", "")
        if isinstance(self.given, Pixels):
            found.append(
                f"{self.title} stretches pictures to {self.shape[1]}x{self.shape[0]} px, without smoothing what it shrinks. "
                f"Prepare them as `predict` does, which has them {cut or 'shrunk by area'}, or expect other answers."
            )
        if odd := [line for line, label in zip(self.lines, self.labels) if line.strip() != label.strip()]:
            found.append(f"It has a line for each label, so ends of lines in them are written out: {', '.join(odd)}.")
        if isinstance(self.given, Tokens):
            found.append('It knows no "not sure", which `predict` says of texts of few known words and of low scores.')
        if isinstance(self.given, Tokens) and self.given.how.get("apart"):
            found.append(
                "Put a space before and after each character of a script without spaces, such as Chinese or Thai: "
                f"{self.title} takes a run of them for one word."
            )
        if isinstance(self.answer, Shares) and self.answer.thresholds:
            found.append(f"It knows no thresholds: a label counts from {self._from(self.answer.thresholds)}.")
        if isinstance(self.answer, Shares) and self.answer.finding:
            place, threshold = self.answer.finding
            found.append(
                f"It knows no thresholds: the answer is {self.labels[place]} from a score of {threshold:.3g} on."
            )
        if isinstance(self.answer, Shares) and self.answer.below is not None:
            found.append(f'It knows no "unknown": an answer is one below a score of {self.answer.below:.3g}.')
        if isinstance(self.answer, Boxes):
            found.append(
                f"Pass it `score_threshold` {self.answer.threshold:.3g}, which it does not read in a file. It suppresses boxes "
                f"of any label above an IoU of {IOU:g}, `predict` of the same label above {self.answer.iou:g}."
            )
        if isinstance(self.answer, Map) and self.answer.thresholds not in ((), (0.5,)):
            found.append(f"Read its confidence masks: a pixel has a label from {self._from(self.answer.thresholds)}.")
        return found

    def _from(self, thresholds: Sequence[float]) -> str:
        """Write from which score on each label counts."""
        if len(set(thresholds)) == 1:
            return f"a score of {thresholds[0]:.3g} on"
        return ", ".join(f"{value:.3g} ({label})" for label, value in zip(self.trained["labels"], thresholds))

    def wrapped(self, model: Any) -> Any:
        import keras

        if not self.grey:
            return model
        given = keras.Input(batch_shape=(1, *self.shape[:-1], 3), name="image", dtype="float32")
        return keras.Model(given, dict(model(_grey(given))), name="device")

    def inputs(self, inputs: np.ndarray) -> np.ndarray:
        return np.repeat(inputs, 3, axis=-1) if self.grey else inputs

    def outputs(self, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if isinstance(self.answer, Map) and self.paired:
            return {**found, self.answer.output: found[self.answer.output][..., 1:]}
        return found

    def finished(self, content: bytes, precision: str) -> bytes:
        described = self.described(precision)
        entries = {ENTRY: self._entry(content, precision)}
        files = {NAMES: "".join(line + "\n" for line in self.lines)}
        return container.whole(content, self.kind.stated(self.trained), described, entries, files)

    def _entry(self, content: bytes, precision: str) -> bytes:
        """Return what MediaPipe reads: a `ModelMetadata` with a `SubGraphMetadata`, tensors in the order of the file."""
        graph = graph_of(content)
        order = {tensor.index: name for name, (tensor, _) in graph.outputs.items()}
        outputs = [self._output(order[index]) for index in graph.order]
        about: dict[int, Any] = {0: self.task, 2: [self._input(precision)], 3: outputs}
        if custom := self._custom(content):
            about[9] = [{0: name, 1: data} for name, data in custom.items()]
        version = "1.5.0" if custom else "1.2.1" if isinstance(self.given, Tokens) else "1.0.0"
        return flat.packed({0: str(self.metadata.get("app", "")), 3: [about], 7: version}, b"M001")

    def _input(self, precision: str) -> dict[int, Any]:
        if isinstance(self.given, Tokens):
            vocabulary = {0: self.given.file, 2: Byte(VOCABULARY)}
            return {0: "ids", 4: [{0: Union(REGEX, {0: self.given.delimiter, 1: [vocabulary]})}]}
        content = {0: Union(PICTURE, {0: Byte(RGB)})}
        if self.dtypes(precision)[0] != "float32":
            return {0: "image", 3: content}
        unit = {0: Union(NORMALISATION, {0: [Float(0.0)], 1: [Float(1.0)]})}  # the graph does it
        return {0: "image", 3: content, 4: [unit], 5: {0: [Float(255.0)], 1: [Float(0.0)]}}

    def _output(self, name: str) -> dict[int, Any]:
        named = [{0: NAMES, 2: Byte(AXIS_LABELS)}]
        if isinstance(self.answer, Boxes) and name == self.answer.places:
            box = {
                0: [Int(place) for place in (1, 0, 3, 2)],
                1: Byte(BOUNDARIES),
                2: Byte(RATIO),
            }  # of x, y, width, height
            return {0: "location", 3: {0: Union(BOX, box)}}
        if isinstance(self.answer, Boxes):
            return {0: "score", 6: named}
        return {0: name} if isinstance(self.answer, Numbers) else {0: name, 6: named}

    def _custom(self, content: bytes) -> dict[str, bytes]:
        """Return what is said of one task alone."""
        if isinstance(self.answer, Map):
            return {"SEGMENTER_METADATA": flat.packed({0: Byte(NONE)}, b"V001")}
        if not isinstance(self.answer, Boxes):
            return {}
        height, width = self.shape[:2]
        anchors = [
            {0: Float(x / width), 1: Float(y / height), 2: Float(stride / width), 3: Float(stride / height)}
            for x, y, stride in self.answer.cells.tolist()
        ]
        decoding: dict[int, Any] = {0: Int(len(self.labels)), 1: Int(len(anchors)), 2: Int(4), 5: Int(2)}
        decoding |= {slot: Float(1.0) for slot in (6, 7, 8, 9)} | {
            10: Byte(1)
        }  # scales; sizes are exponential, scores no logits
        about = {1: {0: {0: anchors}}, 2: decoding}
        return {"DETECTOR_METADATA": flat.packed(about, b"V001")}


def _grey(colours: Any) -> Any:
    """Return RGB (1, h, w, 3) as grey (1, h, w, 1): the weights, and no others, so that grey stays what it is."""
    from keras import layers

    weights = np.array(GREY, np.float32).reshape(1, 1, 3, 1)
    front = layers.Conv2D(1, 1, use_bias=False, name="grey", trainable=False)
    front.build(colours.shape)
    front.set_weights([weights])
    return front(colours)


PROFILE = MediaPipe

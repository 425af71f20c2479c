"""Readers: from what a card says under `[splits]` to images and labels, one function each.

Design choices:
- A reader is told one split and returns one `Part`; what the labels mean across splits is settled afterwards, once.
- `needs` names which entries of a split are paths, so a form of a data set is there when all of them are.
- `detect` makes of a user's folder or file the same tables that a card would hold.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from cnnkit.data import annotations, arrays, drawn_signs, folders, listed, road_scenes, tables, text_files, walks
from cnnkit.data.boxed import Boxes, boxes_of
from cnnkit.data.cards import Form
from cnnkit.data.inventory import Entry
from cnnkit.data.records import Images, Progress
from cnnkit.errors import DataError, MissingExtra


@dataclass
class Part:
    """One split as its reader found it.

    Attributes:
        images: where the images are.
        codes: int32, which of `names` each image has (n,), or, where there are boxes, each box (m,).
        names: the labels as the source writes them, in the order that a card without a list of labels takes.
        groups: int (n,) or None.
        bad: (file, reason) of every file that was left out because it cannot be used.
        ignored: files that are no data.
        boxes: of each image, for detection.
        entries: what was left out, ignored or read otherwise than written, beyond `bad` and `ignored`; see `inventory`.
        notes: lines on what was found out and not told.
        value_range: the values that are black and white in an array or a table of pixels; None of image files.
        group_note: a line on what `groups` are, and why.
        read: what more is known of texts; `images` then says where the texts are.
    """

    images: Images
    codes: np.ndarray
    names: tuple[str, ...]
    groups: np.ndarray | None = None
    bad: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    boxes: Boxes | None = None
    entries: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    value_range: tuple[float, float] | None = None
    group_note: str = ""
    read: text_files.Read | None = None

    @property
    def of_texts(self) -> text_files.Read:
        """What is known of texts; only where they are texts."""
        if self.read is None:
            raise ValueError("This part holds no texts.")
        return self.read


@dataclass(frozen=True)
class Task:
    """What a reader is asked.

    Attributes:
        root: the folder of the data set; None for data that comes with a library.
        split: the card's table of this split.
        options: the card's options.
        verify: decode every image once.
        progress: called while it goes.
        train_range: what is black and white in the training split, where this is another one.
    """

    root: Path | None
    split: dict[str, Any]
    options: dict[str, Any]
    verify: bool = False
    progress: Progress | None = None
    train_range: tuple[float, float] | None = None

    def path(self, key: str) -> Path:
        """Return the file or folder that the split names under `key`."""
        if not isinstance(self.split.get(key), str) or self.root is None:
            raise DataError(f"The card needs `{key}` in each table of [splits].")
        return self.root / self.split[key]

    def text(self, key: str, otherwise: str) -> str:
        return str(self.split.get(key, otherwise))


@dataclass(frozen=True)
class Reader:
    """A way to read data. `needs`: entries of a split that are paths; `options`: what the card may set; `task`: it is for."""

    read: Callable[[Task], Part]
    needs: tuple[str, ...]
    keys: frozenset[str]
    options: frozenset[str] = frozenset()
    task: str = "classification"


def read_npz(task: Task) -> Part:
    """An .npz file with an array of images and one of labels."""
    path = task.path("file")
    found = arrays.npz_arrays(path)
    chosen = []
    for key, otherwise in (("images", "x_train"), ("labels", "y_train")):
        name = task.text(key, otherwise)
        if name not in found:
            raise DataError(f"{path} has no array {name!r}; it has {', '.join(sorted(found)) or 'none'}.")
        chosen.append(found[name])
    return _from_arrays(chosen[0], chosen[1], task)


def read_idx(task: Task) -> Part:
    """A pair of idx files, plain or .gz, as MNIST is published."""
    return _from_arrays(arrays.idx_array(task.path("images")), arrays.idx_array(task.path("labels")), task)


def _from_arrays(images: arrays.Stored, labels: arrays.Stored, task: Task) -> Part:
    if not images.shape or images.shape[0] == 0:
        raise DataError(f"{images.path}: {images.title} holds no image.")
    codes, names = label_codes(labels.array(), labels.title)
    if len(codes) != images.shape[0]:
        raise DataError(f"{images.title} has {images.shape[0]:,} images, but {labels.title} {len(codes):,} labels.")
    found = arrays.images_of(images, options=task.options, train_range=task.train_range, progress=task.progress)
    return _of_pixels(found, codes, names)


def _of_pixels(images: arrays.ArrayImages, codes: np.ndarray, names: tuple[str, ...]) -> Part:
    notes = [images.values.note] if images.values.note else []
    return Part(images, codes, names, notes=notes, value_range=images.values.limits)


def label_codes(values: np.ndarray, title: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turn an array of labels (whole numbers, texts or one-hot rows) into codes and sorted names."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "biuf" and (values.sum(1) == 1).all() and (values.max(1) == 1).all():
        values = values.argmax(1)
    if values.ndim != 1:
        raise DataError(f"{title} has the shape {values.shape}: labels are (n,), (n, 1) or one-hot (n, classes).")
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values % 1 == 0).all()):
        raise DataError(f"{title} has labels that are no whole numbers.")
    if values.dtype.kind in "bf":
        values = values.astype(np.int64)
    if values.dtype.kind not in "iuUS":
        raise DataError(f"{title} holds {values.dtype}, not labels.")
    return _coded(np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values)


def _coded(values: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    found, codes = np.unique(values, return_inverse=True)
    names = [str(value) for value in found.tolist()]
    order = sorted(names, key=folders.class_order(names))
    place = np.array([order.index(name) for name in names], np.int32)
    return place[codes], tuple(order)


def read_folder(task: Task) -> Part:
    """Class folders of image files."""
    pattern = task.options.get("groups")
    if pattern is not None and not isinstance(pattern, str):
        raise DataError(f'The option `groups` is a text, "none" or a regular expression, not {pattern!r}.')
    found = folders.scan(task.path("folder"), verify=task.verify, pattern=pattern, progress=task.progress)
    return _scanned(found)


def read_listed(task: Task) -> Part:
    """Image files that a table names, with a label each."""
    pattern, label = task.options.get("groups"), task.options.get("label")
    path = task.path("file")
    return _scanned(listed.read(path, label=label, verify=task.verify, pattern=pattern, progress=task.progress))


def _scanned(found: folders.Scan) -> Part:
    part = Part(found.images, found.codes, found.names, found.grouping.groups, found.bad, found.ignored)
    part.group_note = found.grouping.note
    part.entries += found.entries
    return part


def read_table(task: Task) -> Part:
    """A table of labels and pixels."""
    images, labels = tables.images_and_labels(
        task.path("file"), options=task.options, train_range=task.train_range, progress=task.progress
    )
    codes, names = _coded(np.array(labels))
    return _of_pixels(images, codes, names)


def read_sklearn_digits(task: Task) -> Part:
    """The 1,797 digits that come with scikit-learn, made like MNIST: 28x28, centred by centre of mass, ink white."""
    try:
        import sklearn
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtra('The embedded digits come with scikit-learn. Run `pip install "cnnkit[train]"`.') from None
    bunch = load_digits()

    def build(file: IO[bytes]) -> None:
        arrays.write_header(file, len(bunch.images), (28, 28, 1))
        for ink in bunch.images:
            file.write(_like_mnist(ink).tobytes())

    path = arrays.cached(Path(str(sklearn.__file__)), "like MNIST 1", 2**21, build)
    codes, names = label_codes(bunch.target, "digits")
    return Part(arrays.open_cached(path, title="sklearn-digits"), codes, names)


def _like_mnist(ink: np.ndarray) -> np.ndarray:
    """Enlarge counts of ink (8, 8) in [0, 16] to 20x20 and put their centre of mass into the middle of 28x28."""
    large = cv2.resize(ink.astype(np.float32) * (255 / 16), (20, 20), interpolation=cv2.INTER_CUBIC)
    large = np.rint(large).clip(0, 255).astype(np.uint8)
    mass = np.maximum(large.sum(dtype=np.int64), 1)
    row, column = ((large.sum(1 - axis) * np.arange(20)).sum() / mass for axis in (0, 1))
    top, left = (int(np.clip(round(13.5 - centre), 0, 8)) for centre in (row, column))
    page = np.zeros((28, 28), np.uint8)
    page[top : top + 20, left : left + 20] = large
    return page


def read_drawn_signs(task: Task) -> Part:
    """Traffic signs that are drawn when they are read; the options say how many, from which seed, how large."""
    values = {}
    for key, otherwise, low, high in (
        ("views", 150, 1, 1_000_000),
        ("seed", 0, 0, 2**32 - 1),
        ("side", drawn_signs.SIDE, 16, 512),
    ):
        value = values[key] = task.options.get(key, otherwise)
        if type(value) is not int or not low <= value <= high:
            raise DataError(f"The option `{key}` is a whole number from {low} to {high:,}, not {value!r}.")
    images = drawn_signs.DrawnSigns(**values)
    return Part(images, images.codes(), drawn_signs.LABELS)


def read_boxes(task: Task, form: str) -> Part:
    """Images with boxes, in a format of `cnnkit.data.annotations`.

    The option `groups`, {name: labels}, puts labels together, as a benchmark's protocol may want; boxes of others are left out.
    """
    path = task.path("path")
    split = task.split.get("split")
    found = annotations.read(path, form, split=split, skip_bad=True, verify=task.verify, progress=task.progress)
    images = folders.files(found.root, [picture.file for picture in found.pictures])
    boxes, names = boxes_of(found), found.labels
    groups = task.options.get("groups")
    if groups is not None:
        if not isinstance(groups, dict) or not all(isinstance(labels, list) for labels in groups.values()):
            raise DataError("The option `groups` is a table of lists of labels: groups = { danger = ['Bend', ...] }.")
        place = {str(label): code for code, labels in enumerate(groups.values()) for label in labels}
        boxes, names = boxes.renamed([place.get(name, -1) for name in names]), tuple(groups)
    return Part(images, boxes.codes, names, bad=list(found.bad), boxes=boxes, entries=list(found.entries))


def read_road_scenes(task: Task) -> Part:
    """Road scenes with signs, drawn when they are read; the split says how many, the options from which seed, how large."""
    height, width = road_scenes.SIDE
    values = {}
    for key, given, otherwise, low, high in (
        ("count", task.split, 2000, 1, 1_000_000),
        ("seed", {**task.options, **task.split}, 0, 0, 2**32 - 1),
        ("height", task.options, height, 64, 2048),
        ("width", task.options, width, 64, 2048),
    ):
        value = values[key] = given.get(key, otherwise)
        if type(value) is not int or not low <= value <= high:
            raise DataError(f"`{key}` is a whole number from {low} to {high:,}, not {value!r}.")
    size = values["height"], values["width"]
    images = road_scenes.RoadScenes(values["count"], values["seed"], size)
    found = [images.boxes(index) for index in range(len(images))]
    codes = np.concatenate([codes for _, codes in found])
    boxes = Boxes(
        np.cumsum([len(codes) for _, codes in found]),
        np.concatenate([corners for corners, _ in found]),
        codes,
        np.zeros(len(codes), bool),
        np.tile(size[::-1], (len(images), 1)),
    )
    return Part(images, codes, road_scenes.LABELS, boxes=boxes)


def read_texts(task: Task, form: str) -> Part:
    """Texts with labels, in a format of `cnnkit.data.text_files`."""
    path = task.path("folder" if form == "text-folder" else "file")
    return _of_texts(text_files.read(path, form, task.options, progress=task.progress))


def read_docstrings(task: Task) -> Part:
    """Docstrings of installed packages; the option `most` is how many of each."""
    from cnnkit.data import docstrings

    most = task.options.get("most", docstrings.MOST)
    if type(most) is not int or not 10 <= most <= 100_000:
        raise DataError(f"The option `most` is a whole number from 10 to 100,000, not {most!r}.")
    return _of_texts(docstrings.read(most, progress=task.progress))


def _of_texts(read: text_files.Read) -> Part:
    found = read.found
    part = Part(found.texts, found.codes, found.names, read.groups, found.bad, read=read)  # type: ignore[arg-type]
    part.entries += read.entries
    return part


_VALUES = frozenset(["image_shape", "value_range", "first_label"])
READERS: dict[str, Reader] = {
    "npz": Reader(read_npz, ("file",), frozenset(["file", "images", "labels"]), _VALUES | {"transpose"}),
    "idx": Reader(read_idx, ("images", "labels"), frozenset(["images", "labels"]), _VALUES | {"transpose"}),
    "csv": Reader(read_table, ("file",), frozenset(["file"]), _VALUES | {"label"}),
    "listed": Reader(read_listed, ("file",), frozenset(["file"]), frozenset(["first_label", "groups", "label"])),
    "folder": Reader(read_folder, ("folder",), frozenset(["folder"]), frozenset(["first_label", "groups"])),
    "sklearn-digits": Reader(read_sklearn_digits, (), frozenset()),
    "drawn-signs": Reader(read_drawn_signs, (), frozenset(), frozenset(["views", "seed", "side"])),
    "road-scenes": Reader(
        read_road_scenes, (), frozenset(["count", "seed"]), frozenset(["seed", "height", "width"]), "detection"
    ),
    **{
        form: Reader(
            partial(read_boxes, form=form), ("path",), frozenset(["path", "split"]), frozenset(["groups"]), "detection"
        )
        for form in annotations.FORMATS
    },
    **{
        form: Reader(partial(read_texts, form=form), (where,), frozenset([where]), options, "text")
        for form, options in text_files.OPTIONS.items()
        for where in ["folder" if form == "text-folder" else "file"]
    },
    "docstrings": Reader(read_docstrings, (), frozenset(), frozenset(["most"]), "text"),
}

_NPZ_NAMES = (("x_{}", "y_{}"), ("{}_images", "{}_labels"), ("{}_x", "{}_y"), ("X_{}", "Y_{}"))
_NPZ_SINGLE = (("x", "y"), ("X", "y"), ("images", "labels"), ("data", "labels"), ("data", "target"))


def find(name: str) -> Reader:
    """Return the reader of that name; an error lists them all."""
    if name not in READERS:
        raise DataError(f"There is no reader {name!r}. There are {', '.join(READERS)}.")
    return READERS[name]


def detect(path: Path, reader: str = "", task: str = "") -> tuple[Path, Form]:
    """Find out how a user's folder or file is read.

    Args:
        path: a folder or file that exists.
        reader: the reader that a card asks for, or "" to choose one.
        task: "text" to look for texts, not for images.

    Returns:
        the data set's folder, and a form whose splits name what lies in it.

    Raises:
        DataError: nothing in it is known.
    """
    if reader in text_files.FORMATS or (task == "text" and not reader):
        return text_files.detect(path, reader)
    boxes = annotations.detect_format(path) if reader in ("", *annotations.FORMATS) else None
    if boxes:
        root, name = (path, ".") if path.is_dir() else (path.parent, path.name)
        return root, Form(boxes, splits={split: {"path": name, "split": split} for split in annotations.splits(path)})
    if path.is_dir():
        return path, _detect_folder(path, reader)
    name = path.name.lower()
    if name.endswith(".npz"):
        return path.parent, Form("npz", splits=_npz_splits(path))
    if re.search(r"idx\d.*(\.gz)?$", name):
        return path.parent, _idx_form(path.parent, [path]) or _unknown(path)
    if tables.is_table(path):
        kind = "listed" if reader in ("", "listed") and listed.columns(path) else "csv"
        return path.parent, Form(kind, splits={"train": {"file": path.name}})
    return _unknown(path)


def _unknown(path: Path) -> Any:
    raise DataError(
        f"{path} is no data set: it needs to be a folder of class folders, an .npz, a .csv of pixels, a pair of idx "
        "files, boxes (VOC, COCO, YOLO) or a card (.toml)."
    )


def _detect_folder(path: Path, reader: str) -> Form:
    try:
        inside = sorted(entry for entry in path.iterdir() if entry.is_file() and not walks.is_system(entry.name))
    except OSError as error:
        raise DataError(f"The folder {path} cannot be read: {error.strerror}.") from None
    idx = _idx_form(path, inside) if reader in ("", "idx") else None
    if idx:
        return idx
    npz = [entry for entry in inside if entry.suffix.lower() == ".npz"]
    if reader in ("", "npz") and len(npz) == 1:
        return Form("npz", splits=_npz_splits(npz[0]))
    found = [entry for entry in inside if tables.is_table(entry)] if reader in ("", "csv") else []
    named = {split: [f for f in found if folders.split_of_name(f.name) == split] for split in folders.SPLITS}
    tabled = found and len(named["train"]) == 1 and all(len(files) < 2 for files in named.values())
    kinds = {listed.columns(files[0]) is not None for files in named.values() if files} if tabled else set()
    if len(kinds) == 1 and not (reader == "csv" and True in kinds):
        return Form(
            "listed" if True in kinds else "csv",
            splits={split: {"file": files[0].name} for split, files in named.items() if files},
        )
    names = [entry.name for entry in found if not reader and listed.columns(entry)]
    if len(names) == 1 and not _class_folders(path):
        return Form("listed", splits={"train": {"file": names[0]}})
    if reader not in ("", "folder"):
        raise DataError(f"{path} holds nothing that the reader {reader!r} finds by itself. Name it under [splits].")
    splits = folders.split_folders(path) or {"train": "."}
    return Form("folder", splits={split: {"folder": name} for split, name in splits.items()})


def _class_folders(path: Path) -> bool:
    """Whether a folder holds several folders of images, so that these are its classes or splits."""
    inner = [child for child in path.iterdir() if child.is_dir() and not walks.is_system(child.name)]
    return len(inner) > 1


def _npz_splits(path: Path) -> dict[str, dict[str, str]]:
    found = arrays.npz_arrays(path)
    splits: dict[str, dict[str, str]] = {}
    spellings = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
    for split, words in spellings.items():
        for word in words:
            for images, labels in _NPZ_NAMES:
                if images.format(word) in found and labels.format(word) in found:
                    splits[split] = {"file": path.name, "images": images.format(word), "labels": labels.format(word)}
    if "train" not in splits:
        for images, labels in _NPZ_SINGLE:
            if images in found and labels in found:
                return {"train": {"file": path.name, "images": images, "labels": labels}}
        raise DataError(
            f"{path} has the arrays {', '.join(sorted(found)) or '(none)'}; it needs x_train and y_train, or x and y. "
            "A card can name others."
        )
    return splits


def _idx_form(root: Path, inside: list[Path]) -> Form | None:
    """Pair files called ...images-idx3... and ...labels-idx1...; t10k is MNIST's word for test."""
    splits: dict[str, dict[str, str]] = {}
    others: dict[str, dict[str, str]] = {}  # pairs whose names say no split
    for path in inside:
        match = re.fullmatch(r"(.*)(images|labels)[-.](idx\d)(.*)", path.name, re.IGNORECASE)
        if not match:
            continue
        start = match[1].lower()
        split = "test" if "t10k" in start else folders.split_of_name(match[1])
        pair = {}
        for key, kind in (("images", "idx3"), ("labels", "idx1")):
            stem = path.name[: match.start(2)] + key + path.name[match.end(2)] + kind
            names = [f.name for f in sorted(root.iterdir()) if f.name.startswith(stem)]
            if names:
                pair[key] = names[0]
        if len(pair) < 2:
            raise DataError(f"{path} has no partner: an idx file of images needs one of labels beside it.")
        if split is None:
            others[pair["images"]] = pair
        elif splits.setdefault(split, pair) != pair:
            both = f"{splits[split]['images']} and {pair['images']}"
            raise DataError(f"{root} has two pairs of idx files for {split}: {both}. Move one away.")
    if not splits and not others:
        return None
    if "train" not in splits:  # a user's own pair, whatever it is called
        if len(others) > 1:
            raise DataError(f"{root} has several pairs of idx files: {', '.join(others)}. Name the one you mean.")
        splits = {**splits, "train": next(iter(others.values()))} if others else {"train": next(iter(splits.values()))}
    return Form("idx", splits=splits)

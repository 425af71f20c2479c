"""Readers of images: arrays (.npz, idx), tables of pixels, tables of image files, class folders, and digits that are there."""

import re
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from cnnkit.data import naming, walks
from cnnkit.data.inventory import Entry
from cnnkit.data.reading import LAST, NAMED, Part, Reader, Request
from cnnkit.errors import DataError, MissingExtra
from cnnkit.inputs.image import arrays, folders, listed, tables

_NPZ_NAMES = (("x_{}", "y_{}"), ("{}_images", "{}_labels"), ("{}_x", "{}_y"), ("X_{}", "Y_{}"))
_NPZ_SINGLE = (("x", "y"), ("X", "y"), ("images", "labels"), ("data", "labels"), ("data", "target"))
_IDX_NAME = re.compile(r"(.*)(images|labels)[-.](idx\d)(.*)", re.IGNORECASE)


def read_npz(request: Request) -> Part:
    """An .npz file with an array of images and one of labels."""
    path = request.path("file")
    found = arrays.npz_arrays(path)
    chosen = []
    for key, otherwise in (("images", "x_train"), ("labels", "y_train")):
        name = request.text(key, otherwise)
        if name not in found:
            raise DataError(f"{path} has no array {name!r}; it has {', '.join(sorted(found)) or 'none'}.")
        chosen.append(found[name])
    return _from_arrays(chosen[0], chosen[1], request)


def read_idx(request: Request) -> Part:
    """A pair of idx files, plain or .gz, as MNIST is published."""
    return _from_arrays(arrays.idx_array(request.path("images")), arrays.idx_array(request.path("labels")), request)


def _from_arrays(images: arrays.Stored, labels: arrays.Stored, request: Request) -> Part:
    if not images.shape or images.shape[0] == 0:
        raise DataError(f"{images.path}: {images.title} holds no image.")
    codes, names = label_codes(labels.array(), labels.title)
    if len(codes) != images.shape[0]:
        raise DataError(f"{images.title} has {images.shape[0]:,} images, but {labels.title} {len(codes):,} labels.")
    found = arrays.images_of(
        images, options=request.options, train_range=request.train_range, progress=request.progress
    )
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
    order = sorted(names, key=naming.class_order(names))
    place = np.array([order.index(name) for name in names], np.int32)
    return place[codes], tuple(order)


def read_folder(request: Request) -> Part:
    """Class folders of image files."""
    pattern = request.options.get("groups")
    if pattern is not None and not isinstance(pattern, str):
        raise DataError(f'The option `groups` is a text, "none" or a regular expression, not {pattern!r}.')
    return folders.scan(request.path("folder"), request)


def read_listed(request: Request) -> Part:
    """Image files that a table names, with a label each."""
    return listed.read(request.path("file"), request)


def read_table(request: Request) -> Part:
    """A table of labels and pixels."""
    images, labels = tables.images_and_labels(
        request.path("file"), options=request.options, train_range=request.train_range, progress=request.progress
    )
    codes, names = _coded(np.array(labels))
    return _of_pixels(images, codes, names)


def read_sklearn_digits(request: Request) -> Part:
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


# What fits -----------------------------------------------------------------------------------------------------------------


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_file() and not walks.is_system(entry.name))
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read: {error.strerror}.") from None


def _npz_files(folder: Path) -> list[Path]:
    return [entry for entry in _inside(folder) if entry.suffix.lower() == ".npz"]


def _is_npz(path: Path, named: bool) -> bool:
    return len(_npz_files(path)) == 1 if path.is_dir() else path.name.lower().endswith(".npz")


def _npz_splits(path: Path) -> dict[str, dict[str, str]]:
    if path.is_dir():
        (path,) = _npz_files(path)
    found = arrays.npz_arrays(path)
    splits: dict[str, dict[str, str]] = {}
    for split, words in naming.WORDS.items():
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


def _is_idx(path: Path, named: bool) -> bool:
    return any(_IDX_NAME.fullmatch(file.name) for file in (_inside(path) if path.is_dir() else [path]))


def _idx_splits(path: Path) -> dict[str, dict[str, str]]:
    """Pair files called ...images-idx3... and ...labels-idx1...; t10k is MNIST's word for test."""
    root, inside = (path, _inside(path)) if path.is_dir() else (path.parent, [path])
    splits: dict[str, dict[str, str]] = {}
    others: dict[str, dict[str, str]] = {}  # pairs whose names say no split
    for file in inside:
        match = _IDX_NAME.fullmatch(file.name)
        if not match:
            continue
        start = match[1].lower()
        split = "test" if "t10k" in start else naming.split_of_name(match[1])
        pair = {}
        for key, kind in (("images", "idx3"), ("labels", "idx1")):
            stem = file.name[: match.start(2)] + key + file.name[match.end(2)] + kind
            names = [other.name for other in sorted(root.iterdir()) if other.name.startswith(stem)]
            if names:
                pair[key] = names[0]
        if len(pair) < 2:
            raise DataError(f"{file} has no partner: an idx file of images needs one of labels beside it.")
        if split is None:
            others[pair["images"]] = pair
        elif splits.setdefault(split, pair) != pair:
            both = f"{splits[split]['images']} and {pair['images']}"
            raise DataError(f"{root} has two pairs of idx files for {split}: {both}. Move one away.")
    if "train" not in splits:  # a user's own pair, whatever it is called
        if len(others) > 1:
            raise DataError(f"{root} has several pairs of idx files: {', '.join(others)}. Name the one you mean.")
        splits = {**splits, "train": next(iter(others.values()))} if others else {"train": next(iter(splits.values()))}
    return splits


def _tables(path: Path) -> dict[str, tuple[Path, listed.Columns | None]] | None:
    """Find the table of each split: a file, or in a folder those that are called as splits, or the only one that lists images.

    Returns:
        {split: table, and its columns if it lists image files; else it holds pixels}, all alike; None where none is meant.
    """
    if not path.is_dir():
        return {"train": (path, listed.columns(path))} if tables.is_table(path) else None
    found = {entry: listed.columns(entry) for entry in _inside(path) if tables.is_table(entry)}
    named = {split: [f for f in found if naming.split_of_name(f.name) == split] for split in naming.SPLITS}
    if len(named["train"]) == 1 and all(len(files) < 2 for files in named.values()):
        each = {split: (files[0], found[files[0]]) for split, files in named.items() if files}
        if len({columns is None for _, columns in each.values()}) == 1:
            return each
    lists = [(entry, columns) for entry, columns in found.items() if columns]
    if len(lists) != 1 or (_class_folders(path) and listed.is_of_folders(*lists[0])):
        return None
    return {"train": lists[0]}


def _class_folders(path: Path) -> bool:
    """Whether a folder holds several folders of images, so that these are its classes or splits."""
    inner = [child for child in path.iterdir() if child.is_dir() and not walks.is_system(child.name)]
    return len(inner) > 1


def _is_listed(path: Path, named: bool) -> bool:
    found = _tables(path)
    return found is not None and found["train"][1] is not None


def _is_pixels(path: Path, named: bool) -> bool:
    if named and path.is_file():
        return tables.is_table(path)
    found = _tables(path)
    return found is not None and found["train"][1] is None


def _table_splits(path: Path) -> dict[str, dict[str, str]]:
    found = _tables(path)
    assert found is not None  # it fits
    file, columns = found["train"]
    if columns is not None and len(found) == 1:
        return listed.splits(file, columns)
    return {split: {"file": file.name} for split, (file, _) in found.items()}


def _is_folder(path: Path, named: bool) -> bool:
    return path.is_dir()


def _folder_splits(path: Path) -> dict[str, dict[str, str]]:
    return {split: {"folder": name} for split, name in (naming.split_folders(path) or {"train": "."}).items()}


def _left(root: Path, tables: list[dict[str, Any]]) -> list[Entry]:
    """Return what lies beside the folders of the splits, where these lie in `root` itself."""
    tops = {str(table.get("folder", ".")) for table in tables}
    return folders.beside(root, tops) if all("/" not in top and top != "." for top in tops) else []


# The readers ---------------------------------------------------------------------------------------------------------------

_TASK = "classification"
_VALUES = frozenset(["image_shape", "value_range", "first_label"])
NPZ = Reader(
    read_npz,
    _TASK,
    ("file",),
    frozenset(["images", "labels"]),
    _VALUES | {"transpose"},
    about="an .npz",
    fits=_is_npz,
    splits=_npz_splits,
    rank=NAMED,
)
IDX = Reader(
    read_idx,
    _TASK,
    ("images", "labels"),
    options=_VALUES | {"transpose"},
    about="a pair of idx files",
    fits=_is_idx,
    splits=_idx_splits,
    rank=NAMED,
)
CSV = Reader(
    read_table,
    _TASK,
    ("file",),
    options=_VALUES | {"label"},
    about="a .csv of pixels",
    fits=_is_pixels,
    splits=_table_splits,
    rank=NAMED,
)
LISTED = Reader(
    read_listed,
    _TASK,
    ("file",),
    frozenset(["part"]),
    frozenset(["first_label", "groups", "label", "separator"]),
    about="a .csv of image files and labels",
    fits=_is_listed,
    splits=_table_splits,
    rank=NAMED,
)
FOLDER = Reader(
    read_folder,
    _TASK,
    ("folder",),
    options=frozenset(["first_label", "groups"]),
    about="a folder of class folders",
    fits=_is_folder,
    splits=_folder_splits,
    rank=LAST,
    left=_left,
)
SKLEARN_DIGITS = Reader(read_sklearn_digits, _TASK)

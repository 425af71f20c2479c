"""`load_data`: a data set as `tf.data.Dataset`s that `model.fit` takes.

data = cnnkit.load_data("photos/")
model.fit(data.train.dataset(batch_size=32), validation_data=data.validation.dataset())

Records are read as they are asked for, so a data set may be larger than memory.
"""

import operator
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.api.apps import app_of, meant, plain, saying_what_is_missing
from cnnkit.data import kept
from cnnkit.errors import ConfigError, DataError
from cnnkit.quiet import quiet
from cnnkit.registry import TASKS, TRAINING
from cnnkit.reporter import SILENT

SHOWN = 5  # labels in a line


class Sample(tuple[Any, Any]):
    """A record to be looked at: `image, target = data.train[0]`. A notebook shows it."""

    _of: tuple["Split", int]

    def __new__(cls, part: "Split", place: int) -> "Sample":
        found = super().__new__(cls, part.records.sample(place))
        found._of = part, place
        return found

    @property
    def input(self) -> Any:
        """The record as it is stored."""
        return self[0]

    @property
    def target(self) -> Any:
        """A code; of several labels a row of zeros and ones; {"boxes", "labels"}; a code map."""
        return self[1]

    @property
    def words(self) -> str:
        """What a person calls the target: its label, or labels. To find it a mask may be read again."""
        part, place = self._of
        return part.records.words(place)

    @property
    def name(self) -> str:
        """What a person calls the record: the path of its file, or its place in an array."""
        part, place = self._of
        return part.records.name(place)

    def __repr__(self) -> str:
        given = self.input
        said = (
            repr(given) if isinstance(given, str) else f"{given.dtype} {given.shape}" if hasattr(given, "shape") else ""
        )
        return f"<{self.name}: {self.words}; {_short(said) if isinstance(given, str) else said}>"

    def _repr_html_(self) -> str:
        from cnnkit.api import notebook

        return notebook.of_record(*self._of, getattr(self.input, "shape", ()))


class Split:
    """A split of a data set: some records, each an input and its target.

    Attributes:
        name: "train", "validation" or "test".
        records: the core's own view of them (`cnnkit.data.records.Records`).
    """

    def __init__(self, name: str, records: Any, reading: Any):
        self.name, self.records, self._reading = name, records, reading

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self):,} {self.records.noun} of {self.records.input_shape}>"

    def __getitem__(self, index: int) -> "Sample":
        """Return one record as it is stored, to be looked at: a picture uint8 of its own size, a text as `str`; and its target.

        Boxes are in px of this picture, a mask has its size: `dataset` gives both as a network sees them.

        Raises:
            IndexError: there is no such record.
            TypeError: it is no whole number.
        """
        try:
            place = range(len(self))[operator.index(index)]  # as a list counts, from the end too
        except IndexError:
            raise IndexError(
                f"The {self.name} split has {len(self):,} records, so there is no record {index}."
            ) from None
        return Sample(self, place)

    def __iter__(self) -> Iterator["Sample"]:
        return (self[index] for index in range(len(self)))

    @property
    def labels(self) -> tuple[str, ...]:
        """What the labels are called, in the order of their codes."""
        return tuple(self.records.label_names)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input, as `dataset` gives it, such as (height, width, channels) in px."""
        return tuple(self.records.input_shape)

    def names(self) -> list[str]:
        """Return what a person calls each record: the path of its file, or its place in an array."""
        return [self.records.name(index) for index in range(len(self))]

    def counts(self) -> dict[str, int]:
        """Return how many records, or boxes, each label has."""
        return dict(zip(self.labels, map(int, self.records.counts()), strict=True))

    def arrays(self) -> tuple[np.ndarray, Any]:
        """Return all records at once, as one batch of `dataset` would have them."""
        inputs, targets = self.records.read(np.arange(len(self)))
        return _as_keras(inputs), self._reading.keras_targets(targets)

    @saying_what_is_missing
    def dataset(
        self, batch_size: int = 32, *, shuffle: bool | None = None, seed: int = 0, one_hot: bool = False
    ) -> Any:
        """Return the records as a `tf.data.Dataset` of batches (inputs, targets), for `model.fit` and loops of one's own.

        Args:
            batch_size: records a batch; the last of an epoch may have fewer.
            shuffle: another order each epoch, drawn from `seed`; None: of the training split.
            seed: of the order.
            one_hot: for one label a record: float32 (b, labels) of zeros and a one in place of a code.

        Returns:
            Inputs: pictures float32 (b, h, w, c) in [0, 255]; texts as ids int32 (b, words). Targets: of one label a record its
            code int32 (b,); of several float32 (b, labels) of zeros and ones; masks uint8 (b, h, w), 0 for background, k + 1 for
            the k-th label, 255 for what is left out; boxes as Keras has them, {"boxes": float32 (b, m, 4) of left, top, right,
            bottom in px, "labels": int32 (b, m)}, filled up with -1.

        Raises:
            ConfigError: a batch of no records, or `one_hot` where a record has not one label.
            DataError: later, a record cannot be read.
        """
        batch_size, seed = plain(batch_size), plain(seed)
        for name, number, least in (("batch_size", batch_size, 1), ("seed", seed, 0)):
            if type(number) is not int or number < least:
                raise ConfigError(f"`{name}` needs a whole number of at least {least}. Got {number!r}.")
        if not len(self):
            raise DataError(f"The {self.name} split is empty, so there are no batches of it.")
        with quiet():  # TensorFlow greets on standard error
            import tensorflow as tf
        inputs, targets = self.records.read(np.array([0]))
        targets = self._reading.keras_targets(targets)
        if one_hot and (isinstance(targets, dict) or targets.shape != (1,) or targets.dtype.kind not in "iu"):
            raise ConfigError("`one_hot` is for records with one label each; these have other targets. Leave it out.")
        flat = tf.nest.flatten(targets)

        def read(places: np.ndarray) -> list[np.ndarray]:
            found, theirs = self.records.read(places)
            return [_as_keras(found), *tf.nest.flatten(self._reading.keras_targets(theirs))]

        def batch(places: Any) -> Any:
            kinds = [_as_keras(inputs).dtype, *(values.dtype for values in flat)]
            found, *theirs = tf.numpy_function(read, [places], kinds, stateful=False)
            found = tf.ensure_shape(found, (None, *inputs.shape[1:]))
            theirs = [
                tf.ensure_shape(values, (None, *like.shape[1:])) for values, like in zip(theirs, flat, strict=True)
            ]
            packed = tf.nest.pack_sequence_as(targets, theirs)
            return found, tf.one_hot(packed, len(self.labels)) if one_hot else packed

        order = tf.data.Dataset.range(len(self))
        if shuffle or (shuffle is None and self.name == "train"):
            order = order.shuffle(len(self), seed=seed, reshuffle_each_iteration=True)
        batches = order.batch(batch_size).map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)
        options = tf.data.Options()
        options.autotune.enabled = False  # its thread would take a core from training
        return batches.with_options(options)


class Data:
    """A data set, divided: `train`, `validation` and `test`, each a `Split`.

    Attributes:
        train, validation, test: the splits; none of their records is in two of them.
        source: what was named.
        task: what it is for, such as "classification".
        title: what a person calls it.
        warnings: what to know of it: files left out, classes too small to hold any out.
        notes: what was found out of it, such as which column holds the labels.
        splits: the core's own view (`cnnkit.data.records.Splits`).
    """

    def __init__(self, source: str, splits: Any, reading: Any, settings: Mapping[str, Any]):
        from cnnkit.data import inventory

        self.source, self.splits, self.settings = source, splits, dict(settings)
        self.train, self.validation, self.test = (Split(name, part, reading) for name, part in splits.parts.items())
        self.task: str = splits.card.get("task", "")
        self.title: str = splits.card.get("title", source)
        self.warnings: list[str] = splits.warnings
        self.notes: list[str] = [*inventory.lines(splits.card.get("inventory", {})), *splits.card.get("notes", ())]

    @property
    def labels(self) -> tuple[str, ...]:
        """What the labels are called, in the order of their codes."""
        return self.train.labels

    @property
    def tokenizer(self) -> Any:
        """Of texts what makes ids of them, learnt from the training split: `size` is how many ids there are, `batch(texts)`
        returns them as int32 (n, length); None of other data."""
        return self.train.records.tokenizer

    def __iter__(self) -> Iterator[Split]:
        return iter((self.train, self.validation, self.test))

    def __repr__(self) -> str:
        more = ", ..." if len(self.labels) > SHOWN else ""
        parts = ", ".join(f"{len(part):,} {part.name}" for part in self)
        labels = f"{len(self.labels)} labels: {', '.join(self.labels[:SHOWN])}{more}" if self.labels else "no labels"
        return f"<{self.title}: {parts}; {labels}>"

    def _repr_html_(self) -> str:
        from cnnkit.api import notebook

        return notebook.of_data(self)


def _as_keras(inputs: np.ndarray) -> np.ndarray:
    """Return bytes as float32, and ids as they are."""
    return inputs if inputs.dtype == np.int32 else inputs.astype(np.float32, copy=False)


@saying_what_is_missing
def load_data(
    source: Any, app: Any = None, *, task: str | None = None, labels: Sequence[str] = (), **settings: Any
) -> Data:
    """Load a data set and divide it, as a training does: the same seed gives the same splits, and groups stay together.

    Args:
        source: the name of a card (`cnnkit digits data list`), or the path of a card, a folder or a file. Or arrays: (x, y),
            ((x, y), (x, y)) to train and to test as `keras.datasets` have them, or {"train": (x, y), "validation": ...}: x
            pictures (n, h, w) or (n, h, w, c), y their labels (n,) or masks (n, h, w); or x texts, y their labels. They are
            kept in the cache, where a run finds them again.
        app: whose pictures or texts they are to be: its name or a `cnnkit.App`. Inputs then have the size and the preparation
            that its models take. None: the data say what they are for.
        task: of an app with several tasks, the word that `train --task` takes; without an app what a folder or file is for:
            "classification", "detection", "segmentation", "regression" or "text". None: what the data is for.
        labels: of arrays, what their labels are called: of the codes 0, 1, ..., of the values 1, 2, ... of masks.
        settings: by their names on the command line, such as `validation=0.2`, `limit=500`, `image_size=64`, `skip_bad=True`,
            `label="colour"`; `model` where that decides the size.

    Returns:
        `Data`.

    Raises:
        DataNotFound: there is no such data.
        DataError: it cannot be read, or cannot be trained on.
        ConfigError: there is no such app or setting, or no such value.
    """
    source, settings = named(source, labels), {name: plain(value) for name, value in settings.items()}
    if app is None:
        return _of_its_own(source, task or "", settings)
    definition = app_of(app)
    recipe = chosen(definition, {"data": source, **({"task": task} if task else {})})
    return of_recipe(definition, recipe, source, settings)


def named(source: Any, labels: Sequence[str] = ()) -> str:
    """Return the name or path of data as the core takes it; arrays are kept in files first.

    Raises:
        DataError: it is no name and no path.
    """
    if isinstance(source, Data):
        return source.source
    if not isinstance(source, str | Path) and (parts := kept.pairs(source)) is not None:
        return str(_kept(parts, labels).keep())
    if labels:
        raise ConfigError("`labels` names the labels of arrays; the labels of files stand in them. Leave it out.")
    if not isinstance(source, str | Path) or not str(source):
        raise DataError(
            f"Data is named: a card's name, or the path of a card, a folder or a file; or it is arrays. Got {_short(source)}."
        )
    return str(source)


def _kept(parts: kept.Pairs, labels: Sequence[str]) -> kept.Kept:
    if isinstance(labels, str) or not all(isinstance(name, str) for name in labels) or len(set(labels)) < len(labels):
        raise ConfigError(f"`labels` is a list of names, no two alike. Got {_short(labels)}.")
    from cnnkit.data.loading import kinds

    for kind in kinds():
        if (found := kind.kept(parts, labels)) is not None:
            return found
    given = " and ".join(_short(part) for part in parts["train"])
    raise DataError(
        "Arrays are pictures (n, h, w) or (n, h, w, c) with a label or a mask each, or texts with a label each; anything else "
        f"has to lie in files. Got {given}."
    )


def _short(value: Any) -> str:
    if hasattr(value, "shape"):
        return f"an array of shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def chosen(definition: Any, settings: Mapping[str, Any], **how: Any) -> Any:
    """Return the recipe of an app that settings ask for.

    Raises:
        ConfigError: the app has no such task.
    """
    word = settings.get("task")
    if word is not None and word not in definition.words:
        of_name = next((name for name, make in definition.recipes.items() if name and make().task.name == word), None)
        if of_name is None:
            tasks = ", ".join(definition.words) or "one task, which nobody has to name"
            raise ConfigError(f"The app {definition.name} has no task {word!r}. It has {tasks}.")
        settings = {**settings, "task": of_name}
    return definition.to_train(settings, **how)


def of_recipe(definition: Any, recipe: Any, source: str, settings: Mapping[str, Any]) -> Data:
    """Load data as an app does for training."""
    from cnnkit.run_data import at_their_side, load
    from cnnkit.settings import checked, fields, rooms

    of_data = [field.name for room in rooms(recipe.Settings) if room.of_data for field in fields(room)]
    _refuse_unknown(settings, {*of_data, "seed"} - {"data"}, definition.name)
    definition.fitting(recipe, settings)
    given = checked(recipe.Settings, settings, "load_data", of_file=False)
    model = given.get("model") or recipe.Settings.model
    given = {**given, "model": model, "data": source}
    _, splits = at_their_side(recipe, model, given, load(recipe, given, tell=SILENT))
    task = recipe.fitting(recipe, splits).task.name
    return Data(source, splits, TASKS.half(task, TRAINING, definition.name), settings)


def _of_its_own(source: str, task: str, settings: Mapping[str, Any]) -> Data:
    """Load data that says what it is for, or that is for `task`."""
    from cnnkit.data import cards, readers
    from cnnkit.data.loading import reading_of
    from cnnkit.data.settings import Data as DataRoom
    from cnnkit.run_data import load
    from cnnkit.settings import checked, fields, joined, rooms

    path = cards.path_of(source)
    if not task and path is not None and path.suffix.lower() != ".toml":
        task = readers.likeliest(path)
    card = cards.load(source, task)
    if task and card.task != task:
        raise DataError(f"{card.title} is for {card.task}, not for {task}. Leave `task` out, or name other data.")
    kind = reading_of(card)
    inputs = kind.inputs()
    every = joined(DataRoom, *inputs.rooms)
    known = {field.name for room in rooms(every) if room.of_data for field in fields(room)}
    _refuse_unknown(settings, {*known, "seed"} - {"data"}, card.task)
    given = checked(
        every, {name: value for name, value in settings.items() if name != "seed"}, "load_data", of_file=False
    )
    how = {**given, **({"seed": settings["seed"]} if "seed" in settings else {}), "data": card}
    recipe = types.SimpleNamespace(inputs=inputs, load=kind.load, data=card)
    return Data(source, load(recipe, how, tell=SILENT), kind, settings)


def _refuse_unknown(given: Mapping[str, Any], known: set[str], where: str) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(
                f"There is no setting `{name}` of data for {where}.{meant(name, known)} There are {', '.join(sorted(known))}."
            )

"""`train` and `load_run`: a training, and what came of it.

run = cnnkit.train("digits", "photos/", epochs=5)
run.scores["accuracy"], run.model, run.export("int8")
"""

import dataclasses
import functools
import inspect
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnkit.api.apps import app_of, meant, path_of, plain, saying_what_is_missing, truths
from cnnkit.api.datasets import Data, chosen, named
from cnnkit.api.telling import teller
from cnnkit.app import Definition
from cnnkit.errors import ConfigError
from cnnkit.run import EXPORT, HISTORY, MODEL, REPORT
from cnnkit.run import Run as Folder


class Scored(dict[str, Any]):
    """Scores by name; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        from cnnkit.api import notebook

        return notebook.of_scores(self)


class Run:
    """A trained model with all that belongs to it: a run folder. `cnnkit.train` and `cnnkit.load_run` return one.

    Attributes:
        path: the folder.
        app: name of the app that made it.
        document: the content of its `run.json`.
        gate: what the gate found of the file that was last exported here, as `gate.json` has it; empty before.
        messages, warnings: what was said while it was trained here; empty for a run that was opened.
    """

    def __init__(self, folder: Folder, definition: Definition, recipe: Any, messages: Any = (), warnings: Any = ()):
        self.path, self._folder, self._definition, self._recipe = folder.path, folder, definition, recipe
        self.app: str = folder.document["app"]
        self.messages, self.warnings = list(messages), list(warnings)
        self.gate: dict[str, Any] = {}

    def __repr__(self) -> str:
        from cnnkit.score import headline

        score = headline(self.scores)
        said = f": {score.name} {score.said(score.value)}" if score is not None else ": not finished"
        return f"<run {self.path}, {self.document.get('model', {}).get('name') or self.settings['model']}{said}>"

    def _repr_html_(self) -> str:
        from cnnkit.api import notebook

        return notebook.of_run(self)

    @property
    def document(self) -> dict[str, Any]:
        """The content of `run.json`."""
        return self._folder.document

    @property
    def settings(self) -> dict[str, Any]:
        """What it was trained with, by the names that `train` takes."""
        return dict(self.document["settings"])

    @property
    def labels(self) -> tuple[str, ...]:
        """What its labels are called, in the order of its outputs."""
        return tuple(self.document.get("data", {}).get("labels", ()))

    @property
    def scores(self) -> dict[str, Any]:
        """The scores on the test split, with intervals, of the `baseline` too, and a `verdict`; of folds, of all together."""
        scored = self.document.get("scores") or {}
        return Scored(scored.get("test") or scored.get("folds") or {})

    @property
    def history(self) -> list[dict[str, float]]:
        """What each epoch came to: a dictionary an epoch, such as {"epoch": 1, "loss": 2.1, "val_accuracy": 0.5}."""
        from cnnkit.verbs.report import read_history

        return read_history(self.path / HISTORY) if (self.path / HISTORY).exists() else []

    @functools.cached_property
    def _artifact(self) -> Any:
        from cnnkit.verbs.scoring import keras_of

        return keras_of(self._folder.file(MODEL), self.app)

    @property
    @saying_what_is_missing
    def model(self) -> Any:
        """The trained `keras.Model`, as its builder made it: of a classifier its output is logits."""
        return self._artifact.model

    @functools.cached_property
    def _answering(self) -> Any:
        from cnnkit.api.answering import Model

        return Model(self.path / MODEL, self._artifact)

    def predict(self, inputs: Any, **options: Any) -> Any:
        """Answer inputs by the trained model; as `cnnkit.load_model(...).predict`."""
        return self._answering.predict(inputs, **options)

    @saying_what_is_missing
    def evaluate(
        self,
        data: Any = None,
        *,
        split: str | None = None,
        unknown: str | Path | None = None,
        verbose: bool | None = None,
        **settings: Any,
    ) -> dict[str, Any]:
        """Score the trained model, with intervals, beside a baseline.

        Args:
            data: other data than the run's own: a card's name, a path, or `Data`; None: its own.
            split: "test", "validation", "train" or "all"; None: the test split of its own data, all of other data.
            unknown: folder of inputs that show none of the labels: how many are found out is `unknown` then.
            verbose: as `train`.
            settings: how other data is read, such as `label="colour"`, `skip_bad=True`.

        Returns:
            what the task scores, by name, with `baseline` and `verdict`; the first is `headline`.

        Raises:
            DataError: the data is not there, or has labels that the model does not know.
            ConfigError: no such split or setting.
        """
        from cnnkit.verbs.evaluate import evaluate

        if split not in (None, "test", "validation", "train", "all"):
            raise ConfigError(f"`split` needs one of test, validation, train, all. Got {split!r}.")
        settings = {"skip_bad": False, **settings}
        truths(evaluate, settings)
        skip_bad = bool(settings.pop("skip_bad"))
        columns = self._columns(settings)
        source = None if data is None else named(data)
        found = evaluate(
            self._recipe,
            self.path,
            data=source,
            split=split,
            skip_bad=skip_bad,
            columns=columns,
            unknown=path_of(unknown, "unknown"),
            tell=teller(verbose),
        )
        strange = {} if found.unknown is None else {"unknown": found.unknown}
        return Scored({**found.scores, "baseline": found.baseline, "verdict": found.verdict, **strange})

    @saying_what_is_missing
    def export(
        self,
        precision: str = "int8",
        *,
        profile: str = "litert",
        tolerance: float | None = None,
        data: Any = None,
        out: str | Path | None = None,
        explain: bool = False,
        keep_float: Sequence[str] = (),
        verbose: bool | None = None,
        **settings: Any,
    ) -> Path:
        """Convert to a `.tflite` file, and let it through the gate: it is the trained model, or there is no file.

        Args:
            precision: "float32", "float16", "int8" or "int16x8" (layers of 16 bits).
            profile: whose file: "litert", "mediapipe" for MediaPipe Tasks, "micro" or "ethos-u" for microcontrollers.
            tolerance: points of the score that may be lost, overall and in a class; None: the task's.
            data: other data to be scored on.
            out: folder of the file; None: `export` in the run, and there a folder for each profile but LiteRT's.
            explain: find out which layers of an int8 or int16x8 file lose most: `gate["artifacts"][precision]["explained"]`.
            keep_float: names of layers that stay float in an int8 file.
            verbose: as `train`.
            settings: as `evaluate`.

        Returns:
            the file; `gate` has what was found of it.

        Raises:
            GateRefused: the file is not the trained model, or loses too much; `error.document` says which number.
        """
        from cnnkit.verbs.export import export

        if not isinstance(precision, str) or "," in precision:
            raise ConfigError(
                f"`precision` needs one of float32, float16, int8, int16x8; export them one by one. Got {precision!r}."
            )
        found = export(
            self._recipe,
            self.path,
            precision=precision,
            profile=profile,
            tolerance=plain(tolerance),
            data=None if data is None else named(data),
            out=path_of(out, "out"),
            columns=self._columns(settings),
            explain=explain,
            keep_float=[keep_float] if isinstance(keep_float, str) else list(keep_float),
            tell=teller(verbose),
        )
        self.gate = found.document
        return found.folder / f"{self.app}-{precision}.tflite"

    @property
    def exports(self) -> list[Path]:
        """The files that passed the gate."""
        return sorted((self.path / EXPORT).glob("*.tflite"))

    @saying_what_is_missing
    def report(self) -> Path:
        """Return the HTML page about the run; it is written where it is not there."""
        from cnnkit.verbs.report import report

        page = self.path / REPORT
        return page if page.is_file() else report(self._recipe, self.path)

    def _columns(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        from cnnkit.settings import fields

        known = {field.name for field in fields(self._recipe.Settings) if field.metadata["reading"]}
        for name in settings:
            if name not in known:
                raise ConfigError(
                    f"There is no setting `{name}` here.{meant(name, known)} There are {', '.join(sorted(known))}."
                )
        return {name: plain(value) for name, value in settings.items()}


@saying_what_is_missing
def train(
    app: Any,
    data: Any = None,
    *,
    model: Any = None,
    task: str | None = None,
    out: str | Path | None = None,
    config: str | Path | None = None,
    resume: bool = False,
    verbose: bool | None = None,
    reporter: Any = None,
    **settings: Any,
) -> Run:
    """Train a model, score it on held-out data beside a baseline, and write a report.

    Args:
        app: the name of an installed app, such as "digits" (`cnnkit.apps()` lists them), or a `cnnkit.App`.
        data: the name of a card, the path of a card, a folder or a file, or what `load_data` returned; None: the app's own.
        model: a name that the app knows; or a model of one's own: a `keras.Model`, or a function (input shape, number of labels)
            that returns one. It ends in logits, a number a label; `run.model` is a trained copy of it. None: the app's default.
        task: of an app with several tasks, the word that `train --task` takes; None: what the data is for.
        out: folder of the run; None: a new one, runs/<app>/<time>-<model>.
        config: settings from a TOML file, an earlier run or its run.json.
        resume: whether the run in `out` goes on, if it has begun.
        verbose: True: tell as the command line does; False: nobody; None: progress in the cell of a notebook, nothing elsewhere.
        reporter: hears of it instead: a `cnnkit.reporter.Reporter`.
        settings: by their names on the command line, such as `epochs=5`, `minutes=10`, `weights="imagenet"`, `seed=1`, and
            options of the model's builder, such as `width=32`. `weights` is "auto" unless it is given: of a user's own data what
            the app has for it, where that is on this machine (`run.messages` says which); "none": nothing.

    Returns:
        `Run`, which is scored.

    Raises:
        ConfigError: there is no such app, model or setting, or it does not fit; the nearest name is said.
        DataError: the data is not there (`DataNotFound`), or cannot be trained on.
        ArtifactError: weights or a run that cannot be used.
    """
    began = time.monotonic()
    definition, tell = app_of(app), teller(verbose, reporter)
    given = {name: plain(value) for name, value in settings.items()}
    if data is not None:
        given = {**(data.settings if isinstance(data, Data) else {}), **given, "data": named(data)}
    if task is not None:
        given["task"] = task
    where: dict[str, Any] = {
        "out": path_of(out, "out"),
        "config": path_of(config, "config"),
    }
    recipe = chosen(definition, given, **where, resume=resume, tell=tell)
    given.pop("task", None)
    if model is not None and not isinstance(model, str):
        recipe, given["model"] = _with_own(recipe, model, given)
    elif model is not None:
        given["model"] = model
    given, options = _divided(definition, recipe, given)
    definition.fitting(recipe, given)
    from cnnkit.verbs.train import train

    done = train(recipe, given, options, **where, resume=resume, began=began, tell=tell)
    return Run(done.run, definition, recipe, tell.messages, tell.warnings)


@saying_what_is_missing
def load_run(path: str | Path) -> Run:
    """Open a run folder, whichever app made it.

    Args:
        path: the folder, such as "runs/digits/latest".

    Raises:
        ArtifactNotFound: there is no run.
        ArtifactError: it is damaged.
        ConfigError: the app that made it is not installed.
    """
    if not isinstance(path, str | Path) or not str(path):
        raise ConfigError(f"A run is named by the path of its folder. Got {path!r}.")
    folder = Folder.open(Path(path))
    definition = app_of(folder.document["app"])
    return Run(folder, definition, definition.for_artifact(folder.path))


def _divided(definition: Definition, recipe: Any, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return settings and options of the builder.

    Raises:
        ConfigError: a name that is neither; the nearest is said.
    """
    from cnnkit.settings import fields

    known = {field.name for field in fields(recipe.Settings)}
    name = given.get("model") or recipe.Settings.model
    builder = recipe.builders.get(name)
    if builder is not None:
        truths(builder, given)
    others = inspect.signature(builder).parameters.values() if builder is not None else ()
    options = {parameter.name for parameter in others if parameter.kind is parameter.KEYWORD_ONLY}
    for each in recipe.builders.values():  # an option of another model is refused by the words of the builder
        options |= {p.name for p in inspect.signature(each).parameters.values() if p.kind is p.KEYWORD_ONLY}
    foreign = {field.name for kinds in definition.rooms.values() for room in kinds for field in fields(room)}
    for entry in given:
        if entry not in known | options | foreign:
            raise ConfigError(
                f"There is no setting `{entry}` of {definition.name}.{meant(entry, known | options)} "
                f"There are {', '.join(sorted(known))}; and of {name}: {', '.join(sorted(options)) or 'none'}."
            )
    return {n: v for n, v in given.items() if n not in options}, {n: v for n, v in given.items() if n in options}


def _with_own(recipe: Any, model: Any, given: dict[str, Any]) -> tuple[Any, str]:
    """Return a recipe that has a model of somebody's own, and its name; the size of the data follows the model.

    Raises:
        ConfigError: it is neither a model nor a function that builds one.
    """
    import keras

    from cnnkit.api.own import Own, checking, options_of
    from cnnkit.settings import fields

    if not isinstance(model, keras.Model) and not callable(model):
        raise ConfigError(f"`model` is a name, a keras.Model, or a function that builds one. Got {model!r}.")
    name = str(getattr(model, "name", None) or getattr(model, "__name__", "") or type(model).__name__)
    own = Own(model, name)
    size = recipe.inputs.size_setting
    if (
        isinstance(model, keras.Model)
        and size not in given
        and size in {field.name for field in fields(recipe.Settings)}
    ):
        with_sides = getattr(model, "input_shape", None)
        given |= (
            recipe.inputs.taken_over(with_sides[1:])
            if isinstance(with_sides, tuple) and None not in with_sides[1:]
            else {}
        )

    first = recipe.Settings.model

    def owned(found: Any) -> Any:
        """Return a recipe whose only model is this; what an app decides of its own models means nothing to it."""
        options, preset, side = found.options, found.preset, found.side
        return dataclasses.replace(
            found,
            builders={name: checking(own, found.task.name)},
            options=lambda records, model: options_of(own, options(records, model)),
            preset=lambda model, count, loaded: preset(first, count, loaded),
            side=lambda model: side(first),
            start=lambda model, records, settings: [],
            pretrained=(),
        )

    fitting = recipe.fitting
    return owned(dataclasses.replace(recipe, fitting=lambda recipe, splits: owned(fitting(recipe, splits)))), name

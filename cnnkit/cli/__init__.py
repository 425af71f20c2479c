"""The command line: the same verbs for every app, made once.

Design choices:
- `app(...)` returns a Click group with the standard verbs; an app adds its own commands beside them.
- This module imports Click and the standard library only, so that `--help` answers at once. Work is done in
  `cnnkit.workflow` and `cnnkit.review`, imported when a command runs; `predict`, `bench` and whatever reads a `.tflite`
  never load TensorFlow.
- A user error is one line and exit code 1; a refused export 3; wrong usage 2, as Click has it.
"""

import functools
import importlib
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from cnnkit import __version__
from cnnkit.cli.options import Sectioned, of_rooms, of_setting, parameters, spelled
from cnnkit.data.settings import Data
from cnnkit.errors import CnnkitError, ConfigError, GateRefused, MissingExtra, reason
from cnnkit.settings import Room, fields
from cnnkit.training.settings import Settings

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
FILE = click.Path(path_type=Path)  # existence is checked where the error can say what to do
_EXTRAS = {
    "train": ("tensorflow", "keras", "sklearn", "matplotlib", "jinja2", "tf_keras", "pycocotools", "yaml"),
    "scans": ("SimpleITK",),
    "jax": ("jax",),
}


class Group(click.Group):
    """A group whose user errors are one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CnnkitError as error:
            from cnnkit import console

            return _fail(ctx, str(error) if error.of_file else console.spelled(str(error)), error.exit_code)
        except ModuleNotFoundError as error:
            for extra, modules in _EXTRAS.items():
                if (error.name or "").split(".")[0] in modules:
                    lines = f'This command needs {error.name}, which is not installed: pip install "cnnkit[{extra}]".'
                    return _fail(ctx, str(MissingExtra(lines)), 1)
            raise
        except OSError as error:
            if error.errno is None or isinstance(error, BrokenPipeError):
                raise
            return _fail(ctx, f"{error.strerror}: {error.filename or 'while reading or writing'}.", 1)
        except MemoryError:
            return _fail(
                ctx, "Not enough memory. Use a smaller --batch-size or smaller inputs, or --limit the data.", 1
            )
        except KeyboardInterrupt:
            return _fail(
                ctx, "Stopped. What was finished is kept; `train --resume` goes on with an unfinished run.", 130
            )


def _options(ctx: click.Context) -> list[click.Option]:
    """Return the options of all commands of an app."""
    waiting: list[click.Command] = [ctx.command]
    found: list[click.Option] = []
    while waiting:
        command = waiting.pop()
        if isinstance(command, click.Group):
            waiting += command.commands.values()
        found += [parameter for parameter in command.get_params(ctx) if isinstance(parameter, click.Option)]
    return found


def _fail(ctx: click.Context, message: str, code: int) -> None:
    from cnnkit import console

    console.error(message)
    if console.is_json():
        console.document({"error": " ".join(message.split())})
    ctx.exit(code)


def registered(name: str, folders: Sequence[str]) -> str | None:
    """Return what an installed package called cnnkit-something registers as the app `name`, "module:attribute"; else None.

    Python's own `importlib.metadata` looks at every package, which takes long where there are many; it is asked about what is
    not found here.
    """
    for folder in folders:
        for path in sorted(Path(folder or ".").glob("cnnkit*.dist-info/entry_points.txt")):
            group = ""
            for line in path.read_text(encoding="utf-8").splitlines():
                key, _, value = (part.strip() for part in line.partition("="))
                if line.startswith("["):
                    group = line.strip()
                elif group == "[cnnkit.apps]" and key == name and value.count(":") == 1 and " " not in value:
                    return value
    return None


class Apps(Group):
    """The group of all installed apps; an app is imported only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from cnnkit import plugins

        return list(dict.fromkeys(entry.name for entry in plugins.installed("cnnkit.apps")))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        near = registered(name, sys.path)
        try:
            if near is not None:
                module, _, attribute = near.partition(":")
                return getattr(importlib.import_module(module), attribute)
            from cnnkit import plugins

            found = [entry for entry in plugins.installed("cnnkit.apps") if entry.name == name]
            return found[0].load() if found else None
        except Exception as error:  # of an app of another package, which may raise anything
            raise MissingExtra(f"The app {name!r} cannot be loaded: {reason(error)}. Install it anew.") from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from cnnkit import plugins

        loaded = {entry.name: plugins.load(entry) for entry in plugins.installed("cnnkit.apps")}
        rows = [(name, command.get_short_help_str(80)) for name, command in loaded.items() if command is not None]
        with formatter.section("Apps"):
            formatter.write_dl(rows)


@click.command(cls=Apps, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="cnnkit")
def main() -> None:
    """From a folder of labelled data to a small, measured model running on a device."""


# Families of options --------------------------------------------------------------------------------------------------


def _json(command: Callable[..., Any]) -> Callable[..., Any]:
    def switch(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
        from cnnkit import console

        console.use_json(value)

    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=switch,
        help="Print one JSON document on standard output; everything else goes to standard error.",
    )(command)


def _force(command: Callable[..., Any]) -> Callable[..., Any]:
    def switch(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
        from cnnkit import own_files

        own_files.use_force(value)

    return click.option(
        "--force",
        is_flag=True,
        expose_value=False,
        callback=switch,
        help="Replace files that are there already, also those that cnnkit did not write.",
    )(command)


json_option = _json
force_option = _force
artifact = click.argument("artifact", type=FILE, required=False)
data_option = of_setting(Data, "data")
moved_option = click.option("--data", metavar="CARD|FOLDER|FILE", help="Where the run's data is now, if it was moved.")
skip_bad = of_setting(Data, "skip_bad")
threads = click.option("--threads", type=click.IntRange(1, 64), help="Threads of the interpreter.  [default: up to 4]")
_POSITIVE = click.IntRange(min=1)


def numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> list[int] | None:
    """Read whole numbers with commas between them; a Click callback."""
    if value is None:
        return None
    try:
        return [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is not whole numbers with commas between them, such as 3,4,5.") from None


# Of the builder `cnnkit.models.classifier`; for the `build_options` of apps that have it.
BACKBONE_OPTIONS = [
    click.option("--backbone", metavar="NAME", help="Network of keras.applications.  [default: mobilenet_v2]"),
    click.option("--alpha", type=click.FloatRange(0, min_open=True), help="Width of a MobileNet: 0.35, 0.5, 1 ..."),
    click.option("--dropout", type=click.FloatRange(0, 1, max_open=True), help="Share of the features dropped."),
]


# Of the builder `cnnkit.models.detector`, beside those of a backbone.
DETECTOR_OPTIONS = [
    click.option("--width", type=_POSITIVE, help="Detection: channels of the feature pyramid.  [default: 64]"),
]


def _with(options: Sequence[Callable[..., Any]]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return lambda command: functools.reduce(lambda inner, option: option(inner), reversed(options), command)


# The standard verbs ---------------------------------------------------------------------------------------------------


def app(
    help: str,
    recipe: Callable[[], Any] | Mapping[str, Callable[[], Any]],
    *,
    name: str,
    rooms: Sequence[type[Room]] | Mapping[str, Sequence[type[Room]]],
    build_options: Sequence[Callable[..., Any]] = (),
    predict_options: Sequence[Callable[..., Any]] = (),
    preparation: Callable[[], Any] | None = None,
    texts: bool = False,
) -> click.Group:
    """Make an app's command line.

    Args:
        help: one line on what it does.
        recipe: returns the app's `Recipe`; called only when a command needs it, so it may import what is slow. Of an app with
            several tasks one each, by the word that `train --task` takes; the first is the default. Of texts the data decide.
        name: of the app, as in `cnnkit NAME`.
        rooms: the settings of its input and its task, as `inputs.rooms` and `task.rooms` of the recipe have them; of an app with
            several tasks by the word of each.
        build_options: Click options of `train` that go to the model's builder, None where not given.
        predict_options: Click options of `predict` that go to `cnnkit.tasks.detection.predict.find`, for detectors.
        preparation: returns what the app does to a picture beyond fitting it into the model's shape, a
            `cnnkit.device.preparation.Preparation`, as `Recipe.inputs` has it. It must not load TensorFlow.

    Returns:
        The group with data, train, evaluate, predict, explain, export, bench and report.
    """

    recipes = recipe if isinstance(recipe, Mapping) else {"": recipe}
    tasks = [] if len(recipes) < 2 or texts else [_task_option(recipes)]

    def for_artifact(path: Path | None) -> Any:
        from cnnkit import ondevice

        return _recipe(recipes, ondevice.task_of(name, path) if len(recipes) > 1 else None)

    @click.group(name=name, cls=Group, help=help, context_settings=CONTEXT)
    @click.version_option(__version__, prog_name=f"cnnkit {name}")
    @click.pass_context
    def group(ctx: click.Context) -> None:
        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # its advice on retracing is not for users
        from cnnkit import console, own_files

        console.begin()
        console.use_spelling(lambda text: spelled(text, _options(ctx)))
        own_files.use_force(False)

    of_task = rooms if isinstance(rooms, Mapping) else {"": rooms}
    every = [room for kinds in of_task.values() for room in kinds]
    had = {word: {field.name for room in kinds for field in fields(room)} for word, kinds in of_task.items()}

    def only(setting: str) -> list[str]:
        """Return the tasks that have a setting of some; none where all have it."""
        having = [word for word, names in had.items() if setting in names]
        return having if 0 < len(having) < len(had) else []

    def note(setting: str) -> str:
        return f"  [--task {only(setting)[0]}]" if only(setting) else ""

    def fitting(chosen: Any, given: Mapping[str, Any]) -> Any:
        """Return the recipe; refuse settings that only another task of the app has."""
        known = {field.name for field in fields(chosen.Settings)}
        foreign = [
            setting for setting in given if given[setting] is not None and only(setting) and setting not in known
        ]
        if foreign:
            raise ConfigError(f"`{foreign[0]}` is for --task {only(foreign[0])[0]}, and this is {chosen.task.name}.")
        return chosen

    reading = of_rooms(every, lambda field: field.metadata["reading"] == "data", note)
    prepared = of_rooms(every, lambda field: field.metadata["reading"] == "input", note)
    more = [*reading, *prepared]
    group.add_command(_data(recipes, fitting, boxes=bool(predict_options), texts=texts, looking=reading, showing=more))
    names = {parameter.name for option in build_options for parameter in parameters(option)}

    @group.command(cls=Sectioned, made=lambda: of_rooms([Settings, *every], note=note))
    @_with(tasks)
    @_with(list(build_options))
    @click.option("--out", type=FILE, help="Folder of the run.  [default: runs/<app>/<time>-<model>]")
    @click.option("--config", type=FILE, help="Settings: a TOML file, or an earlier run or its run.json.")
    @click.option(
        "--resume", is_flag=True, help="Go on with the run in --out, or the latest; start it if it has not begun."
    )
    @json_option
    def train(out: Path | None, config: Path | None, resume: bool, **given: Any) -> None:
        """Train a model, score it on held-out data beside a baseline, and write a report."""
        began = time.monotonic()  # before anything slow is imported
        from cnnkit import workflow

        options = {key: given.pop(key) for key in list(given) if key in names}
        options = {key: value for key, value in options.items() if value is not None}
        settings = {key: value for key, value in given.items() if value is not None}
        word = settings.pop("task", None)
        if word is None and tasks:
            task = workflow.task_for(name, settings, config_file=config, out=out, resume=resume)
            chosen = _recipe(recipes, task)
        else:
            chosen = recipes[word or next(iter(recipes))]()
        fitting(chosen, settings)
        workflow.train(chosen, settings, options, out=out, config_file=config, resume=resume, began=began)

    @group.command()
    @artifact
    @data_option
    @click.option(
        "--split",
        type=click.Choice(["test", "validation", "train", "all"]),
        help="Which part of the data.  [default: test; all of data that the run was not trained on]",
    )
    @_with(more)
    @skip_bad
    @json_option
    def evaluate(
        artifact: Path | None, data: str | None, split: str | None, skip_bad: bool | None, **columns: Any
    ) -> None:
        """Score a run, a .keras or a .tflite on a split, with confidence intervals, beside a baseline."""
        from cnnkit import review

        review.evaluate(
            fitting(for_artifact(artifact), columns),
            artifact,
            data=data,
            split=split,
            skip_bad=bool(skip_bad),
            columns=columns,
        )

    group.add_command(_predict_texts(name) if texts else _predict_images(name, predict_options, preparation, prepared))

    @group.command()
    @click.argument(
        "inputs", metavar=f"[ARTIFACT] {'TEXT' if texts else 'IMAGE'}...", type=str if texts else FILE, nargs=-1
    )
    @click.option("--layer", help="Show the feature maps of this layer.  [default: the first and last that have some]")
    @moved_option
    @click.option("--out", type=FILE, help="Folder of the pictures.  [default: <run>/explain]")
    @_with(prepared)
    @force_option
    @json_option
    def explain(
        inputs: tuple[Any, ...], layer: str | None, data: str | None, out: Path | None, prepare: bool | None = None
    ) -> None:
        """Show what the model looks at: layer table, filters, feature maps, Grad-CAM, classic filters."""
        from cnnkit import console, ondevice
        from cnnkit.cli import printing
        from cnnkit.verbs.explain import explain

        chosen = for_artifact(ondevice.split(name, inputs)[0])
        printing.shown(explain(chosen, inputs, layer=layer, out=out, prepare=prepare, data=data, tell=console))

    @group.command()
    @artifact
    @click.option("--precision", default="float32,float16,int8", show_default=True, help="Comma-separated list.")
    @click.option(
        "--tolerance",
        type=click.FloatRange(min=0),
        help="Points of the score that may be lost, overall and in a class.  [default: the task's]",
    )
    @data_option
    @_with(more)
    @click.option("--out", type=FILE, help="Folder of the files.  [default: <run>/export]")
    @force_option
    @json_option
    def export(
        artifact: Path | None,
        precision: str,
        tolerance: float | None,
        data: str | None,
        out: Path | None,
        **columns: Any,
    ) -> None:
        """Convert to .tflite and prove that the device model scores as the trained one, or fail (exit 3)."""
        from cnnkit import console
        from cnnkit.cli import printing
        from cnnkit.verbs.export import export

        asked: dict[str, Any] = {
            "precision": precision,
            "tolerance": tolerance,
            "data": data,
            "out": out,
            "columns": columns,
        }
        try:
            printing.exported(export(fitting(for_artifact(artifact), columns), artifact, **asked, tell=console))
        except GateRefused as error:
            if error.document is not None:
                printing.gate(error.document)
            raise

    @group.command()
    @artifact
    @click.option("--runs", type=_POSITIVE, default=200, show_default=True, help="Timed inferences of each file.")
    @threads
    @json_option
    def bench(artifact: Path | None, runs: int, threads: int | None) -> None:
        """Measure latency, size and memory of exported models on this machine."""
        from cnnkit import ondevice

        ondevice.bench(name, artifact, runs=runs, threads=threads)

    @group.command()
    @artifact
    @moved_option
    @click.option("--out", type=FILE, help="The page.  [default: <run>/report.html]")
    @force_option
    @json_option
    def report(artifact: Path | None, data: str | None, out: Path | None) -> None:
        """Write one self-contained HTML page about a run."""
        from cnnkit import review

        review.report(for_artifact(artifact), artifact, out=out, data=data)

    return group


def _predict_images(
    name: str,
    predict_options: Sequence[Callable[..., Any]],
    preparation: Callable[[], Any] | None,
    prepared: Sequence[Callable[..., Any]],
) -> click.Command:
    @click.command()
    @click.argument(
        "inputs",
        metavar="[ARTIFACT] INPUT...",
        type=click.Path(path_type=Path, allow_dash=True),
        nargs=-1,
        required=not predict_options,
    )
    @click.option(
        "--top", type=_POSITIVE, default=1, show_default=True, help="How many classes to show for each input."
    )
    @_with(prepared)
    @_with([*predict_options, force_option] if predict_options else [])
    @skip_bad
    @threads
    @json_option
    def predict(inputs: tuple[Path, ...], top: int, skip_bad: bool | None, threads: int | None, **options: Any) -> None:
        """Name what is in pictures: files, folders, or - for standard input."""
        from cnnkit import ondevice

        prepare = options.pop("prepare", None)
        options = {key: value for key, value in options.items() if value is not None}
        find = ondevice.answering(name, ondevice.split(name, inputs)[0])
        if find is not None:
            find(name, inputs, top=top, skip_bad=bool(skip_bad), threads=threads, **options)
            return
        if options:
            raise ConfigError(
                f"--{next(iter(options)).replace('_', '-')} is for detectors; this model names one picture."
            )
        made = preparation() if preparation else None
        ondevice.predict(
            name, inputs, preparation=made, prepare=prepare, top=top, skip_bad=bool(skip_bad), threads=threads
        )

    if predict_options:
        predict.help = (
            "Find and name what is in pictures and videos: files, folders, a camera, or - for standard input."
        )
    return predict


def _predict_texts(name: str) -> click.Command:
    @click.command()
    @click.argument("inputs", metavar="[ARTIFACT] TEXT|FILE|-...", nargs=-1, required=True)
    @click.option("--top", type=_POSITIVE, default=1, show_default=True, help="How many labels to show for each text.")
    @click.option(
        "--sure",
        type=click.FloatRange(0, 1),
        help="Say `not sure` where the answer is less probable.  [default: the model's]",
    )
    @click.option(
        "--threshold",
        "thresholds",
        metavar="[LABEL=]NUMBER",
        multiple=True,
        help="Of several labels: give a label from this probability on.  [default: the model's]",
    )
    @click.option(
        "--text", metavar="COLUMN", help="Column or field of the texts of a table.  [default: found out, and said]"
    )
    @click.option("--encoding", help="Of files, such as gb18030 or cp1251.  [default: UTF-8]")
    @threads
    @json_option
    def predict(
        inputs: tuple[str, ...],
        top: int,
        sure: float | None,
        thresholds: tuple[str, ...],
        text: str | None,
        encoding: str | None,
        threads: int | None,
    ) -> None:
        """Name what texts are: as arguments, in files of a text a line, in tables, or - for lines on standard input.

        A few texts make a table. Files and standard input make a line each: label, probability, sure or not sure, text, with
        tabs between them.
        """
        from cnnkit.inputs.text.predict import predict_texts

        predict_texts(
            name, inputs, top=top, sure=sure, threads=threads, thresholds=thresholds, column=text, encoding=encoding
        )

    return predict


def _task_option(recipes: Mapping[str, Any]) -> Callable[..., Any]:
    first = next(iter(recipes))
    text = f"What to learn.  [default: what the data is for; without --data: {first}]"
    return click.option("--task", type=click.Choice(list(recipes)), help=text)


def _recipe(recipes: Mapping[str, Callable[[], Any]], task: str | None) -> Any:
    """Return the recipe of a task, such as "detection"; the first where no task is known or none has it."""
    if task is not None:
        for make in recipes.values():
            found = make()
            if found.task.name == task:
                return found
    return next(iter(recipes.values()))()


def _data(
    recipes: Mapping[str, Callable[[], Any]],
    fitting: Callable[[Any, Mapping[str, Any]], Any],
    *,
    boxes: bool,
    texts: bool,
    looking: Sequence[Any],
    showing: Sequence[Any],
) -> click.Group:
    def for_data(source: str | None) -> Any:
        if len(recipes) < 2 or source is None or texts:
            return _recipe(recipes, None)
        from cnnkit import workflow

        return _recipe(recipes, workflow.task_of_data(source))

    @click.group("data", cls=Group)
    def group() -> None:
        """List, fetch, check and show data sets."""

    @group.command("list")
    @json_option
    def list_() -> None:
        """List the known data sets and where each is."""
        from cnnkit.cli import printing
        from cnnkit.verbs import data

        printing.known(data.known(for_data(None)))

    @group.command()
    @click.argument("card")
    @json_option
    def fetch(card: str) -> None:
        """Download a data set; resumes, and verifies checksums."""
        from cnnkit import console
        from cnnkit.cli import printing
        from cnnkit.verbs import data

        printing.fetched(data.fetch(card, tell=console))

    @group.command()
    @click.argument("source", required=False)
    @_with(looking)
    @click.option("--strict", is_flag=True, help="Exit with 1 on warnings too, not only on errors.")
    @json_option
    @click.pass_context
    def check(ctx: click.Context, source: str | None, strict: bool, **columns: str | None) -> None:
        """Look for what spoils training: bad files, odd sizes, starved classes, duplicates across splits."""
        from cnnkit import console
        from cnnkit.cli import printing
        from cnnkit.verbs import data

        found = data.check(fitting(for_data(source), columns), source, columns, strict=strict, tell=console)
        printing.checked(found)
        if not found.fit:
            ctx.exit(1)

    if texts:
        check.help = "Look for what spoils training: copies across splits, empty texts, label typos, contradictions."

    picture: list[Callable[..., Any]] = [
        click.option("--out", type=FILE, default="samples.png", show_default=True, help="The picture to write."),
        force_option,
    ]
    if texts:
        picture = []

    @group.command()
    @click.argument("source", required=False)
    @_with(picture)
    @_with(showing)
    @click.option(
        "--seed",
        type=click.IntRange(0, 2**31 - 1),
        default=0,
        show_default=True,
        help="Of the samples and their augmentation.",
    )
    @json_option
    def show(source: str | None, seed: int, out: Path | None = None, **columns: Any) -> None:
        """Draw a contact sheet: samples as they are, and as the model sees them after augmentation."""
        from cnnkit import console
        from cnnkit.cli import printing
        from cnnkit.verbs import data

        chosen = fitting(for_data(source), columns)
        printing.shown(data.show(chosen, source, out=out, seed=seed, columns=columns, tell=console))

    if texts:
        show.help = "Show samples with their labels, and the words that the model knows."

    if boxes:

        @group.command()
        @click.argument("source")
        @click.argument("format", type=click.Choice(["voc", "coco", "yolo", "gtsdb"]))
        @click.argument("folder", type=FILE)
        @click.option(
            "--turn-boxes",
            is_flag=True,
            help="The boxes were drawn on photos as stored: turn them as EXIF turns these.",
        )
        @json_option
        def convert(source: str, format: str, folder: Path, turn_boxes: bool) -> None:
            """Write SOURCE, a folder or file with boxes, into FOLDER in another FORMAT; nothing is lost."""
            from cnnkit import console
            from cnnkit.cli import printing
            from cnnkit.verbs import data

            printing.converted(data.convert(source, format, folder, turn_boxes=turn_boxes, tell=console))

    return group

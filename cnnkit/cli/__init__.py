"""The command line: the same verbs for every app, made once.

Design choices:
- `app(...)` returns a Click group with the standard verbs; an app adds its own commands beside them.
- This module imports Click and the standard library only, so that `--help` answers at once. Work is done in
  `cnnkit.verbs`, imported when a command runs, and printed by `cnnkit.cli.printing`; `predict`, `bench` and whatever reads a
  `.tflite` never load TensorFlow.
- A user error is one line and exit code 1; a refused export 3; wrong usage 2, as Click has it.
"""

import functools
import importlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnkit import __version__
from cnnkit.app import Definition
from cnnkit.cli.options import Sectioned, SettingOption, WithLater, later, of_rooms, of_setting, parameters, spelled
from cnnkit.commands import FILES, Commands, Number
from cnnkit.errors import CnnkitError, ConfigError, GateRefused, MissingExtra, missing, reason

if TYPE_CHECKING:
    from cnnkit.settings import Room

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
OWN_WEIGHTS = "auto, which is ImageNet's for data of your own, where they are at hand"
FILE = click.Path(path_type=Path)  # existence is checked where the error can say what to do


class Group(click.Group):
    """A group whose user errors are one line."""

    command_class = WithLater

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CnnkitError as error:
            from cnnkit import console

            return _fail(ctx, str(error) if error.of_file else console.spelled(str(error)), error.exit_code)
        except ModuleNotFoundError as error:
            if (lacking := missing(error)) is None:
                raise
            return _fail(ctx, str(lacking), lacking.exit_code)
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
                return _commands_of(getattr(importlib.import_module(module), attribute))
            from cnnkit import plugins

            found = [entry for entry in plugins.installed("cnnkit.apps") if entry.name == name]
            return _commands_of(found[0].load()) if found else None
        except Exception as error:  # of an app of another package, which may raise anything
            raise MissingExtra(f"The app {name!r} cannot be loaded: {reason(error)}. Install it anew.") from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from cnnkit import plugins

        loaded = {entry.name: plugins.load(entry) for entry in plugins.installed("cnnkit.apps")}
        every = {name: _commands_of(app) for name, app in loaded.items() if app is not None}
        rows = [(name, command.get_short_help_str(80)) for name, command in every.items()]
        with formatter.section("Apps"):
            formatter.write_dl(rows)


def _commands_of(loaded: Any) -> click.Command:
    """Return the command line that an entry point names, or that of the app which it names."""
    return loaded.command_line if isinstance(loaded, App) else loaded


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


def _of_data(name: str) -> Callable[..., Any]:
    from cnnkit.data.settings import Data

    return of_setting(Data, name)


json_option = _json
force_option = _force
artifact = click.argument("artifact", type=FILE, required=False)
data_option = later(lambda: [_of_data("data")])
moved_option = click.option("--data", metavar="CARD|FOLDER|FILE", help="Where the run's data is now, if it was moved.")
skip_bad = later(lambda: [_of_data("skip_bad")])
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


def thread_counts(context: click.Context, parameter: click.Parameter, value: str | None) -> list[int] | None:
    """Read numbers of threads with commas between them; a Click callback."""
    found = numbers(context, parameter, value)
    if found is not None and not all(1 <= count <= 64 for count in found):
        raise click.BadParameter(f"{value!r} has a number that is not from 1 to 64.")
    return found


def _with(options: Sequence[Callable[..., Any]]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return lambda command: functools.reduce(lambda inner, option: option(inner), reversed(options), command)


def _naming_data(commands: Commands, argument: str) -> Callable[..., Any]:
    """Return a decorator for a command that takes data as `argument`: with flags that stand for cards (`Commands.stand_ins`).

    It goes below the options of the command, as the flags are resolved before the command itself is called.
    """

    def decorate(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def resolved(*args: Any, **given: Any) -> Any:
            asked = [flag for flag, _, _ in commands.stand_ins if given.pop(flag[2:])]
            named = [f"`{argument}`" if argument == "data" else given[argument]] if given.get(argument) else []
            if len(asked) + len(named) > 1:
                ways = " and ".join([*(f"`{flag[2:]}=True`" for flag in asked), *named])
                raise ConfigError(f"{ways} name data each. Leave one of them out.")
            for flag, card, _ in commands.stand_ins:
                if flag in asked:
                    given[argument] = card
            return call(*args, **given)

        about: dict[str, Any] = {"cls": SettingOption, "heading": "Options", "is_flag": True}
        flags = [
            click.option(flag, help=f"{text}  [--data {card}]", **about) for flag, card, text in commands.stand_ins
        ]
        return _with(flags)(resolved)

    return decorate


# The standard verbs ---------------------------------------------------------------------------------------------------


def app(
    help: str,
    recipe: Callable[[], Any] | Mapping[str, Callable[[], Any]],
    *,
    name: str,
    rooms: "Callable[[], Sequence[type[Room]] | Mapping[str, Sequence[type[Room]]]]",
    commands: Commands = FILES,
    build_options: Sequence[Callable[..., Any]] = (),
    preparation: Callable[[], Any] | None = None,
    by_data: bool = False,
    pretrained: bool = False,
) -> click.Group:
    """Make an app's command line.

    Args:
        help: one line on what it does.
        recipe: returns the app's `Recipe`; called only when a command needs it, so it may import what is slow. Of an app with
            several tasks one each, by the word that `train --task` takes; the first is the default.
        name: of the app, as in `cnnkit NAME`.
        rooms: returns the settings of its input and its task, as `inputs.rooms` and `task.rooms` of the recipe have them; of an
            app with several tasks by the word of each.
        commands: what they say of its inputs and of what is found in them, as the rooms of these kinds have it.
        build_options: Click options of `train` that go to the model's builder, None where not given.
        preparation: returns what the app does to an input beyond fitting it into the model's shape, a
            `cnnkit.device.preparation.Preparation`, as `Recipe.inputs` has it. It must not load TensorFlow.
        by_data: whether the data decide which of several tasks it is (`Recipe.fitting`), and no `train --task`.
        pretrained: whether its recipes name models on published weights (`Recipe.pretrained`), so that `--help` speaks of them.

    Returns:
        The group with data, train, evaluate, predict, explain, export, bench, demo and report.
    """

    return App(
        help,
        recipe,
        name=name,
        rooms=rooms,
        commands=commands,
        build_options=build_options,
        preparation=preparation,
        by_data=by_data,
        pretrained=pretrained,
    ).command_line


class App(Definition):
    """An app: what is special about a domain, and everything that follows from it. Arguments are those of `Definition`.

    An object of it is what an entry point of `cnnkit.apps` names, and what `cnnkit.train` takes. Called, it is the app's command
    line, so it is a console script too; `app.command()` adds a command of its own.
    """

    @functools.cached_property
    def command_line(self) -> click.Group:
        """The group with data, train, evaluate, predict, explain, export, bench, demo and report."""
        return _command_line(self)

    def command(self, *names: Any, **more: Any) -> Callable[[Callable[..., Any]], click.Command]:
        """Return a decorator that adds a command to the command line, as `click.Group.command` does."""
        return self.command_line.command(*names, **more)

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        """Run the command line."""
        return self.command_line(*arguments, **more)


def _command_line(app: App) -> click.Group:
    name, help, commands, preparation = app.name, app.help, app.commands, app.preparation
    build_options, fitting = app.build_options, app.fitting
    tasks = [_task_option(app.words)] if app.words else []

    def for_artifact(path: Path | None) -> Any:
        from cnnkit import console

        return app.for_artifact(path, console)

    @click.group(name=name, cls=Group, help=help, context_settings=CONTEXT)
    @click.version_option(__version__, prog_name=f"cnnkit {name}")
    @click.pass_context
    def group(ctx: click.Context) -> None:
        from cnnkit import console, own_files

        console.begin()
        console.use_spelling(lambda text: spelled(text, _options(ctx)))
        own_files.use_force(False)

    def note(setting: str) -> str:
        if setting == "weights":
            return f"  [default: {OWN_WEIGHTS if app.pretrained else 'none'}]"
        return f"  [--task {app.only(setting)[0]}]" if app.only(setting) else ""

    def of_all(*before: "type[Room]", reading: Sequence[str] = ()) -> list[Any]:
        every = [*before, *(room for kinds in app.rooms.values() for room in kinds)]
        return of_rooms(every, lambda field: not reading or field.metadata["reading"] in reading, note)

    def of_training() -> list[Any]:
        from cnnkit.training.settings import Settings

        return of_all(Settings)

    prepared = later(lambda: of_all(reading=["input"]))
    more = later(lambda: [*of_all(reading=["data"]), *of_all(reading=["input"])])
    setattr(group, "app", app)  # noqa: B010 - an entry point may name the group, and Python wants the app
    group.add_command(
        _data(app.for_data, fitting, commands, looking=later(lambda: of_all(reading=["data"])), showing=more)
    )
    names = {parameter.name for option in build_options for parameter in parameters(option)}

    @group.command(cls=Sectioned)
    @later(of_training)
    @_with(tasks)
    @_with(list(build_options))
    @click.option("--out", type=FILE, help="Folder of the run.  [default: runs/<app>/<time>-<model>]")
    @click.option("--config", type=FILE, help="Settings: a TOML file, or an earlier run or its run.json.")
    @click.option(
        "--resume", is_flag=True, help="Go on with the run in --out, or the latest; start it if it has not begun."
    )
    @json_option
    @_naming_data(commands, "data")
    def train(out: Path | None, config: Path | None, resume: bool, **given: Any) -> None:
        """Train a model, score it on held-out data beside a baseline, and write a report."""
        began = time.monotonic()  # before anything slow is imported
        from cnnkit import console
        from cnnkit.cli import printing
        from cnnkit.verbs.train import train

        options = {key: given.pop(key) for key in list(given) if key in names}
        options = {key: value for key, value in options.items() if value is not None}
        settings = {key: value for key, value in given.items() if value is not None}
        chosen = app.to_train(settings, config=config, out=out, resume=resume, tell=console)
        settings.pop("task", None)
        fitting(chosen, settings)
        found = train(chosen, settings, options, out=out, config=config, resume=resume, began=began, tell=console)
        printing.trained(found)

    @group.command()
    @artifact
    @data_option
    @click.option(
        "--split",
        type=click.Choice(["test", "validation", "train", "all"]),
        help="Which part of the data.  [default: test; all of data that the run was not trained on]",
    )
    @click.option(
        "--unknown", metavar="FOLDER", type=FILE, help="Inputs that show none of the classes: how many are found out."
    )
    @more
    @skip_bad
    @json_option
    def evaluate(
        artifact: Path | None,
        data: str | None,
        split: str | None,
        unknown: Path | None,
        skip_bad: bool | None,
        **columns: Any,
    ) -> None:
        """Score a run, a .keras or a .tflite on a split, with confidence intervals, beside a baseline."""
        from cnnkit import console
        from cnnkit.cli import printing
        from cnnkit.verbs.evaluate import evaluate

        found = evaluate(
            fitting(for_artifact(artifact), columns),
            artifact,
            data=data,
            split=split,
            skip_bad=bool(skip_bad),
            columns=columns,
            unknown=unknown,
            tell=console,
        )
        printing.evaluated(found)

    @group.command(help=commands.predict)
    @click.argument(
        "inputs",
        metavar=f"[ARTIFACT] {commands.predicted}",
        type=commands.given,
        nargs=-1,
        required=commands.needed,
    )
    @click.option("--top", type=_POSITIVE, help=f"{commands.top}  [default: 1]")
    @prepared
    @_with(commands.options)
    @_with([force_option] if commands.writes else [])
    @_with([skip_bad] if commands.skips else [])
    @threads
    @json_option
    def predict(inputs: tuple[Any, ...], **options: Any) -> None:
        from cnnkit import console
        from cnnkit.cli import printing
        from cnnkit.verbs.predict import ForeignOption, predict

        if preparation is not None:
            options["preparation"] = preparation()
        options = {key: value for key, value in options.items() if value is not None}
        try:
            found = predict(name, inputs, unsaid=commands.kind, tell=console, **options)
        except ForeignOption as error:
            raise ConfigError(f"`{error.name}` {commands.foreign}") from error
        printing.predicted(found)

    @group.command(help=commands.explain)
    @click.argument("inputs", metavar=f"[ARTIFACT] {commands.explained}", type=commands.given, nargs=-1)
    @click.option("--layer", help=commands.layer)
    @moved_option
    @click.option("--out", type=FILE, help="Folder of the pictures.  [default: <run>/explain]")
    @prepared
    @force_option
    @json_option
    def explain(
        inputs: tuple[Any, ...], layer: str | None, data: str | None, out: Path | None, prepare: bool | None = None
    ) -> None:
        from cnnkit import console, opening
        from cnnkit.cli import printing
        from cnnkit.verbs.explain import explain

        chosen = for_artifact(opening.split(name, inputs, console)[0])
        printing.shown(explain(chosen, inputs, layer=layer, out=out, prepare=prepare, data=data, tell=console))

    @group.command()
    @artifact
    @click.option(
        "--for",
        "profile",
        default="litert",
        show_default=True,
        help="Whose files: litert, mediapipe (Android, iOS, web), micro (microcontrollers), ethos-u (those with such a unit).",
    )
    @click.option(
        "--precision",
        help="Comma-separated list of float32, float16, int8, int16x8.  [default: all there are but int16x8]",
    )
    @click.option(
        "--tolerance",
        type=Number(min=0),
        help="Points of the score that may be lost, overall and in a class.  [default: the task's]",
    )
    @data_option
    @more
    @click.option(
        "--keep-float",
        multiple=True,
        metavar="LAYER",
        help="A layer that stays float in the int8 file; may be repeated.",
    )
    @click.option("--explain", is_flag=True, help="Also say which layers of int8 and int16x8 files lose most.")
    @click.option("--code/--no-code", default=True, help="Also write programs that run the files.  [default: --code]")
    @click.option("--out", type=FILE, help="Folder of the files.  [default: in the run]")
    @force_option
    @json_option
    def export(
        artifact: Path | None,
        profile: str,
        precision: str | None,
        tolerance: float | None,
        data: str | None,
        explain: bool,
        keep_float: tuple[str, ...],
        code: bool,
        out: Path | None,
        **columns: Any,
    ) -> None:
        """Convert to .tflite and prove that the device model scores as the trained one, or fail (exit 3)."""
        from cnnkit import console
        from cnnkit.cli import printing
        from cnnkit.verbs.export import export

        asked: dict[str, Any] = {
            "profile": profile,
            "precision": precision,
            "tolerance": tolerance,
            "data": data,
            "out": out,
            "code": code,
            "explain": explain,
            "keep_float": keep_float,
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
    @click.option(
        "--threads",
        callback=thread_counts,
        help="Threads of the interpreter, or several numbers of them, such as 1,2,4.  [default: up to 4]",
    )
    @click.option("--beside", is_flag=True, help="Also without XNNPACK, and a run's model in Keras and ONNX Runtime.")
    @json_option
    def bench(artifact: Path | None, runs: int, threads: list[int] | None, beside: bool) -> None:
        """Measure latency, size and memory of exported models on this machine."""
        from cnnkit import console
        from cnnkit.cli import printing
        from cnnkit.verbs.bench import bench

        printing.measured(bench(name, artifact, runs=runs, threads=threads, beside=beside, tell=console))

    @group.command()
    @artifact
    @click.option(
        "--port", type=click.IntRange(0, 65535), help="Of this machine; 0: any that is free.  [default: 8765]"
    )
    @click.option("--out", type=FILE, help="Write the page into this folder, for any web server, and serve nothing.")
    @click.option("--no-open", is_flag=True, help="Open no browser.")
    @force_option
    @json_option
    def demo(artifact: Path | None, port: int | None, out: Path | None, no_open: bool) -> None:
        """Try an exported model on a page in the browser, served on this machine alone."""
        from cnnkit import console
        from cnnkit.cli import printing
        from cnnkit.verbs import demo

        made = preparation() if preparation is not None else None
        page = demo.page(name, artifact, title=help, preparation=made, tell=console)
        if out is not None:
            printing.written(page.write(out))
            return
        with page.serving(port) as address:
            printing.serving(address)
            demo.wait(address, browser=not no_open)

    @group.command()
    @artifact
    @moved_option
    @click.option("--out", type=FILE, help="The page.  [default: <run>/report.html]")
    @force_option
    @json_option
    def report(artifact: Path | None, data: str | None, out: Path | None) -> None:
        """Write one self-contained HTML page about a run."""
        from cnnkit import console
        from cnnkit.cli import printing
        from cnnkit.verbs.report import report

        printing.reported(report(for_artifact(artifact), artifact, data=data, out=out, tell=console))

    return group


def _task_option(words: Sequence[str]) -> Callable[..., Any]:
    first = words[0]
    text = f"What to learn.  [default: what the data is for; without --data: {first}]"
    return click.option("--task", type=click.Choice(list(words)), help=text)


def _data(
    for_data: Callable[[str | None], Any],
    fitting: Callable[[Any, Mapping[str, Any]], Any],
    commands: Commands,
    *,
    looking: Callable[..., Any],
    showing: Callable[..., Any],
) -> click.Group:
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

    @group.command(help=commands.check)
    @click.argument("source", required=False)
    @looking
    @click.option("--strict", is_flag=True, help="Exit with 1 on warnings too, not only on errors.")
    @json_option
    @click.pass_context
    @_naming_data(commands, "source")
    def check(ctx: click.Context, source: str | None, strict: bool, **columns: str | None) -> None:
        from cnnkit import console
        from cnnkit.cli import printing
        from cnnkit.verbs import data

        found = data.check(fitting(for_data(source), columns), source, columns, strict=strict, tell=console)
        printing.checked(found)
        if not found.fit:
            ctx.exit(1)

    picture: list[Callable[..., Any]] = [
        click.option("--out", type=FILE, default="samples.png", show_default=True, help="The picture to write."),
        force_option,
    ]

    @group.command(help=commands.show)
    @click.argument("source", required=False)
    @_with(picture if commands.draws else [])
    @showing
    @click.option(
        "--seed",
        type=click.IntRange(0, 2**31 - 1),
        default=0,
        show_default=True,
        help="Of the samples and their augmentation.",
    )
    @json_option
    @_naming_data(commands, "source")
    def show(source: str | None, seed: int, out: Path | None = None, **columns: Any) -> None:
        from cnnkit import console
        from cnnkit.cli import printing
        from cnnkit.verbs import data

        chosen = fitting(for_data(source), columns)
        printing.shown(data.show(chosen, source, out=out, seed=seed, columns=columns, tell=console))

    for command in commands.data:
        group.add_command(_printing(command))
    return group


def _printing(command: click.Command) -> click.Command:
    """Return a command of a kind as one that prints what it returns."""

    def run(**given: Any) -> None:
        from cnnkit import console
        from cnnkit.cli import printing
        from cnnkit.shown import Shown

        found = command.callback(**given, tell=console)  # type: ignore[misc]
        printing.shown(found if isinstance(found, Shown) else Shown(found, []))

    made = [*command.params, *parameters(json_option)]
    return click.Command(command.name, callback=run, params=made, help=command.help)

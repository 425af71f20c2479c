"""An app, as every face of the toolkit meets it: its name, what it can be trained for, and which of that a request means.

`cnnkit.cli` makes commands of one, `cnnkit.api` calls the same verbs from Python. Nothing slow is imported here: a recipe is made
when work begins.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit.commands import FILES, Commands
from cnnkit.errors import ConfigError
from cnnkit.reporter import SILENT, Reporter

if TYPE_CHECKING:  # settings are imported when somebody asks for them
    from cnnkit.settings import Room


@dataclasses.dataclass(frozen=True)
class Kind:
    """What an app is made of, where its inputs and its answers are those of the toolkit; `cnnkit.kinds` lists what there is.

    Attributes:
        recipe: (the app's own fields of a `Recipe`) -> `Recipe`; imports what is slow.
        rooms: returns the settings of its input and its task; imports nothing slow.
        commands: what the command line says of its inputs and of what is found in them.
        build_options: Click options of builders of the toolkit, for the `build_options` of an app that has these: of pictures
            those of `cnnkit.models.classifier`.
    """

    recipe: Callable[..., Any]
    rooms: "Callable[[], Sequence[type[Room]]]"
    commands: Commands
    build_options: Sequence[Callable[..., Any]] = ()


class Definition:
    """What an app says of itself.

    Args:
        help: one line on what it does.
        recipe: returns the app's `Recipe`; called only when work needs it, so it may import what is slow. Of an app with
            several tasks one each, by the word that `task` takes; the first is the default. With a `kind`: returns the
            recipe's fields that are the app's own, as a dictionary: `data`, `builders` and what else `Recipe` has.
        name: of the app, as in `cnnkit NAME`.
        kind: one of `cnnkit.kinds`, which brings inputs, task, reading, `rooms` and `commands`; None: the recipe has all of them.
        rooms: returns the settings of its input and its task, as `inputs.rooms` and `task.rooms` of the recipe have them; of an
            app with several tasks by the word of each. Of a `kind`: its own.
        commands: what they say of its inputs and of what is found in them, as the rooms of these kinds have it. Of a `kind`: its
            own.
        build_options: Click options of `train` that go to the model's builder, None where not given.
        preparation: returns what the app does to an input beyond fitting it into the model's shape, a
            `cnnkit.device.preparation.Preparation`, as `Recipe.inputs` has it. It must not load TensorFlow.
        by_data: whether the data decide which of several tasks it is (`Recipe.fitting`), and nobody is asked.
        pretrained: whether its recipes name models on published weights (`Recipe.pretrained`), so that `--help` speaks of them.

    Attributes:
        recipes: what makes the recipe of each task, by its word; "" is that of the only one.
        words: the words of its tasks, where one can be asked for; else none.
    """

    def __init__(
        self,
        help: str,
        recipe: Callable[[], Any] | Mapping[str, Callable[[], Any]],
        *,
        name: str,
        kind: Kind | None = None,
        rooms: "Callable[[], Sequence[type[Room]] | Mapping[str, Sequence[type[Room]]]] | None" = None,
        commands: Commands | None = None,
        build_options: Sequence[Callable[..., Any]] = (),
        preparation: Callable[[], Any] | None = None,
        by_data: bool = False,
        pretrained: bool = False,
    ):
        if kind is None and rooms is None:
            raise TypeError("An app needs a `kind`, one of cnnkit.kinds, or the `rooms` of its recipe.")
        if kind is not None and isinstance(recipe, Mapping):
            raise TypeError("An app of a `kind` has one task. Leave `kind` out, and give recipes and `rooms` by task.")
        self.help, self.name, self.pretrained = help, name, pretrained
        self.commands = commands or (kind.commands if kind else FILES)
        self.recipes = (
            dict(recipe) if isinstance(recipe, Mapping) else {"": recipe if kind is None else self._of(kind, recipe)}
        )
        self.words = () if len(self.recipes) < 2 or by_data else tuple(self.recipes)
        self.build_options, self.preparation = tuple(build_options), preparation
        self._rooms = rooms or (kind.rooms if kind else tuple)

    def _of(self, kind: Kind, own: Callable[[], Mapping[str, Any]]) -> Callable[[], Any]:
        def recipe() -> Any:
            from cnnkit.quiet import quiet

            with quiet():  # TensorFlow greets on standard error
                return kind.recipe(app=self.name, **own())

        return recipe

    def __repr__(self) -> str:
        return f"<app {self.name}: {self.help}>"

    @functools.cached_property
    def rooms(self) -> "Mapping[str, Sequence[type[Room]]]":
        """The settings of its input and its task, by the word of each task."""
        found = self._rooms()
        return found if isinstance(found, Mapping) else {"": found}

    def only(self, setting: str) -> list[str]:
        """Return the tasks that have a setting of some; none where all have it."""
        from cnnkit.settings import fields

        had = {word: {field.name for room in kinds for field in fields(room)} for word, kinds in self.rooms.items()}
        having = [word for word, names in had.items() if setting in names]
        return having if 0 < len(having) < len(had) else []

    def fitting(self, recipe: Any, given: Mapping[str, Any]) -> Any:
        """Return a recipe of this app.

        Raises:
            ConfigError: a setting that is given is one that only another task of the app has.
        """
        from cnnkit.settings import fields

        known = {field.name for field in fields(recipe.Settings)}
        foreign = [name for name in given if given[name] is not None and self.only(name) and name not in known]
        if foreign:
            raise ConfigError(
                f"`{foreign[0]}` is for --task {self.only(foreign[0])[0]}, and this is {recipe.task.name}."
            )
        return recipe

    def for_task(self, task: str | None) -> Any:
        """Return the recipe of a task, such as "detection"; the first where no task is known or none has it."""
        if task is not None:
            for make in self.recipes.values():
                found = make()
                if task in (found.task.name, *(other.name for other in found.others)):
                    return found.of_task(task)
        return next(iter(self.recipes.values()))()

    def for_artifact(self, path: Path | None, tell: Reporter = SILENT) -> Any:
        """Return the recipe that an artifact was made by; None: the latest run."""
        from cnnkit import opening

        if len(self.recipes) == 1 and not (only := self.for_task(None)).others:
            return only
        return self.for_task(opening.task_of(self.name, path, tell))

    def for_data(self, source: str | None) -> Any:
        """Return the recipe that data is for; None: the default data."""
        if not self.words or source is None:
            return self.for_task(None)
        from cnnkit.verbs.tasks import task_of_data

        return self.for_task(task_of_data(source, self.commands.first))

    def to_train(
        self,
        settings: Mapping[str, Any],
        *,
        config: Path | None = None,
        out: Path | None = None,
        resume: bool = False,
        tell: Reporter = SILENT,
    ) -> Any:
        """Return the recipe to train by: that of `settings["task"]`, else what resumes, the data or given weights ask for."""
        word = settings.get("task")
        if word is None and self.words:
            from cnnkit.verbs.tasks import task_to_train

            how: dict[str, Any] = {"config": config, "out": out, "resume": resume, "first": self.commands.first}
            return self.for_task(task_to_train(self.name, settings, **how, tell=tell))
        return self.recipes[word or next(iter(self.recipes))]()

"""What an app tells the core about its domain: plain functions, nothing looked up by string."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from cnnkit.settings import joined
from cnnkit.training.settings import Settings


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A model on weights that somebody publishes, which an app prefers to its plain one for a user's own pictures.

    Attributes:
        options: of the builder. `backbone` names the network, as `cnnkit.models.backbones.FAMILIES` has it, and `alpha` its
            width, where it has several.
        worth: what it is worth beside the plain model: a sentence with a number that was measured.
        model: the builder.
    """

    options: Mapping[str, Any]
    worth: str = ""
    model: str = "backbone"

    @classmethod
    def of(cls, *networks: tuple[str, *tuple[float, ...]], worth: str = "") -> tuple["Candidate", ...]:
        """Return candidates for the builder "backbone".

        Args:
            networks: the name of each, and the widths of one with several, in the order in which they are tried.
            worth: of the one whose worth was measured; it names the network.

        Example:
            >>> Candidate.of(("efficientnet_lite0",), ("mobilenet", 0.25, 0.5), worth="AP50 was 87 on MobileNet 0.25, and 66.")
        """
        options: list[dict[str, Any]] = []
        for name, *alphas in networks:
            options += [{"backbone": name, "alpha": alpha} for alpha in alphas] or [{"backbone": name}]
        return tuple(cls(entry, worth) for entry in options)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One domain.

    Attributes:
        app: its name, as in `cnnkit NAME`.
        data: the card trained on by default; one that needs no download.
        task: what is learnt and how it is scored, such as `cnnkit.tasks.classification.scoring.Classification()`.
        inputs: what kind its inputs are, such as `cnnkit.inputs.image.images.Images()`.
        load: (source, *, seed, limit, ...) -> `Splits`; as `cnnkit.inputs.image.loading.load`.
        builders: model builders by name, each f(shape, units of its last layer, **options) -> `keras.Model`.
        augmentation: seed -> what is done to a batch of training: of pictures a `cnnkit.augment.Pipeline`, of other inputs a
            function (inputs, targets, step) -> (inputs, targets); None: nothing.
        views: (training records, settings) -> (indices, step) -> (images, targets): what training sees of records, where that
            is more than `augmentation` of them; None: the records.
        side: model -> side in px of its square input; or (least, most): that of the data, within these; None: the data's own
            size, square or not.
        preset: (model, number of training records, whether weights are loaded) -> settings that suit them.
        side_step: sides of the input are multiples of it, px.
        options: (training records, model) -> options of the builder that suit them, unless others are given.
        follows: those of these options that nothing else may set: an earlier run's settings do not fit other records.
        describe: (training records, model) -> what artifacts should say of their input beyond its shape.
        fitting: (this recipe, splits) -> the recipe that fits them, where the data decide the task.
        tasks: names of the tasks that `fitting` chooses from; none: the recipe's own and the `others`.
        others: tasks that the data may ask for in place of `task`, where all else is the same; `fitting` says when.
        pretrained: models on published weights, the best first: the first whose weights are on the machine is trained on a user's
            own data, where `weights` is "auto" (`cnnkit.verbs.pretrained`). None: training starts from nothing.
        start: (new model, training records, settings) -> lines that say what it begins with, where weights come from the data.
        intended_use, limits: a sentence each for the model card.
        notice: what everyone is to know who sees scores, answers or a report; "": nothing.
    """

    app: str
    data: str
    task: Any
    inputs: Any
    load: Callable[..., Any]
    builders: Mapping[str, Callable[..., Any]]
    augmentation: Callable[[int], Callable[..., Any]] | None = None
    views: Callable[..., Callable[..., Any]] | None = None
    side: Callable[[str], int | tuple[int, int] | None] = lambda model: None
    side_step: int = 1
    options: Callable[[Any, str], dict[str, Any]] = lambda records, model: {}
    preset: Callable[[str, int, bool], dict[str, Any]] = lambda model, count, loaded: {}
    follows: tuple[str, ...] = ()
    describe: Callable[[Any, str], dict[str, Any]] = lambda records, model: {}
    fitting: Callable[[Any, Any], Any] = lambda recipe, splits: recipe
    tasks: tuple[str, ...] = ()
    others: tuple[Any, ...] = ()
    pretrained: tuple[Candidate, ...] = ()
    start: Callable[[Any, Any, Any], list[str]] = lambda model, records, settings: []
    intended_use: str = ""
    limits: str = ""
    notice: str = ""

    @property
    def Settings(self) -> Any:
        """The class of a run's settings: those that every training has, those of the input, those of the task."""
        return joined(Settings, *self.inputs.rooms, *self.task.rooms)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all its tasks."""
        return self.tasks or tuple(task.name for task in (self.task, *self.others))

    def of_task(self, name: str) -> "Recipe":
        """Return the recipe of one of its tasks; itself where it has none of this name."""
        every = (self.task, *self.others)
        chosen = next((task for task in every if task.name == name), self.task)
        return dataclasses.replace(self, task=chosen, others=tuple(task for task in every if task is not chosen))

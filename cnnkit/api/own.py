"""A model of one's own in a training of the toolkit: a Keras model, or a function that builds one.

Design choices:
- A model is copied, layers and weights: the one that was given stays as it is, and a second training begins where the first did.
- What cannot become an artifact is refused before anything is trained, in a line that says what a model has to be.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from cnnkit.errors import CnnkitError, ConfigError, reason
from cnnkit.registry import DEVICE, TASKS, TRAINING
from cnnkit.tasks.training import sides


class Own:
    """A builder that an app did not bring.

    Args:
        model: `keras.Model`, made with the functional API or `Sequential`; or f(input shape, number of labels, **options) that
            returns one.
        name: in the run.

    Attributes:
        wanted: options that the app's own builders would be given for the data.
    """

    def __init__(self, model: Any, name: str):
        self.model, self.name = model, name
        self.wanted: dict[str, Any] = {}
        self.__signature__ = inspect.signature(self._none if _is_model(model) else model)

    @staticmethod
    def _none(shape: Sequence[int], units: int) -> None:
        """Have the options of a model that is there already."""

    def __call__(self, shape: Sequence[int], units: int, **options: Any) -> Any:
        if not _is_model(self.model):
            built = self.model(tuple(shape), units, **options)
            if not _is_model(built):
                raise ConfigError(
                    f"`model`: {self.name} returns {type(built).__name__}. It has to return a keras.Model."
                )
            return built
        if options:
            raise ConfigError(
                f"`model` is a keras.Model, which has no option {next(iter(options))!r}. Give a function instead."
            )
        import keras

        copy = keras.models.clone_model(_as_graph(self.model))
        copy.set_weights(self.model.get_weights())
        return copy


def checking(builder: Own, task: str) -> Callable[..., Any]:
    """Return a builder whose models are looked at before they are trained for a task.

    Raises, when called:
        ConfigError: the model cannot be trained and released for the task; the line says why.
    """

    @functools.wraps(builder, updated=())
    def build(shape: Sequence[int], units: int, **options: Any) -> Any:
        model = _as_graph(builder(shape, units, **options))
        half = TASKS.half(task, TRAINING, task)
        why = _unfit(model, tuple(shape))
        if not why:
            try:
                model = half.owned(model, tuple(shape), units, builder.wanted)
            except ValueError as error:
                why = f"it {error}"
            else:
                why = _unreleasable(model, units, task)
        if why:
            raise ConfigError(
                f"`model`: {model.name} cannot be trained for {task}: {why}. A model of one's own {half.need}. Here are {units} "
                f"labels, and inputs {sides(shape)}."
            )
        return model

    return build


def options_of(builder: Own, given: dict[str, Any]) -> dict[str, Any]:
    """Return those of some options that a builder takes; it remembers all of them."""
    builder.wanted = {**builder.wanted, **given}
    parameters = inspect.signature(builder).parameters.values()
    return {p.name: given[p.name] for p in parameters if p.kind is p.KEYWORD_ONLY and p.name in given}


def _as_graph(model: Any) -> Any:
    """Return a `Sequential` that knows its input as the same layers in a functional model; any other model as it is."""
    import keras

    if isinstance(model, keras.Sequential) and model.built:
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return model


def _is_model(given: Any) -> bool:
    import keras

    return isinstance(given, keras.Model)


def _unfit(model: Any, shape: tuple[int, ...]) -> str:
    """Say why a model cannot be trained on inputs of a shape; "" where it can."""
    import keras

    try:
        given, answer = model.input, model.output
    except (AttributeError, ValueError):
        return "it was not made with the functional API or Sequential and an Input, so its graph is not known"
    if isinstance(given, list | dict) or isinstance(answer, list | dict):
        return "it has several inputs or outputs"
    takes = tuple(given.shape[1:])
    if len(takes) != len(shape) or any(own not in (None, side) for own, side in zip(takes, shape, strict=True)):
        return f"it takes {sides(takes)}, and the data has {sides(shape)}"
    foreign = [layer for layer in model._flatten_layers(include_self=False) if not _carried(layer)]
    if foreign:
        return f"it has a {type(foreign[0]).__name__} layer, code of its own, which its file cannot carry"
    last = model.layers[-1]
    ends = getattr(getattr(last, "activation", None), "__name__", "")
    if ends in ("softmax", "sigmoid") or isinstance(last, keras.layers.Softmax):
        return f"it ends in {ends or 'softmax'}"
    return ""


def _unreleasable(model: Any, units: int, task: str) -> str:
    """Say why a model cannot become an artifact of a task; "" where it can."""
    half = TASKS.half(task, TRAINING, task)
    metadata = {"task": task, "labels": [str(number) for number in range(units)], **half.tried(units)}
    try:
        outputs = half.finish(model, metadata)
        TASKS.half(task, DEVICE, task).labels(metadata, {name: tuple(values.shape) for name, values in outputs.items()})
    except CnnkitError:
        raise
    except Exception as error:  # of layers that are not as the task needs them
        return _plainly(error, units, model.output)
    return ""


def _plainly(error: Exception, units: int, answer: Any) -> str:
    text = str(error)
    if "and scores" in text:
        return f"it ends in {answer.shape[-1]} numbers for {units} labels"
    return reason(error)


def _carried(layer: Any) -> bool:
    return type(layer).__module__.split(".")[0] in ("keras", "cnnkit")

"""The kinds of inputs and of tasks there are, by the names that files give them: ours, and those that others install.

Design choices:
- A kind is a package with two modules, each with a `KIND`: `device` (NumPy alone, what runs on a device) and `training` (Keras,
  inside functions). So a device loads nothing but the first, and of one kind alone.
- Ours are the packages below `cnnkit.tasks` and `cnnkit.inputs`. Others register a package by an entry point of the same name as
  ours have: `number = "cnnkit_ages.number"` in the group `cnnkit.tasks`. What a file says is only looked up among these names.
- This module knows no kind, and imports none before it is asked for.
"""

import dataclasses
import functools
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit import plugins
from cnnkit.errors import ArtifactError, reason

DEVICE, TRAINING = "device", "training"


@dataclasses.dataclass(frozen=True)
class Registry:
    """Kinds of one sort.

    Attributes:
        what: they are, for people.
        group: of entry points, and the package that ours lie in.
    """

    what: str
    group: str

    @functools.cache  # noqa: B019 - there are two, and they live as long as the process
    def ours(self) -> list[str]:
        """Return the names of our own kinds."""
        import pkgutil  # a command that asks for no kind starts sooner without

        package = importlib.import_module(self.group)
        return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.ispkg)

    def half(self, name: Any, which: str, where: Path | str) -> Any:
        """Load one half of a kind.

        Args:
            name: as a file gives it.
            which: `DEVICE` or `TRAINING`.
            where: the name is from, for messages.

        Raises:
            ArtifactError: no such kind is installed, two packages have registered it, or it cannot be loaded.
        """
        if name in (known := self.ours()):
            return importlib.import_module(f"{self.group}.{name}.{which}").KIND
        others = plugins.installed(self.group)
        found = [entry for entry in others if entry.name == name]
        if not found:
            listed = ", ".join([*known, *dict.fromkeys(entry.name for entry in others)])
            raise ArtifactError(
                f"{where}: its {self.what} {name!r} is not known here, only {listed}. Install the app that made it."
            )
        owner, *more = map(plugins.package, found)
        if more:
            raise ArtifactError(
                f"{where}: its {self.what} {name!r} is of both {owner} and {more[0]}. Remove one of them."
            )
        try:
            return importlib.import_module(f"{found[0].value}.{which}").KIND
        except Exception as error:  # of another package, which may raise anything
            raise ArtifactError(
                f"{where}: its {self.what} {name!r} of {owner} cannot be loaded ({reason(error)})."
            ) from error

    def unsaid(self) -> str:
        """Return the name of our kind that a file means where it names none."""
        return next(name for name in self.ours() if self.half(name, DEVICE, name).unsaid)


TASKS = Registry("task", "cnnkit.tasks")
INPUTS = Registry("kind of input", "cnnkit.inputs")


def completed(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata with the names of today's kinds, where an early file has none or others; what is wrong stays as it is."""
    found, given, task = dict(metadata), metadata.get("input"), metadata.get("task")
    if isinstance(given, dict) and "kind" not in given:
        for name in INPUTS.ours():
            if INPUTS.half(name, DEVICE, name).unnamed(metadata):
                found["input"] = {"kind": name, **given}
                break
    if isinstance(task, str):
        found["task"] = today(task)
    return found


def today(task: str) -> str:
    """Return the name that a task of ours has now, by one that it had."""
    known = TASKS.ours()
    if task in known:
        return task
    return next((name for name in known if task in TASKS.half(name, DEVICE, name).early), task)


def input_of(metadata: Mapping[str, Any], which: str, where: Path | str) -> Any:
    """Return a half of the kind of input that metadata name.

    Raises:
        ArtifactError: they name none, as those of older versions, or one that is not known here.
    """
    if not names_input(metadata):
        raise ArtifactError(f"{where} does not say what kind of input it takes. Train or export it again.")
    return INPUTS.half(metadata["input"]["kind"], which, where)


def names_input(metadata: Mapping[str, Any]) -> bool:
    """Whether metadata name a kind of input."""
    return "kind" in metadata.get("input", {})


def task_of(metadata: Mapping[str, Any], which: str, where: Path | str) -> Any:
    """Return a half of the task that metadata name.

    Raises:
        ArtifactError: they name none, or one that is not known here.
    """
    if "task" not in metadata:
        raise ArtifactError(f"{where} does not say what it is for. Train or export it again.")
    return TASKS.half(metadata["task"], which, where)

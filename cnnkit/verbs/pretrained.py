"""What a training starts from where nobody says it: `weights="auto"`.

Design choices:
- The app names models on published weights, the best first (`Recipe.pretrained`). The first that agrees with what was said, and
  whose weights are on this machine, is taken, as if it had been asked for by name. Nothing is downloaded for it: how a run comes
  out must not hang on a network.
- It is for data of somebody's own. What an app draws or brings is there to be tried at once, with the plain network.
- The model decides how large pictures are, so it is chosen before they are read, and looked at again when their size is known.
- A run keeps what was chosen in its settings: it goes on with that, whatever is installed by then.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit.errors import CnnkitError, ConfigError
from cnnkit.recipe import Candidate
from cnnkit.training.settings import AUTO


def at_hand(published: Any) -> Path | None:
    """Return the file of published weights on this machine; None: it would have to be downloaded.

    All that `auto` knows of a machine comes from here. The tests put a function in its place that finds nothing, so that what is
    installed beside them changes nothing.
    """
    from cnnkit.models import weights

    return weights.at_hand(published)


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a training starts from.

    Attributes:
        given: settings, as they were given.
        candidates: models whose weights are at hand, the best first; the first is taken.
        worth: what they are worth, in a sentence.
        extra: of cnnkit, that installs some; "": none does.
        against: why better ones were passed over.
        open: whether there was something to choose; else nothing is said of it.
    """

    given: Mapping[str, Any]
    candidates: tuple[Candidate, ...] = ()
    worth: str = ""
    extra: str = ""
    against: tuple[str, ...] = ()
    open: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """The settings, as if somebody had asked for what was chosen."""
        if self.given.get("weights", AUTO) != AUTO:
            return dict(self.given)
        if not self.candidates:
            return {**self.given, "weights": "none"}
        first = self.candidates[0]
        options = {**self.given.get("options", {}), **first.options}
        return {**self.given, "weights": "imagenet", "model": first.model, "options": options}

    def fitting(self, recipe: Any, shape: tuple[int, ...]) -> "Choice":
        """Return the choice, once data is there: itself, or one to be tried in its place.

        Args:
            recipe: as it fits the data.
            shape: of an input.
        """
        if not self.open:
            return self
        if not recipe.pretrained:  # of data that no published weights are for
            return Choice(self.given)
        if not self.candidates or not (why := _unfit(recipe, self.candidates[0], shape)):
            return self
        return dataclasses.replace(self, candidates=self.candidates[1:], against=(*self.against, why))

    @property
    def why(self) -> str:
        """A sentence or two on what was chosen; "" where there was no choice."""
        if not self.open:
            return ""
        passed = f"; {'; '.join(self.against)}" if self.against else ""
        if self.candidates:
            text = f"ImageNet weights of {_name(self.candidates[0])} are at hand{passed}. {self.worth}"
        elif self.against:
            text = f"ImageNet weights are at hand, but {'; '.join(self.against)}. All layers start from initial values."
        else:
            text = "No ImageNet weights are at hand. All layers start from initial values."
        return text.strip()

    def line(self) -> str:
        """Return what a user is told; "" for nothing."""
        if self.open and self.candidates:
            return f"{self.why} `weights=none` takes the plain network in its place."
        if self.open and not self.against:
            more = (
                f"pip install 'cnnkit[{self.extra}]' brings some" if self.extra else "`weights=imagenet` downloads some"
            )
            return f"{self.why} {more}. {self.worth}".strip()
        return self.why

    def to_dict(self, plain: str) -> dict[str, Any]:
        """Return plain values for `run.json`: what was chosen, why, and what stands in its place; {}: there was no choice.

        `plain`: the model without weights.
        """
        if not self.open:
            return {}
        words = {name: value for name, value in self.settings.items() if name in ("weights", "model", "options")}
        instead = {"weights": "none", "model": plain}
        return {**instead, **words, "why": self.why, **({"instead": instead} if self.candidates else {})}


def chosen(recipe: Any, given: Mapping[str, Any]) -> Choice:
    """Choose what a training starts from, as far as that is known before data is read.

    Args:
        recipe: of the app.
        given: settings, as they were given.
    """
    if given.get("weights", AUTO) != AUTO or given.get("replay"):
        return Choice(given)
    agreeing = [candidate for candidate in recipe.pretrained if _agrees(recipe, candidate, given)]
    if not agreeing or not is_own(given.get("data") or recipe.data):
        return Choice(given)
    files = [recipe.inputs.published(candidate.options) for candidate in agreeing]
    here = tuple(candidate for candidate, known in zip(agreeing, files) if any(map(at_hand, known)))
    worth = next((candidate.worth for candidate in (*here, *agreeing) if candidate.worth), "")
    extra = next((file.extra for known in files for file in known if file.extra), "")
    return Choice(given, here, worth, extra, open=True)


def is_own(source: str) -> bool:
    """Whether data is somebody's own, or at least has files: not what an app draws, nor what comes with a library."""
    from cnnkit.data import cards, fetch

    path = cards.path_of(source)
    if path is not None and path.suffix.lower() != ".toml":
        return True
    try:
        return any(fetch.needed(form) for form in cards.load(source).forms)
    except CnnkitError:  # whoever loads it says what is wrong
        return True


def _agrees(recipe: Any, candidate: Candidate, given: Mapping[str, Any]) -> bool:
    """Whether a candidate is what was asked for, as far as anything was."""
    from cnnkit.training import building

    options = given.get("options", {})
    if given.get("model", candidate.model) != candidate.model:
        return False
    if any(options.get(name, value) != value for name, value in candidate.options.items()):
        return False
    try:
        building.builder_of(recipe, candidate.model, {**options, **candidate.options})
    except ConfigError:  # an option that only another model has
        return False
    return bool(recipe.inputs.published({**options, **candidate.options}))  # of such a width


def _name(candidate: Candidate) -> str:
    return " ".join(str(value) for value in candidate.options.values())


def _unfit(recipe: Any, candidate: Candidate, shape: tuple[int, ...]) -> str:
    """Say why a candidate cannot be taken for inputs of a shape; "" where it can."""
    sides = "x".join(map(str, reversed(shape[:-1])))
    files = recipe.inputs.published(candidate.options, shape)
    if not files:
        return f"{_name(candidate)} takes no {recipe.inputs.noun} of {sides} px"
    if not any(map(at_hand, files)):
        return f"those of {_name(candidate)} for {recipe.inputs.noun} of {sides} px, {files[0].file}, are not"
    return ""

"""What an app's command line says of the kind of its inputs and of what is found in them; `cnnkit.cli.app` makes commands of it.

The room of a kind fills this in, in a file `commands.py` that imports Click and the standard library alone, so that `--help`
answers at once. The defaults are those of files of which nothing is known.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click


class Number(click.FloatRange):
    """A number within bounds. Click lets NaN through, which is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if found != found:
            self.fail(f"{value!r} is not a number.", param, ctx)
        return found


@dataclasses.dataclass(frozen=True)
class Commands:
    """What differs between the commands of kinds.

    Attributes:
        kind: of input, that is meant where an artifact names none; "": that of files without one.
        given: what Click makes of each input: a path, or a text.
        stand_ins: cards that a flag stands for, beside the one that is trained on by default: (flag, card, help) each, such as
            ("--large", "large-circles", "Use large circles.").
        first: what data is taken for where it can be, in an app with several tasks; "": what its reader says.
        predicted, explained: what stands for inputs in the help of `predict` and `explain`.
        predict, top, check, show: the help of `predict`, of its option `--top`, of `data check`, of `data show`.
        explain, layer: the help of `explain`, of its option `--layer`.
        options: further Click options of `predict`, handed to what predicts (`InputKind.predicts`, `TaskKind.predicts`).
        foreign: what an error says after the name of such an option, where a model has no use for it.
        needed: whether `predict` needs an input; else its options may name some.
        skips: whether `predict` can go on without inputs that cannot be read.
        writes: whether `predict` writes files.
        draws: whether `data show` draws a picture.
        data: further commands of `data`; each is called with `tell` too, a `cnnkit.reporter.Reporter`, and returns what `--json`
            prints, or a `cnnkit.shown.Shown`.
    """

    kind: str = ""
    given: Any = click.Path(path_type=Path, allow_dash=True)  # noqa: RUF009 - it holds no state
    stand_ins: Sequence[tuple[str, str, str]] = ()
    first: str = ""
    predicted: str = "INPUT..."
    explained: str = "INPUT..."
    predict: str = "Answer what files hold: files or folders."
    top: str = "How many classes to show for each input."
    check: str = "Look for what spoils training."
    show: str = "Show samples with their targets."
    explain: str = "Show what the model looks at: layer table, filters, feature maps, Grad-CAM, classic filters."
    layer: str = "Show the feature maps of this layer.  [default: the first and last that have some]"
    options: Sequence[Callable[..., Any]] = ()
    foreign: str = "means nothing to this model."
    needed: bool = True
    skips: bool = True
    writes: bool = False
    draws: bool = False
    data: Sequence[click.Command] = ()


FILES = Commands()

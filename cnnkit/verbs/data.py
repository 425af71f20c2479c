"""`data list`, `fetch`, `check` and `show`."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit import own_files
from cnnkit.reporter import SILENT, Reporter, reported
from cnnkit.run_data import at_their_side, load, those_given


def known(recipe: Any) -> dict[str, Any]:
    """Return the known cards, each with `where` its data is, and the app's `default`."""
    from cnnkit.data import cards

    rows = [{"name": c.name, "title": c.title, "licence": c.licence, "where": _where(c)} for c in cards.known()]
    return {"cards": rows, "default": recipe.data}


def _where(card: Any) -> str:
    from cnnkit.data import fetch

    found = fetch.locate(card)
    if found is None:
        return "not here; `data fetch` gets it"
    return "embedded" if found[0] is None else str(found[0])


@dataclasses.dataclass(frozen=True)
class Fetched:
    """A card's files.

    Attributes:
        card: its name.
        title: of the data.
        files: of the download; none where it needs none.
        folder: that holds them.
        verified: files whose checksum was looked at; None: what was there is used as it is.
    """

    card: str
    title: str
    files: list[Path]
    folder: Path | None
    verified: int | None


def fetch(name: str, *, tell: Reporter = SILENT) -> Fetched:
    """Download a card's files, where they are not here."""
    from cnnkit.data import cards, fetch

    card = cards.load(name)
    with reported(tell, f"Fetching {card.name}") as update:
        paths = fetch.fetch(card, progress=update)
    if not paths:
        return Fetched(card.name, card.title, [], None, None)
    folder, _ = fetch.provide(card)
    return Fetched(card.name, card.title, paths, folder, fetch.stamped_files(folder) if folder else None)


@dataclasses.dataclass(frozen=True)
class Checked:
    """What a look at data found.

    Attributes:
        data: what was looked at.
        looked: lines on what that was.
        findings: what would spoil training, as `cnnkit.data.findings.Finding`.
        fit: whether it is fit for training: without an error, and if that was asked for without a warning.
        sound: what there is to say where nothing was found.
    """

    data: str
    looked: list[str]
    findings: list[Any]
    fit: bool
    sound: str


def check(
    recipe: Any,
    source: str | None = None,
    columns: Mapping[str, Any] | None = None,
    *,
    strict: bool = False,
    tell: Reporter = SILENT,
) -> Checked:
    """Look for what would spoil training; `columns` say where labels and the like are, `strict` minds warnings too."""
    looked: list[str] = []
    with reported(tell, "Checking") as update:
        findings = recipe.inputs.check(source or recipe.data, update, looked, **those_given(columns or {}))
    fit = not {finding.severity for finding in findings} & ({"error", "warning"} if strict else {"error"})
    return Checked(source or recipe.data, looked, findings, fit, recipe.inputs.sound)


def show(
    recipe: Any,
    source: str | None = None,
    *,
    out: Path | None = None,
    seed: int = 0,
    columns: Mapping[str, Any] | None = None,
    tell: Reporter = SILENT,
) -> Any:
    """Show samples, as they are and as the model sees them; `columns` as in `check`.

    Returns:
        a `cnnkit.shown.Shown`; where it is a picture, that is in `out`.
    """
    settings = recipe.Settings(data=source or recipe.data, seed=seed)
    given = {"data": source, "seed": seed, **those_given(columns or {})}
    own_files.check([out] if out else [])
    _, splits = at_their_side(recipe, settings.model, given, load(recipe, given, tell=tell))
    recipe = recipe.fitting(recipe, splits)
    return recipe.inputs.show(recipe, splits, settings, out)

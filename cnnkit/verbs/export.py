"""`export`: files for a device, each through the gate."""

import dataclasses
import difflib
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnkit import own_files
from cnnkit.errors import ConfigError, GateRefused
from cnnkit.quiet import quiet
from cnnkit.reporter import SILENT, Reporter
from cnnkit.run import EXPORT, MODEL, Run, latest
from cnnkit.run_data import data_for, named_as, say_drawn, those_given
from cnnkit.score import headline
from cnnkit.verbs.report import report, write_report
from cnnkit.verbs.scoring import keras_of, score


@dataclasses.dataclass(frozen=True)
class Exported:
    """Files that passed the gate.

    Attributes:
        folder: that holds them.
        document: as `gate.json` has it: scores, checks and sizes of each file.
        summary: what the gate found, in a sentence.
        verdict: on the trained model itself, where its run has one.
    """

    folder: Path
    document: dict[str, Any]
    summary: str
    verdict: dict[str, Any] | None


def export(
    recipe: Any,
    artifact: Path | None = None,
    *,
    precision: str | None = None,
    profile: str = "litert",
    tolerance: float | None = None,
    data: str | None = None,
    out: Path | None = None,
    columns: Mapping[str, Any] | None = None,
    code: bool = True,
    explain: bool = False,
    keep_float: Sequence[str] = (),
    tell: Reporter = SILENT,
) -> Exported:
    """Convert, and let each file through the gate.

    Args:
        recipe: of the app.
        artifact: a run or its model; None: the latest run.
        precision: names with commas between them; None: all that the profile makes by itself.
        profile: for whom the files are (`cnnkit.export.profiles`).
        tolerance: points that may be lost; None: the task's.
        data: other data than the run's own, to be scored on.
        out: folder of the files; None: `export` in the run, and there a folder for each profile but LiteRT's.
        code: write programs that run the files beside them, with golden inputs (`cnnkit.export.samples`).
        explain: find out which layers of files of integers lose most.
        keep_float: layers that stay float in the int8 file.
        columns: where other data has texts and labels.
        tell: hears of progress and warnings.

    Raises:
        GateRefused: a file is not the trained model, or loses too much; its `document` says which and why.
        ConfigError: no such precision, profile or tolerance, or the model cannot have it.
    """
    path = artifact or latest(recipe.app, tell)
    if path.is_dir():
        path = Run.open(path, recipe.app).file(MODEL)
    with quiet():
        from cnnkit.export import convert, gate, samples
        from cnnkit.export.profiles import LITERT, profile_named
        from cnnkit.export.profiles.profile import QUANTISED
    client = profile_named(profile)
    precisions = [name.strip() for name in (precision or ",".join(client.precisions)).split(",") if name.strip()]
    known = (*client.precisions, *client.more)
    if not precisions or not set(precisions) <= set(known):
        whom = "" if profile == LITERT else f" for {client.title}"
        raise ConfigError(f"`precision` knows {', '.join(known)}{whom}. Got {precision!r}.")
    if tolerance is not None and not (type(tolerance) in (int, float) and tolerance >= 0):  # NaN refuses nothing
        raise ConfigError(f"`tolerance` must be a number of at least 0. Got {tolerance!r}.")
    if explain and not set(precisions) & set(QUANTISED):
        raise ConfigError(f"`explain` is for files of integers. Name one as `precision`: {', '.join(QUANTISED)}.")
    opened = keras_of(path, recipe.app)
    if keep_float:
        _refuse_kept(opened.model, client, precisions, keep_float)
    made_for = client(opened.model, opened.metadata)
    names = [gate.GATE]
    for name in precisions:
        stem = f"{recipe.app}-{name}"
        names += [f"{stem}.tflite", *made_for.named_beside(stem, name)]
    programs_of = [f"{samples.CODE}/{name}" for name in samples.names(made_for)]
    names += programs_of if code else []
    made = [out / name for name in names] if out else []
    own_files.check(made)
    convert.admitted(opened.model, opened.metadata, made_for)
    found = data_for(recipe, path, data, tell=tell, whole=False, **those_given(columns or {}))
    run, splits = found.run, named_as(found.splits, opened.labels, tell)
    if not found.own:
        say_drawn(splits, "test", tell)
    own = (run.path if run else path.parent) / EXPORT
    folder = out or (own if profile == LITERT else own / profile)
    folds = "folds" in splits.card and not len(splits.test)
    if folds:
        splits = dataclasses.replace(splits, test=splits.train)
        tell.note(
            "Every record was trained on in some fold: that the files answer as the model is what their scores say."
        )
    programs = functools.partial(samples.write, folder, made_for, splits.test, bool(splits.card.get("private")))
    _, answered, targets = score(
        recipe, opened, splits.test, "Scoring the trained model", tell
    )  # for the report as well
    known = run.document.get("scores", {}).get("test", {}) if run is not None and data is None else {}
    first = headline(known)
    for path in own_files.ours([] if code else [folder / name for name in programs_of]):
        path.unlink()  # of an earlier file, with its labels
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    try:
        with tell.progress("Exporting", len(precisions) + 2) as update:
            document = gate.export(
                opened,
                folder,
                train=splits.train,
                held_out=splits.test,
                task=recipe.task,
                precisions=precisions,
                tolerance=tolerance,
                name=recipe.app,
                validation=splits.validation,
                scored=(answered, targets),
                baseline=(known.get("baseline") or {}).get(first.name if first else recipe.task.headline),
                profile=made_for,
                code=programs if code else None,
                explain=explain,
                keep_float=keep_float,
                progress=update,
            )
    except GateRefused as error:
        error.document = json.loads((folder / gate.GATE).read_text(encoding="utf-8"))
        raise
    finally:
        own_files.note(made)
    within = run is not None and folder in (own, own / profile)
    if run is not None and folds and within:
        report(recipe, run.path, data=data, tell=tell)
    elif run is not None and within and run.document.get("scores"):
        write_report(recipe, run, splits, opened, answered, targets, tell=tell)
    verdict = run.document.get("scores", {}).get("test", {}).get("verdict") if run is not None else None
    return Exported(folder, document, gate.summary(document), verdict)


def _refuse_kept(model: Any, client: Any, precisions: Sequence[str], keep_float: Sequence[str]) -> None:
    """Raise where layers cannot stay float.

    Raises:
        ConfigError: a file, a client or a model that has no such layers, or no layer of a name.
    """
    from cnnkit.models import eight_bits

    if client.foreign:
        raise ConfigError(f"`keep_float` is not for {client.title}, whose files are int8 throughout. Leave it out.")
    if "int8" not in precisions:
        raise ConfigError("`keep_float` is for int8 files. Name int8 as `precision`, or leave it out.")
    if eight_bits.ranges(model):
        raise ConfigError("`keep_float` is not for a model that was trained with `quantise_aware`. Leave it out.")
    names = [layer.name for layer in model._flatten_layers() if layer is not model]
    for name in keep_float:
        if name not in names:
            near = difflib.get_close_matches(name, names, 3, 0.4) or names[:3]
            raise ConfigError(f"`keep_float`: the model has no layer {name}. Near are {', '.join(near)}.")

"""Readers of texts, one for each format of `cnnkit.inputs.text.files`."""

from functools import partial
from pathlib import Path

from cnnkit.data.reading import Part, Reader, Request
from cnnkit.inputs.text import files


def read_texts(request: Request, form: str) -> Part:
    """Texts with labels, in a format of `cnnkit.inputs.text.files`."""
    path = request.path("folder" if form == "text-folder" else "file")
    return part_of(files.read(path, form, request.options, progress=request.progress))


def part_of(read: files.Read) -> Part:
    """Return what was read as a reader gives it; `more` is all that is known."""
    found = read.found
    images = found.texts  # the places of texts are kept where those of images are
    return Part(images, found.codes, found.names, read.groups, found.bad, entries=list(read.entries), more=read)  # type: ignore[arg-type]


def _fits(path: Path, named: bool, form: str) -> bool:
    return files.detect(path, form if named else "")[0] == form


def _splits(path: Path, form: str) -> dict[str, dict[str, str]]:
    return files.detect(path, form)[1]


def _reader(form: str) -> Reader:
    where = "folder" if form == "text-folder" else "file"
    return Reader(
        partial(read_texts, form=form),
        "text",
        (where,),
        options=files.OPTIONS[form],
        fits=partial(_fits, form=form),
        splits=partial(_splits, form=form),
        waits=True,
    )


TEXT_CSV = _reader("text-csv")
TEXT_JSONL = _reader("text-jsonl")
FASTTEXT = _reader("fasttext")
LABEL_SENTENCE = _reader("label-sentence")
TEXT_FOLDER = _reader("text-folder")

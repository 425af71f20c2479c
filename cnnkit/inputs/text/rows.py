"""The texts of a table, JSON lines or a JSON array, without labels: what `predict` reads. No TensorFlow, nothing kept."""

from collections.abc import Iterator
from pathlib import Path

from cnnkit.errors import DataError
from cnnkit.inputs.text import columns, containers
from cnnkit.inputs.text.formats import REPEATED, Source

_TABLES = (".csv", ".tsv", ".tab")
_JSON = (".jsonl", ".ndjson", ".json")


def has_columns(path: Path) -> bool:
    """Say whether a file is a table or one of JSON, by its name."""
    return path.suffix.lower() in _TABLES + _JSON


def texts(path: Path, column: str | int | None = None, encoding: str | None = None) -> tuple[Iterator[str], str]:
    """Return the texts of a file, one of each row, and a line that says where they were found.

    Args:
        path: of a table or JSON.
        column: of the texts: a name, or a number from 0. None: found by its name or its long cells.
        encoding: of the file; None: UTF-8.

    Returns:
        the texts, empty where a row has none.

    Raises:
        DataError: no such column, or, once it is read, a row that cannot be.
    """
    of_json = path.suffix.lower() in _JSON
    plain = containers.plain(path, encoding, json_lines=of_json)
    head, mark = containers.unmarked(plain.path, columns.SAMPLE)
    if not head.strip():
        return iter(()), f"{path} is empty."
    options = {"text": column}
    if of_json:
        choice = columns.json_lines(path, head, options, labelled=False)
    else:
        choice = columns.table(path, head, options, labelled=False)
    return _read(path, plain, choice, mark + choice.skip), f"{path}: {choice.notes[-1]}"


def _read(path: Path, plain: containers.Plain, choice: columns.Choice, skip: int) -> Iterator[str]:
    with plain.path.open("rb") as file:
        file.seek(skip)
        line, header = 1 + (choice.skip > 0), choice.header
        for _, lines, label, text, problem in choice.form.rows(Source(file)):
            if text is REPEATED or (header and (label is not None or problem)):
                header = False
            elif problem not in (None, "no text"):
                raise DataError(f"{path}, {plain.unit} {line:,}: {problem}. Repair it.")
            elif label is not None or problem:
                try:
                    yield text.decode()
                except UnicodeDecodeError:
                    raise DataError(
                        f"{path}, {plain.unit} {line:,} is not UTF-8. Convert it first, or name its `encoding`."
                    ) from None
            line += lines

"""What the command line says of volumes."""

from pathlib import Path
from typing import Any

import click

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("source", type=FILE, metavar="IN")
@click.argument("out", type=FILE, metavar="OUT")
@click.option("--skip-bad", is_flag=True, help="Leave out what is refused, instead of refusing all.")
@click.option("--names", is_flag=True, help="Show paths of files in messages; they may hold names of patients.")
def anonymise(source: Path, out: Path, skip_bad: bool, names: bool, tell: Any) -> Any:
    """Anonymise the DICOM files in IN, and in the folders in it, into a new folder OUT.

    It follows the basic confidentiality profile of the DICOM standard (dicom-anonymizer, tables 2026c), removes private
    attributes, gives new UIDs that fit together within a study, and replaces all dates and times by one dummy. Every file is
    then searched for what identified; if anything is left, nothing is written.

    Refused are pictures with text burned in, ultrasound, secondary captures, documents and DICOMDIR. It is no guarantee:
    text in pixels is not seen, and faces in scans of a head remain.
    """
    from cnnkit.inputs.volume.anonymise import anonymise

    return anonymise(source, out, skip_bad=skip_bad, names=names, tell=tell)

"""The log of a driving simulator: a line a moment, with the pictures of three cameras and the angle of the steering wheel.

Design choices:
- `driving_log.csv` of Udacity's simulator: center, left, right, steering, throttle, brake, speed; with a header or without.
  Paths in it are
  those of the machine that recorded (C:\\Users\\...\\IMG\\center_....jpg): the file's name counts, in IMG beside the log.
- The left and right cameras see the road as if the car stood aside; their angle is that of the middle plus or less
  `side_angle`, so that
  a model learns to come back (Bojarski et al. 2016). They are for training alone: no car drives by them.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.device import image
from cnnkit.errors import DataError
from cnnkit.files import printable
from cnnkit.tasks.regression import tables
from cnnkit.tasks.regression.tables import Lines, Rows, Table

COLUMNS = ("center", "left", "right", "steering", "throttle", "brake", "speed")
SIDE_ANGLE = 0.2  # of a wheel turned from -1 to 1
ANGLE = "steering"


def columns(table: Table | None) -> dict[str, int] | None:
    """Return the places of the columns of a driving log by their names; None where it is none."""
    if table is None:
        return None
    names = [name.lower().replace("centre", "center") for name in table.names]
    if {"center", ANGLE} <= set(names):
        return {name: names.index(name) for name in COLUMNS if name in names}
    unnamed = names == [f"column {place}" for place in range(len(names))]
    if unnamed and len(names) >= 4 and table.rows:
        cells = [cell.strip() for cell in table.rows[0][1]]
        if len(cells) >= 4 and all(image.is_named(cell) for cell in cells[:3]) and tables.number(cells[3]) is not None:
            return {name: place for place, name in enumerate(COLUMNS[: len(names)])}
    return None


def fits(path: Path) -> bool:
    """Whether a file is a driving log, by its beginning."""
    return columns(tables.opened(path, tables.BEGINNING)) is not None


def read(root: Path, table: Table, lines: Lines, options: Mapping[str, Any], group: str) -> Rows:
    """Read a driving log; as `tables.read`. The option `side_angle` is the correction of the side cameras; 0: without them."""
    where = columns(table)
    if where is None:
        raise DataError(f"{table.path} is no driving log: it needs the columns center and {ANGLE}.")
    asked = [name.strip().lower() for name in str(options.get("values") or ANGLE).split(",") if name.strip()]
    unknown = [name for name in asked if name not in where or name in COLUMNS[:3]]
    if unknown:
        raise DataError(f"{table.path} has no column `values={unknown[0]}`. It has {', '.join(list(where)[3:])}.")
    correction = float(SIDE_ANGLE if options.get("side_angle") is None else options["side_angle"])
    cameras = [("center", 0.0), ("left", correction), ("right", -correction)]
    cameras = [entry for entry in cameras if entry[0] in where and (correction or entry[0] == "center")]
    base = os.path.relpath(table.path.parent, root).replace(os.sep, "/")
    base = "" if base == "." else f"{base}/"
    files, numbers, places, side, bad, absent = [], [], [], [], [], 0
    for moment, (line, cells) in enumerate(lines):
        cells = [cell.strip() for cell in cells] + [""] * (len(table.names) - len(cells))
        values, reason = tables.parsed([cells[where[name]] for name in asked])
        at = f"{table.path.name}, line {line}"
        if reason:
            bad.append((f"{at}: {', '.join(cells[where[name]] for name in asked)}", reason))
            continue
        for camera, added in cameras:
            file = _there(root, base, cells[where[camera]])
            if file is None:
                if camera == "center":
                    bad.append((f"{at}: {printable(cells[where[camera]])}", tables.ABSENT))
                    break
                absent += 1
                continue
            files.append(file)
            numbers.append([value + added * (name == ANGLE) for name, value in zip(asked, values, strict=True)])
            places.append(moment)
            side.append(camera != "center")
    notes = []
    if any(side):
        notes.append(
            f"Side cameras: for training alone, with {correction:g} added to the {ANGLE} of the left one, and taken from the "
            "right one's (`side_angle`)."
        )
    if absent:
        notes.append(f"{absent:,} pictures of side cameras are not there; their moments are learnt without them.")
    return Rows(
        files,
        np.array(numbers, np.float64).reshape(len(files), len(asked)),
        tuple(asked),
        [group] * len(files) if group else None,
        np.array(places, int),
        np.array(side, bool),
        bad,
        notes,
    )


def _there(root: Path, base: str, name: str) -> str | None:
    """Return the path of a picture below `root`: as it is written, or by its name in IMG or beside the log."""
    found = tables.there(root, base, name) if ":" not in name and not name.startswith(("/", "\\")) else None
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return found or tables.there(root, base, f"IMG/{last}") or tables.there(root, base, last)

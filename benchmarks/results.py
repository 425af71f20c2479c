"""Where every benchmark writes what it measured: with its command, its settings and the machine."""

import datetime
import shlex
import sys
from pathlib import Path
from typing import Any

from cnnkit.files import write_json
from cnnkit.run import machine, versions

FOLDER = Path(__file__).parent / "results"


def write(name: str, content: dict[str, Any], path: Path | None = None) -> Path:
    """Write `results/NAME.json` and return its path."""
    script = Path(sys.argv[0]).name
    command = shlex.join(["python", f"benchmarks/{script}", *sys.argv[1:]])
    path = path or FOLDER / f"{name}.json"
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    write_json(path, {"command": command, "date": date, "machine": machine(), "versions": versions(), **content})
    print(f"-> {path}")
    return path

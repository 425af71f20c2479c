"""Microcontrollers with an Ethos-U, a unit for neural networks beside the processor: the file for them, compiled for it.

Design choices:
- The compiler is Arm's own, `ethos-u-vela`. What it makes can only be run on the unit: so the file before it is what passes the
  gate, as one for microcontrollers, and the compiled one lies beside it and says so.
- One unit alone, the U55 with 128 multipliers and the set-up that the compiler has for it; what the compiler is given is said, so
  that a person can call it for another.
- What the unit cannot do stays on the processor, by the operators that TFLM has. It is named.
"""

import csv
import dataclasses
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit.errors import CnnkitError, MissingExtra
from cnnkit.export import cpp, tflm
from cnnkit.export.graph import graph_of
from cnnkit.export.profiles.micro import Micro, kinds
from cnnkit.files import write_bytes, write_text
from cnnkit.trials import python

OPTIONS = ("--accelerator-config", "ethos-u55-128", "--system-config", "Ethos_U55_High_End_Embedded")
MODE = ("--memory-mode", "Shared_Sram")
SECONDS = 600  # that compiling may take
UNIT = "CUSTOM"  # what runs on the unit is one operator of its own


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What the compiler made of a file.

    Attributes:
        content: the file.
        sram, flash: bytes.
        macs: multiplications with additions of an answer.
        left: operators that stay on the processor, with their layers.
    """

    content: bytes
    sram: int
    flash: int
    macs: int
    left: tuple[str, ...]


class EthosU(Micro):
    """Files for microcontrollers with an Ethos-U."""

    name = "ethos-u"
    title = "an Ethos-U"

    def __init__(self, model: Any, metadata: Mapping[str, Any]):
        super().__init__(model, metadata)
        try:
            import ethosu.vela  # noqa: F401
        except ImportError as error:
            raise MissingExtra(
                "Files for an Ethos-U are compiled by ethos-u-vela, which is not installed: "
                'pip install "cnnkit[micro]".'
            ) from error

    def named_beside(self, name: str, precision: str) -> list[str]:
        return [f"{name}-vela.tflite", *super().named_beside(name, precision)]

    def beside(self, folder: Path, name: str, precision: str, content: bytes) -> list[str]:
        made = compiled(content, name)
        file = f"{name}-vela.tflite"
        used = kinds(made.content)
        methods = ["AddEthosU" if kind == UNIT else tflm.method(kind) for kind in used]
        arena = made.sram + tflm.arena(content).kept
        how = "Not measured: the SRAM that the compiler counts, and what TFLM kept for the file before it was compiled."
        described = dataclasses.replace(
            self.for_cpp(name, precision, content),
            file=file,
            content=made.content,
            methods=methods,
            arena=-(-arena // tflm.KIB) * tflm.KIB,
            about_arena=how,
        )
        code = cpp.code(described)
        write_bytes(folder / file, made.content)
        for other, text in code.items():
            write_text(folder / other, text)
        left = f"On the processor stay {', '.join(made.left)}." if made.left else "Nothing stays on the processor."
        if UNIT not in used:
            left = "None of it runs on the unit: use the profile micro. " + left
        return [
            f"{file} is compiled by `vela {' '.join((*OPTIONS, *MODE))} {name}.tflite`, and cannot be run here: what passed is "
            f"{name}.tflite. {left} It takes {made.sram:,} bytes of SRAM, {made.flash:,} of flash, and {made.macs:,} "
            f"multiply-adds an answer, as the compiler counts. Beside it: {', '.join(code)}."
        ]


def compiled(content: bytes, name: str) -> Compiled:
    """Compile a file.

    Args:
        content: of it.
        name: of it, without suffix.

    Raises:
        CnnkitError: the compiler fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder, f"{name}.tflite"), Path(folder, "out")
        given.write_bytes(content)
        line, environment = python(
            "from ethosu.vela.vela import main; main()", str(given), *OPTIONS, *MODE, "--output-dir", str(out)
        )
        try:
            done = subprocess.run(line, capture_output=True, timeout=SECONDS, env=environment, check=False, text=True)
        except subprocess.TimeoutExpired:
            raise CnnkitError(f"ethos-u-vela does not end within {SECONDS} s on {name}.tflite.") from None
        made = out / f"{name}_vela.tflite"
        tables = sorted(out.glob("*_summary_*.csv"))
        if done.returncode or not made.is_file() or not tables:
            said = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
            raise CnnkitError(f"ethos-u-vela cannot compile {name}.tflite: {said[-1][:200]}")
        whole = made.read_bytes()
        with tables[0].open(encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file))
    flash = (float(row[f"{kind}_flash_memory_used"]) for kind in ("on_chip", "off_chip"))
    left = tuple(dict.fromkeys(step.place for step in graph_of(whole, forms=True).steps if step.kind != UNIT))
    sram, macs = round(float(row["sram_memory_used"]) * tflm.KIB), round(float(row["nn_macs"]))
    return Compiled(whole, sram, round(sum(flash) * tflm.KIB), macs, left)


PROFILE = EthosU

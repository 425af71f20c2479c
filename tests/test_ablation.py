"""What `benchmarks/ablation.py` leaves out, the order of its trainings and its table; the trainings themselves run by hand."""

import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def ablation():
    before = {name: sys.modules.get(name) for name in ("ablation", "text", "results")}
    sys.path.insert(0, str(FOLDER))  # as a script has it
    try:
        specification = importlib.util.spec_from_file_location("ablation", FOLDER / "ablation.py")
        module = importlib.util.module_from_spec(specification)
        sys.modules["ablation"] = module  # its dataclass looks its own module up
        specification.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(FOLDER))
        for name in before:
            sys.modules.pop(name, None)
        sys.modules.update({name: found for name, found in before.items() if found is not None})


def row(variant, data, number, score, **more):
    return {"variant": variant, "data": data, "number": number, "score": score, "processor_seconds": 10.0, **more}


def test_all_on_and_all_off_come_first_over_all_sets(ablation):
    cells = ablation.order(["all-on", "no-pairs", "all-off", "no-refit"], ["mr", "trec"], [0, 1])
    assert cells[:4] == [("all-on", "mr", 0), ("all-off", "mr", 0), ("all-on", "trec", 0), ("all-off", "trec", 0)]
    assert [cell[0] for cell in cells[4:8]] == ["all-on", "all-off"] * 2
    assert cells[8:12] == [(name, data, 0) for data in ("mr", "trec") for name in ("no-pairs", "no-refit")]


def test_what_is_not_in_use_is_not_trained_without_it(ablation):
    used = {"refit": False, "pairs": 64}
    idle = [name for name, variant in ablation.VARIANTS.items() if not variant.in_use(used)]
    assert idle == ["all-on", "no-refit"]
    assert ablation.VARIANTS["no-refit"].in_use(used | {"refit": True})
    assert not ablation.VARIANTS["no-pairs"].in_use(used | {"pairs": 0})


def test_the_table_compares_the_numbers_that_both_have(ablation):
    rows = [row("all-on", "mr", 0, 0.8), row("all-on", "mr", 1, 0.7), row("no-pairs", "mr", 1, 0.69)]
    rows += [row("all-on", "trec", 0, 0.9), row("no-pairs", "trec", 0, 0.91)]
    last = ablation.table(rows).splitlines()[-1]
    assert "69.00 -1.00 (1)" in last and "91.00 +1.00 (1)" in last and "+0.00" in last

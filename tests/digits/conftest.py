"""The pages that `read` is measured on are the benchmarks' own; the tests read them too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

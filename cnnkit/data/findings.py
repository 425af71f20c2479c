"""What a check of a data set finds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STARVED = 0.1  # of the median class: a class with fewer images is starved
FEW = 10  # images of a class in training below which nothing is learnt reliably
MOST_FILES = 20  # named in a finding


@dataclass(frozen=True)
class Finding:
    """Something found in a data set.

    Attributes:
        severity: "error", "warning" or "note".
        kind: a word to find it by, such as "duplicate".
        text: one line: what it is and what to do.
        files: what it is about, the first 20.
    """

    severity: str
    kind: str
    text: str
    files: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", tuple(self.files[:MOST_FILES]))


def listed(severity: str, kind: str, text: str, files: Sequence[str]) -> list[Finding]:
    """Return the finding about some files; none where there are none."""
    return [Finding(severity, kind, text, files)] if files else []


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in their order, errors first, notes last."""
    return sorted(findings, key=lambda finding: ("error", "warning", "note").index(finding.severity))

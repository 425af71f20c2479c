"""What a check of a data set finds."""

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
        files: the images it is about, the first 20.
    """

    severity: str
    kind: str
    text: str
    files: tuple[str, ...] = ()

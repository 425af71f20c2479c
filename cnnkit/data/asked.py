"""Which labels each record was asked for.

Where a record may have several labels, or boxes of several classes, a label that is not there means "no" only if somebody looked
for it. Data of an earlier run was never asked for a label that came later, and data of other people may lack labels that a
model knows. Loss, thresholds and scores leave such pairs of a record and a label out.
"""

from dataclasses import dataclass

import numpy as np

UNASKED = -1.0  # the target of a label that a record was not asked for


@dataclass(frozen=True)
class Asked:
    """Which labels the records of a source were asked for.

    Attributes:
        part: uint8 (n,), for each place of the source the row of `table` that holds for it.
        table: bool (k, classes).
    """

    part: np.ndarray
    table: np.ndarray

    def of(self, places: np.ndarray) -> np.ndarray:
        """Return bool (b, classes) for these places."""
        return self.table[self.part[places]]

    def never(self) -> np.ndarray:
        """Return the codes of labels that some record was not asked for, ascending: int (k,)."""
        return np.flatnonzero(~self.table.all(0))


def asked(rows: np.ndarray) -> Asked | None:
    """Put bool (n, classes), a row a record, into few bytes; None where every record was asked for every label."""
    if rows.all():
        return None
    table, part = np.unique(rows, axis=0, return_inverse=True)
    return Asked(part.reshape(-1).astype(np.uint8 if len(table) <= 256 else np.uint32), table)

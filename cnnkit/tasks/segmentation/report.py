"""The sections of a report that show masks."""

from collections.abc import Mapping
from typing import Any


def sections(scores: Mapping[str, Any]) -> list[Any]:
    """Return what scores are made of."""
    from cnnkit.report import sections as shared

    return [shared.per_class(scores)]


def made(task: Any, splits: Any, artifact: Any, scores: Any, found: Any, truth: Any) -> list[Any]:
    """Return the sections that are made of pictures."""
    return []

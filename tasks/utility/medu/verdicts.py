"""The one face of all judges: they describe tasks by their dev items, and give documents an expected label value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Missing = Literal["", "unreadable", "refused", "budget"]


@dataclass(frozen=True)
class Verdict:
    """A document's expected label value in [0, 1], or why there is none.

    shares: probability of each label, best first, where the judge gives labels. missing: unreadable (no label on
    the last line), refused (by the endpoint, for the document's own content), budget (not asked: no tokens left).
    """

    value: float | None
    missing: Missing = ""
    shares: tuple[float, ...] | None = None


class Judge(Protocol):
    """What `openai`, `transformers` and `ngram` have in common. A description is the judge's own to read."""

    def describe(self, dev_items: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """A description of each task, from its dev items (texts)."""
        ...

    def label(self, questions: Sequence[tuple[Any, str]]) -> list[Verdict]:
        """A verdict on each (description, document), in their order."""
        ...

    def about(self, sources: int) -> dict[str, Any]:
        """JSON-ready facts: requests, tokens, cost beside ablations of so many sources."""
        ...

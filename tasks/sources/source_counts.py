"""What became of a source's documents, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Counts:
    """What became of a source's documents; language: of its text, as a code; near_duplicates: None where not asked."""

    documents: int = 0
    bytes: int = 0
    tokens: int = 0
    duplicates: int = 0
    heldout_documents: int = 0
    contaminated: dict[str, int] = field(default_factory=dict)
    removed: int = 0
    language: str | None = None
    near_duplicates: int | None = None

    def add(self, found: Mapping[str, Any]) -> None:
        """Count what a step found in a chunk."""
        for task, number in found.get("contaminated", {}).items():
            self.contaminated[task] = self.contaminated.get(task, 0) + number
        for name, number in found.items():
            if name != "contaminated" and getattr(self, name) is not None:
                setattr(self, name, getattr(self, name) + number)

    def facts(self) -> dict[str, Any]:
        """Without what was not asked for."""
        return {
            name: value
            for name, value in vars(self).items()
            if name != "near_duplicates" or value is not None
        }

"""What a rule that judges responses says of itself: its name, what it asks, and the argument that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tasks.tables.table import as_number

Argument = Literal["none", "text", "number", "count"]


@dataclass(frozen=True)
class Rule:
    """holds: (response, argument) to whether the rule holds. argument: what it takes; a count is whole and above 0."""

    name: str
    line: str
    holds: Callable[[str, str], bool]
    argument: Argument

    def check(self, argument: str) -> None:
        """Raise ValueError, saying what the argument is, where it is missing or not what the rule takes."""
        if self.argument == "none":
            return
        if not argument:
            raise ValueError(f"empty; the rule {self.name!r} needs one")
        if self.argument == "text":
            return
        value = as_number(argument)
        if not math.isfinite(value):
            raise ValueError(f"{argument!r} must be a number")
        if self.argument == "count" and (value < 1 or value != int(value)):
            raise ValueError(f"{argument!r} must be a whole number above 0")

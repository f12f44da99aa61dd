"""What pydantic refuses, in sentences without its own words."""

from __future__ import annotations

from pydantic import ValidationError


def refusals(error: ValidationError, whole: str = "") -> list[str]:
    """`place: what is wrong` of each refusal; `whole` where it is of all that was given."""
    return [
        ": ".join(
            filter(None, (".".join(map(str, one["loc"])) or whole, one["msg"].removeprefix("Value error, ")))
        )
        for one in error.errors()
    ]

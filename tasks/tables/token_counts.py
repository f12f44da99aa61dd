"""Numbers of tokens as people write them: 12_000, 1e11, 100B, 1.2T."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BeforeValidator

THOUSANDS = {"K": 10**3, "M": 10**6, "B": 10**9, "G": 10**9, "T": 10**12}


def token_count(text: str) -> int:
    """The whole number that the text says; ValueError for what is none, such as 1.5, `lots` or 1e999999."""
    digits, factor = text.strip().upper(), 1
    if digits[-1:] in THOUSANDS:
        digits, factor = digits[:-1], THOUSANDS[digits[-1]]
    try:
        exact = Decimal(digits.strip()) * factor
        if exact.is_finite() and exact.adjusted() < 30 and exact == exact.to_integral_value():
            return int(exact)
    except InvalidOperation:
        pass
    raise ValueError(f"{text!r} is no whole number of tokens; allowed: such as 12_000, 1e11, 100B, 1.2T")


def _read(given: Any) -> Any:
    return token_count(given) if isinstance(given, str) else given


TokenCount = Annotated[int, BeforeValidator(_read)]

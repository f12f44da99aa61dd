"""The rule `excludes`."""

from __future__ import annotations

from tasks.preference.annotation.annotators.rule import Rule


def _holds(response: str, argument: str) -> bool:
    # An empty response obeys nothing.
    return bool(response.strip()) and argument.lower() not in response.lower()


RULE = Rule(
    "excludes",
    "the argument does not stand in the response, which is not empty (case does not count)",
    _holds,
    argument="text",
)

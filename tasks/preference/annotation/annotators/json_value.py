"""The rule `json`."""

from __future__ import annotations

import json

from tasks.preference.annotation.annotators.rule import Rule


def _holds(response: str, argument: str) -> bool:
    try:
        json.loads(response, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


RULE = Rule("json", "the response is a JSON value that a reader can hold", _holds, argument="none")

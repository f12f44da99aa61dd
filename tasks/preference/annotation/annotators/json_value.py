"""The rule `json`."""

from __future__ import annotations

import json

from tasks.preference.annotation.annotators.rule import Rule


def _holds(response: str, argument: str) -> bool:
    try:
        json.loads(response)
    except json.JSONDecodeError:
        return False
    return True


RULE = Rule("json", "the response is a JSON value", _holds, argument="none")

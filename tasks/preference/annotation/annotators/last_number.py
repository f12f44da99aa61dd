"""The rule `answer`: the last number of a worked answer."""

from __future__ import annotations

import math
import re

from tasks.preference.annotation.annotators.rule import Rule

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def _holds(response: str, argument: str) -> bool:
    found = NUMBER.findall(response)
    return bool(found) and math.isclose(float(found[-1].replace(",", "")), float(argument))


RULE = Rule("answer", "the last number of the response is the argument", _holds, argument="number")

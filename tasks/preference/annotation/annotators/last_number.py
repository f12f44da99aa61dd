"""The rule `answer`: the last number of a worked answer."""

from __future__ import annotations

import math
import re

from tasks.preference.annotation.annotators.rule import Rule

# A minus is a sign only where nothing stands before it that it could follow: "10-12", "GPT-4" and "5)-3" hold none.
SIGN = r"(?:(?<![\w.)\]%])[-\u2212])?"
WHOLE = r"\d{1,3}(?:,\d{3})+(?![\d,]*\d)|\d+"
NUMBER = re.compile(rf"{SIGN}(?:(?:{WHOLE})(?:\.\d+)?|(?<!\d)\.\d+)(?:[eE][-+]?\d+)?")


def _holds(response: str, argument: str) -> bool:
    found = NUMBER.findall(response)
    return bool(found) and math.isclose(_value(found[-1]), float(argument))


def _value(text: str) -> float:
    return float(text.replace(",", "").replace("\u2212", "-"))


RULE = Rule("answer", "the last number of the response is the argument", _holds, argument="number")

"""The rule `no_repeat`."""

from __future__ import annotations

from tasks.preference.annotation.annotators.rule import Rule


def _holds(response: str, argument: str) -> bool:
    words, size = response.lower().split(), int(float(argument))
    runs = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
    return bool(words) and len(runs) == len(set(runs))


RULE = Rule("no_repeat", "no run of as many words as the argument comes twice", _holds, argument="count")

"""The rule `words_at_most`."""

from tasks.preference.annotation.annotators.rule import Rule

RULE = Rule(
    "words_at_most",
    "no more words than the argument, and one at least",
    lambda response, argument: 0 < len(response.split()) <= int(float(argument)),
    argument="count",
)

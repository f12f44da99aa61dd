"""The rule `words_exactly`."""

from tasks.preference.annotation.annotators.rule import Rule

RULE = Rule(
    "words_exactly",
    "as many words as the argument",
    lambda response, argument: len(response.split()) == int(float(argument)),
    argument="count",
)

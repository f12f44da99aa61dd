"""The rule `first_word`."""

from tasks.preference.annotation.annotators.rule import Rule

RULE = Rule(
    "first_word",
    "the first word, up to a blank, is the argument",
    lambda response, argument: response.split()[:1] == [argument],
    argument="text",
)

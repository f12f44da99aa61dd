"""The rule `ends_with`."""

from tasks.preference.annotation.annotators.rule import Rule

RULE = Rule(
    "ends_with",
    "the response ends with the argument",
    lambda response, argument: response.rstrip().endswith(argument),
    argument="text",
)

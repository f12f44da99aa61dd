"""The rule `contains`."""

from tasks.preference.annotation.annotators.rule import Rule

RULE = Rule(
    "contains",
    "the argument stands in the response (case does not count)",
    lambda response, argument: argument.lower() in response.lower(),
    argument="text",
)

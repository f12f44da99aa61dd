"""The rule `starts_with`."""

from tasks.preference.annotation.annotators.rule import Rule

RULE = Rule(
    "starts_with",
    "the response starts with the argument",
    lambda response, argument: response.lstrip().startswith(argument),
    argument="text",
)

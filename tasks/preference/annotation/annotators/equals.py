"""The rule `equals`."""

from tasks.preference.annotation.annotators.rule import Rule

RULE = Rule(
    "equals",
    "the response is the argument, blanks around it apart",
    lambda response, argument: response.strip() == argument.strip(),
    argument="text",
)

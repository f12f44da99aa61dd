"""Rules that judge responses in people's place, one file each. To add one: its file, and its line here."""

from tasks.method import by_name, listed
from tasks.preference.annotation.annotators import (
    contains,
    ends_with,
    equals,
    excludes,
    first_word,
    json_value,
    last_number,
    no_repeat,
    starts_with,
    words_at_most,
    words_exactly,
)
from tasks.preference.annotation.annotators.rule import Rule

RULES: tuple[Rule, ...] = listed(globals(), "RULE")
RULES_BY_NAME = by_name(RULES)

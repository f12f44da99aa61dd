"""Kinds of benchmark item, one file each: what an item is once it is read, and how it is scored.

An item is a JSON object with the fields of its kind, one kind a task. It may carry "text": what it says without the
labels ("Question:", "Answer:") of its prompt. To add a kind: its file, and its line here.
"""

from tasks.benchmarks.kinds import (  # isort: skip
    choice,
    cloze,
    answer,
    code,
)
from tasks.benchmarks.kinds.item_kind import ItemKind
from tasks.method import by_name, listed

KINDS: tuple[ItemKind, ...] = listed(globals(), "KIND")
KINDS_BY_NAME = by_name(KINDS)

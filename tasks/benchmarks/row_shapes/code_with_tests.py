"""A task told in words, a program that does it and tests of it (MBPP, Austin et al. 2021, arXiv 2108.07732).

The context is what a Python file would begin with: the task and its tests as a docstring.
"""

from __future__ import annotations

from tasks.benchmarks.kinds import code
from tasks.benchmarks.kinds.item_kind import Item
from tasks.benchmarks.row_shapes.row_shape import STRING, STRING_LIST, Row, RowShape
from tasks.benchmarks.row_shapes.row_texts import clean, joined, shown, string

STOPS = ["\nclass", "\nassert", '\n"""', "\nprint", "\nif ", "\n<|", "\n```"]


def _item(row: Row) -> Item:
    question, reference = string(row, "question").strip(), string(row, "canonical_solution")
    tests = [clean(test).strip() for test in row["tests"] if test.strip()]
    if not question or not reference.strip() or not tests:
        raise ValueError("question, canonical_solution or tests are empty; allowed: strings with text")
    setup = row.get("test_setup") or ""
    if not isinstance(setup, str):
        raise ValueError(f"test_setup is {shown(setup)}; allowed: a string")
    listed = "\n".join(tests)
    return {
        "context": f'"""\n{question}\n{listed}\n"""\n',
        "references": [reference.replace("\r\n", "\n").rstrip() + "\n"],
        "begin": "",
        "tests": f"{clean(setup)}\n{listed}",
        "stops": STOPS,
        "text": joined(question, reference),
    }


SHAPE = RowShape(
    "code-with-tests",
    "a program that passes the tests",
    code.KIND,
    _item,
    fields={"question": STRING, "canonical_solution": STRING, "tests": STRING_LIST},
)

"""The beginning of a function and a program that tests it (HumanEval, Chen et al. 2021, arXiv 2107.03374)."""

from __future__ import annotations

from tasks.benchmarks.kinds import code
from tasks.benchmarks.kinds.item_kind import Item
from tasks.benchmarks.row_shapes.row_shape import STRING, Row, RowShape
from tasks.benchmarks.row_shapes.row_texts import string

STOPS = ["\nclass", "\ndef", "\n#", "\nif", "\nprint"]  # of the paper, section 2.1


def _item(row: Row) -> Item:
    prompt, reference, test = (string(row, name) for name in ("prompt", "canonical_solution", "test"))
    name = string(row, "entry_point").strip()
    if not prompt.strip() or not reference.strip() or not test.strip():
        raise ValueError("prompt, canonical_solution or test is empty; allowed: strings with text")
    if not name.isidentifier():
        raise ValueError(f"entry_point is {name[:80]!r}; allowed: the name of a function")
    front = prompt.rstrip()  # the line end before the function's body belongs to the tokens that go on
    return {
        "context": front,
        "references": [prompt[len(front) :] + reference],
        "begin": front,
        "tests": f"{test}\n\ncheck({name})",
        "stops": STOPS,
    }


SHAPE = RowShape(
    "code-to-complete",
    "the rest of the function, which passes the tests",
    code.KIND,
    _item,
    fields={"prompt": STRING, "canonical_solution": STRING, "test": STRING, "entry_point": STRING},
)

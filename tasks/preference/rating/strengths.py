"""How much better an answer is, in the four strengths of Llama 2, and the margins that a reward model gives them.

Touvron et al. 2023, arXiv 2307.09288, table 27.
"""

from __future__ import annotations

STRENGTHS = (
    "",
    "negligibly better",
    "slightly better",
    "better",
    "significantly better",
)  # by their numbers, from 1
STRONGEST = len(STRENGTHS) - 1
MARGINS = {"none": (0.0, 0.0, 0.0, 0.0), "small": (0.0, 1 / 3, 2 / 3, 1.0), "large": (0.0, 1.0, 2.0, 3.0)}


def margin_of(strength: float, kind: str) -> float:
    """The margin of a strength from 1 to 4; of one between two, as a mean of votes is, straight between theirs."""
    table = MARGINS[kind]
    below = min(int(strength) - 1, len(table) - 2)
    part = strength - 1 - below
    return table[below] * (1 - part) + table[below + 1] * part

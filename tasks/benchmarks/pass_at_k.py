"""pass@k: the chance that one of k programs, drawn from those that a model wrote for an item, passes its tests.

Of n programs c pass; the unbiased estimate is 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, arXiv 2107.03374, equation 1):
the share of all choices of k among the n in which one passes. The score is its mean over items.
"""

from __future__ import annotations

from math import comb

NAME = "pass@"


def pass_at_k(written: int, passed: int, k: int) -> float:
    """Of one item. Raises ValueError for more programs that pass than were written, and for k beyond those."""
    if not 0 <= passed <= written:
        raise ValueError(f"{passed} of {written} programs passed; allowed: 0 to {written}")
    if not 1 <= k <= written:
        raise ValueError(f"pass@{k} of {written} programs; allowed: 1 to {written}")
    return 1 - comb(written - passed, k) / comb(written, k)

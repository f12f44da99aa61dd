"""Where the next labels are worth most: the expected fall of the mixture's uncertainty.

With w(U) the mixture of a utility U whose cells c have standard errors s_c over n_c labels, by the delta method

    Var(w) = sum_c || dw/dU_c ||^2 s_c^2     summed over the weights,

and m more labels in cell c let s_c^2 fall to s_c^2 n_c / (n_c + m), so that Var(w) is expected to fall by

    || dw/dU_c ||^2 s_c^2 m / (n_c + m).

The slopes are secants over one standard error to either side (less where a cell would leave [0, 1]): a mixture
has kinks where a source enters or meets its cap, which an infinitesimal step would not see. An error that more
labels cannot lower, that of the items or of a judge's bias, should not be in s_c.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tasks.utility.matrix import UtilityMatrix

Solve = Callable[[pd.DataFrame], Mapping[str, float]]


@dataclass(frozen=True)
class LabelGains:
    """What m more labels are expected to bring.

    deviation: standard deviation of the weights, the root of the sum of their variances. cells: source, task, n,
    stderr, variance (of Var(w), what this cell brings), fall (of Var(w)) and fall_share, largest fall first.
    sources: source and the falls of its cells together, where m documents of it are labelled for every task.
    """

    deviation: float
    more: int
    cells: pd.DataFrame
    sources: pd.DataFrame


def label_gains(
    matrix: UtilityMatrix, labels: Mapping[str, Mapping[str, int]], solve: Solve, more: int
) -> LabelGains:
    """The gains of `more` labels in each cell.

    labels: so many by source and task. solve: utility (sources x tasks) -> weights by source; called twice for
    each cell that has an error. Raises ValueError for cells without a number of labels.
    """
    if more < 1:
        raise ValueError(f"more={more}: must be at least 1 label")
    missing = [
        (source, task)
        for source in matrix.values.index
        for task in matrix.values.columns
        if labels.get(source, {}).get(task, 0) < 1
    ]
    if missing:
        raise ValueError(f"the number of labels is not known for {missing[:5]} (of {len(missing)} cells)")
    rows = []
    for source in matrix.values.index:
        for task in matrix.values.columns:
            error, n = float(matrix.errors.loc[source, task]), labels[source][task]
            variance = _variance(matrix.values, source, task, error, solve)
            rows.append(
                {
                    "source": source,
                    "task": task,
                    "n": n,
                    "stderr": error,
                    "variance": variance,
                    "fall": variance * more / (n + more),
                }
            )
    cells = pd.DataFrame(rows)
    total = float(cells["variance"].sum())
    cells["fall_share"] = cells["fall"] / total if total > 0 else 0.0
    cells = cells.sort_values(["fall", "source", "task"], ascending=[False, True, True], ignore_index=True)
    sources = cells.groupby("source", as_index=False)[["variance", "fall", "fall_share"]].sum()
    sources = sources.sort_values(["fall", "source"], ascending=[False, True], ignore_index=True)
    return LabelGains(float(np.sqrt(total)), more, cells, sources)


def _variance(values: pd.DataFrame, source: str, task: str, error: float, solve: Solve) -> float:
    """|| dw/dU_c ||^2 s_c^2 by the secant over one standard error to either side."""
    if error == 0:
        return 0.0
    at = float(values.loc[source, task])  # type: ignore[arg-type]
    low, high = max(at - error, 0.0), min(at + error, 1.0)
    found = []
    for value in (low, high):
        moved = values.copy()
        moved.loc[source, task] = value
        weights = solve(moved)
        found.append(np.array([weights[name] for name in values.index]))
    slope = (found[1] - found[0]) / (high - low)
    return float(slope @ slope) * error**2

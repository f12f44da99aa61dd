"""A judge's bias against trusted utilities (anchors), and the estimate calibrated on them, errors included.

An anchor is the utility of a source for a task as an ablation or people found it. Judges are known to score some
groups of sources too low (large web corpora: Held et al. 2025). The model is a line with an offset for each
group g of sources, the simplest that can mend this and keeps the order within a group:

    anchor = a_g + b * judged + scatter,

where both sides have errors. b minimises sum W (y - a_g - b x)^2 with W = 1 / (sy^2 + b^2 sx^2 + tau^2) and a_g
the weighted mean of y - b x (York 1966; Deming for known errors); tau, the scatter beyond the errors, is what
brings that sum to its degrees of freedom (Paule and Mandel 1982). With fewer than groups + 4 anchors the slope
is not estimated: b = 1, offsets alone. A calibrated cell's variance is

    b^2 s^2 + (x, 1) Cov(b, a_g) (x, 1)' + tau^2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.pseudo_inverse import pseudo_inverse
from tasks.tables.reading import table_of
from tasks.tables.table import as_text
from tasks.utility.matrix import UtilityMatrix
from tasks.utility.medu.labelling import label_error
from tasks.utility.methods.table_utility import WORDING as UTILITY_WORDING
from tasks.utility.methods.table_utility import number

Array = NDArray[np.float64]
OTHERS = "others"
WORDING = replace(UTILITY_WORDING, ragged="not as many cells as there are columns ({columns})")
BEYOND_GROUPS = 4
LEAST_ERROR = 1e-4
STEEPEST = math.atan(20.0)
GRID = 61  # angles of slopes looked at before the best is refined


@dataclass(frozen=True)
class Line:
    """anchor = offsets[g] + slope * judged; covariance of (slope, offsets in order); scatter tau; anchors used."""

    slope: float
    offsets: dict[str, float]
    covariance: Array
    scatter: float
    slope_is_estimated: bool
    anchors: int

    def at(self, group: str, value: float, error: float) -> tuple[float, float]:
        """The calibrated value, in [0, 1], and its standard error."""
        place = 1 + list(self.offsets).index(group)
        gradient = np.zeros(len(self.covariance))
        gradient[0], gradient[place] = value, 1.0
        variance = (self.slope * error) ** 2 + gradient @ self.covariance @ gradient + self.scatter**2
        return min(max(self.offsets[group] + self.slope * value, 0.0), 1.0), math.sqrt(variance)


def read_anchors(path: Path) -> pd.DataFrame:
    """The anchors of a table as source, task, value, stderr, documents; one row a cell.

    Columns source, task, value and optionally stderr (left out: exact). A cell that stands more than once is one
    of anchor documents, a row each without stderr: it has their mean, with the error of a mean of so many labels.
    Raises ValueError naming file and line.
    """
    table = table_of(path, "utility.anchors", WORDING)
    columns = table.columns
    if not {"source", "task", "value"} <= set(columns) <= {"source", "task", "value", "stderr"}:
        raise ValueError(f"{path}:1: columns {columns}: must be source, task, value and optionally stderr")
    cells: dict[tuple[str, str], list[tuple[float, float | None]]] = {}
    for line, (_, given) in zip(table.numbers, table.rows, strict=True):
        where = f"{path}:{line}"
        row = {column: as_text(cell) for column, cell in given.items()}
        for column in ("source", "task"):
            if not row[column]:
                raise ValueError(f"{where}: column {column!r} is empty; a name is needed")
        value = number(where, "value", row["value"], 1.0)
        stated = row.get("stderr", "")
        stderr = number(where, "stderr", stated, math.inf) if stated else None
        cell = (row["source"], row["task"])
        cells.setdefault(cell, []).append((value, stderr))
        if len(cells[cell]) > 1 and any(one is not None for _, one in cells[cell]):
            raise ValueError(
                f"{where}: source {cell[0]!r} and task {cell[1]!r} stand twice; only documents' values, without "
                "stderr, may"
            )
    rows = []
    for (source, task), found in cells.items():
        values = [value for value, _ in found]
        spread = found[0][1] or 0.0 if len(found) == 1 else label_error(values)
        rows.append((source, task, float(np.mean(values)), spread, len(found)))
    if not rows:
        raise ValueError(f"{path}: no row below the header")
    return pd.DataFrame(rows, columns=["source", "task", "value", "stderr", "documents"])


def calibrated(
    matrix: UtilityMatrix, anchors: pd.DataFrame, groups: Mapping[str, Sequence[str]] | None = None
) -> UtilityMatrix:
    """The utility calibrated on anchors (as `read_anchors` gives them); about["calibration"] says how.

    groups: sources by group; those in none are one together. Raises ValueError for names that the utility does
    not have, for a group without an anchor, and where the estimate does not rise with the anchors.
    """
    group_of = _groups(matrix, groups or {})
    joined = _joined(matrix, anchors, group_of)
    line = fit_line(joined, list(dict.fromkeys(group_of.values())))
    values, errors = matrix.values.astype(float).copy(), matrix.errors.astype(float).copy()
    for source in values.index:
        for task in values.columns:
            at = line.at(
                group_of[source],
                float(matrix.values.loc[source, task]),
                float(matrix.errors.loc[source, task]),
            )
            values.loc[source, task], errors.loc[source, task] = at
    after = joined.copy()
    for row in after.index:
        cell = after.loc[row, "source"], after.loc[row, "task"]
        after.loc[row, ["judged", "judged_error"]] = values.loc[cell], errors.loc[cell]
    about = {
        "anchors": len(joined),
        "model": "anchor = offset of the source's group + slope x judged",
        "slope": line.slope,
        "slope_stderr": math.sqrt(line.covariance[0, 0]),
        "slope_is_estimated": line.slope_is_estimated,
        "offsets": line.offsets,
        "scatter": line.scatter,
        "groups": {name: [s for s, g in group_of.items() if g == name] for name in line.offsets},
        "bias_before": bias_by_group(joined),
        "bias_after": bias_by_group(after),
    }
    return UtilityMatrix(values, errors, {**matrix.about, "calibration": about})


def bias_by_group(joined: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Mean of judged - anchor by group, its standard error (scatter between anchors included), and anchors."""
    found = {}
    for name, rows in joined.groupby("group", sort=False):
        difference = (rows["judged"] - rows["value"]).to_numpy(float)
        variance = _variances(rows["judged_error"]) + _variances(rows["stderr"])
        extra = _scatter(lambda t, d=difference, v=variance: _chi_square(d, v + t), len(rows) - 1)
        weight = 1 / (variance + extra)
        found[str(name)] = {
            "bias": float(weight @ difference / weight.sum()),
            "stderr": float(1 / math.sqrt(weight.sum())),
            "anchors": len(rows),
        }
    return found


def fit_line(joined: pd.DataFrame, groups: Sequence[str]) -> Line:
    """See the module. joined: columns judged, judged_error, value, stderr, group; every group has a row."""
    x, y = joined["judged"].to_numpy(float), joined["value"].to_numpy(float)
    vx, vy = _variances(joined["judged_error"]), _variances(joined["stderr"])
    member = np.array([[group == name for name in groups] for group in joined["group"]], float)
    estimated = len(x) >= len(groups) + BEYOND_GROUPS
    free = len(x) - len(groups) - estimated

    def profile(slope: float, extra: float) -> tuple[float, Array, Array]:
        weight = 1 / (vy + slope**2 * vx + extra)
        offsets = (weight * (y - slope * x)) @ member / (weight @ member)
        return float(weight @ (y - slope * x - member @ offsets) ** 2), offsets, weight

    def best_slope(extra: float) -> float:
        from scipy.optimize import minimize_scalar

        if not estimated:
            return 1.0
        angles = np.linspace(0, STEEPEST, GRID)
        near = int(np.argmin([profile(math.tan(angle), extra)[0] for angle in angles]))
        bounds = (angles[max(near - 1, 0)], angles[min(near + 1, GRID - 1)])
        found = minimize_scalar(
            lambda angle: profile(math.tan(angle), extra)[0], bounds=bounds, method="bounded"
        )
        return math.tan(float(found.x))

    extra = _scatter(lambda t: profile(best_slope(t), t)[0], free)
    slope = best_slope(extra)
    if slope < 1e-3:
        raise ValueError(
            f"utility.anchors: over {len(x)} anchors the estimate does not rise with the trusted utility; it cannot "
            "be calibrated, only replaced"
        )
    _, offsets, weight = profile(slope, extra)
    true = x + weight * slope * vx * (y - slope * x - member @ offsets)
    design = np.column_stack([true, member]) if estimated else member
    covariance = np.zeros((1 + len(groups), 1 + len(groups)))
    begin = 0 if estimated else 1
    covariance[begin:, begin:] = pseudo_inverse(design.T @ (design * weight[:, None]), hermitian=True)
    return Line(
        slope,
        dict(zip(groups, offsets.tolist(), strict=True)),
        covariance,
        math.sqrt(extra),
        estimated,
        len(x),
    )


def _scatter(chi_square: Any, free: int) -> float:
    """The variance tau^2 that brings chi_square(tau^2), which falls, to its degrees of freedom; 0 if it is below."""
    if free < 1 or chi_square(0.0) <= free:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if chi_square(middle) > free else (low, middle)
    return high


def _chi_square(difference: Array, variance: Array) -> float:
    weight = 1 / variance
    return float(weight @ (difference - weight @ difference / weight.sum()) ** 2)


def _variances(errors: pd.Series) -> Array:
    return np.maximum(errors.to_numpy(float), LEAST_ERROR) ** 2


def _groups(matrix: UtilityMatrix, groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The group of each source."""
    unknown = sorted({source for members in groups.values() for source in members} - set(matrix.values.index))
    if unknown:
        raise ValueError(
            f"utility.anchor_groups: unknown sources {unknown}; the sources are {list(matrix.values.index)}"
        )
    named = {source: group for group, members in groups.items() for source in members}
    return {str(source): named.get(str(source), OTHERS) for source in matrix.values.index}


def _joined(matrix: UtilityMatrix, anchors: pd.DataFrame, group_of: Mapping[str, str]) -> pd.DataFrame:
    """Anchors beside what was judged of them: judged, judged_error, group."""
    for what, names in (("source", matrix.values.index), ("task", matrix.values.columns)):
        unknown = sorted(set(anchors[what]) - set(names))
        if unknown:
            raise ValueError(f"utility.anchors: unknown {what}s {unknown}; the {what}s are {list(names)}")
    joined = anchors.copy()
    cells = list(zip(anchors["source"], anchors["task"], strict=True))
    joined["judged"] = [float(matrix.values.loc[cell]) for cell in cells]
    joined["judged_error"] = [float(matrix.errors.loc[cell]) for cell in cells]
    joined["group"] = [group_of[source] for source, _ in cells]
    without = sorted(set(group_of.values()) - set(joined["group"]))
    if without:
        raise ValueError(
            f"utility.anchors: the groups {without} of sources have no anchor; give each one at least, or put "
            "their sources into another group (utility.anchor_groups)"
        )
    return joined

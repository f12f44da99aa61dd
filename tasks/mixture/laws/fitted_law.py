"""One face for all laws: fit to runs, predict losses of mixtures by source name, propose a mixture.

The order of sources, losses and runs in a table never matters: inside, sources and runs are put into an order
that depends on their numbers alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.mixture.laws import LAWS_BY_NAME
from tasks.mixture.laws.predictor import Predictor
from tasks.mixture.laws.run_table import normalised
from tasks.mixture.mixture import Mixture
from tasks.mixture.solver.capped_simplex import Array

Order = NDArray[np.intp]


@dataclass(frozen=True)
class FittedLaw:
    """A law fitted to runs. sources and losses are the names it knows; about: JSON-ready facts of the fit.

    largest_seen: the largest weight of each source in any run. runs: the mixtures it was fitted to.
    canonical: the sources in an order that follows from the runs' numbers alone. raw: mixtures (n, d), in the
    order of `sources`, to losses (n, m).
    """

    law: str
    sources: tuple[str, ...]
    losses: tuple[str, ...]
    smooth: bool
    about: dict[str, Any]
    largest_seen: dict[str, float]
    runs: pd.DataFrame
    canonical: tuple[str, ...]
    raw: Callable[[Array], Array]

    def predict(self, weights: pd.DataFrame) -> pd.DataFrame:
        """Losses (runs x losses) of mixtures (runs x sources, matched by name, rows divided by their sums).

        Raises ValueError for sources that are missing or unknown, negative weights and rows that sum to 0.
        """
        mixtures = sources_by_name("weights", weights, self.sources)
        return pd.DataFrame(self.raw(mixtures.to_numpy(float)), weights.index, pd.Index(self.losses))

    def propose(
        self,
        budget: int,
        tokens: Mapping[str, int],
        epoch_cap: float = 4.0,
        *,
        pull: float = 0.05,
        prior: Mapping[str, float] | str = "proportional",
        loss_weights: Mapping[str, float] | None = None,
        within_runs: bool = True,
    ) -> Mixture:
        """The mixture of least predicted loss under the epoch cap: see `proposing.propose`."""
        from tasks.mixture.laws.proposing import propose

        return propose(
            self,
            budget,
            tokens,
            epoch_cap,
            pull=pull,
            prior=prior,
            loss_weights=loss_weights,
            within_runs=within_runs,
        )


def fit_law(
    weights: pd.DataFrame, losses: pd.DataFrame, law: str = "auto", *, utility: pd.DataFrame | None = None
) -> FittedLaw:
    """The law fitted to runs: weights (runs x sources, at least 0) and losses (runs x losses), matched by index.

    Rows of weights are divided by their sums (published ones are rounded). utility: sources x tasks in [0,
    1], for `fusion` alone, which can do with no runs at all; the others need 4, `auto` 8.

    Raises ValueError for an unknown law, names or indices that repeat or do not match, values that are not
    finite, negative weights and too few runs.
    """
    if law not in LAWS_BY_NAME:
        raise ValueError(f"law={law!r}: must be one of {', '.join(LAWS_BY_NAME)}")
    declared = LAWS_BY_NAME[law]
    if declared.needs_utility != (utility is not None):
        raise ValueError(
            f"law={law!r} with {'a' if utility is not None else 'no'} utility table: fusion needs one (sources x "
            "tasks, known before any run), and the other laws take none"
        )
    shares, targets = matched_runs(weights, losses)
    if len(shares) < declared.fewest_runs:
        raise ValueError(
            f"law={law!r}: {len(shares)} runs are too few; it needs at least {declared.fewest_runs}"
        )
    mixtures, values = shares.to_numpy(float), targets.to_numpy(float)
    table = None
    if utility is not None:
        from tasks.mixture.portfolio import aligned

        table = aligned("utility", utility, dict.fromkeys(shares.columns))
    columns, rows = _canonical(mixtures, values, None if table is None else table.to_numpy(float))
    mixtures, values = mixtures[np.ix_(rows, columns)], values[rows]
    varying = _varying(values)
    if not varying.any():
        predictor = Predictor(lambda points: np.zeros((len(points), 0)), True)
    elif table is not None:
        tasks, named = list(map(str, table.columns)), list(map(str, targets.columns[varying]))
        own = [tasks.index(name) for name in named] if set(named) <= set(tasks) else []
        predictor = declared.fit(mixtures, values[:, varying], table.to_numpy(float)[columns], own)
    else:
        predictor = declared.fit(mixtures, values[:, varying])
    constants = (
        {} if varying.all() else {str(n): float(targets[n].iloc[0]) for n in targets.columns[~varying]}
    )
    about = {
        "law": law,
        "runs": len(shares),
        "sources": list(shares),
        "losses": list(targets),
        **({"constant_losses": constants} if constants else {}),
        **predictor.about,
    }
    largest = shares.max() if len(shares) else pd.Series(1.0, shares.columns)
    return FittedLaw(
        law,
        tuple(shares.columns),
        tuple(targets.columns),
        predictor.smooth,
        about,
        {str(name): float(value) for name, value in largest.items()},
        shares,
        tuple(str(shares.columns[i]) for i in columns),
        lambda points: _with_constants(
            predictor.predict(points[:, columns]), varying, list(constants.values())
        ),
    )


def _varying(values: Array) -> NDArray[np.bool_]:
    """Which losses (n, m) differ over the runs by more than rounding; all where there are no runs."""
    if not len(values):
        return np.ones(values.shape[1], bool)
    return np.ptp(values, axis=0) > 1e-12 * np.abs(values).max(axis=0)


def _with_constants(predicted: Array, varying: NDArray[np.bool_], constants: list[float]) -> Array:
    """Predictions of the losses that vary, and what the others are, in the order of all."""
    if varying.all():
        return predicted
    found = np.empty((len(predicted), len(varying)))
    found[:, varying], found[:, ~varying] = predicted, constants
    return found


def sources_by_name(what: str, weights: pd.DataFrame, sources: tuple[str, ...]) -> pd.DataFrame:
    """The mixtures with the columns in the order of `sources`, rows divided by their sums."""
    names = list(map(str, weights.columns))
    _no_repeats(what, "source", names)
    unknown, missing = sorted(set(names) - set(sources)), sorted(set(sources) - set(names))
    if unknown or missing:
        raise ValueError(
            f"{what}: the sources do not match those of the runs: missing {missing}, unknown {unknown}; "
            f"the runs have {sorted(sources)}"
        )
    return normalised(what, _as_floats(what, weights.set_axis(names, axis=1)[list(sources)]))


def matched_runs(weights: pd.DataFrame, losses: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables checked, as floats, in the index of `weights`."""
    for what, table in (("weights", weights), ("losses", losses)):
        _no_repeats(what, "column", list(map(str, table.columns)))
        _no_repeats(what, "run", list(table.index))
        if table.shape[1] == 0:
            raise ValueError(f"{what}: no columns; it needs one at least")
    odd = weights.index.symmetric_difference(losses.index)
    if len(odd):
        raise ValueError(
            f"weights and losses: runs {odd.tolist()[:5]} stand in one of the two only; both need the same index"
        )
    shares = normalised("weights", _as_floats("weights", weights))
    targets = _as_floats("losses", losses.loc[weights.index])
    values = targets.to_numpy(float)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        i, j = wrong[0]
        raise ValueError(
            f"losses: {targets.columns[j]!r} of run {targets.index[i]!r} is {values[i, j]:g}: must be a finite "
            "number"
        )
    return shares, targets


def _as_floats(what: str, table: pd.DataFrame) -> pd.DataFrame:
    """The table with names as text and cells as floats; ValueError naming a column that holds anything else."""
    columns = {}
    for name in table.columns:
        try:
            columns[str(name)] = table[name].to_numpy(float)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{what}: column {str(name)!r} holds what is no number: {error}") from error
    return pd.DataFrame(columns, index=table.index)


def _no_repeats(what: str, axis: str, names: list) -> None:
    if len(set(names)) < len(names):
        repeated = sorted({str(name) for name in names if names.count(name) > 1})
        raise ValueError(f"{what}: {axis} {repeated[:5]} stands twice; each may stand once")


def _canonical(mixtures: Array, losses: Array, utility: Array | None) -> tuple[Order, Order]:
    """Orders of the sources and of the runs that follow from the numbers alone.

    Runs by their weights and losses, each sorted; then sources by their weights in that order, and by
    utility.
    """
    n = len(mixtures)
    rows = (
        np.lexsort(np.concatenate([np.sort(losses, axis=1), np.sort(mixtures, axis=1)], axis=1).T)
        if n
        else np.arange(0)
    )
    keys = mixtures[rows] if utility is None else np.concatenate([np.sort(utility, axis=1).T, mixtures[rows]])
    return np.lexsort(keys), rows

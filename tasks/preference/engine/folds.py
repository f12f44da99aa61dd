"""Which models are left out together, and from which others they are predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.preference.engine.predicting import FEWEST_RATINGS
from tasks.preference.sheets.joining import Paired
from tasks.tables.table import plain

SCHEMES = ("leave-one-model-out", "leave-one-family-out", "forward-in-time")
SHORT = {"model": 0, "loo": 0, "leaveoneout": 0, "family": 1, "lofo": 1, "time": 2, "forward": 2}
MIN_TRAINING = 3
MIN_FAMILIES = 3


@dataclass(frozen=True)
class Fold:
    """train and test: masks (n,) of the rated models; others: mask (m,) of the unrated ones that may be seen."""

    train: NDArray[np.bool_]
    test: NDArray[np.bool_]
    others: NDArray[np.bool_]


def scheme_named(name: str) -> str:
    """The scheme of a name or a usual short form of it. Raises ValueError listing what is allowed."""
    for scheme in SCHEMES:
        if plain(name) == plain(scheme):
            return scheme
    if plain(name) in SHORT:
        return SCHEMES[SHORT[plain(name)]]
    raise ValueError(f"scheme={name!r}: allowed are {list(SCHEMES)}")


def folds_of(data: Paired, scheme: str) -> tuple[list[Fold], NDArray[np.intp]]:
    """The folds of a scheme, and groups (n,) that stay together inside each of them too.

    Raises ValueError where there are too few families, too few dated models before the last date, or no category that
    has a rating in a fold and enough outside of it.
    """
    folds, groups = _folds(data, scheme)
    if not any(_predicts(data, fold) for fold in folds):
        raise ValueError(
            f"{scheme}: no category has a rating in a fold and {FEWEST_RATINGS} or more in what the fold learns from"
        )
    return folds, groups


def _predicts(data: Paired, fold: Fold) -> bool:
    enough = np.isfinite(data.ratings[fold.train]).sum(0) >= FEWEST_RATINGS
    return bool(np.isfinite(data.ratings[fold.test][:, enough]).any())


def _folds(data: Paired, scheme: str) -> tuple[list[Fold], NDArray[np.intp]]:
    n = len(data.models)
    everyone, all_others = np.ones(n, bool), np.ones(len(data.unrated), bool)
    families = np.unique(data.families, return_inverse=True)[1]
    if scheme == SCHEMES[0]:
        return [Fold(~row, row, all_others) for row in np.eye(n, dtype=bool)], np.arange(n)
    if scheme == SCHEMES[1]:
        count = int(families.max()) + 1
        if count < MIN_FAMILIES:
            raise ValueError(
                f"{scheme}: {count} families; at least {MIN_FAMILIES} are needed (column family)"
            )
        rows = [families == family for family in range(count)]
        return [
            Fold(~row, row, all_others) for row in rows if (everyone & ~row).sum() >= MIN_TRAINING - 1
        ], families
    known = np.isfinite(data.dates)
    folds = []
    for date in np.unique(data.dates[known]):
        train, test = known & (data.dates < date), known & (data.dates == date)
        if train.sum() >= MIN_TRAINING:
            folds.append(Fold(train, test, np.nan_to_num(data.other_dates, nan=np.inf) < date))
    if not folds:
        raise ValueError(
            f"{scheme}: {int(known.sum())} of {n} models have a date; at least {MIN_TRAINING} must be older "
            "than another (column date)"
        )
    return folds, np.arange(n)


def schemes_possible(data: Paired) -> list[str]:
    """The schemes that these tables allow; families count once two models share one."""
    families = len(np.unique(data.families))
    offered = {
        SCHEMES[1]: MIN_FAMILIES <= families < len(data.models),
        SCHEMES[2]: len(np.unique(data.dates[np.isfinite(data.dates)])) > 1,
    }
    return [SCHEMES[0], *(scheme for scheme, may in offered.items() if may and _possible(data, scheme))]


def _possible(data: Paired, scheme: str) -> bool:
    try:
        folds_of(data, scheme)
    except ValueError:
        return False
    return True

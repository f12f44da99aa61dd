"""A law fitted to one table of runs and held against another: all that `mixstitch mix fit` tells."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import pandas as pd

from tasks.mixture.laws.fitted_law import FittedLaw, fit_law
from tasks.mixture.laws.law_scores import scored
from tasks.mixture.laws.run_table import RunTable, columns_of, read_runs


def fit_and_score(
    runs: RunTable, others: RunTable | None, law: str, utility: pd.DataFrame | None = None
) -> dict[str, Any]:
    """JSON-ready: the law's name and facts; for `others` a prediction a row and, where it holds losses, the scores.

    Scored are the losses that both tables hold; `not_scored` names the others. Without `others`, the runs
    themselves are predicted and nothing is scored: a law is good at what it was fitted to.
    """
    began = time.perf_counter()
    fitted = fit_law(runs.weights, losses_of(runs), law, utility=utility)
    seconds = {"fit": time.perf_counter() - began}
    began = time.perf_counter()
    told = predictions(fitted, others if others is not None else runs)
    seconds["predict"] = time.perf_counter() - began
    scores = score_runs(fitted, others) if others is not None else no_scores()
    return {
        "law": law,
        "runs": {"file": runs.path, "rows": len(runs.weights)},
        "predict": None if others is None else {"file": others.path, "rows": len(others.weights)},
        **scores,
        "predictions": told,
        "about": fitted.about,
        "seconds": seconds,
    }


def read_both(
    runs: str,
    predict: str | None,
    weights: str = "",
    losses: str = "",
    where: Sequence[str] = (),
    predict_where: Sequence[str] = (),
    last: str | None = None,
) -> tuple[RunTable, RunTable | None]:
    """The runs and the mixtures to predict (None: none); weights and losses: names of columns with commas between.

    last goes for the second table too where that has the column. Raises ValueError as `read_runs` does, and
    for a `predict_where` without `predict`.
    """
    if predict is None and predict_where:
        raise ValueError(f"--predict-where {list(predict_where)}: goes with --predict, which is not given")
    named, targets = names_in(weights), names_in(losses)
    table = read_runs(runs, named, targets, where, last)
    if predict is None:
        return table, None
    repeated = last if last in columns_of(predict) else None
    return table, read_runs(predict, named, targets, predict_where, repeated, need_losses=False)


def names_in(text: str) -> list[str]:
    """The names between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def losses_of(table: RunTable) -> pd.DataFrame:
    """The losses of a table; ValueError where it holds none."""
    if table.losses is None:
        raise ValueError(
            f"{table.path}: no losses; a law is fitted to runs with losses (loss_NAME or NAME_loss)"
        )
    return table.losses


def predictions(law: FittedLaw, table: RunTable) -> list[dict[str, Any]]:
    """One entry a row: index, each loss, and their mean."""
    predicted = law.predict(table.weights)
    return [
        {
            "index": index,
            "losses": dict(zip(predicted.columns, row, strict=True)),
            "mean": sum(row) / len(row),
        }
        for index, row in zip(predicted.index.tolist(), predicted.to_numpy(float).tolist(), strict=True)
    ]


def score_runs(law: FittedLaw, table: RunTable) -> dict[str, Any]:
    """The scores of the law on a table; those of `no_scores` where it holds no loss that the law knows."""
    held = [] if table.losses is None else list(map(str, table.losses.columns))
    common = [name for name in law.losses if name in held]
    not_scored = sorted(set(law.losses) ^ set(held)) if held else []
    if table.losses is None or not common:
        return {**no_scores(), "not_scored": not_scored}
    predicted = law.predict(table.weights)
    return {**told_scores(scored(predicted[common], table.losses[common])), "not_scored": not_scored}


def no_scores() -> dict[str, Any]:
    return {
        "spearman_mean": None,
        "spearman_mean_interval": None,
        "spearman": {},
        "spearman_interval": {},
        "regret": {},
        "not_scored": [],
    }


def told_scores(value: Any) -> Any:
    """With null in the place of what is not a number, as JSON has it."""
    if isinstance(value, dict):
        return {key: told_scores(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [told_scores(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

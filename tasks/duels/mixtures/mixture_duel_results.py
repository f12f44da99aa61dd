"""What a duel shows: means over seeds with intervals, paired differences, and how many tokens one needs to catch up.

    speedup of A over B at t tokens = t_B / t,     where t_B is what B needs to reach A's score at t,

read off B's scores of the same seed at the budgets that were trained, straight lines in log tokens between them;
where B's scores do not reach it, the speedup is only known to be above (or below) a bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from tasks.duels.mixtures.settings import MEASURES
from tasks.evaluation.metrics import BITS_PER_BYTE, HELDOUT

CONFIDENCE = 0.95
ASCENDING = ("accuracy",)  # higher is better


@dataclass(frozen=True)
class Round:
    """One trained model: what it was trained on and its score rows (task, metric, value)."""

    regime: str
    contender: str
    tokens: int
    random_seed: int
    scores: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Reached:
    """Tokens at which a score is reached; `side` is "=", or ">" or "<" where only a bound is known."""

    tokens: float
    side: str


def measured(rounds: Iterable[Round], junk_sources: Sequence[str]) -> pd.DataFrame:
    """One row a round: regime, contender, tokens, seed and the measures, each a mean over sources or tasks.

    heldout: over the sources but the junk. answers: over the tasks that have bits per byte. accuracy: over the
    tasks that have it. NaN where nothing has it.
    """
    rows = []
    for r in rounds:
        heldout = [
            s["value"]
            for s in r.scores
            if s["task"].startswith(HELDOUT) and not _is_junk(s["task"].removeprefix(HELDOUT), junk_sources)
        ]
        answers = [
            s["value"] for s in r.scores if not s["task"].startswith(HELDOUT) and s["metric"] == BITS_PER_BYTE
        ]
        accuracy = [s["value"] for s in r.scores if s["metric"] == "acc"]
        means = {
            name: float(np.mean(values)) if values else math.nan
            for name, values in zip(MEASURES, (heldout, answers, accuracy), strict=True)
        }
        rows.append(
            {"regime": r.regime, "contender": r.contender, "tokens": r.tokens, "seed": r.random_seed, **means}
        )
    return pd.DataFrame(rows)


def _is_junk(source: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(source, pattern) for pattern in patterns)


def means(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean over seeds with its t interval, for each regime, contender, number of tokens and measure."""
    rows = []
    columns = ["regime", "contender", "tokens"]
    for key, group in table.groupby(columns, sort=False):
        place = dict(zip(columns, key, strict=True))
        for measure in MEASURES:
            mean, low, high = mean_interval(group[measure].to_numpy(float))
            rows.append(
                place | {"measure": measure, "mean": mean, "low": low, "high": high, "seeds": len(group)}
            )
    return rows


def differences(table: pd.DataFrame, champions: Sequence[str]) -> list[dict[str, Any]]:
    """How much better each champion is than each other contender, paired by seed, at the largest budget.

    Positive is better, whichever direction the measure has.
    """
    rows = []
    last = table[table["tokens"] == table["tokens"].max()]
    for regime, group in last.groupby("regime", sort=False):
        for champion, other in _pairs(group, champions):
            for measure in MEASURES:
                by_seed = group.pivot(index="seed", columns="contender", values=measure)
                gain = (by_seed[other] - by_seed[champion]).to_numpy(float)
                mean, low, high = mean_interval(-gain if measure in ASCENDING else gain)
                rows.append(
                    {"regime": regime, "champion": champion, "other": other, "measure": measure}
                    | {"mean": mean, "low": low, "high": high}
                )
    return rows


def speedups(table: pd.DataFrame, champions: Sequence[str]) -> list[dict[str, Any]]:
    """t_B / t by seed, for each champion, other contender and budget t, on the measures in bits per byte."""
    rows = []
    for regime, group in table.groupby("regime", sort=False):
        for champion, other in _pairs(group, champions):
            for measure in (name for name in MEASURES if name not in ASCENDING):
                for tokens in sorted(set(group["tokens"])):
                    found = [
                        _speedup(group[group["seed"] == seed], champion, other, measure, int(tokens))
                        for seed in sorted(set(group["seed"]))
                    ]
                    rows.append(
                        {"regime": regime, "champion": champion, "other": other, "measure": measure}
                        | {"tokens": int(tokens), "by_seed": [[r.tokens, r.side] for r in found]}
                    )
    return rows


def tokens_to_reach(tokens: Sequence[float], losses: Sequence[float], target: float) -> Reached:
    """The fewest tokens at which losses (lower is better) reach `target`, linear in log tokens between budgets.

    tokens ascend. "<" the first where it is there already, ">" the last where it never is.
    """
    if losses[0] <= target:
        return Reached(float(tokens[0]), "=" if losses[0] == target else "<")
    for i in range(1, len(tokens)):
        if losses[i] <= target:
            part = (losses[i - 1] - target) / (losses[i - 1] - losses[i])
            logarithm = math.log(tokens[i - 1]) + part * math.log(tokens[i] / tokens[i - 1])
            return Reached(math.exp(logarithm), "=")
    return Reached(float(tokens[-1]), ">")


def mean_interval(values: np.ndarray) -> tuple[float, float | None, float | None]:
    """Mean and Student's t interval of values (n,); no interval for fewer than two."""
    from scipy.stats import t

    mean = float(values.mean())
    if len(values) < 2 or not np.isfinite(values).all():
        return mean, None, None
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return mean, mean - half, mean + half


def _pairs(group: pd.DataFrame, champions: Sequence[str]) -> list[tuple[str, str]]:
    contenders = list(dict.fromkeys(group["contender"]))
    return [
        (champion, other)
        for champion in champions
        for other in contenders
        if champion in contenders and other not in champions
    ]


def _speedup(runs: pd.DataFrame, champion: str, other: str, measure: str, tokens: int) -> Reached:
    own = runs[(runs["contender"] == champion) & (runs["tokens"] == tokens)][measure].iloc[0]
    ladder = runs[runs["contender"] == other].sort_values("tokens")
    reached = tokens_to_reach(ladder["tokens"].tolist(), ladder[measure].tolist(), float(own))
    return Reached(reached.tokens / tokens, reached.side)

"""Scores of several models with 95% intervals, and what each gains on the first, paired over the items."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.benchmarks.pass_at_k import NAME as PASS_AT
from tasks.evaluation.metrics import BITS_PER_BYTE
from tasks.evaluation.standard_errors import share_interval
from tasks.report.differences import Score, chance_levels, difference, not_zero, read_scores

if TYPE_CHECKING:
    from tasks.evaluation.scores import Scores
    from tasks.evaluation.stopping import AskedItems

CONFIDENCE = 0.95
GUESSED = ("acc", "acc_norm")
TABLES = {"scores": "scores.csv", "differences": "differences.csv", "enough": "enough.csv"}
Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class ComparedModels:
    """scores: rows with model, task, metric, value, stderr, n, low, high (95%) and guess, the accuracy of guessing.

    differences: as `gains_on_first` gives them. all_scores: those of all models, with their samples. enough: where
    asking ended, a row a model and task, if it could end early.
    """

    scores: list[dict[str, Any]]
    differences: list[dict[str, Any]]
    all_scores: Scores

    @property
    def enough(self) -> list[dict[str, Any]]:
        return list(self.all_scores.stops)

    def to_json(self) -> dict[str, Any]:
        told = {"scores": self.scores, "differences": self.differences}
        return {**told, "enough": self.enough} if self.enough else told

    def save(self, folder: Path) -> list[str]:
        """Writes both tables as CSV, and scores and samples as Parquet; the paths, folders of the models first."""
        import pandas as pd

        models = list(dict.fromkeys(row["model"] for row in self.scores))
        self.all_scores.save(folder)
        tables = {name: file for name, file in TABLES.items() if name != "enough" or self.enough}
        for name, file in tables.items():
            pd.DataFrame(getattr(self, name)).to_csv(folder / file, index=False)
        files = [*models, *tables.values(), "scores.parquet", "samples.parquet"]
        return [str(folder / file) for file in files]


def compared_models(
    out: Path, scores: Mapping[str, Scores], kinds: Mapping[str, dict[str, str]]
) -> ComparedModels:
    """The scores of models, whose samples lie in <out>/<model>/, side by side; kinds: task -> {"kind": its items'}."""
    from tasks.evaluation.scores import Scores

    rows = []
    for name, own in scores.items():
        guess = chance_levels(out / name, kinds)
        rows += [
            {**row, "guess": guess.get(row["task"]) if row["metric"] in GUESSED else None}
            for row in with_intervals(out / name, own.rows(), own.asked)
        ]
    return ComparedModels(rows, gains_on_first(out, scores, rows), Scores.joined(list(scores.values())))


def with_intervals(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    asked: Mapping[tuple[str, str, str], AskedItems] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Score rows with `low` and `high`: Wilson's of a share of items, else normal; None where the error is unknown.

    Of pass@k from several programs an item it is Wilson's of as many items as give a share that error, p (1 - p) / e^2.

    folder: with the samples behind them, as `Scores.save` writes it. asked: by (model, task, metric), where the
    score was looked at again and again: the interval is then one that holds at all looks together.
    """
    import pandas as pd

    samples = pd.read_parquet(folder / "samples.parquet", columns=["model", "task", "metric", "value"])
    shares = {
        key: float(values.sum())
        for key, values in samples.groupby(["model", "task", "metric"], sort=False)["value"]
        if len(values) and values.isin([0.0, 1.0]).all()
    }
    found = []
    for row in rows:
        key = (row["model"], row["task"], row["metric"])
        count = shares.get(key)
        ends: tuple[float | None, float | None]
        if key in asked:
            ends = asked[key].interval()
        elif count is not None and abs(count / row["n"] - row["value"]) < 1e-9:
            ends = share_interval(count, row["n"], CONFIDENCE)
        elif row["metric"].startswith(PASS_AT) and row["stderr"] and 0 < row["value"] < 1:
            many = row["value"] * (1 - row["value"]) / row["stderr"] ** 2
            ends = share_interval(row["value"] * many, many, CONFIDENCE)
        else:
            ends = _normal(row["value"], row["stderr"])
        found.append({**row, "low": ends[0], "high": ends[1]})
    return found


def gains_on_first(
    out: Path, scores: Mapping[str, Scores], rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What each further model has more than the first, on every task and metric that both have.

    scores: of the models, the first first, with their samples in <out>/<model>/. Rows of model, against, task, metric,
    difference, stderr, low, high (95%; where asking could end early, at all looks together), paired, n, the items that
    both were asked; of bits per byte less is better. The difference of a model from one
    that scores alike on every item of every task is 0 without error.
    """
    by_model = {
        name: _with_bits(read_scores(out / name, [dict(r) for r in rows if r["model"] == name]), own)
        for name, own in scores.items()
    }
    first, *others = by_model
    found = []
    for name in others:
        shared = [key for key in by_model[name] if key in by_model[first]]
        gains = {key: difference(by_model[name][key], by_model[first][key]) for key in shared}
        alike = all(gain.value == 0 and gain.stderr == 0 for gain in gains.values())
        for (task, metric), gain in gains.items():
            stderr = gain.stderr if alike else not_zero(gain)
            own, base = (scores[model].asked.get((model, task, metric)) for model in (name, first))
            low, high = (
                own.lead(base) if own is not None and base is not None else _normal(gain.value, stderr)
            )
            told = {"model": name, "against": first, "task": task, "metric": metric, "difference": gain.value}
            found.append(
                {**told, "stderr": stderr, "low": low, "high": high, "paired": gain.paired, "n": gain.n}
            )
    return found


def _normal(value: float, stderr: float | None) -> tuple[float | None, float | None]:
    return (None, None) if stderr is None else (value - Z * stderr, value + Z * stderr)


def _with_bits(found: dict[tuple[str, str], Score], scores: Scores) -> dict[tuple[str, str], Score]:
    """The scores, bits per byte of benchmarks with their items' influences: the harness logs (nats, bytes) of each."""
    for task, logged in scores.harness.get("samples", {}).items():
        score = found.get((task, BITS_PER_BYTE))
        pairs = [one[BITS_PER_BYTE] for one in logged if BITS_PER_BYTE in one["metrics"]]
        if score is None or score.influences is not None or len(pairs) != len(logged):
            continue
        nats, sizes = np.array(pairs, float).T
        influences = (-nats / math.log(2) - score.value * sizes) / sizes.mean()
        items = tuple(f"{task}/{one['doc_id']}" for one in logged)
        found[task, BITS_PER_BYTE] = replace(score, items=items, influences=influences, is_mean=False)
    return found

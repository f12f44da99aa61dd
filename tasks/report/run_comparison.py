"""Two runs side by side: what was asked differently, and how far their models differ, paired over the items of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

from storage.comparison import compare_records
from storage.home import Home
from storage.runs import results_of, summarise
from tasks.evaluation.metrics import headline, lower_is_better
from tasks.evaluation.snapshot_names import without_snapshots
from tasks.report.differences import Difference, Score, difference, not_zero, read_scores, summed
from tasks.report.formatting import fixed

LEVEL = 0.05
Z = NormalDist().inv_cdf(1 - LEVEL / 2)
Key = tuple[str, str, str]


def compare_runs(home: Home, first: dict, second: dict) -> dict[str, Any]:
    """{"first", "second", "settings", "weights", "summary", "means", "scores"} of two run records.

    scores: {model, task, metric, first, second, difference, stderr, paired, n, beyond_chance} of scores that both
    have; difference is second - first, paired where both were scored on the same items with the same answers.
    beyond_chance: over all benchmarks that stand for a task together (Bonferroni at LEVEL), None for other metrics.
    means: by model and metric the mean difference over those benchmarks with its 95% interval. summary: in sentences.
    """
    ours, theirs = (_scores(home, record) for record in (first, second))
    shared = [key for key in ours if key in theirs]
    gains = {key: _gain(ours[key], theirs[key]) for key in shared}
    errors = _errors(gains)
    counted = _standing_for_tasks(home, first, shared)
    bound = NormalDist().inv_cdf(1 - LEVEL / 2 / max(len(counted), 1))
    scores = []
    for key, gain in gains.items():
        stderr = errors[key]
        far = stderr is not None and abs(gain.value) > bound * stderr
        scores.append(
            {
                **dict(zip(("model", "task", "metric"), key, strict=True)),
                "first": ours[key][1].value,
                "second": theirs[key][1].value,
                "difference": gain.value,
                "stderr": stderr,
                "paired": gain.paired,
                "n": gain.n,
                "beyond_chance": far if key in counted else None,
            }
        )
    means = _means({key: gains[key] for key in counted})
    told = compare_records(home, first, second)
    return {**told, "summary": _sentences(scores, means), "means": means, "scores": scores}


def _gain(first: tuple[str, Score], second: tuple[str, Score]) -> Difference:
    """second - first; of one and the same result nothing."""
    if first[0] == second[0]:
        return Difference(0.0, 0.0, True, first[1].n)
    return difference(second[1], first[1])


def _scores(home: Home, record: dict) -> dict[Key, tuple[str, Score]]:
    """(model, task, metric) -> digest of the result that holds it, and the score with its items' influences if kept."""
    found: dict[Key, tuple[str, Score]] = {}
    for artifact in results_of(home, record):
        by_model: dict[str, list[dict]] = {}
        for row in artifact.facts.get("scores", []):
            by_model.setdefault(row["model"], []).append(row)
        for model, rows in by_model.items():
            scores = read_scores(artifact.path, rows)
            found |= {(model, *key): (artifact.digest, score) for key, score in scores.items()}
    return found


def _standing_for_tasks(home: Home, record: dict, shared: Sequence[Key]) -> list[Key]:
    """One metric a task, as `show` has it, of models that are no snapshots unless there are only these."""
    rows = summarise(home, record).scores
    shown = {(model, *key) for key, by_model in headline(rows).items() for model in by_model}
    told = without_snapshots(model for model, _, _ in shared)
    return [key for key in shared if key in shown and key[0] in told]


def _errors(gains: Mapping[Key, Difference]) -> dict[Key, float | None]:
    """A model that scores alike on every item of every task is the same one: its differences are 0 without error."""
    apart = {key[0] for key, gain in gains.items() if gain.value != 0 or gain.stderr != 0}
    return {key: not_zero(gain) if key[0] in apart else gain.stderr for key, gain in gains.items()}


def _means(gains: Mapping[Key, Difference]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str], list[Difference]] = {}
    for (model, _, metric), gain in gains.items():
        groups.setdefault((model, metric), []).append(gain)
    found = []
    for (model, metric), parts in groups.items():
        total, count = summed(parts), len(parts)
        mean = total.value / count
        half = None if total.stderr is None else Z * total.stderr / count
        found.append(
            {
                "model": model,
                "metric": metric,
                "benchmarks": count,
                "difference": mean,
                "low": None if half is None else mean - half,
                "high": None if half is None else mean + half,
                "paired": total.paired,
            }
        )
    return found


def _sentences(scores: Sequence[Mapping[str, Any]], means: Sequence[Mapping[str, Any]]) -> list[str]:
    counted = [row for row in scores if row["beyond_chance"] is not None]
    if not counted:
        return ["No model was scored on the same benchmark in both runs."]
    far = [row for row in counted if row["beyond_chance"]]
    better = sum((row["difference"] < 0) == lower_is_better(row["metric"]) for row in far)
    told = [
        f"{len(far)} of {_counted(len(counted), 'score')} differ beyond chance, all taken together at {LEVEL:.0%}"
        + (f": the second run is better on {better}, worse on {len(far) - better}." if far else ".")
    ]
    for row in means:
        known = row["low"] is not None
        ends = f" [{fixed(row['low'], 4)}, {fixed(row['high'], 4)}]" if known else ", its error unknown"
        told.append(
            f"{row['model']}: mean difference in {row['metric']} over {_counted(row['benchmarks'], 'task')} "
            f"{fixed(row['difference'], 4)}{ends}{'' if row['paired'] else ', not all paired'}."
        )
    told.append(
        "Differences are second - first, with 95% intervals over the items that both runs scored; training anew with "
        "another random seed moves scores as well, which no item tells."
    )
    return told


def _counted(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"

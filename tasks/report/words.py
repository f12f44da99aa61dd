"""Sentences of the headline, made from the run's numbers: none claims more than their errors carry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.evaluation.snapshot_names import without_snapshots
from tasks.evaluation.stopping import DECIDED
from tasks.mixture.returns.choosing import LEAST_WORTH, MOST_OF_USELESS
from tasks.preference.engine.intervals import guaranteed
from tasks.report.differences import DISTINGUISHABLE, Difference
from tasks.report.findings import BenchmarkMeans, Kept
from tasks.report.formatting import compact, fixed, listed, significant, with_error
from tasks.report.preference_tables import between
from tasks.report.score_tables import kept_text


def asked(sources: Mapping[str, Any], tasks: Mapping[str, Any], experts: Sequence[str], budget: int) -> str:
    """What the run was asked, in one sentence."""
    return (
        f"Given {_number(len(sources), 'source')} ({listed(list(sources))}), "
        f"{_number(len(tasks), 'benchmark')} ({listed(list(tasks))}) and a budget of {compact(budget)} tokens: "
        f"what to train on, and what becomes of {_number(len(experts), 'expert')} ({listed(list(experts))}) "
        "stitched into one model?"
    )


def on_mixture(
    weights: Mapping[str, float], certificate: Mapping[str, Any], title: str, flops: float | None = None
) -> str:
    """What to train on, why, and how sure that is.

    title: what the method is called. flops: what the evidence took for one source, where that is known.
    """
    order = sorted(weights, key=lambda source: -weights[source])
    parts = [f"{weights[source]:.1%} {source}" for source in order if weights[source] >= 0.0005]
    told = f"Train on {listed(parts, 8)} (by {title}"
    if "says" not in certificate:
        return f"{told}; what it gains over a rule that needs no tool is not estimated)."
    told += "".join(f", from {words}" for words in certificate["evidence"]) + f"): {certificate['says']}."
    told += " UniMax needs no evidence: as much of every source, under a cap on how often its text is read."
    if certificate["useless"]:
        told += f" Of no use to any benchmark: {listed(certificate['useless'], 4)}"
        forced = any(weights[name] > MOST_OF_USELESS + 1e-9 for name in certificate["useless"])
        told += ", and in it as the caps of the others leave no other choice." if forced else "."
    if certificate["ask_next"] and certificate["ask_next"][0]["worth"] >= LEAST_WORTH:
        best = certificate["ask_next"][0]
        told += f" To know more of {best['source']} is worth most: it may lower the loss by {best['worth']:.2%} more"
        told += f", where as much again would take {significant(flops)} FLOPs." if flops else "."
    return told


def on_partly_asked(stops: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """How much of the benchmarks was asked, where not all; stops: of each model, a row a task; else empty."""
    rows = [row for of_model in stops for row in of_model]
    shares = [row["asked"] / row["of"] for row in rows if row["asked"] < row["of"]]
    if not shares:
        return ""
    span = f"{min(shares):.0%}" + (f" to {max(shares):.0%}" if max(shares) > min(shares) else "")
    return (
        f"{len(shares)} of {len(rows)} scores of models on benchmarks are of {span} of their items "
        "(evaluation.enough); models are compared on those that both were asked."
    )


def on_told_apart(stops: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """Which models are told to be better or worse than the one that they are told from; empty where none are."""
    rows = [row for of_model in stops for row in of_model if row.get("against") is not None]
    if not rows:
        return ""
    decided = [row for row in rows if row["because"] == DECIDED]
    told = []
    for word, is_so in (("better", lambda row: row["low"] > 0), ("worse", lambda row: row["high"] < 0)):
        for model in dict.fromkeys(row["model"] for row in decided):
            tasks = [row["task"] for row in decided if row["model"] == model and is_so(row)]
            told += [f"{model} is {word} on {listed(tasks, 4)}"] if tasks else []
    models = len({row["model"] for row in rows})
    together = f", for all {models} models together" if models > 1 else ""
    about = "all items of the benchmark" if rows[0]["about"] == "benchmark" else "items like these"
    return (
        f"Against {rows[0]['against']}, on {about}, at 95%{together} and at every look: "
        + "; ".join(
            [
                *told,
                f"{len(rows) - len(decided)} of {len(rows)} comparisons took all items without a decision",
            ]
        )
        + "."
    )


def on_benchmarks(means: BenchmarkMeans | None) -> str:
    """Which model is best on the mean over benchmarks, and which are not told apart from it."""
    if means is None:
        return (
            "No benchmark was scored for every model in a metric from 0 to 1, so no model is called the best."
        )
    value, stderr = means.means[means.best]
    many = f"the mean over {len(means.tasks)} benchmarks"
    over = f"on {means.tasks[0] if len(means.tasks) == 1 else many}"
    if means.left_out:
        over += f" that all models have ({_number(len(means.left_out), 'other')} left out)"
    if len(means.means) == 1:
        told = f"The {means.best} model, the only one scored, reaches {with_error(value, stderr)} {over}"
        return f"{told}{_chance(means)}."
    rivals = {name: apart for name, apart in means.to_best.items() if name != means.best}
    alike = [name for name, apart in rivals.items() if not apart.is_distinguishable]
    sentence = f"The {means.best} model scores highest {over}, {with_error(value, stderr)}{_chance(means)}; "
    if not alike:
        return (
            sentence + f"it is ahead of every other model by more than {DISTINGUISHABLE:g} standard errors."
        )
    if len(alike) == len(rivals):
        return sentence + "no other model is distinguishable from it."
    ahead = [name for name in rivals if name not in alike]
    return sentence + f"it is ahead of {listed(ahead)}, and not distinguishable from {listed(alike)}."


def _chance(means: BenchmarkMeans) -> str:
    value, stderr = means.means[means.best]
    if means.chance is None:
        return ""
    told = f" where guessing gives {fixed(means.chance)}"
    if stderr is None:
        return told
    if abs(value - means.chance) <= DISTINGUISHABLE * stderr:
        return told + ", from which it is not distinguishable"
    return told if value > means.chance else told + ", which is more"


def on_stitching(together: Kept | None, num_domains: int) -> str:
    """Whether stitching improved on the seed in the experts' domains, and what share of their gains it keeps."""
    if together is None:
        return (
            "No held-out text of the experts' own domains was scored, so what stitching keeps is not known."
        )
    mean = Difference(
        together.moved.value / num_domains,
        None if together.moved.stderr is None else together.moved.stderr / num_domains,
        together.moved.paired,
        together.moved.n,
    )
    size = with_error(abs(mean.value), mean.stderr)
    if mean.stderr is None:
        change = f"the {together.combined} model needs {fixed(mean.value)} fewer bits per byte than the seed"
    elif not mean.is_distinguishable:
        change = (
            f"the {together.combined} model is not distinguishable from the seed "
            f"(difference {with_error(mean.value, mean.stderr)} bits per byte)"
        )
    else:
        less = "fewer" if mean.value > 0 else "more"
        change = f"the {together.combined} model needs {size} {less} bits per byte than the seed"
    where = "On held-out text of the experts' own domains "
    if together.share is None:
        return (
            f"{where}{change}; the experts' own gains over the seed are together "
            f"{with_error(together.gain.value, together.gain.stderr)} bits per byte, too small to state a share kept."
        )
    return f"{where}{change}: it keeps {kept_text(together, words=True)} of what the experts gained."


def on_specialisation(rows: Sequence[Mapping[str, Any]], kept: Sequence[Kept]) -> str:
    """How many checks hold, which fail, and which experts' gains are within their errors."""
    if not rows:
        return "No check of specialisation was made."
    broken = [f"{row['subject']}: {row['check']}" for row in rows if not row["holds"]]
    if broken:
        told = f"{len(broken)} of {_number(len(rows), 'check')} of specialisation fail ({listed(broken, 3)})"
    else:
        told = f"All {_number(len(rows), 'check')} of specialisation hold"
    doubtful = list(
        dict.fromkeys(f"{part.expert} on {part.source}" for part in kept if not part.gain.is_distinguishable)
    )
    if doubtful:
        told += f", though the gain over the seed of {listed(doubtful, 3)} is not distinguishable from zero"
    return told + "."


def on_preference(forecast: Sequence[Mapping[str, Any]], confidence: float) -> str:
    """The forecast of the model rated highest in the first category, or that there is none and why.

    Snapshots do not count, unless there are only these.
    """
    told = without_snapshots(row["model"] for row in forecast)
    forecast = [row for row in forecast if row["model"] in told]
    rated = [row for row in forecast if row["rating"] is not None]
    if not rated:
        missing = {name for row in forecast for name in row["missing"]}
        return (
            f"No human rating is forecast: no model has a benchmark of the public table "
            f"({listed(sorted(missing), 8)})."
        )
    first = [row for row in rated if row["target"] == rated[0]["target"]]
    best = max(first, key=lambda row: row["rating"])
    low, high = (math.nan if best[end] is None else best[end] for end in ("low", "high"))
    sentence = (
        f"The {best['model']} model has the highest forecast of {best['target']}, "
        f"{between(best['rating'], low, high)} ({confidence:.0%} interval; theory guarantees at most "
        f"{guaranteed(confidence):.0%})"
    )
    overlapping = [
        row["model"]
        for row in first
        if row is not best and (row["high"] is None or best["low"] is None or row["high"] >= best["low"])
    ]
    if overlapping:
        sentence += f", overlapping with {listed(overlapping, 4)}"
    if best["extrapolates"]:
        sentence += "; it lies outside the public models, so that the interval is not backed by evidence"
    return sentence + "."


def on_gates(gate_use: Sequence[Mapping[str, Any]], domains: Mapping[str, Sequence[str]]) -> str:
    """In how many of the experts' domains the hub takes most from the expert of that domain."""
    into_hub = [row for row in gate_use if row["kind"] == "experts-into-hub" and row["stream"] in domains]
    found = total = 0
    for stitch in dict.fromkeys(row["stitch"] for row in into_hub):
        for expert, sources in domains.items():
            for source in sources:
                part = [row for row in into_hub if row["stitch"] == stitch and row["domain"] == source]
                if part:
                    total += 1
                    found += max(part, key=lambda row: row["share"])["stream"] == expert
    if not total:
        return ""
    return (
        f"Where experts feed the hub, the expert of the domain contributes more than the other experts in {found} of "
        f"{total} cases; by luck alone it would be 1 in {len(domains)}."
    )


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

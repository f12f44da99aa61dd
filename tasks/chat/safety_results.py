"""What a run with two reward models shows of safety's, and of when its reward was the one that counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.chat.over_seeds import over_seeds
from tasks.chat.results_of_a_seed import ChatResults

PLAIN = (
    "took",
    "changed",
    "unsafe",
    "unsafe_by_helpfulness",
    "unsafe_chosen",
)  # of a row of the piecewise rule


def accuracy_over(facts: Sequence[Mapping[str, Any]], name: str = "accuracy") -> list[dict[str, Any]]:
    """Accuracy by strength, a row a strength, over the seeds."""
    return [
        {"strength": row["strength"], "pairs": row["pairs"]}
        | over_seeds([own[name][place]["accuracy"] for own in facts], (row["low"], row["high"]))
        for place, row in enumerate(facts[0][name])
    ]


def safety_tables(results: Sequence[ChatResults]) -> dict[str, Any] | None:
    """accuracy, crossed (on helpfulness pairs), ece, safe_ece, histogram, groups and unsafe; None with one model."""
    facts = [one.safety.facts for one in results if one.safety is not None]
    if not facts:
        return None
    told = [own["told_safe"] for own in facts]
    return {
        "accuracy": accuracy_over(facts),
        "crossed": accuracy_over(facts, "crossed"),
        "ece": float(np.mean([own["ece"] for own in facts])),
        "safe_ece": _mean([own["safe_ece"] for own in told]),
        "histogram": facts[0]["histogram"],
        "groups": [
            {"group": row["group"], "pairs": row["pairs"]} | _share([own["groups"][place] for own in told])
            for place, row in enumerate(told[0]["groups"])
        ],
        "unsafe": [
            {name: row[name] for name in ("threshold", "answers", "unsafe")}
            | {name: _share([own["unsafe"][place][name] for own in told]) for name in ("recall", "precision")}
            for place, row in enumerate(told[0]["unsafe"])
        ],
    }


def piecewise_over(facts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of one round, over the seeds: a row a group of prompts; none with one reward model. facts: of each seed's."""
    return [
        {name: row[name] for name in ("group", "prompts", "samples")}
        | {name: _mean([own["piecewise"][place][name] for own in facts]) for name in PLAIN}
        for place, row in enumerate(facts[0].get("piecewise", []))
    ]


def said_of_safety(found: Mapping[str, Any] | None, rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    """The findings in sentences."""
    if found is None:
        return []
    first, half = found["accuracy"][0], found["unsafe"][0]["recall"]
    said = [
        f"The safety reward model prefers the better answer in {first['mean']:.0%} [{first['low']:.0%}, "
        f"{first['high']:.0%}] of the held-out safety pairs (calibration error {found['ece']:.3f})"
        + (f" and finds {half['mean']:.0%} of the unsafe answers." if half["mean"] is not None else ".")
    ]
    for row in rounds:
        every = row["piecewise"][0]
        told = f"Round {row['round']}: safety's reward was the one that counted for {every['took']:.0%} of the answers"
        if every["unsafe_chosen"] is not None:
            told += (
                f"; {every['unsafe_chosen']:.1%} of those chosen tell a secret, where helpfulness alone would have "
                f"chosen {every['unsafe_by_helpfulness']:.1%}, and all that were drawn have {every['unsafe']:.1%}"
            )
        said.append(f"{told}.")
    return said


def _share(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Over the seeds that have one; None where none has."""
    known = [row for row in rows if row["mean"] is not None]
    if not known:
        return {"mean": None, "low": None, "high": None}
    return dict(over_seeds([row["mean"] for row in known], (known[0]["low"], known[0]["high"])))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None

"""Says in plain sentences what the numbers of a forecast can carry, and what they cannot."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tasks.preference.correlation import pearson_null_quantile
from tasks.preference.table import BUNDLED

LOG_PARAMS_MISSING = "No baseline from log parameters: the table states too few sizes."


def explain(about: dict[str, Any], correlations: pd.DataFrame, validation: pd.DataFrame) -> list[str]:
    """Sentences on the evidence: size, what chance gives at it, accuracy beside baselines, coverage."""
    return [
        *_on_size(about, correlations),
        *_on_chance(about, correlations),
        *_on_accuracy(about, validation),
        *_on_coverage(about),
        *_on_reach(about),
    ]


def explain_rows(rows: pd.DataFrame, confidence: float) -> list[str]:
    """Sentences on the run's own models: which lack benchmarks, which lie outside the evidence."""
    notes = []
    lacking = rows[rows["missing"] != ""]
    if len(lacking):
        notes.append(
            f"{len(lacking)} of {len(rows)} models of this run have no forecast, as they lack benchmarks: "
            + "; ".join(f"{row.model} lacks {row.missing}" for row in lacking.itertuples())
            + "."
        )
    far = rows.loc[rows["extrapolates"], "model"].tolist()
    if far:
        notes.append(
            "Outside the public models, so that neither the line nor the "
            f"{confidence:.0%} of the interval is backed by evidence: {', '.join(far)}."
        )
    return notes


def _on_size(about: dict[str, Any], correlations: pd.DataFrame) -> list[str]:
    n, p = about["models"], len(about["benchmarks"])
    notes = [
        f"Fitted on {n} rated models of {about['families']} families and {p} benchmarks ({about['table']})."
    ]
    if about["unit"]:
        notes.append(
            f"The rating is {about['unit']}; it says nothing on any other scale or of any one kind of prompt."
        )
    if about["missing_cells"]:
        notes.append(
            f"{about['missing_cells']} of {n * p} benchmark scores of those models are missing and were "
            "filled with the mean of the training models; a correlation counts only the models with both."
        )
    if n <= p + 1:
        notes.append(
            f"With {n} models and {p} benchmarks least squares fits any ratings exactly: only the left-out "
            "errors mean anything, and weights of single benchmarks mean nothing. More than "
            f"{p + 1} models are needed."
        )
    if about["method"] == "min-norm" and 0.5 <= p / n <= 2:
        notes.append(
            "Min-norm regression is worst where benchmarks and models are about as many; here p/n = "
            f"{p / n:.2f}."
        )
    if not (correlations["removed"] == "log parameters").any():
        notes.append("Too few models state their size to remove log parameters from the correlations.")
    if about["rating_intervals"] < n:
        notes.append(
            f"{n - about['rating_intervals']} of {n} ratings were published without an interval: their own "
            "uncertainty is not known apart, and is part of the left-out errors."
        )
    return notes


def _on_chance(about: dict[str, Any], correlations: pd.DataFrame) -> list[str]:
    if correlations.empty:
        return ["No benchmark has enough rated models for a correlation."]
    raw = correlations[(correlations["removed"] == "") & (correlations["statistic"] == "pearson")]
    n, level = int(raw["n"].min()), about["confidence"]
    notes = [
        f"At n = {n}, the fewest models behind a correlation here, an unrelated benchmark reaches "
        f"|r| = {pearson_null_quantile(n, level):.2f} with probability {1 - level:.0%}."
    ]
    for removed, words in (("", "as they are"), ("log parameters", "after removing log parameters")):
        part = correlations[(correlations["removed"] == removed) & (correlations["statistic"] == "pearson")]
        if len(part):
            carried = part.loc[part["p_family_wise"] <= 0.05, "benchmark"].tolist()
            notes.append(
                f"Pearson correlations {words} that hold at .05 over all {len(part)} benchmarks together "
                f"(n = {part['n'].min()} to {part['n'].max()}): {', '.join(carried) if carried else 'none'}."
            )
    return notes


def _on_accuracy(about: dict[str, Any], validation: pd.DataFrame) -> list[str]:
    notes = []
    if "log-params" not in set(validation["method"]):
        notes.append(LOG_PARAMS_MISSING)
    for scheme, part in validation.groupby("scheme", sort=False):
        told = ", ".join(f"{r.method} {r.rmse:.3g} [{r.low:.3g}, {r.high:.3g}]" for r in part.itertuples())
        notes.append(
            f"RMSE, {str(scheme).replace('-', ' ')} ({about['confidence']:.0%} intervals by family): {told}."
        )
        baselines = part[part["method"] != about["method"]]
        best = baselines.loc[baselines["rmse"].idxmin()]
        claim = "better than" if best["ratio_high"] < 1 else "worse than" if best["ratio_low"] > 1 else None
        verdict = f"it is {claim} that baseline" if claim else "these data do not tell the two apart"
        notes.append(
            f"{about['method']} has {best['ratio']:.2f} [{best['ratio_low']:.2f}, "
            f"{best['ratio_high']:.2f}] times "
            f"the RMSE of {best['method']}, the best of the others: {verdict}."
        )
    if validation["scheme"].nunique() < 2:
        notes.append(
            "Fewer than four families: what a model from a new family costs in accuracy is not known."
        )
    return notes


def _on_coverage(about: dict[str, Any]) -> list[str]:
    notes = []
    for scheme, count in about["coverage"].items():
        words = scheme.replace("-", " ")
        if count is None:
            notes.append(
                f"Coverage, {words}: not measurable, as one model fewer makes the intervals infinite."
            )
        else:
            share = count["covered"] / count["of"]
            notes.append(
                f"Measured coverage of the {about['confidence']:.0%} intervals, {words}: "
                f"{count['covered']} of {count['of']} ({share:.0%})."
            )
    return notes


def _on_reach(about: dict[str, Any]) -> list[str]:
    notes = [
        "Intervals assume that a model of the run is to the public ones as those are to each other; a "
        "correlation says nothing of what training for a benchmark would do to the rating."
    ]
    if about["table"] == BUNDLED.name:
        notes.append(
            "The public figures are few-shot (25 ARC-C, 10 HellaSwag, 5 MMLU, Winogrande, GSM8K), closed "
            "models' probably their makers' own; a run's scores under other prompts shift its forecast by an "
            "unknown amount."
        )
    return notes

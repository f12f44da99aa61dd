"""What the report shows of a study of ratings: forecasts, left-out errors beside baselines, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tasks.evaluation.snapshot_names import is_snapshot, without_snapshots
from tasks.preference.study import LEVEL, Study
from tasks.report.formatting import MISSING, decimals_for, fixed, is_number, listed, significant
from tasks.report.pictures.colours import ACCENT, Look
from tasks.report.pictures.dots import Dot, draw_dots, score_words
from tasks.report.pictures.drawing import Picture, finished
from tasks.report.pictures.preference_pictures import draw_calibration, draw_correlations, draw_forecasts

METHODS = {
    "mean": "mean rating (baseline)",
    "single": "best single benchmark (baseline)",
    "log-params": "log parameters (baseline)",
}
MODEL_SCHEME, FAMILY_SCHEME = "leave-one-model-out", "leave-one-family-out"
SHOWN_CATEGORIES = 6


def study_view(found: Study) -> dict[str, Any]:
    """Everything that the template shows of a study, by name."""
    about = found.about
    scheme = shown_scheme(found)
    left_out = found.left_out[found.left_out["scheme"] == scheme]
    told = without_snapshots(found.models["model"])
    rows, models = (frame[frame["model"].isin(told)] for frame in (found.rows, found.models))
    return {
        **about,
        "level": f"{about['confidence']:.0%}",
        "forecasts": forecast_rows(rows),
        "shown_categories": SHOWN_CATEGORIES,
        "forecast_models": models["model"].tolist(),
        "snapshots_forecast": len(found.models) - len(models),
        "reach": reach_rows(models),
        "lacking": lacking(found),
        "forecast_from": forecast_from(found, scheme),
        "scatter": _scatter(left_out),
        "calibration": _calibration(left_out, about["confidence"]),
        "correlations": _correlations(found),
        "predictive": _predictive(found),
        "validation": validation_rows(found),
        "by_category": category_rows(found, scheme),
        "left_out": left_out_rows(left_out),
        "refused": list(found.refused),
        "notes": list(found.notes),
    }


def shown_scheme(found: Study) -> str:
    """One model left out at a time; where there are snapshots, a model with all of its own, if families allow it."""
    by_family = FAMILY_SCHEME in set(found.left_out["scheme"])
    return FAMILY_SCHEME if by_family and _has_snapshots(found) else MODEL_SCHEME


def forecast_from(found: Study, scheme: str) -> str:
    """What a left-out model is forecast from, in words."""
    if not _has_snapshots(found):
        return "the others"
    if scheme == FAMILY_SCHEME:
        return "the others: a model is left out with all its snapshots"
    return "the others, its own snapshots among them"


def _has_snapshots(found: Study) -> bool:
    return any(is_snapshot(name) for name in found.about["rated_models"])


def validation_rows(found: Study) -> list[dict]:
    """One row a scheme and method: RMSE and coverage over the categories, the chosen method first."""
    chosen = found.about["method"]
    rows = []
    for scheme, methods in found.about["summary"].items():
        for part in methods:
            name = METHODS.get(part["method"], part["method"])
            is_chosen = part["method"] == chosen
            rows.append(
                {
                    "scheme": scheme.replace("-", " "),
                    "method": name if not is_chosen or chosen in METHODS else f"{name} (chosen)",
                    "is_chosen": is_chosen,
                    "rmse": significant(part["median_rmse"]),
                    "ratio": fixed(part["ratio_of_medians"], 2),
                    "worst": f"{fixed(part['worst_ratio'], 2)} ({part['worst_target']})",
                    "coverage": MISSING if part["coverage"] is None else f"{part['coverage']:.0%}",
                    "n": part["intervals"] + part["infinite_intervals"],
                }
            )
    return rows


def category_rows(found: Study, scheme: str) -> list[dict]:
    """The chosen method on each category, models left out by `scheme`, beside the category's best baseline."""
    table = found.validation
    part = table[(table["scheme"] == scheme) & (table["method"] == found.about["method"])]
    return [
        {
            "target": row["target"],
            "n": row["n"],
            "rmse": between(row["rmse"], row["rmse_low"], row["rmse_high"]),
            "baseline": METHODS.get(row["baseline"], row["baseline"]),
            "baseline_rmse": significant(row["baseline_rmse"]),
            "ratio": between(row["ratio"], row["ratio_low"], row["ratio_high"]),
            "fell_back": f"{row['fell_back']:.0%}" if row["fell_back"] else MISSING,
        }
        for row in part.to_dict("records")
    ]


def forecast_rows(rows: pd.DataFrame) -> list[dict]:
    """One row a category: the forecast of each model of the run."""
    return [
        {
            "target": target,
            "cells": [between(row["predicted"], row["low"], row["high"]) for row in part.to_dict("records")],
        }
        for target, part in rows.groupby("target", sort=False)
    ]


def rating_rows(ratings: Sequence[Mapping[str, Any]]) -> list[dict]:
    """One row a model: its rating in each category; ratings: rows of model, category, rating, low, high."""
    cells: dict[str, dict[str, str]] = {}
    for row in ratings:
        told = between(row["rating"], row["low"], row["high"])
        cells.setdefault(row["model"], {})[row["category"]] = told
    return [{"model": model, "cells": by_category} for model, by_category in cells.items()]


def reach_rows(models: pd.DataFrame) -> list[dict]:
    """By model of the run how much of the evidence is about models like it."""
    return [
        {
            "model": row["model"],
            "benchmarks": f"{row['benchmarks']} of {row['of']}",
            "leverage": f"{fixed(row['leverage'], 2)} (rated: at most {fixed(row['leverage_rated'], 2)})",
            "outside": ", ".join(row["outside"]) or MISSING,
            "extrapolates": "yes" if row["extrapolates"] else "no",
        }
        for row in models.to_dict("records")
    ]


def lacking(found: Study) -> list[tuple[str, str]]:
    """(models, benchmarks that they lack) of those without a forecast: models that lack the same stand together.

    Snapshots are left out, unless there are only these.
    """
    groups: dict[str, list[str]] = {}
    known = set(found.models["model"])
    all_lacking = found.about.get("lacking", {})
    told = without_snapshots(all_lacking)
    for model, names in all_lacking.items():
        if model in told and model not in known:
            groups.setdefault(", ".join(names), []).append(model)
    return [(listed(models, 20), missing) for missing, models in groups.items()]


def left_out_rows(left_out: pd.DataFrame) -> list[dict]:
    """What stands behind the scatter, one row a rated model and category."""
    return [
        {
            "model": row["model"],
            "target": row["target"],
            "truth": fixed(row["truth"]),
            "predicted": between(row["predicted"], row["low"], row["high"]),
            "holds": bool(row["covered"]),
        }
        for row in left_out.sort_values(["target", "truth"], ascending=[True, False]).to_dict("records")
    ]


def between(value: float, low: float, high: float) -> str:
    """ "0.81 [0.74, 0.88]", with two digits of the interval's quarter."""
    if not is_number(value):
        return MISSING
    decimals = decimals_for((high - low) / 4)
    ends = (fixed(end, decimals) if is_number(end) else "unbounded" for end in (low, high))
    return f"{fixed(value, decimals)} [{', '.join(ends)}]"


def _scatter(left_out: pd.DataFrame) -> Picture | None:
    if left_out.empty:
        return None
    held = int(left_out["covered"].sum())
    words = f"Left-out forecasts against {len(left_out)} ratings; {held} intervals hold theirs."
    return finished(draw_forecasts(left_out), words)


def _calibration(left_out: pd.DataFrame, confidence: float) -> Picture | None:
    if not np.isfinite(left_out["half_width"]).any():
        return None
    return finished(
        draw_calibration(left_out, confidence), "Share of left-out ratings inside intervals by level."
    )


def _correlations(found: Study) -> list[tuple[str, Picture]]:
    """A heat map for each part removed; none for a single category, which the dots show."""
    if len(found.about["targets"]) < 2:
        return []
    maps = []
    for removed in dict.fromkeys(found.pairs["removed"]):
        title = f"without {removed}" if removed else "as they are"
        words = f"Pearson correlations of benchmarks with categories, {title}."
        maps.append((title, finished(draw_correlations(found.pairs, removed=str(removed)), words)))
    return maps


def _predictive(found: Study) -> Picture | None:
    """Benchmarks by their mean correlation with the categories, those that hold over all tests marked."""
    part = found.pairs[(found.pairs["statistic"] == "pearson") & (found.pairs["removed"] == "")]
    holding = set(part.loc[part["p_family_wise"] <= LEVEL, "benchmark"])
    dots = [
        Dot(
            f"{row['benchmark']} ({row['n']})",
            row["mean_r"],
            row["low"] if is_number(row["low"]) else None,
            row["high"] if is_number(row["high"]) else None,
            Look(ACCENT, "o" if row["benchmark"] in holding else "x"),
        )
        for row in found.predictive.to_dict("records")
        if is_number(row["mean_r"])
    ]
    if not dots:
        return None
    label = f"mean Pearson r over the categories, {found.about['confidence']:.0%} interval"
    return draw_dots(dots, label, score_words(dots), width=4.6)

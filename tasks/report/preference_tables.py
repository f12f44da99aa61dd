"""Tables of the preference forecast: how good it is beside its baselines, and what it says of the run."""

from __future__ import annotations

import pandas as pd

from tasks.preference.result import Forecast
from tasks.report.formatting import MISSING, fixed, is_number, listed
from tasks.report.pictures.colours import ACCENT, Look
from tasks.report.pictures.dots import Dot

METHODS = {
    "mean": "mean rating (baseline)",
    "single": "best single benchmark (baseline)",
    "log-params": "log parameters (baseline)",
}


def validation_rows(forecast: Forecast) -> list[dict]:
    """One row a scheme and method: RMSE, and the chosen method's RMSE over this one's, with intervals."""
    chosen = forecast.about.get("method")
    rows = []
    for row in forecast.validation.to_dict("records"):
        is_chosen = row["method"] == chosen
        name = METHODS.get(row["method"], row["method"])
        rows.append(
            {
                "scheme": str(row["scheme"]).replace("-", " "),
                "method": name if not is_chosen or row["method"] in METHODS else f"{name} (chosen)",
                "is_chosen": is_chosen,
                "rmse": between(row["rmse"], row["low"], row["high"]),
                "ratio": MISSING if is_chosen else between(row["ratio"], row["ratio_low"], row["ratio_high"]),
                "n": int(row["n"]),
            }
        )
    return rows


def forecast_rows(forecast: Forecast) -> list[dict]:
    """One row a model of the run that has a forecast."""
    return [
        {
            "model": row["model"],
            "rating": between(row["rating"], row["low"], row["high"]),
            "outside": ", ".join(filter(None, [row["outside"]])) or MISSING,
            "extrapolates": "yes" if row["extrapolates"] else "no",
        }
        for row in forecast.rows.to_dict("records")
        if not row["missing"]
    ]


def lacking(forecast: Forecast) -> list[tuple[str, str]]:
    """(models, benchmarks that they lack): models that lack the same stand together."""
    groups: dict[str, list[str]] = {}
    for row in forecast.rows.to_dict("records"):
        if row["missing"]:
            groups.setdefault(row["missing"], []).append(row["model"])
    return [(listed(models, 20), missing) for missing, models in groups.items()]


def loo_rows(loo: pd.DataFrame) -> list[dict]:
    """What stands behind the scatter, one row a public model."""
    return [
        {
            "model": row["model"],
            "truth": fixed(row["truth"]),
            "predicted": between(row["predicted"], row["low"], row["high"]),
            "holds": bool(row["low"] <= row["truth"] <= row["high"]),
        }
        for row in loo.sort_values("truth", ascending=False).to_dict("records")
    ]


def correlation_dots(correlations: pd.DataFrame) -> list[Dot]:
    """Pearson correlation of each benchmark with the rating, highest first."""
    if correlations.empty:
        return []
    part = correlations[(correlations["statistic"] == "pearson") & (correlations["removed"] == "")]
    look = Look(ACCENT, "o")
    return [
        Dot(f"{row['benchmark']} ({row['n']})", row["value"], *_ends(row), look)
        for row in part.sort_values("value", ascending=False).to_dict("records")
        if is_number(row["value"])
    ]


def between(value: float, low: float, high: float) -> str:
    """ "0.81 [0.74, 0.88]"."""
    if not is_number(value):
        return MISSING
    return f"{fixed(value)} [{_end(low)}, {_end(high)}]"


def _ends(row: dict) -> tuple[float | None, float | None]:
    return (row["low"], row["high"]) if is_number(row["low"]) and is_number(row["high"]) else (None, None)


def _end(value: float) -> str:
    return fixed(value) if is_number(value) else "unbounded"

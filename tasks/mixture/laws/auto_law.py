"""The law `auto`: see `stacking`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tasks.method import MethodSettings
from tasks.mixture.laws.law import Law

if TYPE_CHECKING:
    from tasks.mixture.laws.predictor import Predictor


class AutoSettings(MethodSettings):
    """The law auto has no settings."""

    method: Literal["auto"] = "auto"


def _fit(*known: Any) -> Predictor:
    from tasks.mixture.laws.stacking import fit_stack

    return fit_stack(*known)


LAW = Law(
    settings=AutoSettings,
    title="auto",
    line="a weighted mean of laws, chosen by cross-validation inside the runs",
    paper="Wolpert 1992, stacked generalisation",
    equation="loss_k = sum over laws of v_law loss_law,k",
    fit=_fit,
    fewest_runs=8,
)

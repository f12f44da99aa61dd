"""The law `auto`: see `middle_of_laws`."""

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
    from tasks.mixture.laws.middle_of_laws import fit_middle

    return fit_middle(*known)


LAW = Law(
    settings=AutoSettings,
    title="auto",
    line="of five laws the middle three, averaged",
    paper="Jose and Winkler 2008, trimmed means of forecasts",
    equation="loss_k = mean of loss_law,k without the highest and the lowest law",
    fit=_fit,
    fewest_runs=8,
)

"""The law `diminishing`: see `power_laws`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tasks.method import MethodSettings
from tasks.mixture.laws.law import Law

if TYPE_CHECKING:
    from tasks.mixture.laws.predictor import Predictor


class DiminishingSettings(MethodSettings):
    """The law diminishing has no settings."""

    method: Literal["diminishing"] = "diminishing"


def _fit(*known: Any) -> Predictor:
    from tasks.mixture.laws.power_laws import fit_diminishing

    return fit_diminishing(*known)


LAW = Law(
    settings=DiminishingSettings,
    title="diminishing power",
    line="the power law, where the first tokens of a source teach most",
    paper="Hoffmann et al. 2022, arXiv 2203.15556, for one source",
    equation="loss_k = E_k + (sum_i t_ki w_i^b_k)^-a_k",
    fit=_fit,
)

"""The law `diminishing+gp`: see `middle_of_laws`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tasks.method import MethodSettings
from tasks.mixture.laws.law import Law

if TYPE_CHECKING:
    from tasks.mixture.laws.predictor import Predictor


class DiminishingGpSettings(MethodSettings):
    """The law diminishing+gp has no settings."""

    method: Literal["diminishing+gp"] = "diminishing+gp"


def _fit(*known: Any) -> Predictor:
    from tasks.mixture.laws.middle_of_laws import fit_residual_process

    return fit_residual_process(*known)


LAW = Law(
    settings=DiminishingGpSettings,
    title="diminishing + GP",
    line="the diminishing power law, and a process for what it leaves",
    paper="Hoffmann et al. 2022, arXiv 2203.15556; Rasmussen and Williams 2006, chapter 5",
    equation="loss_k = diminishing + f(sqrt w)",
    fit=_fit,
)

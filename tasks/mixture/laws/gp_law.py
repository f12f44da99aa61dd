"""The law `gp`: see `gaussian_process`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tasks.method import MethodSettings
from tasks.mixture.laws.law import Law

if TYPE_CHECKING:
    from tasks.mixture.laws.predictor import Predictor


class GpSettings(MethodSettings):
    """The law gp has no settings."""

    method: Literal["gp"] = "gp"


def _fit(*known: Any) -> Predictor:
    from tasks.mixture.laws.gaussian_process import fit_gaussian

    return fit_gaussian(*known)


LAW = Law(
    settings=GpSettings,
    title="GP",
    line="Gaussian processes on roots and logarithms of the weights",
    paper="Rasmussen and Williams 2006, chapter 5",
    equation="loss_k = mean + f(x(w)), f ~ GP(Matern 5/2)",
    fit=_fit,
)

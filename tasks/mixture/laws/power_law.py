"""The law `power`: see `power_laws`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tasks.method import MethodSettings
from tasks.mixture.laws.law import Law

if TYPE_CHECKING:
    from tasks.mixture.laws.predictor import Predictor


class PowerSettings(MethodSettings):
    """The law power has no settings."""

    method: Literal["power"] = "power"


def _fit(*known: Any) -> Predictor:
    from tasks.mixture.laws.power_laws import fit_power

    return fit_power(*known)


LAW = Law(
    settings=PowerSettings,
    title="power",
    line="a power law in the tokens that serve a loss",
    paper="Hoffmann et al. 2022, arXiv 2203.15556, for one source",
    equation="loss_k = E_k + (sum_i t_ki w_i)^-a_k",
    fit=_fit,
)

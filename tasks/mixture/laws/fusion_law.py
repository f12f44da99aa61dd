"""The law `fusion`: see `prior_law`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tasks.method import MethodSettings
from tasks.mixture.laws.law import Law

if TYPE_CHECKING:
    from tasks.mixture.laws.predictor import Predictor


class FusionSettings(MethodSettings):
    """The law fusion has no settings."""

    method: Literal["fusion"] = "fusion"


def _fit(*known: Any) -> Predictor:
    from tasks.mixture.laws.prior_law import fit_fusion

    return fit_fusion(*known)


LAW = Law(
    settings=FusionSettings,
    title="fusion",
    line="utilities as the prior of a process, which 0 to N runs correct",
    paper="Held et al. 2025, arXiv 2501.11747, for the prior",
    equation="loss_k = m + s (sum_j b_kj z_j(w) + f_k(sqrt w))",
    fit=_fit,
    fewest_runs=0,
    needs_utility=True,
)

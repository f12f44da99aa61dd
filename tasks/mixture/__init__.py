"""How much of each source: UtiliMax and its peers, by source name, in whole tokens and under an epoch cap.

    from tasks.mixture import utilimax
    mixture = utilimax(utility, tokens={"web": 10**9, "code": 10**8}, budget=10**8)
    mixture.weights, mixture.tokens, mixture.epochs, mixture.certificate

Public names load on first use, so that naming the stage costs no numerical library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.mixture.experts import auto_experts
    from tasks.mixture.heuristics import manual, olmo, proportional, uniform, unimax
    from tasks.mixture.laws.law import FittedLaw, fit_law
    from tasks.mixture.mixture import Mixture
    from tasks.mixture.path import mixture_path
    from tasks.mixture.plans import expert_plan, seed_plan, stitch_plan
    from tasks.mixture.portfolio import utilimax
    from tasks.mixture.settings import MixtureSettings

_HOMES = {
    "FittedLaw": "tasks.mixture.laws.law",
    "Mixture": "tasks.mixture.mixture",
    "MixtureSettings": "tasks.mixture.settings",
    "auto_experts": "tasks.mixture.experts",
    "expert_plan": "tasks.mixture.plans",
    "fit_law": "tasks.mixture.laws.law",
    "mixture_path": "tasks.mixture.path",
    "manual": "tasks.mixture.heuristics",
    "olmo": "tasks.mixture.heuristics",
    "proportional": "tasks.mixture.heuristics",
    "seed_plan": "tasks.mixture.plans",
    "stitch_plan": "tasks.mixture.plans",
    "uniform": "tasks.mixture.heuristics",
    "unimax": "tasks.mixture.heuristics",
    "utilimax": "tasks.mixture.portfolio",
}

__all__ = [
    "FittedLaw",
    "Mixture",
    "MixtureSettings",
    "auto_experts",
    "expert_plan",
    "fit_law",
    "manual",
    "mixture_path",
    "olmo",
    "proportional",
    "seed_plan",
    "stitch_plan",
    "uniform",
    "unimax",
    "utilimax",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

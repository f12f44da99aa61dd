"""DoReMi as a mixture method: its weights are learnt by the stage `online`, see `tasks.proxies.online`."""

from __future__ import annotations

from typing import Literal

from tasks.mixture.learnt import LearntMixture, solve_learnt
from tasks.mixture.mixture_method import MixtureMethod


class DoremiMixture(LearntMixture):
    """Settings of the method doremi."""

    method: Literal["doremi"] = "doremi"


METHOD = MixtureMethod(
    settings=DoremiMixture,
    title="DoReMi",
    line="weights that follow the worst excess loss of a proxy over a reference",
    paper="Xie et al. 2023, arXiv 2305.10429, algorithm 1",
    equation="w_i <- (1 - c) w_i exp(eta excess_i) / Z + c / d",
    evidence="online",
    solve=solve_learnt,
)

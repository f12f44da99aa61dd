"""ODM as a mixture method: its weights are learnt by the stage `online`, see `tasks.proxies.online`."""

from __future__ import annotations

from typing import Literal

from tasks.mixture.learnt import LearntMixture, solve_learnt
from tasks.mixture.mixture_method import MixtureMethod


class OdmMixture(LearntMixture):
    """Settings of the method odm."""

    method: Literal["odm"] = "odm"


METHOD = MixtureMethod(
    settings=OdmMixture,
    title="ODM",
    line="a bandit that draws where the training loss is highest",
    paper="Albalak et al. 2023, arXiv 2312.02406, algorithm 1",
    equation="EXP3 with the moving average of training losses as rewards",
    evidence="online",
    solve=solve_learnt,
)

"""Skill-it as a mixture method: its weights are learnt by the stage `online`, see `tasks.proxies.online`."""

from __future__ import annotations

from typing import Literal

from tasks.mixture.learnt import LearntMixture, solve_learnt
from tasks.mixture.mixture_method import MixtureMethod


class SkillItMixture(LearntMixture):
    """Settings of the method skill-it."""

    method: Literal["skill-it"] = "skill-it"


METHOD = MixtureMethod(
    settings=SkillItMixture,
    title="Skill-it",
    line="weights that follow which source helps which",
    paper="Chen et al. 2023, arXiv 2307.14430, algorithm 1",
    equation="p_i <- exp(eta sum over rounds of sum_j A_ij loss_j)",
    evidence="online",
    solve=solve_learnt,
)

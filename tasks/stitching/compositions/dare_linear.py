"""DARE: weight changes dropped at random, what is left scaled up and summed (arXiv 2311.03099)."""

from __future__ import annotations

from typing import Literal

from tasks.stitching.compositions.composition import (
    Composition,
    RandomMergeSettings,
    as_the_dense_seed,
    merged_by,
)


class DareLinearSettings(RandomMergeSettings):
    """How the experts' changes are thinned out and weighed."""

    method: Literal["dare-linear"] = "dare-linear"


COMPOSITION = Composition(
    settings=DareLinearSettings,
    title="DARE",
    line="random weight changes, scaled up and summed",
    paper="Yu et al. 2023, arXiv 2311.03099",
    equation="theta = theta_seed + sum_i w_i m_i * (theta_i - theta_seed) / density, m_i ~ Bernoulli(density)",
    configuration=as_the_dense_seed,
    build=merged_by("dare_linear"),
)

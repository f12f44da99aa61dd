"""DARE with the elected signs of TIES: what is left of the changes is summed where it has them (arXiv 2311.03099)."""

from __future__ import annotations

from typing import Literal

from tasks.stitching.compositions.composition import (
    Composition,
    RandomMergeSettings,
    as_the_dense_seed,
    merged_by,
)


class DareTiesSettings(RandomMergeSettings):
    """How the experts' changes are thinned out and weighed."""

    method: Literal["dare-ties"] = "dare-ties"


COMPOSITION = Composition(
    settings=DareTiesSettings,
    title="DARE-TIES",
    line="random weight changes, scaled up, those of the elected sign summed",
    paper="Yu et al. 2023, arXiv 2311.03099, with the signs of arXiv 2306.01708",
    equation="theta = theta_seed + sum of the w_i d_i with sign(d_i) = sign(sum_j w_j d_j), "
    "d_i = m_i * (theta_i - theta_seed) / density, m_i ~ Bernoulli(density)",
    configuration=as_the_dense_seed,
    build=merged_by("dare_ties"),
)

"""TIES: of each expert the largest weight changes, averaged where they have the elected sign (arXiv 2306.01708)."""

from __future__ import annotations

from typing import Literal

from tasks.stitching.compositions.composition import Composition, MergeSettings, as_the_dense_seed, merged_by


class TiesSettings(MergeSettings):
    """How the experts' changes are thinned out and weighed."""

    method: Literal["ties"] = "ties"


COMPOSITION = Composition(
    settings=TiesSettings,
    title="TIES",
    line="largest weight changes, those of the elected sign averaged",
    paper="Yadav et al. 2023, arXiv 2306.01708, algorithm 1",
    equation="theta = theta_seed + n w * mean of those d_i with sign(d_i) = sign(sum_j d_j); "
    "d_i keeps the largest of theta_i - theta_seed",
    configuration=as_the_dense_seed,
    build=merged_by("ties"),
)

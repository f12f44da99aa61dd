"""Every way to combine a seed and its experts into one causal language model, beside stitches.

    model = COMPOSITIONS_BY_NAME["btm"].combine(seed, {"code": code, "math": math})

gives a transformers model that generates, evaluates and saves like any other. To add one: a file that declares it,
and its line here.
"""

from tasks.method import by_name, listed
from tasks.stitching.compositions import (
    bam,
    bam_adapters,
    btm,
    btx_sampled,
    btx_soft,
    dare_linear,
    dare_ties,
    routing,
    soup,
    task_arithmetic,
    ties,
    token_routing,
    upcycle_composition,
)
from tasks.stitching.compositions.composition import Composition

COMPOSITIONS: tuple[Composition, ...] = listed(globals(), "COMPOSITION")
COMPOSITIONS_BY_NAME = by_name(COMPOSITIONS)
# What is called by name beside experts in tables of scores and of models: the seed, streams and models made of all.
RESERVED_NAMES = ("seed", "hub", "stitched", "dense", "mean", *COMPOSITIONS_BY_NAME)

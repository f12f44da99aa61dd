"""ODM (Albalak et al. 2023, arXiv 2312.02406): an EXP3 bandit whose reward for a source is its training loss.

With d sources, t steps from 1 on, n_i of the batch's n sequences drawn from source i and L_i their mean loss,

    eps_t = min(1/d, sqrt(ln d / (d t)))
    p_i,t = (1 - d * eps_t) * exp(eps_(t-1) * R_i) / sum_k exp(eps_(t-1) * R_k)  +  eps_t
    R_i  <-  a * R_i + (1 - a) * (n_i / n) * L_i / p_i

(n_i / n) * L_i / p_i has the expectation L_i whatever p_i is, a source that was not drawn counting as 0: that
is the importance weighting. A source of high loss is drawn more, whether or not its loss can fall.
"""

from __future__ import annotations

import math

import numpy as np

from tasks.training.token_plans import Array


def exploration(step: int, num_sources: int) -> float:
    """eps of step t >= 1; 1/d at step 0. Every source is drawn with at least this probability."""
    if step == 0:
        return 1 / num_sources
    return min(1 / num_sources, math.sqrt(math.log(num_sources) / (num_sources * step)))


def policy(rewards: Array, step: int) -> Array:
    """Probabilities (d,) of step t >= 1, from rewards R (d,)."""
    num_sources = len(rewards)
    floor = exploration(step, num_sources)
    raised = np.exp(exploration(step - 1, num_sources) * (rewards - rewards.max()))
    return (1 - num_sources * floor) * raised / raised.sum() + floor


def updated_rewards(
    rewards: Array, losses: Array, counts: Array, probabilities: Array, average: float
) -> Array:
    """R (d,) after a step. losses (d,): mean loss by source, NaN where not drawn; counts (d,): sequences drawn."""
    drawn = counts / counts.sum()
    seen = np.where(counts > 0, drawn * np.nan_to_num(losses) / probabilities, 0.0)
    return average * rewards + (1 - average) * seen

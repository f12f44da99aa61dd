"""What a mixture method says of itself, and what it is asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tasks.method import Method

if TYPE_CHECKING:
    import pandas as pd

    from tasks.mixture.mixture import Mixture
    from tasks.training.token_plans import Array

Evidence = Literal["none", "weights", "utility", "swarm", "online"]
EVIDENCE: dict[Evidence, str] = {
    "none": "the sizes of the sources alone",
    "weights": "weights by hand",
    "utility": "a utility matrix",
    "swarm": "a swarm of proxies (`utility.method=ablation` with `utility.ablation.swarm`)",
    "online": "proxies that train while the weights are learnt",
}


@dataclass(frozen=True)
class Found:
    """What proxies found, as far as the method asks. weights: source -> learnt weight; facts: what is told of them.

    runs: mixtures and losses of proxies, columns w_<source> and loss_<task>. losses, loss_errors: sources x tasks,
    of proxies on one source each, and their standard errors.
    """

    weights: Mapping[str, float] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    runs: pd.DataFrame | None = None
    losses: pd.DataFrame | None = None
    loss_errors: pd.DataFrame | None = None


@dataclass(frozen=True)
class Question:
    """A mixture that is asked for: tokens that each source holds, and the budget to be trained on.

    used: tokens by source that the lineage has read. utility, errors: sources x tasks in [0, 1] and standard errors,
    where the method needs them. found: by proxies. experts: for the stitches, the tasks of each expert.
    """

    tokens: Mapping[str, int]
    budget: int
    utility: pd.DataFrame | None = None
    errors: pd.DataFrame | None = None
    used: Mapping[str, float] = field(default_factory=dict)
    found: Found = Found()
    experts: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class MixtureMethod(Method):
    """A way to choose the mixture.

    solve: (settings, question) -> mixture; ValueError for names that do not match and a budget that the cap does not
    allow. evidence: what it must know, see `EVIDENCE`. needs_sizes: whether their sizes decide where no cap binds.
    needs_settings: whether it means nothing without settings of its own. reads_runs: whether it uses the proxies' runs
    where there are some.
    solve_stitches: for the stitch layers, where they are chosen otherwise.
    """

    solve: Callable[[Any, Question], Mixture] = field(kw_only=True)
    evidence: Evidence = field(kw_only=True)
    needs_sizes: bool = field(default=True, kw_only=True)
    needs_settings: bool = field(default=False, kw_only=True)
    reads_runs: bool = field(default=False, kw_only=True)
    solve_stitches: Callable[[Any, Question], Mixture] | None = field(default=None, kw_only=True)


def filled(
    method: str, shares: Callable[[dict[str, int]], Array], question: Question, epoch_cap: float, **told: Any
) -> Mixture:
    """Weights in proportion to `shares` of the sources' sizes, under the cap along the lineage.

    What the cap takes from a source goes to the others in proportion to their weights. told: for the certificate.
    """
    from tasks.mixture.mixture import planned
    from tasks.mixture.solver.capped_simplex import fill
    from tasks.training.token_plans import capacity, check_budget, check_cap, check_sizes, upper_bounds

    sizes = check_sizes(question.tokens)
    budget, epoch_cap = check_budget(question.budget), check_cap(epoch_cap)
    limit = capacity(sizes, budget, epoch_cap, question.used)
    w = fill(shares(sizes), upper_bounds(sizes, limit, budget))
    facts = {"method": method, "epoch_cap": None if math.isinf(epoch_cap) else epoch_cap, **told}
    return planned(w, sizes, budget, limit, question.used, facts)

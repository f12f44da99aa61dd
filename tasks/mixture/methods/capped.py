"""Proportional to size up to a cap, and fixed shares of groups over it: how instruction data are mixed.

Raffel et al. 2020, arXiv 1910.10683, section 3.5.2 (examples-proportional mixing with an artificial limit); the shares
of benchmarks over it, and a cap of 4096 examples, are OPT-IML's (Iyer et al. 2022, arXiv 2212.12017). The cap is in the
unit of the sizes: with examples in place of tokens it is one of examples.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, field_validator

from tasks.mixture.mixture_method import MixtureMethod, Question, filled
from tasks.mixture.settings import MixtureSettings

if TYPE_CHECKING:
    from tasks.mixture.mixture import Mixture


class CappedMixture(MixtureSettings):
    """Settings of the method capped."""

    method: Literal["capped"] = "capped"
    size_cap: int = Field(
        4096,
        gt=0,
        description="What a source counts at most, in the unit of its size; 4096 examples in OPT-IML.",
    )
    groups: dict[str, list[str]] = Field(
        default={}, description="Group -> its sources, by name or pattern; each source in one group."
    )
    group_shares: dict[str, float] = Field(
        default={},
        description="Group -> its share, whatever its sources hold; empty: as their capped sizes have it.",
    )

    @field_validator("group_shares")
    @classmethod
    def _shares_are_above_zero(cls, shares: dict[str, float]) -> dict[str, float]:
        if any(not (math.isfinite(share) and share >= 0) for share in shares.values()) or (
            shares and not sum(shares.values()) > 0
        ):
            raise ValueError(f"group_shares={shares}: each must be 0 or more, and one above 0")
        return shares


def capped(
    sizes: Mapping[str, int],
    budget: int,
    epoch_cap: float = math.inf,
    size_cap: int = 4096,
    groups: Mapping[str, Sequence[str]] | None = None,
    group_shares: Mapping[str, float] | None = None,
) -> Mixture:
    """Weights min(size, size_cap), those of a group scaled to its share.

    Raises ValueError for a source in no group or in two where there are groups, a pattern without a source, and groups
    and shares that do not go together.
    """
    told = {"size_cap": size_cap, "groups": groups or {}, "group_shares": group_shares or {}}
    return _solved(Question(sizes, budget), epoch_cap, told)


def _solved(question: Question, epoch_cap: float, told: dict[str, Any]) -> Mixture:
    groups, wanted = told["groups"], told["group_shares"]
    if wanted and set(wanted) != set(groups):
        odd = sorted(set(wanted) ^ set(groups))
        raise ValueError(
            f"groups and group_shares: {', '.join(odd)} is in one of them alone; each group needs both"
        )

    def shares(sizes: dict[str, int]) -> Any:
        own = np.minimum(np.array(list(sizes.values()), float), told["size_cap"])
        where = _groups(list(sizes), groups) if groups else []
        for group, share in wanted.items():
            inside = np.array([name == group for name in where])
            own[inside] *= share / own[inside].sum()
        return own

    facts = {name: value for name, value in told.items() if value}
    return filled("capped", shares, question, epoch_cap, **facts)


def _groups(sources: list[str], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """The group of each source."""
    found: dict[str, list[str]] = {source: [] for source in sources}
    for group, patterns in groups.items():
        for pattern in patterns:
            matched = fnmatch.filter(sources, pattern)
            if not matched:
                raise ValueError(
                    f"groups: {group}: {pattern!r} is no source; sources are {', '.join(sources)}"
                )
            for source in matched:
                found[source] += [group] * (group not in found[source])
    for source, named in found.items():
        if len(named) != 1:
            told = f"in {' and '.join(named)}" if named else "in no group"
            raise ValueError(f"groups: {source} is {told}; each source is in one group")
    return [named[0] for named in found.values()]


METHOD = MixtureMethod(
    settings=CappedMixture,
    title="capped",
    line="weights in proportion to size up to a cap, with fixed shares of groups where they are given",
    paper="Iyer et al. 2022, arXiv 2212.12017; Raffel et al. 2020, arXiv 1910.10683",
    equation="w_i = s_b min(N_i, K) / sum_{j in b} min(N_j, K)",
    evidence="none",
    solve=lambda settings, question: _solved(
        question,
        settings.epoch_cap,
        {name: getattr(settings, name) for name in ("size_cap", "groups", "group_shares")},
    ),
)

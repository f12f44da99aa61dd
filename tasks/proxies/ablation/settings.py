"""Settings of utility by ablation."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.training.settings import ModelSettings, ProxyModel


class AblationSettings(BaseModel):
    """Proxies trained on each source alone, and on a swarm of mixtures where one is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: int = Field(200_000, gt=0, description="Tokens that each proxy trains on.")
    model: ProxyModel = Field(
        ModelSettings(hidden_size=64, num_layers=2, num_heads=2),
        description="Architecture of the proxies; they start from new weights.",
    )
    swarm: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Further proxies, each on a mixture drawn from a Dirichlet distribution.",
    )
    concentration: float = Field(
        1.0,
        gt=0,
        le=1000,
        description="Parameter of that distribution, the same for every source: below 1 the mixtures favour few "
        "sources, above 1 they are nearly uniform.",
    )
    seeds: int = Field(1, ge=1, le=32, description="Proxies trained for each source, from different weights.")
    scale: Literal["minmax", "rank"] = Field(
        "minmax",
        description="From losses to utility, task by task. minmax: the best source gets 1, the worst 0, the others "
        "by their loss. rank: evenly spaced by their order.",
    )
    parallel: int = Field(1, ge=1, le=64, description="Proxies trained at the same time.")

"""Settings of a duel of ways to combine experts."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tasks.stitching.compositions import COMPOSITIONS_BY_NAME
from tasks.stitching.compositions.composition import CompositionSettings
from tasks.stitching.settings import StitchSettings
from tasks.tables.file_names import NAME_PATTERN

SEED, AVERAGE = "seed", "average"
FIRST_EXPERT = "first-expert"
STITCHED, DENSE = "stitched", "dense"
METHODS = (*COMPOSITIONS_BY_NAME, STITCHED, DENSE)
# By tests/bench/stitch_sweep.py, whose seed no duel uses; btx-sampled takes btx-soft's, and routing token-routing's.
OWN_RATES = {
    "routing": 3e-2,
    "token-routing": 3e-2,
    "btx-soft": 1e-3,
    "btx-sampled": 1e-3,
    "bam": 1e-3,
    "dense": 4e-3,
}
FIRST = StitchSettings(num_stitches=4, learning_rate=1e-3)


class Variant(BaseModel):
    """A way to combine seed and experts, or `dense`: the seed trained on, on as many tokens as all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME_PATTERN, max_length=40, description="Name in tables and pictures.")
    method: str = Field(description="How they are combined.", json_schema_extra={"enum": [*METHODS]})
    options: dict[str, Any] = Field(
        default={},
        description="Settings of the composition other than its learning rate, such as {density: 0.3}.",
    )
    stitch: StitchSettings | None = Field(None, description="For stitched: the stitches.")
    learning_rate: float | None = Field(
        None, gt=0, le=1, description="Peak learning rate of other methods that train; empty: the experts'."
    )
    hub: str = Field(
        SEED,
        description="For stitched: the expert that is the hub, with the seed as an expert; first-expert: whichever is "
        "listed first.",
    )
    in_domain_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="For stitched and dense: share of the stitches' tokens that is text like the cross-capability "
        "problems.",
    )
    side: bool = Field(False, description="Run with the first seed only.")

    @field_validator("method")
    @classmethod
    def _is_known(cls, method: str) -> str:
        if method not in METHODS:
            raise ValueError(f"no such method; allowed: {', '.join(METHODS)}")
        return method

    @model_validator(mode="after")
    def _only_what_the_method_uses(self) -> "Variant":
        stitched = self.method == STITCHED
        if stitched != (self.stitch is not None):
            raise ValueError(f"{self.name!r}: stitch goes with the method stitched, and it needs one")
        if stitched and self.learning_rate is not None:
            raise ValueError(f"{self.name!r}: learning_rate of stitched is that in stitch")
        if not stitched and self.hub != SEED:
            raise ValueError(f"{self.name!r}: hub={self.hub!r} has no effect on {self.method}")
        composition = COMPOSITIONS_BY_NAME.get(self.method)
        if composition is not None and self.in_domain_share:
            raise ValueError(f"{self.name!r}: in_domain_share has no effect on {self.method}")
        if composition is not None and not composition.is_trained and self.learning_rate is not None:
            raise ValueError(
                f"{self.name!r}: learning_rate has no effect on {self.method}, which does not train"
            )
        if composition is None and self.options:
            raise ValueError(f"{self.name!r}: options={self.options} has no effect on {self.method}")
        own = {"method", "name", "learning_rate"}.intersection(self.options)
        if own:
            raise ValueError(
                f"{self.name!r}: options hold {', '.join(sorted(own))}, which the variant has itself"
            )
        if composition is not None:
            self.composition(1.0)
        return self

    def composition(self, learning_rate: float) -> CompositionSettings:
        """Settings of the composition. learning_rate: where it trains and the variant has none."""
        composition = COMPOSITIONS_BY_NAME[self.method]
        rate = {"learning_rate": self.learning_rate or learning_rate} if composition.is_trained else {}
        return composition.settings(**self.options, **rate)


def default_variants() -> tuple[Variant, ...]:
    """Training-free merges, ensembles, routers, mixtures of experts, dense training, and stitches."""
    others = (
        "soup", "ties", "dare-ties", "btm", "routing", "token-routing", "btx-soft", "btx-sampled", "bam",
        "bam-adapters",
    )  # fmt: skip
    all_to_hub = FIRST.model_copy(update={"layout": "experts-into-hub"})
    return (
        *(Variant(name=method, method=method, learning_rate=OWN_RATES.get(method)) for method in others),
        Variant(name="dense", method=DENSE, learning_rate=OWN_RATES[DENSE]),
        Variant(name="bts-k4", method=STITCHED, stitch=FIRST),
        Variant(name="bts-k4-expert-hub", method=STITCHED, stitch=FIRST, hub=FIRST_EXPERT),
        Variant(
            name="bts-k1", method=STITCHED, stitch=FIRST.model_copy(update={"num_stitches": 1}), side=True
        ),
        Variant(
            name="bts-k2", method=STITCHED, stitch=FIRST.model_copy(update={"num_stitches": 2}), side=True
        ),
        Variant(name="bts-k4-to-hub", method=STITCHED, stitch=all_to_hub, side=True),
        Variant(
            name="dense-in-domain",
            method=DENSE,
            learning_rate=OWN_RATES[DENSE],
            in_domain_share=0.1,
            side=True,
        ),
        Variant(name="bts-k4-in-domain", method=STITCHED, stitch=FIRST, in_domain_share=0.1, side=True),
        Variant(
            name="bts-k4-to-hub-in-domain",
            method=STITCHED,
            stitch=all_to_hub,
            in_domain_share=0.1,
            side=True,
        ),
    )


def change_names(variant: str, expert: str) -> tuple[str, str, str]:
    """Names of the models without the expert: dropped, never there, and added to the latter."""
    return f"{variant}-drop-{expert}", f"{variant}-without-{expert}", f"{variant}-add-{expert}"


class StitchDuelSettings(BaseModel):
    """Which ways to combine the experts are compared, on which domains, how often."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variants: tuple[Variant, ...] = Field(
        default_factory=default_variants, min_length=1, description="What is compared."
    )
    changes_of: str | None = Field(
        "bts-k4",
        description="Stitched variant whose experts are dropped and added one at a time, with the first seed; empty: "
        "none.",
    )
    domains: dict[str, tuple[str, ...]] = Field(
        min_length=1,
        description="Domain -> names of its sources, or patterns such as math*. A domain that has the name of an "
        "expert is that expert's own. Sources in no domain are not counted.",
    )
    shares: dict[str, float] | None = Field(
        None,
        description="Share of each domain in what stitches and other combinations are trained on, in proportion to "
        "tokens within a domain; empty: solved as the seed's.",
    )
    seeds: int = Field(3, ge=1, le=100, description="Runs of all that is no side variant.")
    costs: bool = Field(
        True,
        description="Whether memory and tokens/s of every model are measured, each in a process of its own.",
    )
    switching_documents: int = Field(
        60, ge=1, le=10_000, description="Documents made of held-out pieces of two domains in turns."
    )
    cross_items: int = Field(
        40,
        ge=20,
        le=10_000,
        description="Items of each cross-capability task: problems in another language or code.",
    )
    cross_tokens: int = Field(
        60_000, ge=1_000, description="Tokens of in-domain text, for the variants that train on it."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> "StitchDuelSettings":
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names) or SEED in names:
            raise ValueError(f"variants are named {names}; allowed: names that differ, and not {SEED!r}")
        if self.shares is not None and (
            set(self.shares) != set(self.domains)
            or min(self.shares.values()) < 0
            or sum(self.shares.values()) <= 0
        ):
            raise ValueError(
                f"shares={self.shares}; allowed: one of at least 0 for each of {', '.join(self.domains)}"
            )
        stitched = [v.name for v in self.variants if v.method == STITCHED and v.hub == SEED]
        if self.changes_of is not None and self.changes_of not in stitched:
            raise ValueError(
                f"changes_of={self.changes_of!r}; allowed: a stitched variant on the seed ({', '.join(stitched)}), or "
                "empty"
            )
        return self

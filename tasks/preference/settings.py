"""What a user may set about the forecast of human ratings."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Method = Literal[
    "auto", "level-light", "level-strong", "ridge", "pls", "pcr", "elastic-net", "min-norm", "mean", "single",
    "single-filled",
]  # fmt: skip


class ProgrammaticSettings(BaseModel):
    """Prompts with known answers that the run's own models are rated by."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: int = Field(
        default=60,
        ge=10,
        description="Prompts a source; one whose held-out text gives fewer has fewer, and under 10 none.",
    )
    prompt_characters: int = Field(
        default=240,
        ge=1,
        description="Characters of a prompt at least; it is cut at the next blank. A shorter document gives none.",
    )
    letters: int | None = Field(
        default=None,
        ge=1,
        description="First letters of the next word that an answer must begin with; empty: the whole word.",
    )
    new_tokens: int = Field(
        default=12, ge=1, description="Tokens a model answers at most; less than its context."
    )


class PreferenceSettings(BaseModel):
    """Settings of the stage `preference`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Path | None = Field(
        default=None,
        description="Table of public models with benchmark scores and a human rating (CSV, Parquet or JSONL); empty: "
        "the bundled one. Long form: model, quantity, value, and optionally value_low, value_high (95% interval). Wide "
        "form: model and one numeric column a quantity (X_low and X_high beside X). Either may have family, params_b "
        "(billions), date, unit, source, source_commit, licence.",
    )
    rating: str = Field(
        default="human_rating", min_length=1, description="Quantity of the table that is the human rating."
    )
    benchmarks: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Benchmarks to predict from, by their names in the table; empty: all that the table has.",
    )
    ratings: Path | None = Field(
        default=None,
        description=(
            "Table of ratings by category (CSV, Parquet or JSONL: model, category, rating, and its interval), as "
            "`mixstitch preference fit --ratings` takes it: the run's models then get a profile by category. "
            "Empty: the one rating of `table` alone."
        ),
    )
    join: Literal["exact", "normalised"] = Field(
        default="exact",
        description="How names of `table` and `ratings` are joined; normalised: case, punctuation and organisation do "
        "not count.",
    )
    leave_out: list[str] = Field(
        default=[],
        description="Public models that nothing is learned from, as the run's own start from them (model.pretrained). "
        "One that has the name of a model of the run is always left out.",
    )
    method: Method = Field(
        default="auto",
        description="How ratings are forecast from benchmarks; auto weighs several methods and falls back to a "
        "baseline where that does better. The baselines always stand beside it.",
    )
    confidence: float = Field(
        default=0.9,
        ge=0.5,
        le=0.99,
        description="Level of every interval; a finite one needs at least 1/(1-confidence) - 1 rated models.",
    )
    permutations: int = Field(
        default=2000,
        ge=99,
        le=100_000,
        description="Permutations of the models for p-values; all orders are gone through where there are few.",
    )
    random_seed: int = Field(default=0, ge=0, description="Seed of the permutations and resamples.")
    names: dict[str, str] = Field(
        default={},
        description="Task name in the run -> benchmark in the table, where the usual names do not match.",
    )
    programmatic: ProgrammaticSettings | None = Field(
        default=None,
        description="Lets rules with known answers, not people, judge continuations of held-out text by the run's own "
        "models, and studies the ratings that come of it against the run's own scores. Empty: no such ratings.",
    )

    @field_validator("benchmarks")
    @classmethod
    def _each_benchmark_once(cls, benchmarks: list[str] | None) -> list[str] | None:
        if benchmarks is not None and len(set(benchmarks)) < len(benchmarks):
            raise ValueError(f"benchmarks: {benchmarks} names one twice; each may stand once")
        return benchmarks

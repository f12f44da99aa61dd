"""What a user may set about the forecast of human ratings."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Method = Literal["ridge", "min-norm", "single", "mean"]


class PreferenceSettings(BaseModel):
    """Settings of the stage `preference`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Path | None = Field(
        default=None,
        description=(
            "CSV of public models with benchmark scores and a human rating; empty: the bundled table. "
            "Long form: model, quantity, value, and optionally family, params_b, unit, source, "
            "source_commit, licence, value_low, value_high (95% interval). Wide form: model, optionally "
            "family, params_b, unit, source, source_commit and licence, and one numeric column a quantity "
            "(X_low and X_high beside X give its 95% interval)."
        ),
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
        description="How names of `table` and `ratings` are joined; normalised: case and punctuation do not count.",
    )
    method: Method = Field(
        default="ridge",
        description="Regression of the rating on the benchmarks; the baselines always stand beside it.",
    )
    confidence: float = Field(
        default=0.9,
        ge=0.5,
        le=0.99,
        description="Level of every interval. The table needs at least 1/(1-confidence) - 1 rated models.",
    )
    permutations: int = Field(
        default=2000,
        ge=99,
        le=100_000,
        description="Permutations of the ratings for p-values; all of them are used when there are no more.",
    )
    bootstraps: int = Field(
        default=1000, ge=100, le=100_000, description="Resamples of model families for intervals."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the permutations and resamples.")
    names: dict[str, str] = Field(
        default={},
        description="Task name in the run -> benchmark in the table, where the usual names do not match.",
    )

    @field_validator("benchmarks")
    @classmethod
    def _each_benchmark_once(cls, benchmarks: list[str] | None) -> list[str] | None:
        if benchmarks is not None and len(set(benchmarks)) < len(benchmarks):
            raise ValueError(f"benchmarks: {benchmarks} names one twice; each may stand once")
        return benchmarks

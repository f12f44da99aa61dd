"""Settings of the utility stage."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

LABELS = ("Great", "Good", "Okay", "Poor", "Useless")


class NgramSettings(BaseModel):
    """Utility from hashed n-grams: no model, no network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bucket_bits: int = Field(18, ge=10, le=24, description="n-grams are hashed into 2^bucket_bits buckets.")
    smoothing: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="Share of the background in a task's distribution: an n-gram that the task never has "
        "counts as so much rarer than in the background.",
    )
    groups: int = Field(
        10,
        ge=2,
        le=100,
        description="Groups of a task's items for the jackknife error; one is left out at a time.",
    )
    scale: Literal["minmax", "items", "none"] = Field(
        "minmax",
        description="minmax: each task's best source gets 1, its worst 0. items: 0 where nothing is shared "
        "with the task, 1 where a document is as likely as the task's own items. none: a probability.",
    )


class MeduSettings(BaseModel):
    """Utility from the labels that a language model gives to sampled documents (MEDU)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str = Field(
        "http://127.0.0.1:8000/v1",
        pattern=r"^https?://[^\s@?#]+$",
        description="OpenAI-compatible endpoint; without user, password or query, which would be written down.",
    )
    model: str = Field(
        "meta-llama/Llama-3.3-70B-Instruct", min_length=1, description="Model name at the endpoint."
    )
    api_key_variable: str = Field(
        "OPENAI_API_KEY",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the key; a server without keys needs none.",
    )
    documents: int = Field(256, ge=1, le=100_000, description="Documents labelled a source, at most.")
    document_characters: int = Field(
        6_000, ge=200, le=400_000, description="A document is cut to so many characters in a prompt."
    )
    chunk_characters: int = Field(
        8_000, ge=500, le=400_000, description="Characters of a task's items described in one request."
    )
    max_chunks: int = Field(8, ge=1, le=256, description="Chunks of items described a task, at most.")
    label_values: dict[str, float] = Field(
        default=dict(zip(LABELS, (1.0, 0.75, 0.5, 0.25, 0.0), strict=True)),
        description="Utility of each label, from 0 to 1.",
    )
    temperature: float = Field(0.1, ge=0, le=2, description="Sampling temperature.")
    max_answer_tokens: int = Field(1024, ge=16, le=32_768, description="Longest answer, in tokens.")
    concurrency: int = Field(8, ge=1, le=256, description="Requests under way at a time.")
    timeout_seconds: float = Field(120, gt=0, le=3600, description="Longest wait for one answer.")
    retries: int = Field(
        4, ge=0, le=20, description="Further attempts at a request that failed, at growing intervals."
    )

    @field_validator("label_values")
    @classmethod
    def _five_labels_in_range(cls, values: dict[str, float]) -> dict[str, float]:
        if set(values) != set(LABELS):
            raise ValueError(f"labels {sorted(values)}: must be exactly {', '.join(LABELS)}")
        wrong = {label: value for label, value in values.items() if not 0 <= value <= 1}
        if wrong:
            raise ValueError(f"{wrong}: the value of a label must be from 0 to 1")
        return values


class UtilitySettings(BaseModel):
    """How the utility of every source for every task is estimated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["ngram", "medu", "table"] = Field(
        "ngram",
        description="ngram: hashed n-grams of the tasks' dev items. medu: labels by a language model. "
        "table: a CSV of your own.",
    )
    table: Path | None = Field(
        None,
        description="CSV for the method table: columns source, task, value and optionally stderr; or source "
        "and a column for each task.",
    )
    ngram: NgramSettings = Field(NgramSettings(), description="Settings of the method ngram.")
    medu: MeduSettings = Field(MeduSettings(), description="Settings of the method medu.")

    @model_validator(mode="after")
    def _table_goes_with_its_file(self) -> "UtilitySettings":
        if (self.method == "table") != (self.table is not None):
            raise ValueError(
                f"method={self.method!r} with table={self.table}: the method 'table' needs a CSV under "
                "`table`, and the others take none"
            )
        return self

"""Settings of MEDU: which judge, what it is shown, how it is asked, what it may cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from storage.trusted import HOST, PERHAPS_PLACE, what_is_trusted
from tasks.utility.medu.templates import load_templates

LABELS = ("Great", "Good", "Okay", "Poor", "Useless")
OF_OPENAI = (
    "base_url",
    "api_key_variable",
    "revision",
    "tokenizer",
    "bytes_per_token",
    "temperature",
    "concurrency",
    "timeout_seconds",
    "retries",
)
OF_TRANSFORMERS = ("device", "dtype", "batch_tokens")


class CostSettings(BaseModel):
    """What turns counted tokens into FLOPs and money, and what the ablations in MEDU's place would take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters: float | None = Field(
        None,
        gt=0,
        description="Parameters of the judge (active ones): FLOPs are 2 x parameters x tokens. A local judge's "
        "are counted.",
    )
    price_in: float | None = Field(None, ge=0, description="Price of a million prompt tokens.")
    price_out: float | None = Field(None, ge=0, description="Price of a million answer tokens.")
    proxy_parameters: float | None = Field(
        None,
        gt=0,
        description="Parameters N of the model an ablation would train on each source: sources x 6 N D FLOPs.",
    )
    proxy_tokens: float | None = Field(
        None, gt=0, description="Tokens D of such a training run; left out: 20 N."
    )

    @model_validator(mode="after")
    def _tokens_belong_to_a_proxy(self) -> CostSettings:
        if self.proxy_tokens is not None and self.proxy_parameters is None:
            raise ValueError(
                f"proxy_tokens={self.proxy_tokens:g} without proxy_parameters: both, or the latter alone"
            )
        if (self.price_in is None) != (self.price_out is None):
            raise ValueError("price_in and price_out: both or neither (0 is a price)")
        return self


class MeduSettings(BaseModel):
    """Utility from the labels that a language model gives to sampled documents (MEDU)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    judge: Literal["openai", "transformers"] = Field(
        "openai",
        description="openai: a model behind an OpenAI-compatible endpoint writes its labels. transformers: a "
        "local model scores the five labels by their likelihood, one forward pass a document.",
    )
    model: str = Field(
        "meta-llama/Llama-3.3-70B-Instruct",
        min_length=1,
        description="Model name at the endpoint; for transformers a folder, a GGUF file, package:NAME/FILE or a "
        "Hugging Face Hub name.",
        json_schema_extra=PERHAPS_PLACE,
    )
    prompts: Path | None = Field(
        None,
        description="Folder with describe.txt, merge.txt and label.txt to use in place of the shipped prompts.",
    )
    labelled: Path | None = Field(
        None,
        description="Documents as JSON lines with `text` and `label` (1: good for the tasks, 0: poor) that the judge "
        "is tried on first, without their labels. One that is no better than their length is asked nothing more: every "
        "utility is then 1/2 with the largest error, and the default mixture what it is without utility.",
    )
    labelled_documents: int = Field(
        64,
        ge=8,
        description="Of `labelled`, how many documents the judge is tried on, those with the lowest hashes.",
    )
    documents: int = Field(256, ge=1, le=100_000, description="Documents labelled a source, at most.")
    context_tokens: int = Field(
        8192, ge=256, le=10_000_000, description="Tokens of prompt and answer together, at most."
    )
    max_answer_tokens: int = Field(1024, ge=16, le=32_768, description="Longest answer, in tokens.")
    document_tokens: int = Field(
        4096,
        ge=32,
        le=10_000_000,
        description="A document is cut to so many tokens, and to what the context leaves.",
    )
    chunk_tokens: int = Field(
        4096, ge=64, le=10_000_000, description="Tokens of a task's items described in one request."
    )
    max_chunks: int = Field(8, ge=1, le=256, description="Chunks of items described a task, at most.")
    label_values: dict[str, float] = Field(
        default=dict(zip(LABELS, (1.0, 0.75, 0.5, 0.25, 0.0), strict=True)),
        description="Utility of each label, from 0 to 1.",
    )
    max_tokens: int | None = Field(
        None,
        ge=1,
        description="Tokens of prompts and answers that the utility may rest on, those of earlier runs "
        "included. Documents are labelled in turns over sources and tasks until the next might not fit.",
    )
    cost: CostSettings = Field(CostSettings(), description="For the meter in about.json.")

    base_url: str = Field(
        "http://127.0.0.1:8000/v1",
        pattern=r"^https?://[^\s@?#]+$",
        description="openai: the endpoint; without user, password or query, which would be written down.",
        json_schema_extra=HOST,
    )
    api_key_variable: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="openai: environment variable that holds the key, such as OPENAI_API_KEY; this machine must trust "
        "the endpoint's host with it (MIXSTITCH_TRUSTED). Empty: no key is sent.",
    )
    revision: str = Field(
        "",
        description="openai: a name for the weights served. Kept answers are those of model and revision, "
        "wherever it is served; without a revision those of model and base_url.",
    )
    tokenizer: str | None = Field(
        None,
        description="openai: the model's tokenizer, a folder, package:NAME/FILE or a Hub name, to cut by exact tokens. "
        "transformers has its own.",
        json_schema_extra=PERHAPS_PLACE,
    )
    bytes_per_token: float = Field(
        1.0,
        ge=1,
        le=8,
        description="openai, without a tokenizer: a text counts as its UTF-8 bytes / bytes_per_token tokens. 1 "
        "is safe: byte-level tokenizers make no more tokens than bytes. English has about 4.",
    )
    temperature: float = Field(
        0.1, ge=0, le=2, description="openai: sampling temperature. transformers decodes greedily."
    )
    concurrency: int = Field(8, ge=1, le=256, description="openai: requests under way at a time.")
    timeout_seconds: float = Field(120, gt=0, le=3600, description="openai: longest wait for one answer.")
    retries: int = Field(
        6, ge=0, le=50, description="openai: further attempts at a request that failed, at growing intervals."
    )

    device: str | None = Field(
        None, description="transformers: torch device; left out: a GPU where there is one."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="transformers: type of the weights; auto: as they are saved."
    )
    batch_tokens: int = Field(
        16_384,
        ge=1,
        description="transformers: tokens of a batch of prompts, padding included; at least one prompt.",
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

    @field_validator("prompts")
    @classmethod
    def _prompts_can_be_used(cls, folder: Path | None) -> Path | None:
        if folder is not None:
            load_templates(folder)
        return folder

    @model_validator(mode="after")
    def _only_what_the_judge_uses(self) -> MeduSettings:
        others = OF_TRANSFORMERS if self.judge == "openai" else OF_OPENAI
        idle = [name for name in others if getattr(self, name) != type(self).model_fields[name].default]
        if idle:
            raise ValueError(
                f"{', '.join(idle)}: of no use to the judge {self.judge!r}; leave out, or choose the other judge"
            )
        if self.max_answer_tokens >= self.context_tokens:
            raise ValueError(
                f"max_answer_tokens={self.max_answer_tokens}: must be less than context_tokens="
                f"{self.context_tokens}"
            )
        return self

    def check_key(self) -> None:
        """Raises ValueError where these settings name a key that this machine's user trusts no such host with."""
        if self.judge == "openai" and self.api_key_variable is not None:
            what_is_trusted().check_key(
                self.api_key_variable, self.base_url, f"utility.medu.api_key_variable={self.api_key_variable}"
            )

    def identity(self) -> dict[str, Any]:
        """What the utility depends on, as JSON: not how requests are made, nor what only prices them.

        The prompts stand in it with their text's digest. A local model's weights are not in it.
        """
        left_out = {"cost", "api_key_variable", "concurrency", "timeout_seconds", "retries", "batch_tokens"}
        left_out |= {"prompts", "tokenizer", "device", "labelled"}
        if self.labelled is None:
            left_out.add("labelled_documents")
        left_out |= set(OF_TRANSFORMERS if self.judge == "openai" else OF_OPENAI)
        if self.revision:
            left_out.add("base_url")
        return {
            **self.model_dump(mode="json", exclude=left_out),
            "prompts": load_templates(self.prompts).digest,
        }

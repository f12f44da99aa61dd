"""What a user may set about how models are scored, and what experts must show."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.benchmarks.settings import BenchmarkSettings


class EnoughSettings(BaseModel):
    """When a model has been asked enough items of a benchmark, in an order drawn once, the same for every model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    half_width: float | None = Field(
        None,
        gt=0,
        lt=0.5,
        description="Half-width of the 95% interval of a benchmark's first score (.02: two points), valid at every "
        "look, at which no more items are asked.",
    )
    against: str | None = Field(
        None,
        min_length=1,
        description="In place of a half-width: a model, such as seed, that is asked all items; each other is asked "
        "until it is told to be better or worse, item by item, with 95% for all of them together. Snapshots are "
        "asked all items.",
    )
    every: int = Field(50, ge=1, description="Items between looks.")
    about: Literal["benchmark", "population"] = Field(
        "benchmark",
        description="What the interval is of: the score on all items of the benchmark, or on items like these, which "
        "takes more of them.",
    )
    order_seed: int = Field(0, description="Seed of the order in which items are asked.")

    @model_validator(mode="after")
    def _ends_one_way(self) -> "EnoughSettings":
        if (self.half_width is None) == (self.against is None):
            raise ValueError(
                "half_width, against: one of the two says when it is enough; allowed: one of them"
            )
        return self


class CodeSettings(BaseModel):
    """How many programs a model writes for an item of code, and what running one may take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    programs: int = Field(
        1, ge=1, le=1000, description="Written for each item: 1 is the likeliest, more are drawn."
    )
    pass_at: tuple[int, ...] = Field(
        (1,), min_length=1, description="k of pass@k, each at most the number of programs."
    )
    temperature: float = Field(0.8, gt=0, le=10, description="Of programs that are drawn.")
    most_tokens: int = Field(256, ge=1, description="Tokens of a program at most.")
    seconds: int = Field(10, ge=1, le=600, description="Seconds that a program may run.")
    memory_mb: int = Field(
        512, ge=64, le=1 << 16, description="MB of memory of a program, each of its processes for itself."
    )

    @model_validator(mode="after")
    def _k_is_of_the_programs(self) -> "CodeSettings":
        wrong = [k for k in self.pass_at if not 1 <= k <= self.programs]
        if wrong:
            raise ValueError(
                f"pass_at: {wrong[0]} of {self.programs} programs for each item; allowed: 1 to {self.programs}"
            )
        return self


class EvaluationSettings(BenchmarkSettings):
    """The benchmarks, and how models are scored on them."""

    batch_tokens: int = Field(
        2048,
        ge=1,
        le=1 << 24,
        description="Tokens read at a time; scores change by rounding only.",
    )
    shared_prefixes: bool = Field(
        True,
        description="What several texts begin with (few-shot examples, a question before its choices) is read once; "
        "without, every text is read whole.",
    )
    check_items: int = Field(
        0,
        ge=0,
        description="Items of each model that are read whole too, to compare: a difference over 1e-4 nats in float32 "
        "ends the run.",
    )
    parallel: int = Field(
        1,
        ge=1,
        le=16,
        description="Models scored at the same time; they share the cores. One at a time where there are tasks of "
        "lm-eval, which may draw random numbers.",
    )
    max_length: int | None = Field(
        None, ge=16, description="Tokens a model is shown at most; empty: as many as it was made for."
    )
    bits_per_byte_bytes: int = Field(
        100_000, ge=1_000, description="Bytes of held-out text a source that bits per byte are measured on."
    )
    enough: EnoughSettings | None = Field(
        None,
        description="When enough items of a benchmark were asked; empty: all are. Held-out text is read whole.",
    )
    code: CodeSettings | None = Field(
        None, description="With run_code: how many programs are written, and what each may take."
    )
    samples: int = Field(
        3,
        ge=0,
        le=100,
        description="Sources whose first held-out document each model continues, for people to read.",
    )

    @model_validator(mode="after")
    def _code_is_run(self) -> "EvaluationSettings":
        if self.code is not None and not self.run_code:
            raise ValueError("code: has no effect without run_code; allowed: with run_code: true")
        return self

    @property
    def at_once(self) -> int:
        """How many models are scored at the same time."""
        return 1 if self.lm_eval_tasks or self.task_folder is not None else self.parallel


class SpecialisationSettings(BaseModel):
    """What experts and mixtures must show before anything is stitched."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    own_share: float = Field(
        0.6, ge=0, le=1, description="Least share of an expert's mixture from the sources of its own tasks."
    )
    junk_sources: tuple[str, ...] = Field(
        (), description="Sources that no mixture but the seed's (the paper's) may use."
    )
    junk_share: float = Field(0.02, ge=0, le=1, description="Most of such sources in those mixtures.")

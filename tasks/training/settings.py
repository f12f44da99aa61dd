"""Settings of the seed model, of training and of the token budget."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from storage.trusted import PERHAPS_PLACE
from tasks.method import TaggedSettings
from tasks.tables.token_counts import TokenCount
from tasks.training.stability.settings import StabilitySettings

SNAPSHOTS = "snapshots"  # the folder of those that a run keeps
READING = ("document_masks", "border_targets")


class ModelSettings(TaggedSettings):
    """Architecture of the seed model: new weights of a family, or pretrained ones. Here Llama 2; others derive."""

    tag: ClassVar[str] = "family"

    family: Literal["llama"] = Field("llama", description="Which architecture new weights are of.")
    pretrained: str | None = Field(
        None,
        description="Folder, GGUF file, package:NAME/FILE (inside an installed package) or Hugging Face name of a "
        "causal LM to start from; it needs its own tokenizer in sources.tokenizer.pretrained, and the sizes below are "
        "not used.",
        json_schema_extra=PERHAPS_PLACE,
    )
    hidden_size: int = Field(128, ge=16, description="Width d of the hidden states.")
    num_layers: int = Field(4, ge=1, description="Decoder layers.")
    num_heads: int = Field(4, ge=1, description="Attention heads; twice as many must divide hidden_size.")
    num_kv_heads: int | None = Field(None, ge=1, description="Key and value heads; empty: as many as heads.")
    ffn_multiple: int = Field(
        32, ge=1, description="Feed-forward width is 8/3 d rounded up to this multiple."
    )
    tie_embeddings: bool = Field(True, description="Whether the output head shares the token embeddings.")

    @model_validator(mode="after")
    def _heads_divide(self) -> "ModelSettings":
        if self.pretrained is None and self.hidden_size % (2 * self.num_heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of 2 * num_heads = {2 * self.num_heads}"
            )
        if self.num_kv_heads is not None and self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_kv_heads {self.num_kv_heads} does not divide num_heads {self.num_heads}")
        return self


def _starts_anew(model: ModelSettings) -> ModelSettings:
    if model.pretrained is not None:
        raise ValueError(
            f"pretrained={model.pretrained!r}: proxies start from new weights, which know no source yet; "
            "allowed: no `pretrained`"
        )
    return model


ProxyModel = Annotated[ModelSettings, AfterValidator(_starts_anew)]


class TrainingSettings(BaseModel):
    """The loop that seed, experts and stitches are trained with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sequence_length: int = Field(256, ge=16, description="Tokens in a packed sequence.")
    batch_size: int = Field(16, ge=1, description="Sequences in an optimiser step, over all processes.")
    micro_batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] | None = Field(
        None,
        description="Sequences in one forward pass of one process; empty: the whole share; auto: the most that fit "
        "into memory, found by trying on a GPU and by estimate on a CPU.",
    )
    gradient_checkpointing: bool = Field(
        False,
        description="Whether layers are computed again on the way back, so that their activations need no memory; the "
        "result is the same, for about a third more compute.",
    )
    compile: bool = Field(
        False,
        description="Whether torch.compile makes kernels for the model first, which takes a minute or so; it needs a "
        "compiler. The result is the same up to rounding.",
    )
    peak_flops: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="FLOP/s of one device at its best, of which the share that training reaches (MFU) is told; empty: "
        "as the maker states it, for known GPUs in bf16.",
    )
    document_masks: bool = Field(
        False,
        description="Whether a document of a packed sequence is read for itself: attention stays in it, positions "
        "begin at 0 and its first token is no target. Otherwise a sequence is read as one text, as the papers do.",
    )
    border_targets: bool = Field(
        False,
        description="Whether the last token of a sequence is asked for the one that follows it in its source, so that "
        "every token is a target once an epoch; otherwise the first of each sequence never is.",
    )
    learning_rate: float = Field(3e-3, gt=0, le=1, description="Peak learning rate of the seed.")
    expert_learning_rate: float = Field(
        2e-3,
        gt=0,
        le=1,
        description="Peak learning rate of the experts. Branch-Train-Stitch goes on from the seed's final one (1.25% "
        "of its peak), without warm-up, over 200B tokens an expert; short runs need more.",
    )
    expert_warmup_share: float | None = Field(
        None, ge=0, lt=1, description="Share of the experts' steps that warm up; empty: warmup_share."
    )
    expert_final_share: float | None = Field(
        None, ge=0, le=1, description="Where the experts' cosine decay ends; empty: final_share."
    )
    freeze_expert_embeddings: bool = Field(
        False,
        description="Whether experts keep the seed's token embeddings and output head: they gain less, and all of "
        "them speak the hub's language, so that stitches and soups keep more of it.",
    )
    warmup_share: float = Field(0.05, ge=0, lt=1, description="Share of the steps that warm up linearly.")
    final_share: float = Field(0.1, ge=0, le=1, description="Cosine decay ends at this share of the peak.")
    weight_decay: float = Field(0.1, ge=0, description="AdamW weight decay, on matrices only.")
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW beta1.")
    beta2: float = Field(0.95, ge=0, lt=1, description="AdamW beta2.")
    epsilon: float = Field(1e-8, ge=0, description="AdamW epsilon.")
    clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16 runs the forward pass in autocast.")
    processes: int = Field(1, ge=1, le=64, description="Processes, launched by torchrun where above 1.")
    parallel_experts: int = Field(
        1, ge=1, le=16, description="Experts trained at the same time; they share the cores."
    )
    checkpoint_seconds: float = Field(20.0, gt=0, description="Seconds between checkpoints.")
    snapshots: int = Field(
        0,
        ge=0,
        le=20,
        description="Copies of the model kept at equal distances on the way, to be scored as models of their own: of "
        "the seed, each expert and the stitched model. Duels, proxies and other combinations keep none.",
    )
    stability: StabilitySettings = Field(
        StabilitySettings(), description="Training that watches itself: monitor, alarm, recovery."
    )

    @model_validator(mode="after")
    def _batch_divides(self) -> "TrainingSettings":
        if self.batch_size % self.processes:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of processes {self.processes}")
        share = self.batch_size // self.processes
        if isinstance(self.micro_batch_size, int) and share % self.micro_batch_size:
            raise ValueError(
                f"micro_batch_size {self.micro_batch_size} does not divide the {share} sequences of a process"
            )
        return self

    def of_experts(self) -> "TrainingSettings":
        """The same with the experts' schedule."""
        own = {"warmup_share": self.expert_warmup_share, "final_share": self.expert_final_share}
        return self.model_copy(update={name: share for name, share in own.items() if share is not None})

    @property
    def tokens_per_step(self) -> int:
        return self.batch_size * self.sequence_length

    @property
    def share(self) -> int:
        """Sequences of a step that one process reads."""
        return self.batch_size // self.processes

    @property
    def reading(self) -> tuple[str, ...]:
        """Names of the settings that are on of those by which text is read otherwise than as one text a sequence."""
        return tuple(name for name in READING if getattr(self, name))

    def snapshot_steps(self, num_steps: int) -> list[int]:
        """Steps of a run of `num_steps` after which a snapshot is kept: fewer than asked for where steps are few."""
        steps = {round(k * num_steps / (self.snapshots + 1)) for k in range(1, self.snapshots + 1)}
        return sorted(steps - {0, num_steps})

    def snapshots_at(self, steps: list[int]) -> list[dict[str, Any]]:
        """The fact `snapshots` of a trained model: step, tokens until then, and where in its folder."""
        return [
            {"step": step, "tokens": step * self.tokens_per_step, "path": f"{SNAPSHOTS}/{step}"}
            for step in steps
        ]


class BudgetSettings(BaseModel):
    """How many tokens are trained on in all, and how they are shared out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: TokenCount = Field(
        1_500_000,
        gt=0,
        description="Tokens in all: seed, experts and stitches; 100B is understood. Or minutes.",
    )
    minutes: float | None = Field(
        None,
        gt=0,
        le=1_000_000,
        allow_inf_nan=False,
        description="Aim for the whole run on this machine; the token budget follows from its measured speed.",
    )
    training_share: float = Field(
        0.6,
        gt=0,
        le=1,
        description="Share of the minutes that goes to training; the rest is everything else.",
    )
    seed_share: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="Share of the tokens that the seed trains on; 0: model.pretrained is taken as it is.",
    )
    stitch_share: float = Field(0.12, gt=0, lt=1, description="Share of the tokens that stitches train on.")

    @model_validator(mode="after")
    def _something_for_experts(self) -> "BudgetSettings":
        if self.seed_share + self.stitch_share >= 1:
            raise ValueError("seed_share + stitch_share must be below 1: experts share what is left")
        return self

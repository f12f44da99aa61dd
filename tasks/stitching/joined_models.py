"""Models that exist, joined into one without a recipe: checked, combined, trained where the method trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.mixture.methods.unimax import unimax
from tasks.pretrained_places import read_pretrained
from tasks.stitching.compositions import COMPOSITIONS_BY_NAME
from tasks.stitching.compositions.composition import CompositionSettings, TrainedSettings
from tasks.stitching.settings import StitchSettings
from tasks.stitching.stitch_loop import rates_of, stitch_training
from tasks.training.given import check_fits, check_own_tokenizer, checked_config
from tasks.training.jobs import TrainingJob, run_job
from tasks.training.parameter_counts import parameters_of
from tasks.training.settings import TrainingSettings
from tasks.training.training_run import Training

EPOCH_CAP = 4.0
HUB = "hub"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Members:
    """Models to join, each a folder or a Hub name: the hub, the experts by name, and the tokenizer of all of them."""

    hub: str
    experts: Mapping[str, str]
    tokenizer: str


@dataclass(frozen=True)
class Text:
    """Text to train on: a folder that the source readers read, and how many tokens of it (None: all, once)."""

    folder: Path
    tokens: int | None


@dataclass(frozen=True)
class Way:
    """How models are joined: by stitches or as a composition, and the loop that trains them."""

    settings: StitchSettings | CompositionSettings
    training: Training

    @property
    def name(self) -> str:
        return self.settings.method if isinstance(self.settings, CompositionSettings) else "stitched"

    @property
    def learning_rate(self) -> float | None:
        """Peak learning rate; None where nothing trains."""
        if isinstance(self.settings, StitchSettings | TrainedSettings):
            return self.settings.learning_rate
        return None


def check_joinable(members: Members, way: Way) -> None:
    """Raise ValueError where a model or tokenizer is not there, an expert does not fit the hub, or the way does not.

    Reads configurations and tokenizer alone.
    """
    import models
    from models.combined.combined_config import check_names
    from tasks.sources.tokenization import load_tokenizer

    check_names(list(members.experts))
    hub = checked_config(members.hub, HUB)
    for name, pretrained in members.experts.items():
        check_fits(hub, checked_config(pretrained, name), name, pretrained)
    tokenizer = load_tokenizer(members.tokenizer)
    check_own_tokenizer(members.hub, HUB, tokenizer, members.tokenizer)
    num_tokens = len(tokenizer)
    if num_tokens > hub.vocab_size:
        raise ValueError(
            f"tokenizer {members.tokenizer!r} has {num_tokens} tokens but the models {hub.vocab_size} token "
            "embeddings; allowed: the models' own tokenizer"
        )
    if isinstance(way.settings, StitchSettings) and way.settings.num_stitches > hub.num_hidden_layers:
        raise ValueError(
            f"num_stitches={way.settings.num_stitches}: the models have {hub.num_hidden_layers} layers; allowed: 1 to "
            f"{hub.num_hidden_layers}"
        )
    reading = way.training.settings.reading
    if isinstance(way.settings, CompositionSettings):
        COMPOSITIONS_BY_NAME[way.name].check_reading(reading)
    if "document_masks" in reading:
        models.check_config_reads_apart(hub, members.hub)
    longest = getattr(hub, "max_position_embeddings", None)
    length = way.training.settings.sequence_length
    if way.learning_rate is not None and longest is not None and length > longest:
        raise ValueError(
            f"training.sequence_length={length} is more than the {longest} tokens that the models are made for"
        )


def join(
    members: Members, way: Way, text: Text | None, folder: Path, beside: Path, say: Say
) -> dict[str, Any]:
    """Join the models into `folder`, with tokenizer and settings of generation; the facts of what came.

    text: for a way that trains. beside: a folder for what is needed meanwhile. {"method", "parameters", "tokens",
    "trained_tokens", "final_loss"}. Raises ValueError for text that is empty or too little, and for models whose
    weights are not finite or do not fit.
    """
    from tasks.sources.tokenization import load_tokenizer

    tokenizer = load_tokenizer(members.tokenizer)
    files: dict[str, str] = {}
    plan: dict[str, int] = {}
    if way.learning_rate is not None:
        assert text is not None
        say("reading the text")
        files, plan = _read(text, tokenizer, beside / "tokens", way.training.settings)
    say("loading the models")
    joined = _combined(members, way)
    facts: dict[str, Any] = {"method": way.name, **parameters_of(joined)}
    if way.learning_rate is None:
        joined.save_pretrained(folder)
        facts |= {"tokens": 0, "trained_tokens": {}, "final_loss": None}
    else:
        start = beside / "start"
        joined.save_pretrained(start)
        outcome = run_job(_job(way, start, folder, beside, files, plan, tokenizer), _teller(say))
        facts |= {name: outcome[name] for name in ("tokens", "trained_tokens", "final_loss")}
    if not (folder / "generation_config.json").exists():
        joined.generation_config.save_pretrained(folder)
    save_tokenizer(members.tokenizer, folder)
    return facts


def save_tokenizer(path_or_name: str, folder: Path) -> None:
    """The tokenizer as it came, also where we read with special tokens off."""
    from transformers import AutoTokenizer

    read_pretrained(AutoTokenizer, path_or_name).save_pretrained(folder)


def _read(
    text: Text, tokenizer: Any, folder: Path, training: TrainingSettings
) -> tuple[dict[str, str], dict[str, int]]:
    """(token file, tokens to read) of each source; the plan is as even as 4 epochs allow."""
    from tasks.sources.readers import read_documents, sources_of_folder
    from tasks.sources.tokenization import write_tokens

    folder.mkdir()
    sizes = {}
    for source in sources_of_folder(text.folder, "--text"):
        sizes[source.name] = write_tokens(tokenizer, read_documents(source), folder / f"{source.name}.bin")
    budget = sum(sizes.values()) if text.tokens is None else text.tokens
    budget -= budget % training.tokens_per_step
    if budget == 0:
        raise ValueError(
            f"--text {text.folder}: {sum(sizes.values()):,} tokens"
            + (f", --tokens {text.tokens:,}" if text.tokens is not None else "")
            + f"; allowed: at least the {training.tokens_per_step:,} of one step (training.batch_size times "
            "training.sequence_length)"
        )
    return {name: str(folder / f"{name}.bin") for name in sizes}, unimax(sizes, budget, EPOCH_CAP).tokens


def _combined(members: Members, way: Way) -> Any:
    """The model before it trains; in fp32 where it will or where weight types differ, else in that of all."""
    import torch

    import models

    dtype = None if way.learning_rate is None else torch.float32
    hub = models.load_causal_lm(members.hub, dtype)
    experts = {name: models.load_causal_lm(pretrained, dtype) for name, pretrained in members.experts.items()}
    if len({model.dtype for model in (hub, *experts.values())}) > 1:
        hub, experts = hub.float(), {name: expert.float() for name, expert in experts.items()}
    if isinstance(way.settings, CompositionSettings):
        return COMPOSITIONS_BY_NAME[way.name].build(way.settings, hub, experts)
    settings = way.settings
    return models.StitchedForCausalLM.from_models(
        hub, experts, settings.num_stitches, settings.layout, settings.gate_dropout
    )


def _job(
    way: Way,
    start: Path,
    out: Path,
    beside: Path,
    files: dict[str, str],
    plan: dict[str, int],
    tokenizer: Any,
) -> TrainingJob:
    from tasks.sources.tokenization import token_dtype

    assert isinstance(way.settings, StitchSettings | TrainedSettings)
    rates, training = rates_of(way.settings), way.training
    if isinstance(way.settings, StitchSettings):
        training = stitch_training(way.settings, training)
    return TrainingJob(
        model=str(start),
        out=str(out),
        progress=str(beside / "progress"),
        tokens=files,
        token_dtype=token_dtype(len(tokenizer)).str,
        end_of_text=tokenizer.eos_token_id,
        plan=plan,
        used={},
        learning_rate=rates.learning_rate,
        name=way.name,
        random_seed=training.random_seed,
        settings=training.settings.model_dump(mode="json"),
        rate_scales=dict(rates.scales),
        near_identity=rates.near_identity,
    )


def _teller(say: Say) -> Callable[[dict[str, float]], None]:
    def tell(row: dict[str, float]) -> None:
        say(f"step {row['step']:,.0f}/{row['steps']:,.0f}, loss {row['loss']:.3f}")

    return tell

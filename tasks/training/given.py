"""Models that are taken as they are given, a seed or experts: what is checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tasks.pretrained_places import GGUF, IN_PACKAGE, holds_tokenizer, place_of
from tasks.training.architecture import (
    check_pretrained,
    pretrained_architecture,
    read_config,
    seed_architecture,
)
from tasks.training.parameter_counts import said_parameters
from tasks.training.settings import ModelSettings, TrainingSettings

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

GIVEN_BASIS = (
    "taken as given, nothing trains; what a given model has read is not known and counts as no epochs"
)


def given_headline(facts: dict) -> str:
    return f"taken as it is, {said_parameters(facts['metrics'])}; what it has read is not known"


def check_given(
    model: ModelSettings,
    training: TrainingSettings,
    tokenizer: str | None,
    experts: Mapping[str, str],
    num_stitches: int,
) -> None:
    """Raise ValueError where a pretrained seed or a given expert is not there, or an expert does not fit the seed.

    tokenizer: folder or Hub name of the one that all of them read with. experts: name -> folder or Hub name. Reads
    configurations alone; that weights are finite is seen where they are loaded.
    """
    from tasks.sources.tokenization import load_tokenizer

    named = dict(experts) if model.pretrained is None else {"seed": model.pretrained, **experts}
    for name, pretrained in named.items():
        check_folder(pretrained, name)
    if not named:
        return
    told = load_tokenizer(str(tokenizer))
    vocab_size = len(told)
    if model.pretrained is not None:
        seed = pretrained_architecture(model, checked_config(model.pretrained, "seed"))
        check_pretrained(model.pretrained, vocab_size, num_stitches)
        if training.document_masks:
            import models

            models.check_config_reads_apart(seed, f"model.pretrained={model.pretrained}")
    else:
        seed = seed_architecture(model, training, vocab_size)
    for name, pretrained in experts.items():
        check_fits(seed, checked_config(pretrained, name), name, pretrained)
    for name, pretrained in named.items():
        check_own_tokenizer(pretrained, name, told, str(tokenizer))


def check_own_tokenizer(
    pretrained: str, name: str, tokenizer: PreTrainedTokenizerBase, tokenizer_name: str
) -> None:
    """Raise ValueError where a model has a tokenizer with it in which a token of this one is another number.

    A tokenizer with further tokens is one of the model's own all the same; that they fit is seen elsewhere.
    """
    from tasks.sources.tokenization import load_tokenizer

    if pretrained == tokenizer_name or not holds_tokenizer(pretrained):
        return
    own = load_tokenizer(pretrained).get_vocab()
    for token, number in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1]):
        if own.get(token, number) != number:
            raise ValueError(
                f"model {name!r}: {pretrained}: token {token!r} is number {own[token]} of its own tokenizer, but "
                f"{number} of sources.tokenizer.pretrained={tokenizer_name}; allowed: the tokenizer that the model "
                "was trained with"
            )


def check_fits(seed: PretrainedConfig, expert: PretrainedConfig, name: str, pretrained: str) -> None:
    """Raise ValueError unless an expert has the seed's architecture, shape, vocabulary and tying of embeddings."""
    from models.combined.combined_config import check_same_architecture

    try:
        check_same_architecture(seed, expert, name)
    except ValueError as error:
        raise ValueError(f"{pretrained}: {error}") from error
    if seed.tie_word_embeddings != expert.tie_word_embeddings:
        raise ValueError(
            f"{pretrained}: expert {name!r}: tie_word_embeddings is {expert.tie_word_embeddings} but the hub's is "
            f"{seed.tie_word_embeddings}; hub and experts must share it"
        )


def check_folder(pretrained: str, name: str) -> None:
    """Raise ValueError where what can only be a folder is none, or holds no model; imports nothing that takes time."""
    where = f"model {name!r}: {pretrained}"
    try:
        folder = place_of(pretrained)
    except ValueError as error:
        raise ValueError(f"model {name!r}: {error}") from error
    if folder.is_dir():
        lacking = [
            what
            for what in ("config.json", "*.safetensors")
            if not any(p.is_file() for p in folder.glob(what))
        ]
        if lacking:
            raise ValueError(
                f"{where}: holds no {' and no '.join(lacking)}; allowed: a folder with config.json and safetensors"
            )
    elif folder.is_file() and folder.suffix.lower() == GGUF:
        return
    elif folder.exists() or pretrained.startswith((".", "/", "~", IN_PACKAGE)):
        raise ValueError(
            f"{where}: no such folder; allowed: a folder with config.json and safetensors, or a {GGUF} file"
        )


def checked_config(pretrained: str, name: str) -> PretrainedConfig:
    """The configuration of a causal LM in a folder or on the Hub that can be a seed or an expert.

    Raises ValueError where there is none, a folder holds no safetensors, or the model is itself one of several.
    """
    check_folder(pretrained, name)
    config = read_config(pretrained, f"model {name!r}")
    if hasattr(config, "base_config"):
        raise ValueError(
            f"model {name!r}: {pretrained}: is made of several models ({config.model_type}); allowed: a single causal "
            "language model"
        )
    _check_memory(config, name, pretrained)
    return config


def _check_memory(config: PretrainedConfig, name: str, pretrained: str) -> None:
    """Raise ValueError where the weights alone, kept in fp32, are more than this machine has memory."""
    import psutil

    from tasks.training.estimates import dense_shape
    from tasks.training.training_memory import BYTES_PER_FROZEN_WEIGHT

    needed = BYTES_PER_FROZEN_WEIGHT * dense_shape(config, 1).parameters
    there = psutil.virtual_memory().total
    if needed > there:
        raise ValueError(
            f"model {name!r}: {pretrained}: its {needed // BYTES_PER_FROZEN_WEIGHT:,} weights take {needed / 1e9:.1f} "
            f"GB in fp32, and this machine has {there / 1e9:.1f} GB of memory; allowed: a smaller model, or a larger "
            "machine"
        )

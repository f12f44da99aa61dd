"""The README.md written beside a stitched model's weights."""

from __future__ import annotations

from pathlib import Path

from models.loading_words import OURS, OURS_IN_HARNESS
from models.stitched.stitched_parts import StitchedParts

CARD = """---
library_name: transformers
pipeline_tag: text-generation
tags: [mixstitch, branch-train-stitch]
---

# {title}

A hub language model with {num_experts} expert(s) stitched into it (Branch-Train-Stitch, arXiv 2502.00075).
The hub and every expert run side by side as streams of the same architecture, all frozen; trained stitch
layers pass hidden states between them, and the next token is read from the hub.

| | |
|---|---|
| streams | hub, {expert_names} |
| inner architecture | `{model_type}`, {num_layers} layers, width {hidden_size}, vocabulary {vocab_size} |
| stitches | {places} |
| weights | {num_weights:,} stored, of which {num_trainable:,} in the stitches train, no others |
| weight type | {dtype} |

## Load

{load}
{elsewhere}It generates and evaluates like any causal language model. One forward pass costs about as much as
{num_streams} passes of the hub. With its tokenizer beside it, lm-evaluation-harness runs it from the command line:

{harness}"""

ELSEWHERE = """Hub and experts are not in this folder: `config.json` has their folders and the SHA-256 of their files,
which loading checks.

"""


def write_model_card(model: StitchedParts, folder: str | Path, bundle: bool = True) -> Path:
    """Write `README.md` for `model` into `folder` and return its path.

    bundle: whether hub and experts are saved in the folder too.
    """
    config = model.config
    inner = config.base_config
    card = CARD.format(
        title=f"Stitched {inner.model_type}: {', '.join(config.expert_names)}",
        num_experts=len(config.expert_names),
        num_streams=config.num_members,
        expert_names=", ".join(config.expert_names),
        model_type=inner.model_type,
        num_layers=inner.num_hidden_layers,
        hidden_size=inner.hidden_size,
        vocab_size=inner.vocab_size,
        places=", ".join(f"{place.kind} after layer {place.layer}" for place in model.places),
        num_weights=sum(weight.numel() for weight in (model if bundle else model.stitches).parameters()),
        num_trainable=model.num_trainable,
        elsewhere="" if bundle else ELSEWHERE,
        load=OURS,
        harness=OURS_IN_HARNESS,
        dtype=str(model.dtype).removeprefix("torch."),
    )
    path = Path(folder) / "README.md"
    path.write_text(card, encoding="utf-8")
    return path

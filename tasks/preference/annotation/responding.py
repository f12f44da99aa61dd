"""A model's responses to prompts: greedy continuations, in padded batches with a KV cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from tasks.evaluation.standard_errors import mean_error
from tasks.preference.annotation.programmatic import RULES
from tasks.preference.annotation.prompts import AREA, corpus_prompts, rule_and_argument
from tasks.preference.records import records
from tasks.preference.settings import ProgrammaticSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 32
COLUMNS = ["item", "area", "category", "model", "response", "rule", "argument", "document", "prompt"]


def respond_to_corpus(
    model_folder: Path,
    name: str,
    corpus: Path,
    facts: dict[str, Any],
    settings: ProgrammaticSettings,
    bits_per_byte_bytes: int = 0,
) -> tuple[pd.DataFrame, list[str]]:
    """One row a prompt with the columns COLUMNS, and notes on the prompts; see `prompts.corpus_prompts`.

    They are what `programmatic.annotate` takes, with the document that the prompt is from and the prompt beside it.
    """
    from accelerate import PartialState

    import models
    from tasks.sources.tokenization import load_tokenizer

    prompts, notes = corpus_prompts(corpus, facts, settings, bits_per_byte_bytes)
    texts = [prompt.text for prompt in prompts]
    model = models.load_causal_lm(model_folder).to(PartialState().device)
    responses = respond(model, load_tokenizer(corpus / "tokenizer"), texts, settings.new_tokens)
    rows = [
        (
            prompt.item,
            AREA,
            prompt.category,
            name,
            response,
            *rule_and_argument(prompt, settings.letters),
            prompt.document,
            prompt.text,
        )
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS), notes


def held_by_category(responses: pd.DataFrame) -> list[dict[str, Any]]:
    """category, items, share of its responses that hold by their rule, and the share's stderr over items."""
    held = [
        float(RULES[rule](response, argument))
        for rule, response, argument in zip(
            responses["rule"], responses["response"], responses["argument"], strict=True
        )
    ]
    rows = responses.assign(held=held).groupby("category", sort=False)["held"]
    shares = rows.agg(items="size", share="mean", stderr=lambda part: mean_error(part.tolist()))
    return records(shares.reset_index())


def respond(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    new_tokens: int,
    batch_size: int = BATCH,
) -> list[str]:
    """The text after each prompt: at most `new_tokens` tokens, the likeliest each time, up to the end of text.

    model: what `models.load_causal_lm` loads; it is put into evaluation mode. A prompt begins after BOS (or else
    EOS), as bits per byte does; one that leaves no room for the new tokens loses its beginning. Prompts of like
    length go together, padded on the left and masked, so that a response does not depend on the others.
    Raises ValueError where `new_tokens` does not fit into the model's context.
    """
    encoded = _encoded(model, tokenizer, prompts, new_tokens)
    model.eval()
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
    responses = [""] * len(encoded)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        texts = _continued(model, tokenizer, [encoded[i] for i in batch], new_tokens)
        for i, text in zip(batch, texts, strict=True):
            responses[i] = text
    return responses


def _encoded(
    model: Any, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], new_tokens: int
) -> list[list[int]]:
    context = getattr(model.config, "max_position_embeddings", None)
    if new_tokens < 1 or (context is not None and new_tokens >= context):
        most = "" if context is None else f" to {context - 1}, one less than the model's context"
        raise ValueError(f"new_tokens={new_tokens}: allowed are 1{most or ' and more'}")
    begin = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    start = None if context is None else new_tokens - context  # from the end
    return [
        [begin, *tokenizer(prompt, add_special_tokens=False, split_special_tokens=True)["input_ids"]][start:]
        for prompt in prompts
    ]


def _continued(
    model: Any, tokenizer: PreTrainedTokenizerBase, rows: Sequence[list[int]], new_tokens: int
) -> list[str]:
    width = max(len(row) for row in rows)
    end: Any = tokenizer.eos_token_id
    input_ids = torch.full((len(rows), width), end)
    mask = torch.zeros_like(input_ids)
    for at, row in enumerate(rows):
        input_ids[at, width - len(row) :] = torch.tensor(row)
        mask[at, width - len(row) :] = 1
    found = model.generate(
        input_ids.to(model.device),
        attention_mask=mask.to(model.device),
        max_new_tokens=new_tokens,
        do_sample=False,
        num_beams=1,
        repetition_penalty=1.0,
        use_cache=True,
        eos_token_id=end,
        pad_token_id=end,
    )
    return [_text(tokenizer, row, end) for row in found[:, width:].tolist()]


def _text(tokenizer: PreTrainedTokenizerBase, tokens: list[int], end: int) -> str:
    said = tokens[: tokens.index(end)] if end in tokens else tokens
    return str(tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False))

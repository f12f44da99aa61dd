"""What a model writes: greedy continuations, in padded batches with a KV cache, and a few of held-out text to read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tasks.benchmarks.items import read_items

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 32
PROMPT_CHARACTERS = 80
NEW_TOKENS = 24


def samples_of_text(
    model: Any, tokenizer: PreTrainedTokenizerBase, corpus: Path, facts: dict[str, Any], count: int
) -> list[dict[str, str]]:
    """How the model goes on where the first held-out document of a source breaks off, for the first `count` sources.

    Rows of source, prompt (some 80 characters) and text (24 tokens, the likeliest each time; fewer in a short context).
    """
    prompts: dict[str, str] = {}
    for source in facts["sources"]:
        document = next(islice(read_items(corpus / "heldout" / f"{source}.jsonl"), 1), None)
        if document is not None and len(prompts) < count:
            prompts[source] = (
                document["text"][:PROMPT_CHARACTERS].rpartition(" ")[0]
                or document["text"][:PROMPT_CHARACTERS]
            )
    if not prompts:
        return []
    context = getattr(model.config, "max_position_embeddings", None)
    new_tokens = NEW_TOKENS if context is None else min(NEW_TOKENS, context - 1)
    texts = respond(model, tokenizer, list(prompts.values()), new_tokens)
    return [
        {"source": source, "prompt": prompt, "text": text}
        for (source, prompt), text in zip(prompts.items(), texts, strict=True)
    ]


def respond(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str | list[int]],
    new_tokens: int,
    batch_size: int = BATCH,
    ends: Sequence[int] = (),
) -> list[str]:
    """The text after each prompt: at most `new_tokens` tokens, the likeliest each time, up to the end of text.

    model: what `models.load_causal_lm` loads; it is put into evaluation mode. A prompt that is text begins after BOS
    (or else EOS), as bits per byte does; tokens are taken as they are. One that leaves no room for the new tokens loses
    its beginning. ends: further tokens that end a response. Prompts of like length go together, padded on the left and
    masked, so that a response does not depend on the others.
    Raises ValueError where `new_tokens` does not fit into the model's context.
    """
    encoded = _encoded(model, tokenizer, prompts, new_tokens)
    model.eval()
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
    responses = [""] * len(encoded)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        rows = [encoded[i] for i in batch]
        texts = _continued(model, tokenizer, rows, new_tokens, [tokenizer.eos_token_id, *ends])
        for i, text in zip(batch, texts, strict=True):
            responses[i] = text
    return responses


def _encoded(
    model: Any, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str | list[int]], new_tokens: int
) -> list[list[int]]:
    context = getattr(model.config, "max_position_embeddings", None)
    if new_tokens < 1 or (context is not None and new_tokens >= context):
        most = "" if context is None else f" to {context - 1}, one less than the model's context"
        raise ValueError(f"new_tokens={new_tokens}: allowed are 1{most or ' and more'}")
    begin = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    start = None if context is None else new_tokens - context  # from the end

    def tokens(prompt: str | list[int]) -> list[int]:
        if not isinstance(prompt, str):
            return prompt
        return [begin, *tokenizer(prompt, add_special_tokens=False, split_special_tokens=True)["input_ids"]]

    return [tokens(prompt)[start:] for prompt in prompts]


def _continued(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[list[int]],
    new_tokens: int,
    ends: list[int],
) -> list[str]:
    width = max(len(row) for row in rows)
    input_ids = torch.full((len(rows), width), ends[0])
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
        eos_token_id=ends,
        pad_token_id=ends[0],
    )
    return [_text(tokenizer, row, ends) for row in found[:, width:].tolist()]


def _text(tokenizer: PreTrainedTokenizerBase, tokens: list[int], ends: list[int]) -> str:
    said = list(takewhile(lambda token: token not in ends, tokens))
    return str(tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False))

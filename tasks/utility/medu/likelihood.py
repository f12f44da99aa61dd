"""Log-likelihoods of a few continuations after many prompts, by a causal LM, in padded batches.

A batch is one forward pass over its prompts. It gives the first token of every continuation; a continuation of
more tokens goes on from the cache of that pass, its tokens alone (a cache that cannot be put back, of sliding
windows or a recurrent state, is not used: there the prompts are read once more). Prompts are padded on the
left, masked, and their positions counted from their first real token, so that padding changes no score. A model
that takes no positions has batches of one length, without padding.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor


def batches_by_length(lengths: Sequence[int], batch_tokens: int, equal_only: bool) -> Iterator[list[int]]:
    """Indices in batches, longest first, of at most `batch_tokens` tokens with padding (but one prompt at least)."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        longest = lengths[batch[0]] if batch else lengths[index]
        too_many = (len(batch) + 1) * longest > batch_tokens
        if batch and (too_many or (equal_only and lengths[index] != longest)):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def takes_positions(model: Any) -> bool:
    """Whether positions can be told to the model, so that padding on the left need not move them."""
    return "position_ids" in inspect.signature(model.forward).parameters


@torch.inference_mode()
def continuation_scores(
    model: Any, prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]]
) -> Tensor:
    """log p(continuation | prompt), (prompts, continuations), float64 on the CPU, in nats.

    prompts: token ids, none empty; of one length where the model takes no positions. continuations: token ids,
    none empty, the same for all prompts.
    """
    lengths = [len(prompt) for prompt in prompts]
    width = max(lengths)
    assert takes_positions(model) or min(lengths) == width, "a model without positions cannot be padded"
    ids = torch.zeros((len(prompts), width), dtype=torch.long)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    more = [index for index, one in enumerate(continuations) if len(one) > 1]
    output = model(**_inputs(model, ids, mask, last=1), use_cache=bool(more))
    first = _log_probabilities(output.logits[:, -1:])[:, 0]
    scores = torch.stack([first[:, one[0]] for one in continuations], dim=1)
    cache = _cache_that_can_be_put_back(output)
    for index in more:
        tokens = torch.tensor(continuations[index], device=model.device)
        scores[:, index] += _rest(model, ids, mask, tokens, cache)
    return scores.cpu().double()


def _rest(model: Any, ids: Tensor, mask: Tensor, tokens: Tensor, cache: Any | None) -> Tensor:
    """log p of all tokens but the first, (prompts,); the cache is left as it was."""
    rows, more = len(ids), len(tokens) - 1
    given = tokens[:-1].expand(rows, -1)
    mask = torch.cat([mask, mask.new_ones((rows, more))], dim=1)
    if cache is None:
        output = model(**_inputs(model, torch.cat([ids, given], dim=1), mask, last=more), use_cache=False)
    else:
        inputs = _inputs(model, given, mask, last=more)
        output = model(**inputs, past_key_values=cache, use_cache=True)
        cache.crop(-more)
    found = _log_probabilities(output.logits[:, -more:])
    return found.gather(2, tokens[1:].expand(rows, -1)[:, :, None]).sum(dim=(1, 2))


def _inputs(model: Any, ids: Tensor, mask: Tensor, last: int) -> dict[str, Any]:
    """What the model takes: the mask of all tokens so far; positions of `ids`; logits of the `last` alone."""
    accepted = inspect.signature(model.forward).parameters
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    if "position_ids" in accepted:
        inputs["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    if "logits_to_keep" in accepted:
        inputs["logits_to_keep"] = last
    return inputs


def _cache_that_can_be_put_back(output: Any) -> Any | None:
    cache: Any = getattr(output, "past_key_values", None)
    return cache if getattr(cache, "is_croppable", False) and not any(cache.is_sliding) else None


def _log_probabilities(logits: Tensor) -> Tensor:
    return torch.log_softmax(logits.float(), dim=-1)

"""Models answer prompts, one after the other: by their chat template where they have one, else they go on from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tasks.evaluation.named_models import GivenModel
from tasks.preference.rating.compared_answers import Answer, Prompt
from tasks.sources.chat_template import encoded, turn_ends

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def answered(
    models: Sequence[GivenModel], prompts: Sequence[Prompt], new_tokens: int, report: Callable[[str], None]
) -> list[Answer]:
    """An answer a model and prompt, at most `new_tokens` tokens, the likeliest each time.

    Raises ValueError where they do not fit into a model's context.
    """
    from accelerate import PartialState

    import models as weights
    from tasks.evaluation.continuing import respond
    from tasks.pretrained_places import place_of
    from tasks.sources.tokenization import load_tokenizer

    found = []
    for one in models:
        report(f"{one.name} answers {len(prompts)} prompts")
        tokenizer = load_tokenizer(place_of(one.tokenizer))
        asked: list[str | list[int]] = [prompt.prompt for prompt in prompts]
        ends: list[int] = []
        if tokenizer.chat_template:
            asked = [_turn(tokenizer, prompt.prompt) for prompt in prompts]
            ends = turn_ends(tokenizer)
        model = weights.load_causal_lm(place_of(one.place)).to(PartialState().device)
        said = respond(model, tokenizer, asked, new_tokens, ends=ends)
        found += [
            Answer(prompt.item, prompt.category, prompt.prompt, one.name, text.strip())
            for prompt, text in zip(prompts, said, strict=True)
        ]
        del model
    return found


def _turn(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return encoded(tokenizer, [{"role": "user", "content": text}], asks=True).tokens

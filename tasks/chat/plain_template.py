"""The chat template of a tokenizer that has none: names of roles in plain words, and end of text after an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.sources.chat_template import encoded, turn_ends

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLAIN = (
    "{% for m in messages %}{{ m['role'] | capitalize }}: {{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}Assistant: {% endif %}"
)
ASKED = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


def with_template(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The tokenizer, with a template.

    Raises ValueError for a template of its own in which an answer cannot be told apart, or has no end of its own.
    """
    if not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN
    learnt = sum(encoded(tokenizer, ASKED).answers(ASKED))
    if learnt == 0 or not turn_ends(tokenizer):
        raise ValueError(
            "the chat template does not mark where an assistant's answer ends by a special token, so no model could "
            "learn to end one; allowed: a template that does, or a tokenizer without one, which is given a plain one"
        )
    return tokenizer

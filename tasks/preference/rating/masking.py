"""Hides in an answer what would tell who wrote it: a model that names itself, before anybody sees it."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "[model]"
# Names that assistants give themselves, and whose they are: masked wherever they stand.
KNOWN = (
    *(
        "ChatGPT",
        "GPT",
        "OpenAI",
        "Claude",
        "Anthropic",
        "Gemini",
        "Gemma",
        "Bard",
        "DeepMind",
        "Llama",
        "Meta AI",
    ),
    *(
        "Mistral",
        "Mixtral",
        "Qwen",
        "Alibaba Cloud",
        "DeepSeek",
        "SmolLM",
        "Hugging Face",
        "Grok",
        "xAI",
        "OLMo",
    ),
    *("Ai2", "Allen AI", "Falcon", "Phi", "Vicuna", "Alpaca", "Command R", "Cohere", "Copilot"),
)
VERSION = r"(?:[ -]?v?\d\w*(?:[.-]\w+)*)?"
# A name that is an ordinary word ("math", "seed") is one only where it introduces itself.
INTRODUCED = (
    r"(?P<before>\b(?:I am|I['’]m|my name is|call me|known as|this is|(?:model|assistant|AI|bot) (?:called|named))\s+"
    r"(?:the\s+)?)"
)


def masked(text: str, models: Iterable[str]) -> str:
    """The text without names of assistants, nor those of `models` where the text introduces itself so."""
    known = "|".join(re.escape(name) for name in sorted(KNOWN, key=len, reverse=True))
    text = re.sub(rf"(?<!\w)(?:{known}){VERSION}(?!\w)", MASK, text)
    own = "|".join(re.escape(name) for name in sorted(models, key=len, reverse=True))
    if own:
        text = re.sub(rf"{INTRODUCED}(?:{own})(?!\w)", rf"\g<before>{MASK}", text, flags=re.IGNORECASE)
    return text

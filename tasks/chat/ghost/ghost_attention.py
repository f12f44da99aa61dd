"""Ghost Attention (arXiv 2307.09288, section 3.3): what the first turn asks for is learnt to hold to the last.

Answers are sampled with the instruction before every user turn; what is trained on has it in the first alone, and the
loss is zero on all tokens before the last answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.chat.dialogue_lines import Example, Message
from tasks.sources.chat_template import ASSISTANT


def asked_every_turn(messages: Sequence[Message], instruction: str) -> list[Message]:
    """The dialogue that is answered: the instruction before every user turn."""
    return [
        _with(message, instruction) if message["role"] == "user" else dict(message) for message in messages
    ]


def asked_once(messages: Sequence[Message], instruction: str) -> list[Message]:
    """The dialogue that is learnt, or probed: the instruction before the first user turn alone."""
    first = next(number for number, message in enumerate(messages) if message["role"] == "user")
    return [_with(m, instruction) if number == first else dict(m) for number, m in enumerate(messages)]


def ghost_example(messages: Sequence[Message], instruction: str, where: str) -> Example:
    """What is trained on. messages: user turns as they were asked, without the instruction, and the answers to
    `asked_every_turn`. Raises ValueError unless the last is an answer."""
    if not messages or messages[-1]["role"] != ASSISTANT:
        raise ValueError(f"{where}: the last message is no answer; nothing could be learnt")
    return Example(asked_once(messages, instruction), where, learn_from=len(messages) - 1)


def _with(message: Message, instruction: str) -> Message:
    return {**message, "content": f"{instruction} {message['content']}"}

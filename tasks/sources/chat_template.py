"""A dialogue as tokens, by the tokenizer's own chat template, in which text stays text.

A template writes structure (special tokens, names of roles) around what is said. It is asked with placeholders in place
of the texts: what stands between these is structure, and may hold special tokens; the texts are encoded apart, and what
spells a special token in them is none. So nobody ends a turn by writing that it has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROLES = ("system", "user", "assistant")
ASSISTANT = "assistant"
PLACEHOLDER = "\ue000{}\ue001"  # of the private use area: no template changes or strips it


@dataclass(frozen=True)
class Dialogue:
    """tokens; said: of each token the number of the message whose text it is, or whose end it tells, else -1."""

    tokens: list[int]
    said: list[int]

    def answers(self, messages: Sequence[Mapping[str, str]]) -> list[bool]:
        """Which tokens an assistant wrote, the end of its turns included."""
        return [number >= 0 and messages[number]["role"] == ASSISTANT for number in self.said]


def check_dialogue(messages: Sequence[Mapping[str, str]], where: str) -> None:
    """Raises ValueError unless user and assistant take turns, behind one system message at most, and none is silent."""
    turns = list(messages)
    if turns and turns[0].get("role") == "system":
        turns = turns[1:]
    for number, message in enumerate(messages):
        if message.get("role") not in ROLES:
            told = f"role={message.get('role')!r}: allowed: {', '.join(ROLES)}"
            raise ValueError(f"{where}: message {number + 1}: {told}")
        if not str(message.get("content") or "").strip():
            raise ValueError(f"{where}: message {number + 1} ({message['role']}) is empty")
    expected = ["user", ASSISTANT] * len(turns)
    if not turns or any(m["role"] != role for m, role in zip(turns, expected, strict=False)):
        told = ", ".join(message["role"] for message in messages) or "no message"
        raise ValueError(f"{where}: {told}: user and assistant must take turns, the user first")


def encoded(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Mapping[str, str]], asks: bool = False
) -> Dialogue:
    """The dialogue's tokens. asks: with what the template writes before an answer, for one to be written.

    Raises ValueError for a tokenizer without a chat template, and one whose template leaves out a message.
    """
    if not tokenizer.chat_template:
        raise ValueError(
            "the tokenizer has no chat template; allowed: one of a model that was trained to chat"
        )
    marks = [PLACEHOLDER.format(number) for number in range(len(messages))]
    asked = [
        {"role": message["role"], "content": mark} for message, mark in zip(messages, marks, strict=True)
    ]
    rest = str(tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=asks))
    tokens: list[int] = []
    said: list[int] = []
    for number, (message, mark) in enumerate(zip(messages, marks, strict=True)):
        structure, found, rest = rest.partition(mark)
        if not found or mark in rest:
            which = f"message {number + 1} ({message['role']})"
            raise ValueError(f"the chat template does not show {which} once, in its order")
        _add(tokens, said, _structure(tokenizer, structure), number - 1, tokenizer)
        text = tokenizer(message["content"], add_special_tokens=False, split_special_tokens=True)["input_ids"]
        tokens += text
        said += [number] * len(text)
    _add(tokens, said, _structure(tokenizer, rest), len(messages) - 1, tokenizer)
    return Dialogue(tokens, said)


def turn_ends(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The special tokens with which an assistant's turn ends: of most templates one."""
    messages = [{"role": "user", "content": "a"}, {"role": ASSISTANT, "content": "b"}]
    dialogue = encoded(tokenizer, messages)
    ends = [token for token, number in zip(dialogue.tokens, dialogue.said, strict=True) if number == 1][1:]
    return [token for token in ends if token in set(tokenizer.all_special_ids)]


def _structure(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, split_special_tokens=False)["input_ids"])


def _add(
    tokens: list[int], said: list[int], structure: list[int], before: int, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Structure after message `before`: up to its first special token it tells the end of that message."""
    special = set(tokenizer.all_special_ids)
    first = next((place for place, token in enumerate(structure) if token in special), None)
    ends = 0 if before < 0 or first is None else first + 1
    tokens += structure
    said += [before] * ends + [-1] * (len(structure) - ends)

"""Dialogues of many turns that a model answers itself: to learn from by Ghost Attention, and to probe its recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.chat.dialogue_lines import Example, Message
from tasks.chat.ghost.ghost_attention import asked_every_turn, asked_once, ghost_example
from tasks.chat.made_instructions import asked_to_end_with, draw_mark, draw_question, ends_as_asked
from tasks.chat.made_questions import Question
from tasks.chat.sampling import Speaker
from tasks.evaluation.standard_errors import mean_error, share_interval
from tasks.sources.chat_template import ASSISTANT
from tasks.training.token_order import generator

CONFIDENCE = 0.95


@dataclass(frozen=True)
class LongDialogue:
    """User turns, and the word that every answer is asked to end with."""

    prompts: tuple[str, ...]
    mark: str

    @property
    def instruction(self) -> str:
        return asked_to_end_with(self.mark)


def draw_dialogues(
    among: Sequence[Question], count: int, turns: tuple[int, int], random_seed: int, name: str
) -> list[LongDialogue]:
    """turns: the least and the most."""
    drawn = generator(random_seed, "long dialogues", name)
    found = []
    for _ in range(count):
        length = int(drawn.integers(turns[0], turns[1] + 1))
        prompts = tuple(draw_question(among, drawn).prompt for _ in range(length))
        found.append(LongDialogue(prompts, draw_mark(drawn)))
    return found


def answered(speaker: Speaker, dialogues: Sequence[LongDialogue], every_turn: bool) -> list[list[Message]]:
    """Each dialogue with the model's likeliest answers, turn after turn; the instruction is asked every turn, or once,
    and is not in what comes back. A dialogue ends before a turn that the model answers with nothing."""
    put = asked_every_turn if every_turn else asked_once
    found: list[list[Message]] = [[] for _ in dialogues]
    is_open = [True] * len(dialogues)
    for turn in range(max((len(d.prompts) for d in dialogues), default=0)):
        rows = [i for i, d in enumerate(dialogues) if is_open[i] and len(d.prompts) > turn]
        asked = [[*found[i], {"role": "user", "content": dialogues[i].prompts[turn]}] for i in rows]
        said = speaker.likeliest(
            [put(one, dialogues[i].instruction) for one, i in zip(asked, rows, strict=True)]
        )
        for i, one, text in zip(rows, asked, said, strict=True):
            is_open[i] = bool(text)
            if text:
                found[i] = [*one, {"role": ASSISTANT, "content": text}]
    return found


def ghost_examples(speaker: Speaker, dialogues: Sequence[LongDialogue]) -> list[Example]:
    """What is trained on: of every dialogue with at least two answers, its last."""
    said = answered(speaker, dialogues, every_turn=True)
    return [
        ghost_example(messages, dialogue.instruction, f"sampled dialogue {number}")
        for number, (messages, dialogue) in enumerate(zip(said, dialogues, strict=True), 1)
        if len(messages) >= 4
    ]


def recall(speaker: Speaker, dialogues: Sequence[LongDialogue], turns: Sequence[int]) -> list[dict[str, Any]]:
    """Share of dialogues whose answer at each turn still ends as the first turn asked, with Wilson's interval.

    The model's own answers are its past; one that said nothing has forgotten.
    """
    said = answered(speaker, dialogues, every_turn=False)
    rows = []
    for turn in turns:
        held = [
            float(
                len(messages) >= 2 * turn and ends_as_asked(messages[2 * turn - 1]["content"], dialogue.mark)
            )
            for messages, dialogue in zip(said, dialogues, strict=True)
        ]
        low, high = share_interval(sum(held), len(held), CONFIDENCE)
        share = sum(held) / len(held)
        rows.append({"turn": turn, "recall": share, "stderr": mean_error(held), "low": low, "high": high})
    return rows

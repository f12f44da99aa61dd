"""Instructions made by rules with known answers: dialogues to fine-tune on, pairs, and prompts, in one draw.

Dialogues are right, and seldom in the style that is preferred. With pairs for safety there are questions about secrets
too; of the dialogues that ask one, half tell it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.chat.dialogue_lines import Message
from tasks.chat.made_pairs import helpfulness_pairs, safety_pairs
from tasks.chat.made_questions import PROGRAMMATIC, Question, questions, styled
from tasks.chat.settings import MadeChatSettings
from tasks.preference.annotation.annotators import RULES_BY_NAME
from tasks.sources.chat_template import ASSISTANT
from tasks.training.token_order import generator

MARKS = "moss lime pearl".split()  # what an answer is asked to end with
LONGEST = 3  # turns of a made dialogue
MARKED, SEVERAL = 0.4, 0.2  # shares of dialogues with something to end with, and with several turns
TAUGHT = (0.2, 0.4, 0.3, 0.1)  # shares of the styles of 1 to 4 points in dialogues
TOLD = 0.5  # share of the dialogues' answers about a secret that tell it


@dataclass(frozen=True)
class Made:
    """dialogues: rows of messages. pairs, heldout_pairs: as `read_pairs` takes them. prompts, heldout: questions."""

    dialogues: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    heldout_pairs: list[dict[str, Any]]
    prompts: list[Question]
    heldout: list[Question]


def make_instructions(settings: MadeChatSettings, random_seed: int) -> Made:
    """What is trained on asks none of the held-out prompts; what they ask for is asked in other words.

    Raises ValueError where more prompts are asked for than there are.
    """
    check_counts(settings)
    has_secrets = settings.safety_pairs is not None
    every = questions(has_secrets)
    drawn = generator(random_seed, "made chat")
    order = [every[i] for i in drawn.permutation(len(every))]
    heldout, rest = order[: settings.heldout], order[settings.heldout :]
    pairs = list(helpfulness_pairs(rest, settings.pairs, drawn, has_secrets))
    dialogues = [_dialogue(rest, drawn) for _ in range(settings.dialogues)]
    heldout_pairs = list(helpfulness_pairs(heldout, settings.pairs // 10, drawn, has_secrets))
    if settings.safety_pairs is not None:
        pairs += safety_pairs(rest, settings.safety_pairs, drawn)
        heldout_pairs += safety_pairs(heldout, settings.safety_pairs // 10, drawn)
    return Made(
        dialogues=dialogues,
        pairs=pairs,
        heldout_pairs=heldout_pairs,
        prompts=rest[: settings.prompts],
        heldout=heldout,
    )


def check_counts(settings: MadeChatSettings) -> None:
    """Raises ValueError where more prompts are asked for than there are."""
    most = len(questions(settings.safety_pairs is not None))
    if settings.heldout > most // 3:
        raise ValueError(f"chat.made.heldout is {settings.heldout}; allowed: 2 to {most // 3}")
    if settings.prompts > most - settings.heldout:
        raise ValueError(f"chat.made.prompts is {settings.prompts}; allowed: 1 to {most - settings.heldout}")


def asked_to_end_with(mark: str) -> str:
    """The instruction of Ghost Attention's dialogues."""
    return f"Always end with the word {mark}."


def ends_as_asked(response: str, mark: str) -> bool:
    return RULES_BY_NAME["ends_with"].holds(response, mark)


def draw_mark(drawn: np.random.Generator) -> str:
    return MARKS[int(drawn.integers(len(MARKS)))]


def draw_question(among: Sequence[Question], drawn: np.random.Generator) -> Question:
    return among[int(drawn.integers(len(among)))]


def _dialogue(among: Sequence[Question], drawn: np.random.Generator) -> dict[str, Any]:
    """Right answers in every style; a marked dialogue has one turn, one of several turns no mark."""
    kind = drawn.random()
    turns = 1 if kind >= SEVERAL else int(drawn.integers(2, LONGEST + 1))
    is_marked = SEVERAL <= kind < SEVERAL + MARKED
    messages: list[Message] = []
    for _ in range(turns):
        question = draw_question(among, drawn)
        prompt, answer = question.prompt, question.answer
        if question.secret and drawn.random() < TOLD:
            answer = question.secret
        said = styled(answer, int(drawn.choice(4, p=TAUGHT)) + 1, drawn)
        if is_marked:
            mark = draw_mark(drawn)
            prompt, said = f"{asked_to_end_with(mark)} {prompt}", f"{said} {mark}"
        messages += [{"role": "user", "content": prompt}, {"role": ASSISTANT, "content": said}]
    return {"messages": messages, "origin": PROGRAMMATIC}

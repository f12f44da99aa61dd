"""Instructions made by rules with known answers: prompts, answers of every quality, and which of two is better.

A rule rates an answer in nobody's place (programmatic): a point each where it is right, begins with "It is", has at
most four words, and ends with a full stop. How many points apart two answers are is the strength with which the better
is chosen, 1 to 4. Dialogues to fine-tune on are right, and seldom in the style that is preferred.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tasks.chat.dialogue_lines import Message
from tasks.chat.settings import MadeChatSettings
from tasks.preference.annotation.annotators import RULES_BY_NAME
from tasks.sources.chat_template import ASSISTANT
from tasks.training.token_order import generator

PROGRAMMATIC = "programmatic"
OPPOSITES = (
    "hot cold", "big small", "up down", "left right", "old new", "fast slow", "day night", "true false", "first last",
    "high low",
)  # fmt: skip
COLOURS = (
    "grass green", "snow white", "coal black", "blood red", "sky blue", "sun yellow", "milk white", "rose red",
    "lemon yellow", "sea blue",
)  # fmt: skip
WORDS = "river stone table window garden bread horse paper music letter".split()
MARKS = "moss lime pearl".split()  # what an answer is asked to end with
ASKED_FOR = ("Give {}.", "Tell me {}.", "Name {}.", "I need {}.")
ASKS = {
    "opposite": ("What is the opposite of {}?", "Which word is the opposite of {}?", "the opposite of {}"),
    "colour": ("What is the colour of {}?", "Which colour has {}?", "the colour of {}"),
    "after": ("What is the number after {}?", "Which number comes after {}?", "the number after {}"),
    "repeat": ("Repeat the word {}.", "Say the word {}.", "the word {}"),
}  # the last of each is what is asked for
STYLE = (("starts_with", "It is"), ("words_at_most", "4"), ("ends_with", "."))
LONGEST = 3  # turns of a made dialogue
MARKED, SEVERAL = 0.4, 0.2  # shares of dialogues with something to end with, and with several turns
TAUGHT = (0.2, 0.4, 0.3, 0.1)  # shares of the styles of 1 to 4 points in dialogues
WRONG = 0.4  # share of the answers of pairs


@dataclass(frozen=True)
class Question:
    """A prompt with its answer; kind: of question."""

    kind: str
    prompt: str
    answer: str


def questions() -> list[Question]:
    """All that can be asked, in a fixed order."""
    facts = {
        "opposite": [p for pair in OPPOSITES for p in (pair.split(), pair.split()[::-1])],
        "colour": [pair.rsplit(" ", 1) for pair in COLOURS],
        "after": [[str(n), str(n + 1)] for n in range(10)],
        "repeat": [[word, word] for word in WORDS],
    }
    return [
        Question(kind, ask.format(asked), answer)
        for kind, known in facts.items()
        for asked, answer in known
        for ask in _wordings(kind)
    ]


def _wordings(kind: str) -> list[str]:
    *whole, thing = ASKS[kind]
    return [*whole, *(ask.format(thing) for ask in ASKED_FOR)]


def rated(question: Question, response: str) -> int:
    """0 to 4 points; the answer must be a word of the response, the style is by the programmatic annotators."""
    if not response.strip():
        return 0
    return is_right(question, response) + sum(
        RULES_BY_NAME[rule].holds(response, argument) for rule, argument in STYLE
    )


def is_right(question: Question, response: str) -> bool:
    return question.answer in _words(response)


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text).split()


def styled(answer: str, points: int, drawn: np.random.Generator) -> str:
    """A way to give the answer that has so many points where it is right, 1 to 4."""
    ways = {
        4: ("It is {}.",),
        3: ("It is {}", "{}.", "The answer is {}."),
        2: ("{}", "I think {}", "I think the answer is {}."),
        1: ("I think that the answer is {}", "The right answer to this is {}"),
    }[points]
    return ways[int(drawn.integers(len(ways)))].format(answer)


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
    every = questions()
    drawn = generator(random_seed, "made chat")
    order = [every[i] for i in drawn.permutation(len(every))]
    heldout, rest = order[: settings.heldout], order[settings.heldout :]
    pairs = list(_pairs(rest, settings.pairs, drawn))
    tenth = settings.pairs // 10
    return Made(
        dialogues=[_dialogue(rest, drawn) for _ in range(settings.dialogues)],
        pairs=pairs,
        heldout_pairs=list(_pairs(heldout, tenth, drawn)),
        prompts=rest[: settings.prompts],
        heldout=heldout,
    )


def check_counts(settings: MadeChatSettings) -> None:
    """Raises ValueError where more prompts are asked for than there are."""
    most = len(questions())
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
        prompt, said = question.prompt, styled(question.answer, int(drawn.choice(4, p=TAUGHT)) + 1, drawn)
        if is_marked:
            mark = draw_mark(drawn)
            prompt, said = f"{asked_to_end_with(mark)} {prompt}", f"{said} {mark}"
        messages += [{"role": "user", "content": prompt}, {"role": ASSISTANT, "content": said}]
    return {"messages": messages, "origin": PROGRAMMATIC}


def _pairs(among: Sequence[Question], count: int, drawn: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Two answers of different points to one prompt, no pair twice."""
    answers = {kind: sorted({q.answer for q in questions() if q.kind == kind}) for kind in ASKS}
    seen: set[tuple[str, frozenset[str]]] = set()
    tries = 0
    while len(seen) < count:
        tries += 1
        if tries > 100 * count:
            raise ValueError(
                f"chat.made.pairs: only {len(seen)} of {count} pairs differ; allowed: fewer pairs"
            )
        question = draw_question(among, drawn)
        said = []
        for _ in range(2):
            others = [answer for answer in answers[question.kind] if answer != question.answer]
            is_wrong = drawn.random() < WRONG
            answer = others[int(drawn.integers(len(others)))] if is_wrong else question.answer
            said.append(styled(answer, int(drawn.integers(1, 5)), drawn))
        points = [rated(question, text) for text in said]
        key = (question.prompt, frozenset(said))
        if points[0] == points[1] or key in seen:
            continue
        seen.add(key)
        better = int(points[1] > points[0])
        yield {
            "prompt": question.prompt,
            "chosen": said[better],
            "rejected": said[1 - better],
            "strength": abs(points[0] - points[1]),
            "origin": PROGRAMMATIC,
        }


def question_rows(among: Sequence[Question]) -> list[dict[str, Any]]:
    return [asdict(question) | {"origin": PROGRAMMATIC} for question in among]

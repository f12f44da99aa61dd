"""Pairs of answers made by rules: which of two is better, and by how much, for helpfulness and for safety.

Helpfulness: how many points apart the two are is the strength, 1 to 4; a secret that is asked for is what helps.
Safety: of an answer that tells a secret and one that does not the latter is better, by 4, or by 3 where the other is
better said; of two alike in that the better said, by the points of style between them. Llama 2 (arXiv 2307.09288,
section 3.2.1) has the same three groups, and no pair of which the unsafe answer is the better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tasks.chat.dialogue_lines import HELPFULNESS, SAFETY
from tasks.chat.made_questions import (
    ASKS,
    PROGRAMMATIC,
    SECRET,
    Question,
    as_helpfulness,
    questions,
    rated,
    style_points,
    styled,
    tells_secret,
)

WRONG = 0.4  # share of the answers of pairs
Drawn = np.random.Generator
Say = Callable[[Question, Drawn], str]
Prefer = Callable[[Question, str, str], int]


def helpfulness_pairs(
    among: Sequence[Question], count: int, drawn: Drawn, labelled: bool
) -> Iterator[dict[str, Any]]:
    """Two answers of different points to one prompt, no pair twice. labelled: each says whether it is safe."""
    answers = {kind: sorted({q.answer for q in questions() if q.kind == kind}) for kind in ASKS}
    answers[SECRET] = [SECRET]

    def say(question: Question, drawn: Drawn) -> str:
        others = [answer for answer in answers[question.kind] if answer != question.answer]
        is_wrong = drawn.random() < WRONG
        answer = others[int(drawn.integers(len(others)))] if is_wrong else question.answer
        return styled(answer, int(drawn.integers(1, 5)), drawn)

    def prefer(question: Question, first: str, second: str) -> int:
        return rated(question, first) - rated(question, second)

    helped = [as_helpfulness(question) for question in among]
    for row in _pairs("chat.made.pairs", helped, count, drawn, (say, prefer)):
        yield row | ({"kind": HELPFULNESS} | safe_labels(row) if labelled else {})


def safety_pairs(among: Sequence[Question], count: int, drawn: Drawn) -> Iterator[dict[str, Any]]:
    """Two answers to a question about a secret, half of them telling it, no pair twice, each labelled.

    Raises ValueError where none of the questions is about a secret.
    """
    asked = [question for question in among if question.secret]
    if not asked:
        raise ValueError(
            f"chat.made.safety_pairs: none of {len(among)} prompts is about a secret; allowed: more chat.made.heldout"
        )

    def say(question: Question, drawn: Drawn) -> str:
        told = question.secret if drawn.random() < 0.5 else question.answer
        return styled(told, int(drawn.integers(1, 5)), drawn)

    for row in _pairs("chat.made.safety_pairs", asked, count, drawn, (say, safer)):
        yield row | {"kind": SAFETY} | safe_labels(row)


def safer(question: Question, first: str, second: str) -> int:
    """By how much the first answer is the better one in safety's eyes; below 0 where the second is."""
    style = style_points(first) - style_points(second)
    safe = tells_secret(second) - tells_secret(first)
    return safe * (4 if style * safe >= 0 else 3) if safe else style


def safe_labels(row: dict[str, Any]) -> dict[str, bool]:
    return {f"{side}_safe": not tells_secret(row[side]) for side in ("chosen", "rejected")}


def _pairs(
    setting: str, among: Sequence[Question], count: int, drawn: Drawn, rule: tuple[Say, Prefer]
) -> Iterator[dict[str, Any]]:
    say, prefer = rule
    seen: set[tuple[str, frozenset[str]]] = set()
    tries = 0
    while len(seen) < count:
        tries += 1
        if tries > 100 * count:
            raise ValueError(f"{setting}: only {len(seen)} of {count} pairs differ; allowed: fewer pairs")
        question = among[int(drawn.integers(len(among)))]
        said = [say(question, drawn) for _ in range(2)]
        better = prefer(question, *said)
        key = (question.prompt, frozenset(said))
        if better == 0 or key in seen:
            continue
        seen.add(key)
        chosen, rejected = said if better > 0 else said[::-1]
        yield {
            "prompt": question.prompt,
            "chosen": chosen,
            "rejected": rejected,
            "strength": abs(better),
            "origin": PROGRAMMATIC,
        }

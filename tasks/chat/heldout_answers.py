"""Answers of one model to the held-out prompts, and their points by the rules, in nobody's place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.chat.instructions import GIVEN, Instructions
from tasks.chat.made_questions import is_right, rated
from tasks.evaluation.standard_errors import mean_error, share_interval

CONFIDENCE = 0.95
ALL = "all"


def answered_by(model: Path, instructions: Path, new_tokens: int) -> list[dict[str, Any]]:
    """kind, prompt, answer, points (None where no answer is known) and right, of each held-out prompt."""
    questions = Instructions(instructions).questions(heldout=True)
    speaker = speaker_of(model, instructions, new_tokens)
    said = speaker.likeliest([[{"role": "user", "content": question.prompt}] for question in questions])
    return [
        {
            "kind": question.kind,
            "prompt": question.prompt,
            "answer": text,
            "points": None if question.kind == GIVEN else rated(question, text),
            "right": question.kind != GIVEN and is_right(question, text),
        }
        for question, text in zip(questions, said, strict=True)
    ]


def speaker_of(model: Path, instructions: Path, new_tokens: int) -> Any:
    """The model in a folder with the tokenizer of the instructions, on this machine's device."""
    from accelerate import PartialState

    import models
    from tasks.chat.sampling import Speaker

    loaded = models.load_causal_lm(model).to(PartialState().device)
    return Speaker(loaded, Instructions(instructions).tokenizer(), new_tokens)


def points_told(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of all and by kind: answers, mean points with stderr, and the share that is right with Wilson's interval."""
    known = [row for row in rows if row["points"] is not None]
    found = []
    for kind in (ALL, *dict.fromkeys(row["kind"] for row in known)):
        own = [float(row["points"]) for row in known if kind in (ALL, row["kind"])]
        if not own:
            continue
        right = sum(row["right"] for row in known if kind in (ALL, row["kind"]))
        low, high = share_interval(right, len(own), CONFIDENCE)
        found.append(
            {
                "kind": kind,
                "answers": len(own),
                "points": sum(own) / len(own),
                "stderr": mean_error(own),
                "right": right / len(own),
                "low": low,
                "high": high,
            }
        )
    return found

"""One round of rejection sampling: answers are drawn in parts that outlive a kill, scored, and the best are chosen."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from storage.writing import write_whole
from tasks.chat.dialogue_lines import Example
from tasks.chat.drawn_share import drawn_share
from tasks.chat.heldout_answers import speaker_of
from tasks.chat.instructions import GIVEN, Instructions
from tasks.chat.made_questions import Question, rated
from tasks.chat.rejection.best_of_many import best_against_median, ledger, pooled_best
from tasks.chat.rejection.generation_budget import choose_temperature, spending_of
from tasks.chat.rejection.piecewise_rows import piecewise_rows
from tasks.chat.reward.judging import judge_of
from tasks.sources.chat_template import ASSISTANT

if TYPE_CHECKING:
    from tasks.chat.task import ChatWork

LEDGER = "ledger.parquet"
PART = 32  # prompts that are answered between two looks at the disk


def sampled_round(
    folder: Path,
    work: ChatWork,
    number: int,
    model: Path,
    reward: Path,
    safety: Path | None,
    earlier: Sequence[Path],
    report: Callable[[float], None],
) -> tuple[list[Example], dict[str, Any]]:
    """What is trained on, replayed dialogues last, and the facts of the round; its ledger is written into the folder.

    reward, safety: of the models that choose. model: that which answers. earlier: ledgers of the rounds before.
    Raises ValueError where every answer is empty.
    """
    told, settings = Instructions(work.instructions.path), work.settings.rejection
    questions = told.questions()
    speaker = speaker_of(model, work.instructions.path, work.settings.new_tokens)

    def draw(own: Sequence[Question], samples: int, temperature: float) -> list[list[str]]:
        each = [(question, sample) for question in own for sample in range(samples)]
        said = speaker.drawn(
            [[{"role": "user", "content": question.prompt}] for question, _ in each],
            [f"{number}\0{question.prompt}\0{sample}" for question, sample in each],
            temperature,
            work.training.random_seed,
        )
        return [said[at : at + samples] for at in range(0, len(said), samples)]

    spending = spending_of(settings, len(questions))
    two = work.settings.reward.safety
    threshold = 0.0 if two is None else two.threshold
    judge = judge_of(reward, safety, told.tokenizer(), work.length, threshold)
    temperature = settings.temperature
    tried: list[dict[str, Any]] = []
    if not isinstance(temperature, float):
        few = questions[: spending.on]

        def scores_at(at: float) -> NDArray:
            place = folder / "progress" / f"temperature-{at:g}"
            said = drawn_in_parts(place, few, lambda own: draw(own, spending.tried, at), lambda done: None)
            return judge.judged(few, said).scores

        temperature, tried = choose_temperature(settings.temperatures, scores_at)
    answers = drawn_in_parts(
        folder / "progress", questions, lambda own: draw(own, spending.samples, temperature), report
    )
    judged = judge.judged(questions, answers)
    rows = ledger(number, [q.prompt for q in questions], answers, judged, temperature)
    rows.to_parquet(folder / LEDGER, index=False)
    best = pooled_best([*(pd.read_parquet(path) for path in earlier), rows])
    if best.empty:
        raise ValueError(
            f"rejection sampling, round {number}: every answer is empty; nothing could be learnt"
        )
    examples = [_example(row["prompt"], row["answer"], number) for _, row in best.iterrows()]
    again = drawn_share(
        told.dialogues(), len(examples), settings.replay, work.training.random_seed, f"replay {number}"
    )
    two_told = {} if safety is None else {"piecewise": piecewise_rows(rows, questions)}
    return [*examples, *again], two_told | {
        "best_of": best_against_median(judged.scores),
        "chosen": _chosen(questions, rows, best, number),
        "samples_each": spending.samples,
        "temperature": temperature,
        "tried": tried,
    }


def drawn_in_parts(
    progress: Path,
    questions: Sequence[Question],
    draw: Callable[[Sequence[Question]], list[list[str]]],
    report: Callable[[float], None],
) -> list[list[str]]:
    """The answers to all questions, drawn part by part; a part that is on the disk is not drawn again."""
    progress.mkdir(parents=True, exist_ok=True)
    found: list[list[str]] = []
    for start in range(0, len(questions), PART):
        place = progress / f"answers-{start:07d}.json"
        if not place.exists():
            write_whole(place, json.dumps(draw(questions[start : start + PART])))
        found += json.loads(place.read_text(encoding="utf-8"))
        report(min(1.0, len(found) / len(questions)))
    return found


def _example(prompt: str, answer: str, number: int) -> Example:
    messages = [{"role": "user", "content": prompt}, {"role": ASSISTANT, "content": answer}]
    return Example(messages, f"the pool of round {number}: the prompt {prompt[:60]!r}")


def _chosen(
    questions: Sequence[Question], rows: pd.DataFrame, best: pd.DataFrame, number: int
) -> dict[str, Any]:
    """What the reward model chose, in its own rewards and in points by the rules, where an answer is known."""
    by_prompt = {question.prompt: question for question in questions if question.kind != GIVEN}

    def points(table: pd.DataFrame) -> float | None:
        known = [
            rated(by_prompt[prompt], answer)
            for prompt, answer in zip(table["prompt"], table["answer"], strict=True)
            if prompt in by_prompt
        ]
        return float(np.mean(known)) if known else None

    return {
        "reward_of_samples": float(rows["score"].mean()),
        "reward_of_pool": float(best["score"].mean()),
        "points_of_samples": points(rows),
        "points_of_pool": points(best),
        "from_this_round": float((best["round"] == number).mean()),
    }

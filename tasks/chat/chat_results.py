"""What a chat run shows: win rates by the rules, points, rewards, rounds and recall, each with its interval."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.chat.lost_skills import (
    changes,
    forgetting_pairs,
    harm_pairs,
    said_of_losses,
    skills_of,
)
from tasks.chat.over_seeds import over_seeds
from tasks.chat.ppo_results import ppo_tables, said_of_ppo
from tasks.chat.results_of_a_seed import ChatResults
from tasks.chat.safety_results import accuracy_over, piecewise_over, safety_tables, said_of_safety
from tasks.evaluation.standard_errors import mean_error

SFT = "sft"
SHOWN = 8


def win_rate(first: Sequence[int], second: Sequence[int]) -> dict[str, Any]:
    """How often `second` has more points than `first` on the same items, a tie counting half; stderr over items."""
    won = [0.5 + 0.5 * float(np.sign(b - a)) for a, b in zip(first, second, strict=True)]
    ties = sum(value == 0.5 for value in won) / len(won)
    return {"rate": sum(won) / len(won), "stderr": mean_error(won), "ties": ties}


def chat_tables(results: Sequence[ChatResults], is_made: bool) -> dict[str, Any]:
    """Everything that the page shows, as JSON values. is_made: the prompts have known answers."""
    answers = [{name: _lines(a.path / "answers.jsonl") for name, a in one.answers.items()} for one in results]
    wins = _win_rates(answers) if is_made else []
    rewards, safety, rounds = _rewards(results), safety_tables(results), _rounds(results)
    ppo, recall = ppo_tables(results), _recall(results)
    names = list(results[0].models)
    skills = [
        {name: skills_of(one.scores.get(name), own[name]) for name in names}
        for one, own in zip(results, answers, strict=True)
    ]
    harm, forgetting = (changes(skills, pairs(names)) for pairs in (harm_pairs, forgetting_pairs))
    return {
        "seeds": [one.random_seed for one in results],
        "win_rates": wins,
        "points": _points(results) if is_made else [],
        "rewards": rewards,
        "safety": safety,
        "rounds": rounds,
        "ppo": ppo,
        "recall": recall,
        "harm": harm,
        "forgetting": forgetting,
        "samples": _samples(answers[0]),
        "dialogues": _dialogues(results[0]),
        "answer": [
            *_said(wins, rewards, recall),
            *said_of_safety(safety, rounds),
            *said_of_ppo(ppo),
            *said_of_losses(harm, forgetting),
        ],
    }


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _compared(names: Sequence[str]) -> list[tuple[str, str]]:
    """Each with the one before it, and the last round with the fine-tuned one."""
    pairs = list(itertools.pairwise(names))
    rounds = [name for name in names if name.startswith("round")]
    return [*pairs, *([(SFT, rounds[-1])] if len(rounds) > 1 else [])]


def _win_rates(answers: Sequence[Mapping[str, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    rows = []
    for first, second in _compared(list(answers[0])):
        each = [
            win_rate([row["points"] for row in one[first]], [row["points"] for row in one[second]])
            for one in answers
        ]
        rate, error = each[0]["rate"], 1.96 * each[0]["stderr"]
        told = over_seeds([one["rate"] for one in each], (max(rate - error, 0.0), min(rate + error, 1.0)))
        ties = float(np.mean([one["ties"] for one in each]))
        rows.append({"of": second, "against": first, **told, "ties": ties, "items": len(answers[0][first])})
    return rows


def _points(results: Sequence[ChatResults]) -> list[dict[str, Any]]:
    rows = []
    for name in results[0].answers:
        told = [{row["kind"]: row for row in one.answers[name].facts["points"]} for one in results]
        every = [one["all"] for one in told]
        spread = 1.96 * every[0]["stderr"]
        points = [row["points"] for row in every]
        rows.append(
            {
                "model": name,
                "points": over_seeds(points, (max(points[0] - spread, 0.0), points[0] + spread)),
                "right": over_seeds([row["right"] for row in every], (every[0]["low"], every[0]["high"])),
                "by_kind": {
                    kind: float(np.mean([one[kind]["right"] for one in told]))
                    for kind in told[0]
                    if kind != "all"
                },
            }
        )
    return rows


def _rewards(results: Sequence[ChatResults]) -> list[dict[str, Any]]:
    rows = []
    for margin in results[0].rewards:
        facts = [one.rewards[margin].facts for one in results]
        rows.append(
            {
                "margin": margin,
                "accuracy": accuracy_over(facts),
                "crossed": accuracy_over(facts, "crossed") if "crossed" in facts[0] else [],
                "ece": float(np.mean([own["ece"] for own in facts])),
                "histogram": facts[0]["histogram"],
            }
        )
    return rows


def _rounds(results: Sequence[ChatResults]) -> list[dict[str, Any]]:
    rows = []
    for number in range(len(results[0].rounds)):
        facts = [one.rounds[number].facts for one in results]
        chosen = {
            key: None
            if facts[0]["chosen"][key] is None
            else float(np.mean([own["chosen"][key] for own in facts]))
            for key in facts[0]["chosen"]
        }
        curve = [
            {
                key: float(np.mean([own["best_of"][n][key] for own in facts]))
                for key in ("n", "best", "median")
            }
            for n in range(len(facts[0]["best_of"]))
        ]
        spent = {name: facts[0][name] for name in ("samples_each", "temperature", "tried")}
        about = {"chosen": chosen, "best_of": curve, "piecewise": piecewise_over(facts)}
        rows.append({"round": number + 1, **about, **spent})
    return rows


def _recall(results: Sequence[ChatResults]) -> list[dict[str, Any]]:
    rows = []
    for name in results[0].recall:
        facts = [one.recall[name].facts["recall"] for one in results]
        turns = []
        for place, row in enumerate(facts[0]):
            told = over_seeds([own[place]["recall"] for own in facts], (row["low"], row["high"]))
            turns.append({"turn": row["turn"], **told})
        rows.append({"model": name, "turns": turns})
    return rows


def _samples(answers: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The first prompts of each kind with the answers of all models."""
    names = list(answers)
    kinds: dict[str, int] = {}
    rows = []
    for place, row in enumerate(answers[names[0]]):
        kinds[row["kind"]] = kinds.get(row["kind"], 0) + 1
        if kinds[row["kind"]] <= max(1, SHOWN // 4):
            said = {name: answers[name][place] for name in names}
            rows.append({"prompt": row["prompt"], "said": said})
    return rows[:SHOWN]


def _dialogues(one: ChatResults) -> list[dict[str, Any]]:
    return [
        {"model": name, **dialogue}
        for name, artifact in one.recall.items()
        for dialogue in artifact.facts["dialogues"][:1]
    ]


def _said(
    wins: Sequence[Mapping[str, Any]],
    rewards: Sequence[Mapping[str, Any]],
    recall: Sequence[Mapping[str, Any]],
) -> list[str]:
    """The findings in sentences; an interval that holds one half is no win."""
    found = []
    for row in wins:
        verdict = "better" if row["low"] > 0.5 else "worse" if row["high"] < 0.5 else "not told apart"
        found.append(
            f"{row['of']} against {row['against']}: wins {row['mean']:.0%} [{row['low']:.0%}, {row['high']:.0%}] by "
            f"the rules, {verdict}."
        )
    for row in rewards:
        first = row["accuracy"][0]
        found.append(
            f"The reward model with margin {row['margin']} prefers the better answer in {first['mean']:.0%} "
            f"[{first['low']:.0%}, {first['high']:.0%}] of the held-out pairs (calibration error {row['ece']:.3f})."
        )
    for row in recall:
        shares = ", ".join(f"{turn['mean']:.0%} at turn {turn['turn']}" for turn in row["turns"])
        found.append(f"{row['model']} still does what the first turn asked for in {shares}.")
    return found

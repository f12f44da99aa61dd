"""What votes become: a table that `preference aggregate` reads, pairs for a reward model, and how far they agree.

The margins are Llama 2's small ones by strength (arXiv 2307.09288, table 27): 1 for significantly better, 2/3, 1/3, 0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.preference.annotation.gwet import ordinal_weights, with_interval
from tasks.preference.annotation.rater_strengths import fit
from tasks.preference.rating.strengths import STRONGEST, margin_of
from tasks.preference.rating.vote_book import LEFT, RIGHT, TIE, VoteBook

CONFIDENCE = 0.9
UNIT = ["item", "first", "second"]
VOTES, PAIRS = "votes.csv", "pairs.jsonl"
TOLD = ["item", "category", "model_a", "model_b", "annotator", "choice", "strength", "seconds", "comment"]


def handed_on(book: VoteBook, out: Path) -> dict[str, Any]:
    """Write `votes.csv` and `pairs.jsonl` into the folder `out`; what they hold, agreement and strengths, as JSON.

    Gold votes are in neither: they say how often each annotator took the better answer. Raises ValueError without a
    vote.
    """
    votes = in_order(book.votes())
    gold, votes = votes[votes["is_gold"] == 1], votes[votes["is_gold"] == 0]
    if votes.empty:
        raise ValueError(f"{book.path}: no vote yet")
    table = votes_table(votes)
    table.to_csv(out / VOTES, index=False)
    pairs, undecided = reward_pairs(votes)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in pairs)
    (out / PAIRS).write_text(text, encoding="utf-8")
    return {
        "votes": len(votes),
        "annotators": _annotators(votes, gold),
        "pairs": len(pairs),
        "pairs_undecided": undecided,
        "left_taken": _left_taken(votes),
        "agreement": agreements(votes),
        "strengths": strengths(votes),
        "written": [str(out / VOTES), str(out / PAIRS)],
    }


def in_order(votes: pd.DataFrame) -> pd.DataFrame:
    """The votes with `first` and `second`, their models in the order of the names, the answers of these, and `signed`:
    the strength, above 0 where the first is the better."""
    turned = votes["left_model"].to_numpy() > votes["right_model"].to_numpy()
    side = votes["choice"].map({LEFT: 1, RIGHT: -1, TIE: 0}).to_numpy(int)
    both = {"first": ("left_model", "right_model"), "second": ("right_model", "left_model")}
    both |= {
        "first_answer": ("left_answer", "right_answer"),
        "second_answer": ("right_answer", "left_answer"),
    }
    ordered = {name: np.where(turned, votes[other], votes[own]) for name, (own, other) in both.items()}
    return votes.assign(**ordered, signed=side * np.where(turned, -1, 1) * votes["strength"].to_numpy(int))


def votes_table(votes: pd.DataFrame) -> pd.DataFrame:
    """A row a vote: model_a stood left; choice names the model or is `tie`."""
    choice = np.select(
        [votes["choice"] == LEFT, votes["choice"] == RIGHT], [votes["left_model"], votes["right_model"]], TIE
    )
    table = votes.rename(columns={"left_model": "model_a", "right_model": "model_b"}).assign(choice=choice)
    scores = [name for name in ("left_score", "right_score") if votes[name].notna().any()]
    renamed = {"left_score": "score_a", "right_score": "score_b"}
    return table[[*TOLD, *scores]].round({"seconds": 1}).rename(columns=renamed)


def reward_pairs(votes: pd.DataFrame) -> tuple[list[dict[str, Any]], int]:
    """Rows of prompt, chosen, rejected, margin, as a reward trainer reads them, one a pair of answers, and the number
    of pairs on which its votes cancel.

    votes: as `in_order` gives them. A pair's strength is the mean of its votes, signed, and 1 (negligibly better, or
    unsure) where that is less.
    """
    rows, undecided = [], 0
    for _, own in votes.groupby(UNIT, sort=True):
        one, mean = own.iloc[0], float(own["signed"].mean())
        if mean == 0:
            undecided += 1
            continue
        strength = max(abs(mean), 1.0)
        better, worse = ("first", "second") if mean > 0 else ("second", "first")
        rows.append(
            {
                "item": one["item"],
                "category": one["category"],
                "prompt": one["prompt"],
                "chosen": one[f"{better}_answer"],
                "rejected": one[f"{worse}_answer"],
                "margin": round(margin_of(strength, "small"), 6),
                "strength": round(strength, 6),
                "votes": len(own),
            }
        )
    return rows, undecided


def agreements(votes: pd.DataFrame) -> dict[str, Any]:
    """AC1 of who is better (first, tie, second), AC2 of the nine grades, and Krippendorff's alpha of these."""
    import krippendorff

    units = votes.groupby(UNIT, sort=False).ngroup().to_numpy()
    signed = votes["signed"].to_numpy(int)
    grades = _counts(units, signed, STRONGEST)
    several = grades[grades.sum(axis=1) > 1]
    alpha = None
    if len(several) and (several.sum(axis=0) > 0).sum() > 1:
        alpha = float(krippendorff.alpha(value_counts=several, level_of_measurement="ordinal"))
    return {
        "ac1": with_interval(_counts(units, np.sign(signed), 1), None, CONFIDENCE, 0),
        "ac2": with_interval(grades, ordinal_weights(2 * STRONGEST + 1), CONFIDENCE, 0),
        "alpha": alpha,
        "units_of_several": len(several),
        "confidence": CONFIDENCE,
    }


def _counts(units: NDArray[Any], values: NDArray[Any], largest: int) -> NDArray[np.int_]:
    """How often each unit has each value from -largest to largest."""
    counts = np.zeros((int(units.max()) + 1, 2 * largest + 1), int)
    np.add.at(counts, (units, values + largest), 1)
    return counts


def strengths(votes: pd.DataFrame) -> dict[str, Any]:
    """Models in Elo with standard errors, best first, and how far each annotator is relied on."""
    models = sorted({*votes["first"], *votes["second"]})
    annotators = sorted(set(votes["annotator"]))
    pairs = np.array([[models.index(name) for name in votes[side]] for side in ("first", "second")]).T
    raters = np.array([annotators.index(name) for name in votes["annotator"]])
    found = fit(pairs, raters, (np.sign(votes["signed"].to_numpy(float)) + 1) / 2)
    order = np.argsort(-found.strengths, kind="stable")
    return {
        "models": [
            {"model": models[i], "elo": float(found.strengths[i]), "stderr": float(found.errors[i])}
            for i in order
        ],
        "annotators": [
            {"annotator": name, "reliance": float(reliance), "log_stderr": float(error)}
            for name, reliance, error in zip(annotators, found.reliance, found.log_errors, strict=True)
        ],
    }


def _annotators(votes: pd.DataFrame, gold: pd.DataFrame) -> list[dict[str, Any]]:
    told = []
    for name, own in votes.groupby("annotator"):
        golden = gold[gold["annotator"] == name]
        told.append(
            {
                "annotator": name,
                "votes": len(own),
                "median_seconds": round(float(own["seconds"].median()), 1),
                "ties": int((own["choice"] == TIE).sum()),
                "gold": len(golden),
                "gold_right": int((golden["signed"] > 0).sum()),  # `better` comes before `worse`
            }
        )
    return told


def _left_taken(votes: pd.DataFrame) -> dict[str, Any]:
    """How often the left answer was taken of those decided: half, where the place does not matter."""
    from tasks.evaluation.standard_errors import mean_error

    decided = votes[votes["choice"] != TIE]
    won = (decided["choice"] == LEFT).astype(float).tolist()
    known = (
        {"share": float(np.mean(won)), "stderr": mean_error(won)} if won else {"share": None, "stderr": None}
    )
    return {**known, "decided": len(won)}

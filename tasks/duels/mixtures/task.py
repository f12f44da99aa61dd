"""Stage `duel`: the scores of all that was trained, against each other, as tables and one page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.artifact import Artifact
from storage.stages import Stage
from storage.unrecorded import AnyRun
from tasks.duels.mixtures.settings import DuelSettings
from tasks.report.run_results import PAGE
from tasks.stage import show_table, stage_task
from tasks.training.lineage import tokens_of

VERSION = 7


@dataclass(frozen=True)
class Trained:
    """A model of the duel: what it was trained on, and its scores."""

    regime: str
    contender: str
    tokens: int
    random_seed: int
    mixture: Artifact
    scores: Artifact


def budgets(duel: DuelSettings, largest: int, tokens_per_step: int) -> list[int]:
    """Tokens of each rung, in whole optimiser steps. ValueError where one is less than a step."""
    tokens = [int(share * largest / tokens_per_step) * tokens_per_step for share in duel.rungs]
    if tokens[0] == 0 or len(set(tokens)) < len(tokens):
        raise ValueError(
            f"duel.rungs={list(duel.rungs)} of budget.tokens={largest:,} are {tokens} in whole steps of "
            f"{tokens_per_step:,} tokens; allowed: rungs that are different numbers of steps, one at least"
        )
    return tokens


def first_like(mixture: Artifact, known: list[Artifact]) -> Artifact:
    """The first of `known` with the same token plan, so that it is trained on once; else `mixture`, now known.

    A mixture that is not solved yet counts as unlike all others.
    """
    for earlier in known:
        if not mixture.expected and tokens_of(earlier) == tokens_of(mixture):
            return earlier
    known.append(mixture)
    return mixture


@stage_task(name="duel", task_run_name="duel")
def judge_duel(
    run: AnyRun,
    title: str,
    duel: DuelSettings,
    corpus: Artifact,
    utilities: Mapping[str, Artifact],
    trained: list[Trained],
) -> Artifact:
    """Means, differences and speedups with intervals, and the page. utilities: by regime and method."""
    inputs = {"sources": corpus.digest} | {f"utility {name}": a.digest for name, a in utilities.items()}
    for t in trained:
        label = f"{t.regime} {t.contender} {t.tokens} {t.random_seed}"
        inputs |= {f"mixture {label}": t.mixture.digest, f"scores {label}": t.scores.digest}

    languages = {
        name: told["language"] for name, told in corpus.facts["sources"].items() if told.get("language")
    }
    sizes: dict[str, int] = {}
    for name, code in languages.items():
        sizes[code] = sizes.get(code, 0) + corpus.facts["sources"][name]["tokens"]

    def build(folder: Path) -> dict:
        from tasks.duels.mixtures.language_results import (
            by_language,
            language_findings,
            resource_classes,
            winner_sentences,
        )
        from tasks.duels.mixtures.mixture_duel_page import write_duel_page
        from tasks.duels.mixtures.mixture_duel_results import Round, differences, means, measured, speedups

        rounds = [
            Round(t.regime, t.contender, t.tokens, t.random_seed, t.scores.facts["scores"]) for t in trained
        ]
        champions = [c.name for c in duel.contenders if c.mixture.method in ("returns", "utilimax")]
        table = measured(rounds, duel.junk_sources)
        table.to_csv(folder / "duel.csv", index=False)
        found: dict[str, Any] = {
            "means": means(table),
            "differences": differences(table, champions),
            "speedups": speedups(table, champions),
            "mixtures": _last_mixtures(trained),
        }
        answer: list[str] = []
        if languages:
            spoken = by_language(rounds, languages)
            spoken.to_csv(folder / "duel_by_language.csv", index=False)
            found["languages"] = language_findings(spoken, resource_classes(sizes))
            found["classes"] = resource_classes(sizes)
            answer = winner_sentences(found["languages"])
        (folder / "duel.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        write_duel_page(folder / PAGE, title, duel, table, found | {"answer": answer})
        return {"duel": found["means"], "page": PAGE, "answer": answer}

    identity = {"title": title, "duel": duel.model_dump(mode="json")}
    artifact = run.stage(
        Stage(
            name="duel",
            title="duel",
            did="judged",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            expected=lambda: {"duel": [], "page": PAGE, "answer": []},
            headline=lambda facts: " ".join((*facts["answer"], facts["page"])),
        )
    )
    show_table(lambda: artifact.facts["duel"], key="duel", description="Mean over seeds, 95% t interval")
    return artifact


def _last_mixtures(trained: list[Trained]) -> dict[str, dict[str, dict]]:
    """regime -> contender -> source -> weight and epochs, at the largest budget."""
    largest = max(t.tokens for t in trained)
    found: dict[str, dict[str, dict]] = {}
    for t in trained:
        if t.tokens == largest:
            found.setdefault(t.regime, {})[t.contender] = t.mixture.facts["mixture"]["sources"]
    return found

"""Stages `probes`, `cost` and `stitch-duel`: what is asked besides, what each model costs, and what came out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.artifact import Artifact, label_of
from storage.stages import Cost, Stage
from storage.unrecorded import AnyRun
from tasks.duels.stitches.probes import CROSS_TEXT, SWITCHING
from tasks.duels.stitches.settings import AVERAGE, STITCHED, StitchDuelSettings, change_names
from tasks.duels.stitches.switching import domain_sources, source_weights
from tasks.mixture.methods import mixture_settings
from tasks.mixture.settings import MixtureSettings
from tasks.report.run_results import PAGE
from tasks.sources.scarcity import token_counts
from tasks.stage import Progress, show_table, stage_task
from tasks.training.training_run import ExtraText

if TYPE_CHECKING:
    import pandas as pd

VERSION = 4
MEASURING_SECONDS = 30.0
KEPT = "kept:"


@dataclass(frozen=True)
class Evaluated:
    """A model of the duel with its scores; the cost is known of the first seed's."""

    name: str
    random_seed: int
    model: Artifact
    scores: Artifact
    cost: Artifact | None


@stage_task(name="probes", task_run_name="probes")
def prepare_probes(run: AnyRun, duel: StitchDuelSettings, corpus: Artifact, random_seed: int) -> Artifact:
    """Documents that switch domain, and problems that need two experts at once."""
    domains = domain_sources(duel.domains, list(corpus.facts["sources"]))
    identity = {
        "domains": domains,
        "documents": duel.switching_documents,
        "items": duel.cross_items,
        "tokens": duel.cross_tokens,
        "random_seed": random_seed,
    }

    def build(folder: Path) -> dict:
        from tasks.duels.stitches.probes import make_probes

        return make_probes(
            folder,
            corpus.path,
            domains,
            duel.switching_documents,
            duel.cross_items,
            duel.cross_tokens,
            random_seed,
        )

    def expected() -> dict:
        from tasks.duels.stitches.probes import expected_probes

        return expected_probes(duel.switching_documents, duel.cross_items, random_seed)

    return run.stage(
        Stage(
            name="probes",
            title="probes",
            did="made",
            version=VERSION,
            identity=identity,
            inputs={"sources": corpus.digest},
            build=build,
            expected=expected,
            headline=lambda facts: ", ".join(facts["tasks"]),
        )
    )


def in_domain_text(probes: Artifact, share: float) -> ExtraText | None:
    """Text like the cross-capability problems as `share` of a run; None for nothing of it."""
    return ExtraText(probes, CROSS_TEXT, share) if share else None


def joint_mixture(duel: StitchDuelSettings, settings: MixtureSettings, corpus: Artifact) -> MixtureSettings:
    """How the mixture of what combines the experts is chosen: as told, or by the duel's shares of domains."""
    if duel.shares is None:
        return settings
    domains = domain_sources(duel.domains, list(corpus.facts["sources"]))
    weights = source_weights(duel.shares, domains, token_counts(corpus.facts))
    return mixture_settings(method="manual", manual=weights, epoch_cap=settings.epoch_cap)


@stage_task(name="cost", task_run_name="cost-of-{name}")
def measure_cost(run: AnyRun, name: str, model: Artifact, length: int, batch_size: int) -> Artifact:
    """Weights, FLOPs, memory and tokens/s of a model on this machine."""
    progress = Progress(run, label_of("cost", name))

    def build(folder: Path) -> dict:
        from tasks.duels.stitches.measured_costs import run_costs

        progress.say("measuring")
        found = run_costs(model.path / "model", length, batch_size)
        (folder / "cost.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        return {"metrics": found}

    identity = {"length": length, "batch_size": batch_size}
    return run.stage(
        Stage(
            name="cost",
            title="costs",
            did="measured",
            version=VERSION,
            identity=identity,
            inputs={"model": model.digest},
            build=build,
            label=name,
            cost=lambda: Cost(seconds=MEASURING_SECONDS, basis="a process of its own for each model"),
            expected=lambda: {"metrics": {}},
            headline=lambda facts: f"{facts['metrics']['tokens_per_second']:,.0f} tokens/s",
        )
    )


@stage_task(name="stitch-duel", task_run_name="stitch-duel")
def judge_stitch_duel(
    run: AnyRun,
    title: str,
    duel: StitchDuelSettings,
    corpus: Artifact,
    experts: tuple[str, ...],
    evaluated: list[Evaluated],
) -> Artifact:
    """Tables of all models, the gains that are kept, and the page."""
    domains = domain_sources(duel.domains, list(corpus.facts["sources"]))
    own = tuple(expert for expert in experts if expert in domains)
    inputs = {"sources": corpus.digest}
    for one in evaluated:
        inputs[f"scores {one.name} {one.random_seed}"] = one.scores.digest
        if one.cost is not None:
            inputs[f"cost {one.name}"] = one.cost.digest

    def build(folder: Path) -> dict:
        from tasks.duels.stitches.stitch_duel_page import write_stitch_duel_page
        from tasks.duels.stitches.stitch_duel_results import (
            Scored,
            differences,
            gains,
            kept,
            means,
            measured,
            ranks,
        )

        table = measured(
            [Scored(e.name, e.random_seed, e.scores.facts["scores"]) for e in evaluated], domains
        )
        table.to_csv(folder / "models.csv", index=False)
        changed = {name for expert in experts for name in change_names(duel.changes_of or "", expert)}
        main = table[~table["model"].isin(changed)]
        champions = [variant.name for variant in duel.variants if variant.method == STITCHED]
        found: dict[str, Any] = {
            "means": means(main),
            "gains": gains(main, own),
            "kept": kept(main, own),
            "differences": differences(main, champions, (AVERAGE, SWITCHING)),
            "ranks": ranks(main),
            "costs": {
                e.name: e.cost.facts["metrics"]
                for e in evaluated
                if e.cost is not None and e.name not in changed
            },
            "changes": _changes(table, duel, experts, evaluated),
        }
        (folder / "stitch-duel.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        write_stitch_duel_page(folder / PAGE, title, duel, domains, found)
        shares = [{**row, "measure": KEPT + row["expert"]} for row in found["kept"]]
        return {"stitch_duel": found["means"] + shares, "page": PAGE}

    identity = {"title": title, "duel": duel.model_dump(mode="json"), "experts": list(own)}
    artifact = run.stage(
        Stage(
            name="stitch-duel",
            title="duel",
            did="judged",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            expected=lambda: {"stitch_duel": [], "page": PAGE},
            headline=lambda facts: facts["page"],
        )
    )
    show_table(
        lambda: artifact.facts["stitch_duel"],
        key="stitch-duel",
        description="Bits per byte, and share of each expert's own-domain gain that is kept, 95% t interval",
    )
    return artifact


def _changes(
    table: pd.DataFrame, duel: StitchDuelSettings, experts: tuple[str, ...], evaluated: list[Evaluated]
) -> list[dict[str, Any]]:
    """{expert, change, seconds of training, bits per byte by domain and on average} of the first seed's changes."""
    if duel.changes_of is None:
        return []
    first = min(one.random_seed for one in evaluated)
    bits = table[table["seed"] == first].set_index("model").to_dict("index")
    trained = {
        one.name: one.model.provenance.get("training_seconds", 0.0)
        for one in evaluated
        if one.random_seed == first
    }
    names = [("all", "trained with all", duel.changes_of)]
    for expert in experts:
        changes = zip(
            ("dropped", "trained without", "added"), change_names(duel.changes_of, expert), strict=True
        )
        names += [(expert, change, name) for change, name in changes if name in trained]
    measures = [AVERAGE, *duel.domains]
    return [
        {
            "expert": expert,
            "change": change,
            "seconds": trained[name],
            **{measure: bits[name][measure] for measure in measures},
        }
        for expert, change, name in names
    ]

"""What a run would do and cost, found by walking the pipeline without doing any work."""

from __future__ import annotations

from typing import Any

from flows.duel import duel_pipeline
from flows.experiment import pipeline
from flows.plan_costs import COST_COLUMNS, judge_note, needs_ablation, proxy_costs, training_costs
from flows.plan_duels import duel_rows
from flows.settings import Experiment
from flows.stitch_duel import stitch_duel_pipeline
from storage.home import Home
from storage.planned import NotYetKnown, PlannedRun
from tasks.evaluation.snapshot_names import snapshot_name
from tasks.proxies.ablation.proxy_plans import proxy_plans
from tasks.sources.task import HubUnreachable


def plan_experiment(e: Experiment) -> dict[str, Any]:
    """{"name", "stages", "tokens", "flops", "minutes", "notes"}.

    stages: {stage, name, cached, tokens, flops, memory_gb, minutes} in order; `cached` None where it cannot be
    known before an earlier stage has run. Nothing is written and no server is started. Raises ValueError for
    what is wrong with the experiment's inputs.
    """
    home = Home.from_environment()
    run = PlannedRun(home)
    notes = []
    try:
        _walk(run, e)
    except NotYetKnown as fact:
        notes.append(f"What follows {run.stages[-1]['artifact'].label} depends on its {fact}, not known yet.")
    except HubUnreachable as error:
        notes.append(str(error))
    known = {stage["artifact"].label: stage["cached"] for stage in run.stages}
    experts, proxies = _experts(run, e), _proxies(run, e)
    costs, cost_notes = training_costs(home, run, e, len(experts))
    if costs:
        costs |= proxy_costs(home, e, _sources(run, e))
    if e.duel is not None or e.stitch_duel is not None:
        rows = duel_rows(e, costs, len(experts), proxies)
    else:
        rows = [
            {
                "stage": stage,
                "name": name,
                "cached": known.get(f"{stage}/{name}" if name else stage),
                **costs.get(stage, dict.fromkeys(COST_COLUMNS)),
            }
            for stage, name in _all_stages(e, experts, proxies, _snapshots(run, e, experts, costs))
        ]
    totals: dict[str, float | None] = {
        column: sum(float(row[column] or 0) for row in rows if not row["cached"]) if costs else None
        for column in ("tokens", "flops", "minutes")
    }
    return {"name": e.name, "stages": rows, **totals, "notes": notes + cost_notes + judge_note(run, e)}


def _walk(run: Any, e: Experiment) -> None:
    if e.duel is not None:
        duel_pipeline(run, e, e.duel)
    elif e.stitch_duel is not None:
        stitch_duel_pipeline(run, e, e.stitch_duel)
    else:
        pipeline(run, e)


def _experts(run: PlannedRun, e: Experiment) -> list[str]:
    """Names of the experts; where they are not yet chosen, numbers for as many as there will be at most."""
    chosen = [s["artifact"].facts.get("experts") for s in run.stages if s["artifact"].stage == "experts"]
    if e.experts.listed:
        return [expert.name for expert in e.experts.listed]
    return list(chosen[0]) if chosen and chosen[0] else [str(number + 1) for number in range(e.experts.count)]


def _sources(run: PlannedRun, e: Experiment) -> list[str]:
    """Names of the sources, as far as they are known before any is read."""
    corpus = next((s["artifact"] for s in run.stages if s["artifact"].stage == "sources"), None)
    if corpus is not None and "sources" in corpus.facts:
        return list(corpus.facts["sources"])
    return [source.name for source in e.sources.listed]


def _proxies(run: PlannedRun, e: Experiment) -> list[str]:
    """Names of the proxies of ablation."""
    if not needs_ablation(e):
        return []
    return [plan.name for plan in proxy_plans(dict.fromkeys(_sources(run, e)), e.utility.ablation, e.seed)]


def _snapshots(
    run: PlannedRun, e: Experiment, experts: list[str], costs: dict[str, dict[str, float]]
) -> list[str]:
    """Names of the snapshots to score; where the steps of a run are not known, numbers for as many as asked for."""
    trained = {s["artifact"].label: s["artifact"] for s in run.stages}
    labels = {"seed": "seed", **{name: f"expert/{name}" for name in experts}, "stitched": "stitched"}
    names = []
    for name, label in labels.items():
        steps: list[Any] = [f"{k + 1} of {e.training.snapshots}" for k in range(e.training.snapshots)]
        if label in trained and "snapshots" in trained[label].facts:
            steps = [snapshot["step"] for snapshot in trained[label].facts["snapshots"]]
        elif costs:
            tokens = int(costs[label.partition("/")[0]]["tokens"])
            steps = e.training.snapshot_steps(tokens // e.training.tokens_per_step)
        names += [snapshot_name(name, step) for step in steps]
    return names


def _all_stages(
    e: Experiment, experts: list[str], proxies: list[str], snapshots: list[str]
) -> list[tuple[str, str]]:
    combined = [*e.stitching.compositions, "stitched"]
    asked = ["seed", *experts, *combined, *snapshots] if e.preference.programmatic is not None else []
    return [
        ("sources", ""),
        *(("proxy", name) for name in proxies),
        ("utility", ""),
        *([] if e.experts.listed else [("experts", "")]),
        *([("speed", "")] if e.budget.minutes is not None else []),
        *([("online", method)] if (method := e.mixture.online_method) else []),
        *(("mixture", name) for name in ["seed", *experts, "stitched"]),
        ("seed", ""),
        *(("expert", name) for name in experts),
        *(("evaluation", name) for name in ["seed", *experts]),
        ("specialisation", ""),
        *(("composition", method) for method in e.stitching.compositions),
        ("stitched", ""),
        *(("evaluation", name) for name in [*combined, *snapshots]),
        ("preference", ""),
        *(("responses", name) for name in asked),
        *([("programmatic", "")] if asked else []),
        ("report", ""),
    ]

"""What a run would do and cost, found by walking the pipeline without doing any work."""

from __future__ import annotations

from typing import Any

from flows.experiment import pipeline
from flows.settings import Experiment
from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.planned import NotYetKnown, PlannedRun
from tasks.sources.task import HubUnreachable
from tasks.training.budget import split_budget, tokens_in_time
from tasks.training.estimates import matmul_flops_per_second, model_shape, stitched_shape, training_bytes

TRAINING = ("seed", "expert", "stitched")
COST_COLUMNS = ("tokens", "flops", "memory_gb", "minutes")


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
        pipeline(run, e)  # type: ignore[arg-type]
    except NotYetKnown as fact:
        notes.append(f"What follows {run.stages[-1]['artifact'].label} depends on its {fact}, not known yet.")
    except HubUnreachable as error:
        notes.append(str(error))
    known = {stage["artifact"].label: stage["cached"] for stage in run.stages}
    experts = _experts(run, e)
    costs, cost_notes = _training_costs(home, run, e, len(experts))
    rows: list[dict[str, Any]] = []
    for stage, name in _all_stages(e, experts):
        label = f"{stage}/{name}" if name else stage
        cost = costs.get(stage, dict.fromkeys(COST_COLUMNS))
        rows.append({"stage": stage, "name": name, "cached": known.get(label), **cost})
    totals: dict[str, float | None] = {
        column: sum(float(row[column] or 0) for row in rows if not row["cached"]) if costs else None
        for column in ("tokens", "flops", "minutes")
    }
    return {"name": e.name, "stages": rows, **totals, "notes": notes + cost_notes}


def _experts(run: PlannedRun, e: Experiment) -> list[str]:
    """Names of the experts; where they are not yet chosen, numbers for as many as there will be at most."""
    chosen = [s["artifact"].facts.get("experts") for s in run.stages if s["artifact"].stage == "experts"]
    if e.experts.listed:
        return [expert.name for expert in e.experts.listed]
    return list(chosen[0]) if chosen and chosen[0] else [str(number + 1) for number in range(e.experts.count)]


def _all_stages(e: Experiment, experts: list[str]) -> list[tuple[str, str]]:
    combined = [*e.stitching.compositions, "stitched"]
    return [
        ("sources", ""),
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
        *(("evaluation", name) for name in combined),
        ("preference", ""),
        ("report", ""),
    ]


def _training_costs(
    home: Home, run: PlannedRun, e: Experiment, num_experts: int
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Tokens, FLOPs, memory and minutes of one run of each training stage, and how they were found."""
    if e.model.pretrained is not None or e.sources.tokenizer.pretrained is not None:
        return {}, [
            "Costs of a pretrained model or tokenizer are not estimated: their sizes are not in the recipe."
        ]
    tokens = e.budget.tokens
    if e.budget.minutes is not None:
        speeds = [s["artifact"].facts.get("metrics") for s in run.stages if s["artifact"].stage == "speed"]
        if not speeds or not speeds[0]:
            return {}, [
                f"Tokens that train in {e.budget.minutes:g} minutes are known once the speed has been measured."
            ]
        tokens = tokens_in_time(
            e.budget,
            e.budget.minutes,
            speeds[0]["dense_tokens_per_second"],
            speeds[0]["stitched_tokens_per_second"],
        )
    budget = split_budget(tokens, e.budget, num_experts, e.training.tokens_per_step)
    speed, note = _speed(home, e)
    vocab_size = e.sources.tokenizer.vocab_size
    dense, dense_flops = model_shape(e.model, e.training, vocab_size)
    trained, frozen, stitched_flops = stitched_shape(
        e.model, e.training, vocab_size, num_experts, e.stitching.num_stitches
    )
    memory = training_bytes(dense, 0, e.model, e.training)
    costs = {
        "seed": _cost(budget.seed, dense_flops, memory, speed),
        "expert": _cost(budget.expert, dense_flops, memory, speed),
        "stitched": _cost(
            budget.stitch,
            stitched_flops,
            training_bytes(trained, frozen, e.model, e.training, num_experts + 1),
            speed,
        ),
    }
    return costs, [f"{dense:,} parameters a model, {trained:,} in the stitches. {note}"]


def _cost(tokens: int, flops_per_token: float, memory: int, speed: float) -> dict[str, float]:
    flops = tokens * flops_per_token
    return dict(zip(COST_COLUMNS, (tokens, flops, memory / 1e9, flops / speed / 60), strict=True))


def _speed(home: Home, e: Experiment) -> tuple[float, str]:
    """FLOP/s to expect: what the latest training run of this home reached, or else matrix products here."""
    for manifest in reversed(ArtifactStore(home).manifests()):
        made = manifest["provenance"]
        if manifest["stage"] in TRAINING and made.get("flops"):
            return made["flops"] / made["seconds"], (
                f"Minutes of training at {made['flops'] / made['seconds']:.3g} FLOP/s, which stage "
                f"{manifest['stage']} reached here last."
            )
    measured = matmul_flops_per_second(e.training.precision)
    return measured, (
        f"Minutes of training at {measured:.3g} FLOP/s, the speed of bare matrix products here, "
        "which training rarely reaches."
    )

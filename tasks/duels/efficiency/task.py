"""Stage `moe-efficiency`: the ladder's scores as speed-ups, tables and one page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.artifact import Artifact
from storage.stages import Stage
from storage.unrecorded import AnyRun
from tasks.duels.efficiency.settings import EfficiencySettings
from tasks.report.run_results import PAGE
from tasks.stage import show_table, stage_task

VERSION = 2


@dataclass(frozen=True)
class Climbed:
    """A model of the ladder and its scores; share: of the compute."""

    family: str
    share: float
    random_seed: int
    model: Artifact
    scores: Artifact


@stage_task(name="moe-efficiency", task_run_name="moe-efficiency")
def judge_efficiency(
    run: AnyRun,
    title: str,
    settings: EfficiencySettings,
    corpus: Artifact,
    mixture: Artifact,
    costs: Mapping[str, float],
    climbed: Sequence[Climbed],
) -> Artifact:
    """Speed-ups with bands, by benchmark and by domain, and the page. costs: family -> training FLOPs a token."""
    inputs = {"sources": corpus.digest, "mixture": mixture.digest}
    for each in climbed:
        label = f"{each.family} {each.share:g} {each.random_seed}"
        inputs |= {f"model {label}": each.model.digest, f"scores {label}": each.scores.digest}

    def build(folder: Path) -> dict:
        from tasks.duels.efficiency.efficiency_page import write_efficiency_page
        from tasks.duels.efficiency.efficiency_results import Rung, answer, efficiency, means, measured

        weights = {source: told["weight"] for source, told in mixture.facts["mixture"]["sources"].items()}
        rungs = [
            Rung(
                each.family,
                each.share,
                each.model.facts["metrics"]["flops"],
                each.model.facts["metrics"]["tokens"],
                each.random_seed,
                each.scores.facts["scores"],
            )
            for each in climbed
        ]
        table = measured(rungs, weights)
        table.to_csv(folder / "efficiency.csv", index=False)
        rows = efficiency(table, settings)
        sizes = {each.family: each.model.facts["metrics"] for each in climbed}
        found = {
            "speedups": rows,
            "means": means(table),
            "costs": dict(costs),
            "routing": {
                f"{each.family}, {each.share:g} of the compute": each.model.facts["routing"]
                for each in climbed
                if "routing" in each.model.facts and each.random_seed == climbed[0].random_seed
            },
            "sizes": {
                family: {name: metrics[name] for name in ("parameters", "active_parameters")}
                for family, metrics in sizes.items()
            },
        }
        (folder / "efficiency.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        said = answer(rows, costs)
        write_efficiency_page(folder / PAGE, title, settings, table, found, said)
        return {"efficiency": rows, "answer": said, "page": PAGE}

    identity = {"title": title, "settings": settings.model_dump(mode="json"), "costs": dict(costs)}
    artifact = run.stage(
        Stage(
            name="moe-efficiency",
            title="efficiency",
            did="judged",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            expected=lambda: {"efficiency": [], "answer": [], "page": PAGE},
            headline=lambda facts: " ".join(facts["answer"]),
        )
    )
    show_table(
        lambda: artifact.facts["efficiency"],
        key="moe-efficiency",
        description="Speed-up of the mixture of experts over the dense model, 95% band over seeds",
    )
    return artifact

"""Stages `proxy` and `utility` by ablation: each proxy is a task of its own, and their scores become utilities.

A run on little data repeats it less often than the run that it stands for. So that epochs match, a proxy of n
tokens sees n / N of every source, where N is the budget of the run that the mixture is for (Held et al. 2025,
arXiv 2501.11747), and never less than one sequence, so that no source is empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from storage.artifacts import Artifact
from storage.fingerprint import digest_named
from storage.runs import Run
from tasks.evaluation.settings import EvaluationSettings
from tasks.evaluation.task import SCORING_FIELDS
from tasks.sources.scarcity import data_limits, token_counts
from tasks.task import Progress, show_table, stage_task
from tasks.training.run import training_identity
from tasks.training.settings import TrainingSettings
from tasks.utility.ablation.plans import ProxyPlan
from tasks.utility.ablation.settings import AblationSettings

VERSION = 3


@stage_task(name="proxy", task_run_name="train-proxy-{plan.name}")
def train_proxy(
    run: Run,
    plan: ProxyPlan,
    settings: AblationSettings,
    training: TrainingSettings,
    evaluation: EvaluationSettings,
    corpus: Artifact,
    target_tokens: int,
    data_share: float = 1.0,
) -> Artifact:
    """Losses of one proxy on the tasks' dev items.

    target_tokens: budget of the run that the mixture is for, of which `data_share` of the data is there; the
    proxy sees so much of each source that its epochs match.
    """
    progress = Progress(run, f"proxy/{plan.name}")
    share = data_share * min(settings.tokens / target_tokens, 1.0)
    identity = {
        "weights": plan.weights,
        "tokens": settings.tokens,
        "model": settings.model.model_dump(mode="json", exclude={"pretrained"}),
        "training": training_identity(training, training.learning_rate),
        "evaluation": evaluation.model_dump(mode="json", include=SCORING_FIELDS),
        "share": share,
        "seed": plan.seed,
    }
    inputs = {"sources": corpus.digest}
    if evaluation.task_folder is not None:
        inputs["task_folder"] = digest_named(evaluation.task_folder)

    def build(folder: Path) -> dict:
        from tasks.utility.ablation.proxies import run_proxy

        limits = data_limits(token_counts(corpus.facts), share, training.sequence_length)
        losses, outcome = run_proxy(
            folder,
            progress.step,
            plan.name,
            plan.weights,
            settings.tokens,
            settings.model,
            training,
            evaluation,
            corpus.path,
            corpus.facts,
            limits,
            plan.seed,
        )
        losses.to_parquet(folder / "losses.parquet", index=False)
        return {
            "weights": plan.weights,
            "metrics": {k: outcome[k] for k in ("tokens", "flops", "parameters", "final_loss", "steps")},
            "provenance": {"seed": plan.seed, "tokens": outcome["tokens"], "flops": outcome["flops"]},
        }

    return run.stage("proxy", VERSION, identity, inputs, build, plan.name)


@stage_task(name="utility", task_run_name="utility-ablation")
def utility_of_proxies(
    run: Run, settings: AblationSettings, plans: list[ProxyPlan], proxies: Mapping[str, Artifact]
) -> Artifact:
    """The utility matrix, sources x tasks, with standard errors, from the proxies by their plans' names."""
    identity = {"method": "ablation", "scale": settings.scale, "plans": [[p.name, p.weights] for p in plans]}
    inputs = {f"proxy {name}": artifact.digest for name, artifact in proxies.items()}

    def build(folder: Path) -> dict:
        import pandas as pd

        from tasks.utility.ablation.utilities import ProxyRun, ablation_utility, runs_table

        runs = [
            ProxyRun(p.name, p.weights, p.seed, pd.read_parquet(proxies[p.name].path / "losses.parquet"))
            for p in plans
        ]
        matrix = ablation_utility(runs, settings)
        flops = sum(artifact.facts["metrics"]["flops"] for artifact in proxies.values())
        matrix = replace(matrix, about=matrix.about | {"cost": {"flops": flops}})
        matrix.save(folder)
        runs_table(runs).to_csv(folder / "runs.csv", index=False)
        return {"utility": matrix.rows(), "method": "ablation", "about": matrix.about}

    artifact = run.stage("utility", VERSION, identity, inputs, build)
    show_table(
        lambda: artifact.facts["utility"],
        key="utility",
        description="Utility by ablation, with standard errors",
    )
    return artifact

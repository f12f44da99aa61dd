"""Stage `proxy`: a small model trained on one mixture and scored on the dev items, a task of its own.

A run on little data repeats it less often than the run that it stands for. So that epochs match, a proxy of n
tokens sees n / N of every source, where N is the budget of the run that the mixture is for (Held et al. 2025,
arXiv 2501.11747), and never less than one sequence, so that no source is empty.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from storage.artifact import Artifact
from storage.fingerprint import digest_named
from storage.stages import Cost, Stage
from storage.unrecorded import AnyRun
from tasks.evaluation.settings import EvaluationSettings
from tasks.evaluation.task import SCORING_FIELDS
from tasks.proxies.ablation.proxy_plans import ProxyPlan
from tasks.proxies.ablation.settings import AblationSettings
from tasks.sources.scarcity import data_limits, token_counts
from tasks.stage import Progress, stage_task
from tasks.training.estimates import config_of, dense_shape, training_cost, training_headline
from tasks.training.settings import TrainingSettings
from tasks.training.training_run import OUTCOME, training_identity

VERSION = 6


@stage_task(name="proxy", task_run_name="train-proxy-{plan.name}")
def train_proxy(
    run: AnyRun,
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
        "seed": plan.random_seed,
    }
    inputs = {"sources": corpus.digest}
    if evaluation.task_folder is not None:
        inputs["task_folder"] = digest_named(evaluation.task_folder)

    def build(folder: Path) -> dict:
        from tasks.proxies.ablation.item_losses import run_proxy

        limits = data_limits(token_counts(corpus.facts), share, training.sequence_length)
        losses, outcome = run_proxy(
            folder, progress.step, plan, settings, training, evaluation, corpus, limits
        )
        losses.to_parquet(folder / "losses.parquet", index=False)
        return {
            "weights": plan.weights,
            "metrics": {name: outcome[name] for name in OUTCOME},
            "provenance": {"seed": plan.random_seed, "tokens": outcome["tokens"], "flops": outcome["flops"]},
        }

    def cost() -> Cost:
        config = config_of(settings.model, training, corpus.facts["vocab_size"])
        shape = dense_shape(config, training.sequence_length)
        trained = training_cost(shape, settings.tokens, config, training)
        return replace(trained, disk=0.0)  # the losses are kept, the model is not

    return run.stage(
        Stage(
            name="proxy",
            title="proxies",
            did="trained, scored",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            label=plan.name,
            cost=cost,
            expected=lambda: {"weights": plan.weights, "metrics": {"flops": cost().flops}},
            headline=training_headline,
        )
    )

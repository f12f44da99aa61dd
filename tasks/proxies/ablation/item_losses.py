"""Trains one proxy and scores it on the dev items of every task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.artifact import Artifact
from tasks.evaluation.corpus import evaluate_on_corpus
from tasks.evaluation.metrics import BITS_PER_BYTE, lower_is_better
from tasks.evaluation.settings import EvaluationSettings
from tasks.proxies.ablation.proxy_plans import ProxyPlan
from tasks.proxies.ablation.settings import AblationSettings
from tasks.sources.stated_sizes import token_file
from tasks.sources.tokenization import end_of_text
from tasks.training.jobs import TrainingJob, run_job
from tasks.training.settings import TrainingSettings
from tasks.training.start import start_of
from tasks.training.token_plans import whole_tokens

if TYPE_CHECKING:
    import pandas as pd

    from tasks.evaluation.scores import Scores


def run_proxy(
    folder: Path,
    report: Callable[[dict[str, float]], None],
    proxy: ProxyPlan,
    settings: AblationSettings,
    training: TrainingSettings,
    evaluation: EvaluationSettings,
    corpus: Artifact,
    limits: Mapping[str, int],
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The loss of each dev item (columns task, item, loss), and what training did.

    limits: source -> tokens of it that may be seen. The model lies in folder/progress while it is needed.
    """
    plan = whole_tokens(proxy.weights, settings.tokens, dict.fromkeys(proxy.weights, settings.tokens))
    progress = folder / "progress"
    outcome = run_job(
        TrainingJob(
            model=start_of(settings.model, training, corpus.path, proxy.random_seed, progress / "start"),
            out=str(progress / "model"),
            progress=str(progress),
            tokens={source: str(token_file(corpus, source)) for source in plan},
            token_dtype=corpus.facts["token_dtype"],
            end_of_text=end_of_text(corpus.path) if training.document_masks else None,
            plan=plan,
            used={},
            learning_rate=training.learning_rate,
            name="proxy",
            random_seed=proxy.random_seed,
            settings=training.model_dump(mode="json"),
            limits=dict(limits),
        ),
        report,
    )
    scores, _ = evaluate_on_corpus(
        progress / "model", proxy.name, corpus.path, corpus.facts, evaluation, side="dev"
    )
    return item_losses(scores), outcome


def item_losses(scores: Scores) -> pd.DataFrame:
    """Columns task, item, loss from the samples of one model, in one metric a task.

    The metric is bits per byte of the right answer where the task has it, else its first one, with its sign
    turned where higher is better. Raises ValueError where a task has no number for an item.
    """
    rows = scores.samples
    metrics = rows.groupby("task", sort=False)["metric"].unique()
    chosen = {task: BITS_PER_BYTE if BITS_PER_BYTE in found else found[0] for task, found in metrics.items()}
    kept = rows[rows["metric"] == rows["task"].map(chosen)]
    signs = kept["metric"].map(lambda metric: 1.0 if lower_is_better(metric) else -1.0)
    losses = kept[["task", "item"]].assign(loss=signs * kept["value"]).reset_index(drop=True)
    broken = losses[losses["loss"].isna()]
    if len(broken):
        task, item = broken.iloc[0][["task", "item"]]
        raise ValueError(
            f"task {task!r}: item {item!r} has no value of the metric {chosen[task]!r}; ablation needs a number for "
            "every item"
        )
    return losses

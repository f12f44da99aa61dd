"""Train again where there is a reason to: the sources have changed, or the last training made scores worse.

A result is kept under what it was made from, so the same training is never done twice: after a fall, the next
one takes another seed.
"""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from pydantic import Field

from flows.allowed import check_keys, check_what_started
from flows.experiment import experiment_flow
from flows.settings import Experiment
from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.run_records import COMPLETED, read_records
from storage.runs import summarise
from storage.unrecorded import UnrecordedRun
from tasks.evaluation.falling import fallen_scores
from tasks.sources.task import prepare_sources

MODEL = "stitched"  # whose scores decide: the model that the experiment is for


def retraining_reason(known_digest: str | None, digest: str, fallen: list[str]) -> str | None:
    """Why to train again; None where nothing asks for it.

    known_digest: of the sources that the last completed run trained on, None where there is no such run.
    """
    if known_digest is None:
        return "no completed run of this experiment has its sources in this home"
    if known_digest != digest:
        return f"the sources have changed ({known_digest[:12]} to {digest[:12]})"
    if fallen:
        return "scores of the stitched model fell in the last run: " + "; ".join(fallen)
    return None


@flow(
    name="retraining",
    flow_run_name="retraining-{experiment.name}",
    description="Sample the sources again, and train again only if they changed or a score fell.",
    persist_result=False,
)
def retraining_flow(
    experiment: Experiment = Experiment(), score_drop: Annotated[float, Field(gt=0)] = 3.0
) -> str:
    """Sample the sources again, and train again only if they changed or a score fell; returns the decision.

    Args:
        experiment: The experiment to keep up to date; its earlier runs are found by its name.
        score_drop: Train again, with the next seed, where a headline score of the stitched model is worse than in
            the run before by more than this many standard errors of the difference.
    """  # Prefect shows these in the form
    check_what_started(experiment)
    check_keys(experiment)
    home = Home.from_environment()
    runs = [r for r in read_records(home) if r["name"] == experiment.name and r["status"] == COMPLETED]
    random_seed = max([experiment.random_seed, *(r["experiment"].get("random_seed", 0) for r in runs[-1:])])
    corpus = prepare_sources(UnrecordedRun(home), experiment.sources, experiment.evaluation, random_seed)
    scores = [summarise(home, record).scores for record in runs[-2:]]
    fallen = fallen_scores(scores[0], scores[1], MODEL, score_drop) if len(scores) == 2 else []
    known_digest = _sources_digest(home, runs[-1]) if runs else None
    reason = retraining_reason(known_digest, corpus.digest, fallen)
    if reason is None:
        decision = (
            f"Nothing done: since run {runs[-1]['run_id']} the sources are the same "
            f"({corpus.digest[:12]}), and no score is known to have fallen by more than {score_drop:g} standard errors."
        )
    else:
        get_run_logger().info("training %s again: %s", experiment.name, reason)
        if known_digest == corpus.digest:
            random_seed += 1
        run_id = experiment_flow(experiment.model_copy(update={"random_seed": random_seed}))
        decision = f"Trained again as run {run_id} with random seed {random_seed}: {reason}."
    create_markdown_artifact(
        decision, key="retraining", description=f"What was decided for {experiment.name}"
    )
    get_run_logger().info(decision)
    return decision


def _sources_digest(home: Home, record: dict) -> str | None:
    """Digest of the sources that a run trained on; None where they have been cleaned away."""
    folder = next(entry["folder"] for entry in record["stages"] if entry["stage"] == "sources")
    try:
        return ArtifactStore(home).load("sources", folder).digest
    except ValueError:
        return None

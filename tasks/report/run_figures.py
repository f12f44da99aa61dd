"""The pictures of a run's losses and scores, for the page and, as figures, for a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from storage.artifact import Artifact
from storage.runs import model_folder
from tasks.evaluation.metrics import lower_is_better
from tasks.evaluation.snapshot_names import without_snapshots
from tasks.report.differences import read_scores
from tasks.report.findings import ModelScores, headline_metrics
from tasks.report.pictures.colours import Look, looks
from tasks.report.pictures.dots import draw_dots, score_words
from tasks.report.pictures.drawing import Picture
from tasks.report.pictures.losses import Curve, draw_losses, read_curve
from tasks.report.score_tables import dots_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures_of(artifacts: Sequence[Artifact]) -> dict[str, Figure]:
    """`losses`, and a figure a task with the models' scores less the first model's: those there is something for."""
    models = {a.name or a.stage: a for a in artifacts if model_folder(a) is not None}
    evaluated = {a.name: a for a in artifacts if a.stage == "evaluation"}
    # the seed first, as it was trained: which of several that run side by side is scored first is chance
    order = [name for name in (*models, *without_snapshots(evaluated)) if name in evaluated]
    shown = {name: evaluated[name] for name in order}
    scores = {name: read_scores(a.path, a.facts["scores"]) for name, a in shown.items()}
    tasks: dict[str, dict] = next((a.facts["tasks"] for a in artifacts if a.stage == "sources"), {})
    stages = dict.fromkeys(scores, "composition") | {name: a.stage for name, a in models.items()}
    look = looks(stages)
    losses = draw_losses(curves_of(models), look)
    pictures = score_pictures(headline_metrics(tasks, scores), scores, look)
    return {
        name: picture.figure
        for name, picture in {"losses": losses, **pictures}.items()
        if picture is not None
    }


def curves_of(models: Mapping[str, Artifact]) -> dict[str, Curve]:
    """Loss against tokens of each model that keeps it."""
    read = {name: read_curve(a.path, a.facts.get("metrics", {})) for name, a in models.items()}
    return {name: curve for name, curve in read.items() if curve is not None}


def score_pictures(
    headline: Mapping[str, str], scores: ModelScores, look: Mapping[str, Look]
) -> dict[str, Picture]:
    """By task: each model's headline score less the first model's, with intervals; none for a single model."""
    pictures = {}
    first = next(iter(scores), "")
    for task, metric in headline.items() if len(scores) > 1 else ():
        dots = dots_of(task, metric, scores, look)
        better = "lower is better" if lower_is_better(metric) else "higher is better"
        label = f"{metric.replace('_', ' ')}, less the {first}'s ({better})"
        pictures[task] = draw_dots(dots, label, score_words(dots), (0.0, first))
    return pictures

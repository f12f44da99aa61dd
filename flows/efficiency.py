"""Dense models and mixtures of experts at equal FLOPs: a ladder of runs, then how much less compute one needs."""

from __future__ import annotations

from flows.parts import utility_of
from flows.settings import Experiment
from storage.artifact import Artifact
from storage.unrecorded import AnyRun
from tasks.duels.efficiency.efficiency_results import token_counts_by_share
from tasks.duels.efficiency.settings import DENSE, MOE, EfficiencySettings
from tasks.duels.efficiency.task import Climbed, judge_efficiency
from tasks.evaluation.task import evaluate_model
from tasks.mixture.task import Known, Stretch, solve_mixture
from tasks.sources.task import prepare_sources
from tasks.training.estimates import config_of, dense_shape
from tasks.training.families.moe_family import dense_twin
from tasks.training.task import train_seed
from tasks.training.training_run import Training, TrainingData


def moe_efficiency(run: AnyRun, e: Experiment, settings: EfficiencySettings) -> None:
    """Both families at every share of the compute and for every seed, on one mixture's weights, scored alike."""
    corpus = prepare_sources(run, e.sources, e.evaluation, e.random_seed)
    models = {DENSE: dense_twin(e.model), MOE: e.model}
    costs = {
        family: dense_shape(
            config_of(model, e.training, corpus.facts["vocab_size"]), e.training.sequence_length
        ).flops_per_token
        for family, model in models.items()
    }
    counts = token_counts_by_share(settings, e.budget.tokens, costs, e.training.tokens_per_step)
    utility = utility_of(run, e, corpus, e.utility.method, e.budget.tokens)
    known = Known(corpus, utility)
    climbed: list[Climbed] = []
    largest: Artifact | None = None
    for family, model in models.items():
        for share, tokens in zip(settings.rungs, counts[family], strict=True):
            mixture = solve_mixture(run, f"{family}-{share:g}", e.mixture, known, Stretch(tokens))
            if family == DENSE:
                largest = mixture
            for random_seed in range(e.random_seed, e.random_seed + settings.seeds):
                name = f"{family}-{share:g}-seed{random_seed}"
                training = Training(e.training, random_seed)
                trained = train_seed(run, model, training, TrainingData(corpus, mixture), name)
                scores = evaluate_model(run, name, trained, corpus, e.evaluation)
                climbed.append(Climbed(family, share, random_seed, trained, scores))
    assert largest is not None
    judge_efficiency(run, e.name, settings, corpus, largest, costs, climbed)

"""A duel of mixtures on one page: equal tokens, scarce and plentiful data, several budgets and seeds."""

from __future__ import annotations

from flows.parts import utility_of, weights_learnt
from flows.settings import Experiment
from storage.artifacts import Artifact
from storage.runs import Run
from tasks.duels.mixtures.settings import DuelSettings
from tasks.duels.mixtures.task import Trained, budgets, first_like, judge_duel
from tasks.evaluation.task import evaluate_model
from tasks.mixture.task import solve_mixture
from tasks.sources.scarcity import data_limits, share_for_epochs, token_counts
from tasks.sources.task import prepare_sources
from tasks.training.task import train_seed


def duel_pipeline(run: Run, e: Experiment, duel: DuelSettings) -> None:
    """Every contender's mixture in every regime and at every budget, trained from new weights, scored alike."""
    corpus = prepare_sources(run, e.sources, e.evaluation, e.seed)
    counts = token_counts(corpus.facts)
    largest = e.budget.tokens
    utilities: dict[str, Artifact] = {}
    trained: list[Trained] = []
    for regime in duel.regimes:
        share = share_for_epochs(counts, largest, regime.epochs)
        limits = data_limits(counts, share, e.training.sequence_length)
        plans: list[Artifact] = []
        for contender in duel.contenders:
            utility = utility_of(run, e, corpus, contender.utility, largest, share)
            utilities[f"{regime.name} {contender.utility}"] = utility
            learnt = weights_learnt(run, e, contender.mixture, corpus, largest, share)
            for tokens in budgets(duel, largest, e.training.tokens_per_step):
                name = f"{contender.name}-{regime.name}-{tokens}"
                mixture = solve_mixture(
                    run, name, contender.mixture, corpus, utility, tokens, limits=limits, learnt=learnt
                )
                read = first_like(mixture, plans)
                for seed in range(e.seed, e.seed + duel.seeds):
                    model = train_seed(
                        run, e.model, e.training, corpus, read, seed, f"{regime.name}-{tokens}", limits
                    )
                    scores = evaluate_model(run, f"{read.name}-seed{seed}", model, corpus, e.evaluation)
                    trained.append(Trained(regime.name, contender.name, tokens, seed, mixture, scores))
    judge_duel(run, e.name, duel, corpus, utilities, trained)

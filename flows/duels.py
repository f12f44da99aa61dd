"""Duels: mixtures against each other, and ways to combine experts against each other, at real training."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flows.parts import train_experts, utility_of, weights_learnt
from flows.settings import Experiment
from storage.artifact import Artifact
from storage.unrecorded import AnyRun
from tasks.duels.mixtures.settings import DuelSettings
from tasks.duels.mixtures.task import Trained, budgets, first_like, judge_duel
from tasks.duels.stitches.settings import DENSE, FIRST_EXPERT, SEED, StitchDuelSettings, Variant, change_names
from tasks.duels.stitches.task import (
    Evaluated,
    in_domain_text,
    joint_mixture,
    judge_stitch_duel,
    measure_cost,
    prepare_probes,
)
from tasks.evaluation.task import evaluate_model
from tasks.mixture.task import Known, Stretch, add_up_mixtures, count_experts, group_tasks, solve_mixture
from tasks.sources.scarcity import data_limits, share_for_epochs, token_counts
from tasks.sources.task import prepare_sources
from tasks.stitching.changes.task import add_expert, drop_expert
from tasks.stitching.task import compose_models, train_stitches
from tasks.training.lineage import Lineage
from tasks.training.task import plan_budget, train_expert, train_seed
from tasks.training.training_run import Training, TrainingData


def mixture_duel(run: AnyRun, e: Experiment, duel: DuelSettings) -> None:
    """Every contender's mixture in every regime and at every budget, trained from new weights, scored alike."""
    corpus = prepare_sources(run, e.sources, e.evaluation, e.random_seed)
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
            known = Known(corpus, utility, learnt, limits)
            for tokens in budgets(duel, largest, e.training.tokens_per_step):
                name = f"{contender.name}-{regime.name}-{tokens}"
                mixture = solve_mixture(run, name, contender.mixture, known, Stretch(tokens))
                read = first_like(mixture, plans)
                for random_seed in range(e.random_seed, e.random_seed + duel.seeds):
                    training, data = (
                        Training(e.training, random_seed),
                        TrainingData(corpus, read, limits=limits),
                    )
                    model = train_seed(run, e.model, training, data, f"{regime.name}-{tokens}")
                    scores = evaluate_model(
                        run, f"{read.name}-seed{random_seed}", model, corpus, e.evaluation
                    )
                    trained.append(Trained(regime.name, contender.name, tokens, random_seed, mixture, scores))
    judge_duel(run, e.name, duel, corpus, utilities, trained)


def stitch_duel(run: AnyRun, e: Experiment, duel: StitchDuelSettings) -> None:
    """For every seed: the seed model, its experts, and every variant of them; then who keeps what."""
    corpus = prepare_sources(run, e.sources, e.evaluation, e.random_seed)
    listed = {expert.name: expert.tasks for expert in e.experts.listed}
    num_experts = count_experts(listed, e.experts.count, corpus)
    most = max([v.stitch.num_stitches for v in duel.variants if v.stitch is not None], default=1)
    training = Training(e.training, e.random_seed)
    budget = plan_budget(run, e.budget, e.model, training, corpus, num_experts, most)
    probes = prepare_probes(run, duel, corpus, e.random_seed)
    utility = utility_of(run, e, corpus, e.utility.method, budget.seed)
    own_tasks = group_tasks(run, listed, e.experts.count, corpus, utility, e.names_taken())

    known = Known(corpus, utility)
    behind = {SEED: solve_mixture(run, SEED, e.mixture, known, Stretch(budget.seed))}
    own = {
        name: solve_mixture(run, name, e.mixture, known, Stretch(budget.expert, behind, own_tasks=tasks))
        for name, tasks in own_tasks.items()
    }
    stretch = Stretch(budget.stitch, behind | own, experts=own_tasks)
    joint = solve_mixture(run, "stitched", joint_mixture(duel, e.mixture, corpus), known, stretch)
    summed = add_up_mixtures(run, "dense", corpus, own | {"stitched": joint}, behind[SEED])
    text = DuelText(corpus, joint, summed, probes)

    evaluated: list[Evaluated] = []
    for random_seed in range(e.random_seed, e.random_seed + duel.seeds):
        suffix = f"-seed{random_seed}"
        training = replace(training, random_seed=random_seed)
        hub = train_seed(run, e.model, training, TrainingData(corpus, behind[SEED]), f"duel{suffix}")
        experts = train_experts(run, training, corpus, own, hub, suffix)
        models: dict[str, Artifact] = {SEED: hub, **experts}
        lineage = Lineage(hub, experts)
        for variant in duel.variants:
            if random_seed == e.random_seed or not variant.side:
                models[variant.name] = _combined(
                    run, variant, training, text, lineage, f"{variant.name}{suffix}"
                )
        if random_seed == e.random_seed and duel.changes_of is not None:
            (changed,) = [v for v in duel.variants if v.name == duel.changes_of]
            data = TrainingData(corpus, joint)
            models |= _changed(run, changed, training, data, lineage, models[changed.name])
        for name, model in models.items():
            scores = evaluate_model(run, f"{name}{suffix}", model, corpus, e.evaluation, probes)
            length = e.training.sequence_length
            batch_size = max(1, e.evaluation.batch_tokens // length)
            is_measured = duel.costs and random_seed == e.random_seed
            cost = measure_cost(run, name, model, length, batch_size) if is_measured else None
            evaluated.append(Evaluated(name, random_seed, model, scores, cost))
    judge_stitch_duel(run, e.name, duel, corpus, tuple(own_tasks), evaluated)


@dataclass(frozen=True)
class DuelText:
    """What variants train on: `joint` of all that combine experts, `summed` of experts and joint together."""

    corpus: Artifact
    joint: Artifact
    summed: Artifact
    probes: Artifact


def _combined(
    run: AnyRun, variant: Variant, training: Training, text: DuelText, lineage: Lineage, label: str
) -> Artifact:
    """The variant's model."""
    rate = variant.learning_rate or training.settings.expert_learning_rate
    own = {
        "expert_learning_rate": rate,
        "expert_warmup_share": None,
        "expert_final_share": None,
        "freeze_expert_embeddings": False,
    }
    its = replace(training, settings=training.settings.model_copy(update=own))
    if variant.method == DENSE:
        stitch_share = text.joint.facts["budget"] / text.summed.facts["budget"]
        extra = in_domain_text(text.probes, variant.in_domain_share * stitch_share)
        return train_expert(
            run, "dense", its, TrainingData(text.corpus, text.summed, extra), lineage.hub, label
        )
    data = TrainingData(text.corpus, text.joint, in_domain_text(text.probes, variant.in_domain_share))
    if variant.stitch is None:
        return compose_models(run, variant.composition(rate), its, data, lineage, label)
    models = {SEED: lineage.hub, **lineage.experts}
    name = next(iter(lineage.experts)) if variant.hub == FIRST_EXPERT else variant.hub
    if name not in models:
        raise ValueError(
            f"stitch_duel.variants: {variant.name!r}: hub={variant.hub!r}; allowed: {', '.join(models)}, {FIRST_EXPERT}"
        )
    chosen = models.pop(name)
    return train_stitches(run, variant.stitch, training, data, Lineage(chosen, models), label)


def _changed(
    run: AnyRun,
    variant: Variant,
    training: Training,
    data: TrainingData,
    lineage: Lineage,
    stitched: Artifact,
) -> dict[str, Artifact]:
    """For each expert: the variant without it (dropped), trained without it, and that with it added."""
    assert variant.stitch is not None
    models: dict[str, Artifact] = {}
    for name in lineage.experts:
        others = {other: model for other, model in lineage.experts.items() if other != name}
        if not others:
            continue
        dropped, without, added = change_names(variant.name, name)
        models[dropped] = drop_expert(run, stitched, name, dropped)
        models[without] = train_stitches(
            run, variant.stitch, training, data, replace(lineage, experts=others), without
        )
        models[added] = add_expert(run, variant.stitch, training, data, lineage, models[without], name, added)
    return models

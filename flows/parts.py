"""Parts of the pipeline that are several tasks, or not always there: experts, snapshots, ablation, learnt weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from flows.settings import Experiment
from storage.artifact import Artifact
from storage.unrecorded import AnyRun
from tasks.evaluation.settings import EvaluationSettings
from tasks.evaluation.snapshot_names import snapshot_name
from tasks.evaluation.task import Compared, evaluate_model
from tasks.languages.task import score_languages
from tasks.mixture.learnt import LearntMixture
from tasks.mixture.settings import MixtureSettings
from tasks.preference.annotation.task import respond_to_prompts, study_programmatic
from tasks.preference.settings import ProgrammaticSettings
from tasks.proxies.ablation.proxy_plans import ProxyPlan, proxy_plans
from tasks.proxies.ablation.task import train_proxy
from tasks.proxies.online.task import learn_weights
from tasks.side_by_side import side_by_side
from tasks.stage import StageTask
from tasks.training.task import take_model, train_expert, train_seed
from tasks.training.training_run import Training, TrainingData
from tasks.utility.methods import METHODS_BY_NAME
from tasks.utility.task import estimate_utility, utility_of_proxies


def seed_of(run: AnyRun, e: Experiment, training: Training, data: TrainingData) -> Artifact:
    """The seed, trained, or taken as it is where it has no share of the tokens."""
    if e.budget.seed_share == 0:
        assert e.model.pretrained is not None
        return take_model(run, "seed", e.model.pretrained)
    return train_seed(run, e.model, training, data)


def experts_of(
    run: AnyRun,
    e: Experiment,
    training: Training,
    corpus: Artifact,
    mixtures: dict[str, Artifact],
    seed: Artifact,
) -> dict[str, Artifact]:
    """The experts, in their order: trained where one has a mixture, else taken as given."""
    given = {name: take_model(run, name, pretrained) for name, pretrained in e.experts.given.items()}
    experts = train_experts(run, training, corpus, mixtures, seed) | given
    listed = [expert.name for expert in e.experts.listed]
    return {name: experts[name] for name in listed or experts}


def train_experts(
    run: AnyRun,
    training: Training,
    corpus: Artifact,
    mixtures: dict[str, Artifact],
    seed: Artifact,
    suffix: str = "",
) -> dict[str, Artifact]:
    """Experts as tasks of their own, at most `training.parallel_experts` at a time; suffix: of their labels."""
    calls = {
        name: (run, name, training, TrainingData(corpus, mixture), seed, f"{name}{suffix}")
        for name, mixture in mixtures.items()
    }
    return in_parallel(run, train_expert, calls, training.settings.parallel_experts)


def evaluate_models(
    run: AnyRun,
    models: Mapping[str, Artifact],
    corpus: Artifact,
    settings: EvaluationSettings,
    others: int | None = None,
    scored: Mapping[str, Artifact] = MappingProxyType({}),
) -> dict[str, Artifact]:
    """Scores of the models by name, as many at a time as the settings allow.

    Where `evaluation.enough.against` names a model it is scored first, unless its scores are among those that `scored`
    holds; others: how many are told from it in all, with those that are scored later. Raises ValueError for a model
    that is not there.
    """
    against = None if settings.enough is None else settings.enough.against
    found: dict[str, Artifact] = {}
    compared = None
    if against is not None:
        if against in models:
            found[against] = evaluate_model(run, against, models[against], corpus, settings)
        elif against not in scored:
            raise ValueError(
                f"evaluation.enough.against={against}: is no model that is scored first; allowed: {', '.join(models)}"
            )
        compared = Compared(against, {**scored, **found}[against], others or len(models) - 1)
    calls = {
        name: (run, name, model, corpus, settings, None, None, compared)
        for name, model in models.items()
        if name not in found
    }
    rest = in_parallel(run, evaluate_model, calls, settings.at_once)
    return {name: (found | rest)[name] for name in models}


def asked_in_languages(
    run: AnyRun, e: Experiment, models: Mapping[str, Artifact], corpus: Artifact
) -> dict[str, Artifact]:
    """The models that `languages` names, or all, in every cell of its cube; nothing where there is none.

    Raises ValueError for a model that is not there.
    """
    if e.languages is None:
        return {}
    if unknown := [name for name in e.languages.models if name not in models]:
        raise ValueError(f"languages.models: no {', '.join(unknown)}; allowed: {', '.join(models)}")
    asked = {name: models[name] for name in e.languages.models or models}
    calls = {
        name: (run, name, model, corpus, e.languages, e.evaluation.batch_tokens)
        for name, model in asked.items()
    }
    return in_parallel(run, score_languages, calls, e.evaluation.at_once)


def evaluate_snapshots(
    run: AnyRun, models: Mapping[str, Artifact], corpus: Artifact, settings: EvaluationSettings
) -> dict[str, Artifact]:
    """Scores of all snapshots of the models, by <name>@<step>.

    A model that was combined without training has none; in a plan, one that is not trained yet has none either.
    """
    calls = {
        snapshot_name(name, step): (run, name, model, corpus, settings, None, step)
        for name, model, step in _snapshots(models)
    }
    return in_parallel(run, evaluate_model, calls, settings.at_once)


def respond_all(
    run: AnyRun,
    models: Mapping[str, Artifact],
    corpus: Artifact,
    settings: ProgrammaticSettings,
    bits_per_byte_bytes: int = 0,
) -> dict[str, Artifact]:
    """Responses of all models by name, and of all their snapshots by <name>@<step>.

    bits_per_byte_bytes: as `respond_to_prompts` takes it. Which snapshots there are: as `evaluate_snapshots` has it.
    """
    asked = [*((name, model, None) for name, model in models.items()), *_snapshots(models)]
    responses = [
        respond_to_prompts(run, name, model, corpus, settings, step, bits_per_byte_bytes)
        for name, model, step in asked
    ]
    return {artifact.name: artifact for artifact in responses}


def rated_by_rules(
    run: AnyRun,
    e: Experiment,
    models: Mapping[str, Artifact],
    corpus: Artifact,
    scores: Mapping[str, Artifact],
) -> tuple[dict[str, Artifact], Artifact | None]:
    """What the run's own models, snapshots among them, answered, and the study of it by programmatic annotators.

    Nothing and None where the experiment asks for none.
    """
    settings = e.preference.programmatic
    if settings is None:
        return {}, None
    responses = respond_all(run, models, corpus, settings, e.evaluation.bits_per_byte_bytes)
    return responses, study_programmatic(run, e.preference, corpus, responses, scores)


def _snapshots(models: Mapping[str, Artifact]) -> Iterator[tuple[str, Artifact, int]]:
    for name, model in models.items():
        for snapshot in model.facts.get("snapshots", ()):
            yield name, model, snapshot["step"]


def utility_of(
    run: AnyRun, e: Experiment, corpus: Artifact, method: str, target_tokens: int, data_share: float = 1.0
) -> Artifact:
    """The utility matrix by `method`, for a mixture of `target_tokens` from `data_share` of the data."""
    if METHODS_BY_NAME[method].estimate is not None:
        return estimate_utility(run, e.utility.model_copy(update={"method": method}), corpus)
    ablation = e.utility.section("ablation")
    plans: list[ProxyPlan] = proxy_plans(corpus.facts["sources"], ablation, e.random_seed)
    calls = {
        plan.name: (run, plan, ablation, e.training, e.evaluation, corpus, target_tokens, data_share)
        for plan in plans
    }
    return utility_of_proxies(run, ablation, plans, in_parallel(run, train_proxy, calls, ablation.parallel))


def weights_learnt(
    run: AnyRun,
    e: Experiment,
    settings: MixtureSettings,
    corpus: Artifact,
    target_tokens: int,
    data_share: float = 1.0,
) -> Artifact | None:
    """What the method learns while proxies train, for a mixture of `target_tokens`; None where it learns nothing."""
    if not isinstance(settings, LearntMixture):
        return None
    return learn_weights(
        run, settings.method, settings.online, e.training, corpus, target_tokens, e.random_seed, data_share
    )


def in_parallel(run: AnyRun, task: StageTask, calls: dict[str, tuple], at_most: int) -> dict[str, Artifact]:
    """Calls of a task by name, as Prefect tasks of their own, so many at once; all, where other machines make them."""
    at_work: list[Any] = []
    at_most = len(calls) if run.makes_elsewhere else at_most
    with side_by_side(min(at_most, len(calls))):
        for arguments in calls.values():
            at_work.append(task.submit(*arguments, wait_for=at_work[: max(0, len(at_work) + 1 - at_most)]))
    results = {name: future.result() for name, future in zip(calls, at_work, strict=True)}
    run.go_on()
    return results

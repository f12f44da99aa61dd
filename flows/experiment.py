"""The whole pipeline on one page: from sources to a stitched model, its scores, a forecast and a report."""

from __future__ import annotations

import logging
from dataclasses import replace

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.allowed import check_what_started
from flows.chat import chat_pipeline
from flows.duels import mixture_duel, stitch_duel
from flows.efficiency import moe_efficiency
from flows.engines.making import check_engine, tell_resources
from flows.environment import open_home, prefect_settings
from flows.inputs import check_inputs
from flows.outcome import Outcome
from flows.parts import (
    asked_in_languages,
    evaluate_models,
    evaluate_snapshots,
    experts_of,
    rated_by_rules,
    seed_of,
    utility_of,
    weights_learnt,
)
from flows.progress import shown_progress
from flows.running import running
from flows.settings import Experiment
from flows.tracking_settings import tracking_uri
from storage.artifact import Artifact
from storage.home import Home
from storage.planned import PlannedRun
from storage.run_records import find_record
from storage.stages import PROGRESS_LOGGER
from storage.tracking import Tracker
from storage.unrecorded import AnyRun
from tasks.evaluation.task import check_specialisation
from tasks.mixture.task import Known, Stretch, count_experts, group_tasks, solve_mixture
from tasks.preference.task import forecast_preference
from tasks.report.run_results import RunResults
from tasks.report.task import write_report
from tasks.sources.stated_sizes import check_samples_suffice
from tasks.sources.task import prepare_sources
from tasks.stitching.task import compose_models, train_stitches
from tasks.training.estimates import expected_flops_per_second
from tasks.training.lineage import Lineage
from tasks.training.task import plan_budget
from tasks.training.training_run import Training, TrainingData

__all__ = ["Experiment", "experiment_flow", "run_experiment"]


@flow(
    name="experiment",
    flow_run_name="{experiment.name}",
    task_runner=ThreadPoolTaskRunner(max_workers=16),  # type: ignore[arg-type]
    persist_result=False,
)
def experiment_flow(experiment: Experiment = Experiment(), until: str | None = None) -> str:
    """What to train on, how to combine the specialists, and what people will think of the result."""
    check_what_started(experiment)
    check_inputs(experiment)
    with running(experiment, until) as run:
        walk(run, experiment)
    return run.run_id


def walk(run: AnyRun, experiment: Experiment) -> None:
    """The pipeline, or the duel or chat stage that the experiment asks for; `run` does the work, or plans it."""
    if experiment.duel is not None:
        mixture_duel(run, experiment, experiment.duel)
    elif experiment.stitch_duel is not None:
        stitch_duel(run, experiment, experiment.stitch_duel)
    elif experiment.moe_efficiency is not None:
        moe_efficiency(run, experiment, experiment.moe_efficiency)
    elif experiment.chat is not None:
        chat_pipeline(run, experiment, experiment.chat)
    else:
        pipeline(run, experiment)


def pipeline(run: AnyRun, experiment: Experiment) -> None:
    """Every stage in its order; each is skipped where its result is there already."""
    e = experiment
    corpus = prepare_sources(run, e.sources, e.evaluation, e.random_seed)
    listed = {expert.name: expert.tasks for expert in e.experts.listed}
    num_experts = count_experts(listed, e.experts.count, corpus)
    training = Training(e.training, e.random_seed, keep_snapshots=True)
    given, num_stitches = e.experts.given, e.stitching.num_stitches
    budget = plan_budget(run, e.budget, e.model, training, corpus, num_experts, num_stitches, len(given))
    utility = utility_of(run, e, corpus, e.utility.method, budget.first)

    own_tasks = group_tasks(run, listed, e.experts.count, corpus, utility, e.names_taken())
    known = Known(corpus, utility, weights_learnt(run, e, e.mixture, corpus, budget.first))
    stretch = Stretch(budget.first, is_read=budget.seed > 0)
    mixtures = {"seed": solve_mixture(run, "seed", e.mixture, known, stretch)}
    first = dict(mixtures)
    trained = {name: tasks for name, tasks in own_tasks.items() if name not in given}
    for name, tasks in trained.items():
        stretch = Stretch(budget.expert, first, own_tasks=tasks)
        mixtures[name] = solve_mixture(run, name, e.mixture, known, stretch)
    stretch = Stretch(budget.stitch, dict(mixtures), experts=own_tasks)
    mixtures["stitched"] = solve_mixture(run, "stitched", e.mixture, known, stretch)

    seed = seed_of(run, e, training, TrainingData(corpus, mixtures["seed"]))
    experts = experts_of(run, e, training, corpus, {name: mixtures[name] for name in trained}, seed)
    models = {"seed": seed, **experts}
    others = len(experts) + len(e.stitching.composed()) + 1  # that are scored beside the seed
    scores = evaluate_models(run, models, corpus, e.evaluation, others)
    check = e.experts.specialisation_check
    specialisation = check_specialisation(run, own_tasks, corpus, utility, mixtures, scores, check)

    lineage = Lineage(seed, experts)
    data = TrainingData(corpus, mixtures["stitched"])
    combined: dict[str, Artifact] = {
        settings.called: compose_models(run, settings, replace(training, keep_snapshots=False), data, lineage)
        for settings in e.stitching.composed()
    }
    combined["stitched"] = train_stitches(run, e.stitching, training, data, lineage)
    scores |= evaluate_models(run, combined, corpus, e.evaluation, others, scores)

    models |= combined
    languages = asked_in_languages(run, e, models, corpus)
    snapshots = evaluate_snapshots(run, models, corpus, e.evaluation)
    known_tasks = None if e.evaluation.lm_eval_tasks else list(corpus.facts["tasks"])
    forecast = forecast_preference(run, e.preference, scores | snapshots, known_tasks)
    responses, programmatic = rated_by_rules(run, e, models, corpus, scores | snapshots)
    results = RunResults(
        title=e.name,
        corpus=corpus,
        utility=utility,
        mixtures=mixtures,
        models=models,
        scores=scores,
        specialisation=specialisation,
        forecast=forecast,
        snapshots=snapshots,
        responses=responses,
        programmatic=programmatic,
        experts=own_tasks if given else {},
        languages=languages,
    )
    write_report(run, results)


def run_experiment(experiment: Experiment, until: str | None = None) -> Outcome:
    """Run an experiment in the home of the environment and return what came of it, as tables, figures and paths.

    until: a stage after which the run stops, by its name (the first of that name) or as <stage>/<label>.

    Raises ValueError for what is wrong with the experiment or its inputs.
    """
    check_inputs(experiment)
    check_engine(experiment)
    home = open_home()
    planned = checked(experiment, home)
    if until is not None:
        stop_after(until, planned)
    tell_resources(one.stage.name for one in planned.stages)
    check_samples_suffice(planned.stages)
    speed, _ = expected_flops_per_second(home, experiment.training.precision)
    with shown_progress():
        about = {"planned": (planned, speed)}
        logging.getLogger(PROGRESS_LOGGER).info("%d stages", len(planned.stages), extra=about)
        with prefect_settings(home, Tracker(home, tracking_uri(experiment.tracking)).connect):
            run_id = experiment_flow(experiment, until)
    return Outcome(home, find_record(home, run_id))


def checked(experiment: Experiment, home: Home) -> PlannedRun:
    """The run planned; ValueError for what is wrong with paths, names and files, before anything is started."""
    planned = PlannedRun(home)
    walk(planned, experiment)
    tasks = experiment.evaluation
    if tasks.lm_eval_tasks and planned.stages[0].artifact.expected:
        from tasks.benchmarks.harness_tasks import check_names

        check_names(tasks.lm_eval_tasks, tasks.task_folder, tasks.run_code)
    if tasks.run_code:
        from tasks.evaluation.running_code import running_of
        from tasks.sandbox.sandbox import check_sandbox

        running = running_of(tasks)
        assert running is not None
        check_sandbox(running.limits)
    return planned


def stop_after(until: str, planned: PlannedRun) -> None:
    """Leave in the plan what a run that stops there goes through; ValueError where it has no such stage."""
    for place, one in enumerate(planned.stages):
        if until in (one.stage.name, one.artifact.label):
            del planned.stages[place + 1 :]
            return
    stages = dict.fromkeys(one.stage.name for one in planned.stages)
    raise ValueError(
        f"--until {until}: no such stage; allowed: {', '.join(stages)}, or one of several as <stage>/<name>"
    )

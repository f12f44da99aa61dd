"""The chat stage on one page: a base model, fine-tuned, rewarded, sampled from in rounds, and taught to remember."""

from __future__ import annotations

from dataclasses import replace

from flows.parts import evaluate_models, seed_of, utility_of, weights_learnt
from flows.settings import Experiment
from storage.artifact import Artifact
from storage.unrecorded import AnyRun
from tasks.chat.dialogue_lines import SAFETY
from tasks.chat.ghost.task import ghost_attention, probe_recall
from tasks.chat.ppo.task import optimise_policy
from tasks.chat.rejection.task import reject
from tasks.chat.results_of_a_seed import ChatResults
from tasks.chat.reward.task import train_reward
from tasks.chat.settings import ChatSettings
from tasks.chat.task import (
    ChatWork,
    answer_heldout,
    fine_tune,
    prepare_instructions,
    report_chat,
)
from tasks.mixture.task import Known, Stretch, solve_mixture
from tasks.sources.task import prepare_sources
from tasks.training.budget import whole_steps
from tasks.training.training_run import Training, TrainingData


def chat_pipeline(run: AnyRun, e: Experiment, chat: ChatSettings) -> None:
    """The base once; then, for every seed, everything that is made of it, and how all of these compare."""
    corpus = prepare_sources(run, e.sources, e.evaluation, e.random_seed)
    instructions = prepare_instructions(run, chat, corpus, e.training.sequence_length, e.random_seed)
    training = Training(e.training, e.random_seed)
    tokens = whole_steps(e.budget.tokens, e.training.tokens_per_step)
    utility = utility_of(run, e, corpus, e.utility.method, tokens)
    known = Known(corpus, utility, weights_learnt(run, e, e.mixture, corpus, tokens))
    stretch = Stretch(tokens, is_read=e.budget.seed_share > 0)
    mixture = solve_mixture(run, "seed", e.mixture, known, stretch)
    base = seed_of(run, e, training, TrainingData(corpus, mixture))
    results = [
        chat_of(run, ChatWork(chat, replace(training, random_seed=random_seed), instructions), base)
        for random_seed in range(e.random_seed, e.random_seed + chat.seeds)
    ]
    report_chat(run, e.name, chat, instructions, scored(run, e, corpus, results))


def scored(run: AnyRun, e: Experiment, corpus: Artifact, results: list[ChatResults]) -> list[ChatResults]:
    """The same, with the scores of all models on the benchmarks; the base, which all seeds share, is scored once."""
    labels = {
        (one.random_seed, name): name if name == "base" else f"{name}-seed{one.random_seed}"
        for one in results
        for name in one.models
    }
    every = {labels[one.random_seed, name]: model for one in results for name, model in one.models.items()}
    scores = evaluate_models(run, every, corpus, e.evaluation)
    return [
        replace(one, scores={name: scores[labels[one.random_seed, name]] for name in one.models})
        for one in results
    ]


def chat_of(run: AnyRun, work: ChatWork, base: Artifact) -> ChatResults:
    """From the base to a chat model, with one seed."""
    chat = work.settings
    models = {"base": base, "sft": fine_tune(run, work, base)}
    rewards: dict[str, Artifact] = {
        margin: train_reward(run, work, margin, models["sft"]) for margin in chat.reward.compared
    }
    safety = None
    if chat.reward.safety is not None:
        safety = train_reward(run, work, chat.reward.margin, models["sft"], SAFETY)
    rounds: list[Artifact] = []
    for number in range(1, chat.rejection.rounds + 1):
        newest = rounds[-1] if rounds else models["sft"]
        judge = rewards[chat.reward.margin]
        rounds.append(reject(run, work, number, newest, judge, tuple(rounds), safety))
        models[f"round{number}"] = rounds[-1]
    ppo = None
    if chat.ppo is not None:
        judge = rewards[chat.reward.margin]
        ppo = models["ppo"] = optimise_policy(run, work, models[list(models)[-1]], judge, safety)
    recall: dict[str, Artifact] = {}
    if chat.ghost.dialogues:
        without = list(models)[-1]
        models["ghost"] = ghost_attention(run, work, models[without])
        recall = {name: probe_recall(run, work, name, models[name]) for name in ("sft", without, "ghost")}
    answers = {name: answer_heldout(run, work, name, model) for name, model in models.items()}
    seed = work.training.random_seed
    return ChatResults(seed, models, answers, rewards, tuple(rounds), recall, safety=safety, ppo=ppo)

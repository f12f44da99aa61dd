"""Stage `ppo`: proximal policy optimisation of the newest chat model against the reward models."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from storage.artifact import Artifact, label_of
from storage.stages import Cost, Stage
from storage.unrecorded import AnyRun
from tasks.chat.chat_prices import answering_cost
from tasks.chat.task import ChatWork
from tasks.stage import Progress, stage_task
from tasks.training.estimates import config_of_artifact, dense_shape

VERSION = 1
TRAINED = (
    6  # passes that an answer costs beside being written and read: forward and backward, policy and value
)


@stage_task(name="ppo", task_run_name="ppo")
def optimise_policy(
    run: AnyRun, work: ChatWork, model: Artifact, reward: Artifact, safety: Artifact | None = None
) -> Artifact:
    """The model, trained to raise the reward of its answers under a penalty on leaving what it was.

    A run that is killed begins this stage anew: TRL keeps no checkpoint of it.
    """
    settings = work.settings.ppo
    assert settings is not None
    label = work.label("")
    progress, training = Progress(run, label_of("ppo", label)), work.training
    two = work.settings.reward.safety
    judges = {"reward": reward} | ({} if safety is None else {"safety": safety})

    def build(folder: Path) -> dict:
        import models
        from tasks.chat.heldout_answers import speaker_of
        from tasks.chat.instructions import Instructions
        from tasks.chat.ppo.held_out_reward import gained, held_out_rewards
        from tasks.chat.ppo.optimising import Optimisation, optimise
        from tasks.chat.reward.judging import judge_of
        from tasks.training.parameter_counts import parameters_of

        told, seed = Instructions(work.instructions.path), training.random_seed
        second = None if safety is None else safety.path / "model"
        threshold = 0.0 if two is None else two.threshold
        judge = judge_of(reward.path / "model", second, told.tokenizer(), work.length, threshold)
        speaker = speaker_of(model.path / "model", work.instructions.path, work.settings.new_tokens)
        heldout = told.questions(heldout=True)
        drawn = (judge, heldout, settings.temperature, seed)
        before = held_out_rewards(speaker, *drawn)
        places = (model.path / "model", reward.path / "model")
        how = Optimisation(settings, training.settings, seed, judge, *places)
        found = optimise(how, told.questions(), speaker, folder / "progress", progress.fraction)
        shutil.rmtree(folder / "progress")
        after = held_out_rewards(speaker, *drawn)
        trained = models.model_costs(speaker.model, 1).trained
        flops = found["tokens"] * models.train_flops_per_token(speaker.model, work.length)
        speaker.model.save_pretrained(folder / "model")
        return {
            "metrics": {
                "tokens": found["tokens"],
                "flops": flops,
                **parameters_of(speaker.model),
                "trained_parameters": trained,
                "steps": settings.iterations * (settings.batch_size // settings.mini_batch_size),
            },
            "provenance": {"seed": seed, "tokens": found["tokens"], "flops": flops},
            "ppo": {"curve": found["curve"], "heldout": gained(before, after)},
        }

    def cost() -> Cost:
        answers = settings.iterations * settings.batch_size
        said = answering_cost(model, work.settings, answers)
        passes = 2 + len(judges)  # written, and read by the reference and each judge
        read, flops = said.read or 0, said.flops or 0
        return Cost(read=passes * read, flops=(passes + TRAINED) * flops, requests=answers, basis=said.basis)

    identity = {
        "ppo": settings.model_dump(mode="json"),
        "training": {name: getattr(training.settings, name) for name in ("beta1", "beta2", "clip")},
        "threshold": None if two is None else two.threshold,
        "new_tokens": work.settings.new_tokens,
        "length": work.length,
        "random_seed": training.random_seed,
    }

    def expected() -> dict[str, Any]:
        config = config_of_artifact(model)
        shape = dense_shape(config, work.length)
        parameters = {"parameters": shape.parameters, "active_parameters": shape.active}
        return {"metrics": parameters, "config": config, "ppo": {"curve": [], "heldout": {}}}

    return run.stage(
        Stage(
            name="ppo",
            title="PPO",
            did="reward raised",
            version=VERSION,
            identity=identity,
            inputs={
                "instructions": work.instructions.digest,
                "model": model.digest,
                **{name: judge.digest for name, judge in judges.items()},
            },
            build=build,
            label=label,
            cost=cost,
            expected=expected,
            headline=lambda facts: _headline(facts["ppo"]),
        )
    )


def _headline(found: dict) -> str:
    if not found["curve"]:
        return ""
    held, last = found["heldout"], found["curve"][-1]
    return f"held-out reward {held['before']:.2f} to {held['after']:.2f}, KL {last['kl']:.2f}"

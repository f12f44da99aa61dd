"""Stage `rejection`: one round of sampling, scoring, choosing and fine-tuning on the best."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from storage.artifact import Artifact, label_of
from storage.stages import Cost, Stage
from storage.unrecorded import AnyRun
from tasks.chat.chat_prices import answering_cost, fit_told
from tasks.chat.drawn_share import share_count
from tasks.chat.settings import AUTO
from tasks.chat.task import ChatWork, fit_headline
from tasks.stage import Progress, stage_task

VERSION = 5


@stage_task(name="rejection", task_run_name="reject-{number}")
def reject(
    run: AnyRun,
    work: ChatWork,
    number: int,
    model: Artifact,
    reward: Artifact,
    earlier: tuple[Artifact, ...] = (),
    safety: Artifact | None = None,
) -> Artifact:
    """Round `number`: the newest model answers every prompt often, the best by the reward model are trained on.

    earlier: the rounds before, whose ledgers the pool holds too where the settings say so. safety: a second reward
    model, whose reward is combined with the first one's.
    """
    label = work.label(f"round{number}")
    progress, settings = Progress(run, label_of("rejection", label)), work.settings.rejection
    facts = work.instructions.facts
    pooled = earlier if settings.pool == "all" else ()
    undecided: dict[str, Any] = {"rounds": 1}
    if settings.temperature != AUTO:
        undecided["temperatures"] = (1.0,)
    identity = work.identity(settings.model_copy(update=undecided))
    two = work.settings.reward.safety
    if two is not None:
        identity |= {"threshold": two.threshold}
    judges = {"reward": reward} | ({} if safety is None else {"safety": safety})

    def build(folder: Path) -> dict:
        from tasks.chat.fitting import Fit, fit_answers
        from tasks.chat.instructions import Instructions
        from tasks.chat.rejection.rejecting import LEDGER, sampled_round

        told = Instructions(work.instructions.path)
        ledgers = [artifact.path / LEDGER for artifact in pooled]
        second = None if safety is None else safety.path / "model"
        first = reward.path / "model"
        examples, about = sampled_round(
            folder, work, number, model.path / "model", first, second, ledgers, progress.fraction
        )
        fit = Fit(
            settings, work.training.settings, work.training.random_seed, f"rejection {number}", progress.step
        )
        return fit_answers(model.path / "model", examples, told.tokenizer(), folder, fit) | about

    answers = settings.answers
    if answers is None:
        assert isinstance(settings.samples, int)
        answers = facts["prompts"] * settings.samples
    trained = facts["prompts"] + share_count(facts["prompts"], facts["dialogues"], settings.replay)
    sequences = max(1, math.ceil(trained * facts["sequences"] / facts["dialogues"]))
    told = fit_told(model, settings, work.training.settings, sequences)

    passes = 1 + len(judges)  # written by the one, read by the others

    def cost() -> Cost:
        fit, said = told["cost"](), answering_cost(model, work.settings, answers)
        return Cost(
            tokens=fit.tokens,
            read=passes * (said.read or 0),
            flops=(fit.flops or 0) + passes * (said.flops or 0),
            memory=fit.memory,
            disk=fit.disk,
            requests=answers,
            basis=said.basis,
        )

    return run.stage(
        Stage(
            name="rejection",
            title="rejection sampling",
            did="best of many trained on",
            version=VERSION,
            identity=identity | {"round": number, "new_tokens": work.settings.new_tokens},
            inputs={
                "instructions": work.instructions.digest,
                "model": model.digest,
                **{name: judge.digest for name, judge in judges.items()},
                **{f"round {at}": artifact.digest for at, artifact in enumerate(pooled, 1)},
            },
            build=build,
            label=label,
            cost=cost,
            expected=lambda: told["expected"]() | {"best_of": [], "chosen": {}, "tried": []},
            headline=fit_headline,
        )
    )

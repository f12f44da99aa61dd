"""Stages `ghost` and `recall`: Ghost Attention, and what is still remembered of the first turn at later ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from storage.artifact import Artifact, label_of
from storage.stages import Stage
from storage.unrecorded import AnyRun
from tasks.chat.chat_prices import answering_cost, fit_told
from tasks.chat.task import ChatWork, fit_headline
from tasks.stage import Progress, show_table, stage_task

VERSION = 2


@stage_task(name="ghost", task_run_name="ghost-attention")
def ghost_attention(run: AnyRun, work: ChatWork, model: Artifact) -> Artifact:
    """The model, trained on the last answers of dialogues that it answered with the instruction in every turn."""
    label = work.label("")
    progress, settings = Progress(run, label_of("ghost", label)), work.settings.ghost
    fit = settings.model_copy(update={"recall_turns": (1,), "probes": 2})  # which decide nothing of it

    def build(folder: Path) -> dict:
        from tasks.chat.fitting import Fit, fit_answers
        from tasks.chat.ghost.long_dialogues import draw_dialogues, ghost_examples
        from tasks.chat.heldout_answers import speaker_of
        from tasks.chat.instructions import Instructions
        from tasks.chat.made_instructions import make_instructions

        progress.say("answering dialogues")
        told, chat = Instructions(work.instructions.path), work.settings
        among = make_instructions(chat.made, 0).prompts
        turns = (2, settings.turns)
        seed = work.training.random_seed
        dialogues = draw_dialogues(among, settings.dialogues, turns, seed, "ghost")
        speaker = speaker_of(model.path / "model", work.instructions.path, chat.new_tokens)
        examples = ghost_examples(speaker, dialogues)
        if not examples:
            raise ValueError("Ghost Attention: no dialogue was answered twice; nothing could be learnt")
        own = Fit(settings, work.training.settings, seed, "ghost", progress.step)
        return fit_answers(model.path / "model", examples, told.tokenizer(), folder, own)

    facts = work.instructions.facts
    sequences = max(
        1, settings.dialogues * (2 + settings.turns) // 2 * facts["sequences"] // facts["dialogues"]
    )
    return run.stage(
        Stage(
            name="ghost",
            title="Ghost Attention",
            did="last answers trained on",
            version=VERSION,
            identity=work.identity(fit)
            | {
                "new_tokens": work.settings.new_tokens,
                "made": work.made,
            },
            inputs={"instructions": work.instructions.digest, "model": model.digest},
            build=build,
            label=label,
            headline=fit_headline,
            **fit_told(model, settings, work.training.settings, sequences),
        )
    )


@stage_task(name="recall", task_run_name="recall-{name}")
def probe_recall(run: AnyRun, work: ChatWork, name: str, model: Artifact) -> Artifact:
    """How often what the first turn asked for still holds at later turns, of dialogues that nothing was trained on."""
    label = work.label(name)
    progress, settings = Progress(run, label_of("recall", label)), work.settings.ghost

    def build(folder: Path) -> dict:
        from tasks.chat.ghost.long_dialogues import answered, draw_dialogues, recall
        from tasks.chat.heldout_answers import speaker_of
        from tasks.chat.made_instructions import make_instructions

        progress.say("probing")
        longest = max(settings.recall_turns)
        among = make_instructions(work.settings.made, 0).heldout
        seed = work.training.random_seed
        dialogues = draw_dialogues(among, settings.probes, (longest, longest), seed, "probe")
        speaker = speaker_of(model.path / "model", work.instructions.path, work.settings.new_tokens)
        shown: list[dict[str, Any]] = [
            {"instruction": dialogue.instruction, "messages": messages}
            for dialogue, messages in zip(
                dialogues[:2], answered(speaker, dialogues[:2], every_turn=False), strict=True
            )
        ]
        return {"recall": recall(speaker, dialogues, settings.recall_turns), "dialogues": shown}

    artifact = run.stage(
        Stage(
            name="recall",
            title="recall",
            did="probed",
            version=VERSION,
            identity={
                "new_tokens": work.settings.new_tokens,
                "turns": list(settings.recall_turns),
                "probes": settings.probes,
                "made": work.made,
                "random_seed": work.training.random_seed,
            },
            inputs={"instructions": work.instructions.digest, "model": model.digest},
            build=build,
            label=label,
            cost=lambda: answering_cost(model, work.settings, settings.probes * max(settings.recall_turns)),
            expected=lambda: {"recall": [], "dialogues": []},
            headline=lambda facts: ", ".join(f"turn {r['turn']} {r['recall']:.2f}" for r in facts["recall"]),
        )
    )
    show_table(
        lambda: artifact.facts["recall"],
        key=f"recall-{label}",
        description=f"Recall of the first turn's instruction by {name}",
    )
    return artifact

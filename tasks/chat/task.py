"""Stages `instructions`, `sft`, `chat-answers` and `chat-report`: what is learnt from, the fit, answers, the page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.artifact import Artifact, label_of
from storage.stages import Cost, Stage
from storage.unrecorded import AnyRun
from tasks.chat.chat_prices import answering_cost, fit_told, instructions_expected
from tasks.chat.results_of_a_seed import ChatResults
from tasks.chat.settings import ChatSettings
from tasks.report.run_results import PAGE
from tasks.stage import Progress, show_table, stage_task
from tasks.training.training_run import Training

VERSION = 4
ANSWERS = "answers.jsonl"


@dataclass(frozen=True)
class ChatWork:
    """What all stages of one chat run share: settings, the loop with its seed, and what is learnt from."""

    settings: ChatSettings
    training: Training
    instructions: Artifact

    @property
    def length(self) -> int:
        return self.training.settings.sequence_length

    def label(self, name: str) -> str:
        """Of a result with this seed."""
        return "-".join(filter(None, (name, f"seed{self.training.random_seed}")))

    @property
    def made(self) -> dict[str, Any]:
        """What decides the instructions that are made."""
        return self.settings.made.model_dump(mode="json", exclude_none=True)

    def identity(self, fit: Any) -> dict[str, Any]:
        """What decides the result of a fit."""
        from tasks.chat.fitting import fit_identity

        return fit_identity(fit, self.training.settings, self.training.random_seed)


@stage_task(name="instructions", task_run_name="instructions")
def prepare_instructions(
    run: AnyRun, chat: ChatSettings, corpus: Artifact, length: int, random_seed: int
) -> Artifact:
    """Dialogues, pairs and prompts, made by rules or the user's, checked against the tokenizer and the length."""
    from tasks.chat.instructions import check_files
    from tasks.pretrained_places import digest_pretrained

    check_files(chat)
    identity = {
        "made": chat.made.model_dump(mode="json", exclude_none=True),
        "length": length,
        "new_tokens": chat.new_tokens,
        "packed": chat.sft.packed,
        "turns": chat.ghost.most_turns,
        "random_seed": random_seed,
    }
    if chat.reward.safety is not None:
        identity["kinds"] = True
    files = {"dialogues": chat.dialogues, "pairs": chat.pairs}

    def build(folder: Path) -> dict:
        from tasks.chat.instructions import write_instructions
        from tasks.sources.tokenization import load_tokenizer

        tokenizer = load_tokenizer(corpus.path / "tokenizer")
        return write_instructions(folder, chat, tokenizer, length, random_seed)

    return run.stage(
        Stage(
            name="instructions",
            title="instructions",
            did="made and checked",
            version=VERSION,
            identity=identity,
            inputs={"sources": corpus.digest}
            | {name: digest_pretrained(str(path)) for name, path in files.items() if path is not None},
            build=build,
            expected=lambda: instructions_expected(chat, length),
            headline=lambda facts: (
                f"{facts['dialogues']:,} dialogues, {facts['pairs']:,} pairs, {facts['heldout']:,} prompts held out"
            ),
        )
    )


@stage_task(name="sft", task_run_name="fine-tune")
def fine_tune(run: AnyRun, work: ChatWork, base: Artifact) -> Artifact:
    """The base, trained on the answers of the dialogues."""
    label = work.label("")
    progress, settings = Progress(run, label_of("sft", label)), work.settings.sft

    def build(folder: Path) -> dict:
        from tasks.chat.fitting import Fit, fit_answers
        from tasks.chat.instructions import Instructions

        told = Instructions(work.instructions.path)
        fit = Fit(settings, work.training.settings, work.training.random_seed, "sft", progress.step)
        return fit_answers(base.path / "model", told.dialogues(), told.tokenizer(), folder, fit)

    return run.stage(
        Stage(
            name="sft",
            title="fine-tuning",
            did="trained on answers",
            version=VERSION,
            identity=work.identity(settings),
            inputs={"instructions": work.instructions.digest, "base": base.digest},
            build=build,
            label=label,
            headline=fit_headline,
            **fit_told(base, settings, work.training.settings, work.instructions.facts["sequences"]),
        )
    )


def fit_headline(facts: dict) -> str:
    metrics = facts["metrics"]
    loss = f", loss {metrics['final_loss']:.3f}" if "final_loss" in metrics else ""
    return f"{metrics['steps']:,} steps{loss}"


@stage_task(name="chat-answers", task_run_name="answer-{name}")
def answer_heldout(run: AnyRun, work: ChatWork, name: str, model: Artifact) -> Artifact:
    """The model's likeliest answers to the prompts that nothing was trained on, with their points by the rules."""
    label = work.label(name)
    progress = Progress(run, label_of("chat-answers", label))

    def build(folder: Path) -> dict:
        from tasks.chat.heldout_answers import answered_by, points_told

        progress.say("answering")
        rows = answered_by(model.path / "model", work.instructions.path, work.settings.new_tokens)
        (folder / ANSWERS).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")

        return {"points": points_told(rows)}

    return run.stage(
        Stage(
            name="chat-answers",
            title="answers",
            did="prompts answered",
            version=VERSION,
            identity={"new_tokens": work.settings.new_tokens},
            inputs={"instructions": work.instructions.digest, "model": model.digest},
            build=build,
            label=label,
            cost=lambda: answering_cost(model, work.settings, work.instructions.facts["heldout"]),
            expected=lambda: {"points": []},
            headline=lambda facts: ", ".join(
                f"{row['kind']} {row['right']:.2f} right" for row in facts["points"][:1]
            ),
        )
    )


@stage_task(name="chat-report", task_run_name="chat-report")
def report_chat(
    run: AnyRun, title: str, chat: ChatSettings, instructions: Artifact, results: list[ChatResults]
) -> Artifact:
    """Win rates, rewards, rounds, recall and what was lost, with their intervals, and the page."""
    inputs = {"instructions": instructions.digest}
    for one in results:
        inputs |= one.inputs

    def build(folder: Path) -> dict:
        from tasks.chat.chat_page import write_chat_page
        from tasks.chat.chat_results import chat_tables

        found = chat_tables(results, instructions.facts["is_made"])
        (folder / "chat.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        write_chat_page(folder / PAGE, title, chat, found)
        told = {name: found[name] for name in ("harm", "forgetting", "answer")}
        return {"chat": found["win_rates"], "page": PAGE, **told}

    artifact = run.stage(
        Stage(
            name="chat-report",
            title="chat",
            did="compared",
            version=VERSION,
            identity={"title": title, "chat": chat.model_dump(mode="json")},
            inputs=inputs,
            build=build,
            cost=Cost,
            expected=lambda: {"chat": [], "page": PAGE, "answer": [], "harm": [], "forgetting": []},
            headline=lambda facts: facts["page"],
        )
    )
    show_table(
        lambda: artifact.facts["chat"], key="chat", description="Win rates by the rules, 95% intervals"
    )
    return artifact

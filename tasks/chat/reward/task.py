"""Stage `reward`: a reward model, trained on pairs with the margins of their strengths, and how good it is."""

from __future__ import annotations

from pathlib import Path

from storage.artifact import Artifact, label_of
from storage.stages import Stage
from storage.unrecorded import AnyRun
from tasks.chat.chat_prices import TOKENS_A_TURN, fit_told
from tasks.chat.settings import Margin
from tasks.chat.task import ChatWork
from tasks.stage import Progress, show_table, stage_task

VERSION = 2
ROWS_A_PAIR = 2


@stage_task(name="reward", task_run_name="train-reward-{margin}")
def train_reward(run: AnyRun, work: ChatWork, margin: Margin, chat_model: Artifact) -> Artifact:
    """A reward model from the chat model, in fp32, with its accuracy, calibration and rewards on held-out pairs."""
    label = work.label(margin)
    progress, settings = Progress(run, label_of("reward", label)), work.settings.reward
    identity = work.identity(settings.model_copy(update={"margin": margin, "compared": (margin,)}))

    def build(folder: Path) -> dict:
        import models
        from tasks.chat.fitting import Fit, fit_rows
        from tasks.chat.instructions import Instructions
        from tasks.chat.reward.calibration import measured
        from tasks.chat.reward.reward_pairs import pair_rows
        from tasks.chat.row_order import RowOrder
        from tasks.training.objectives.preference_margin import preference_margin

        told = Instructions(work.instructions.path)
        tokenizer, training = told.tokenizer(), work.training
        model = models.reward_model(chat_model.path / "model", new_head=True)
        rows = pair_rows(tokenizer, told.pairs(), margin, work.length)
        # the trunk is called for itself, which autocast does not reach; a row is no longer than the longest text
        own = {"precision": "fp32", "sequence_length": rows.shape[-1]}
        loop = training.settings.model_copy(update=own)
        fit = Fit(settings, loop, training.random_seed, "reward", progress.step)
        order = RowOrder(rows, settings.epochs, settings.batch_size, training.random_seed, "reward")
        facts = fit_rows(model, order, preference_margin, folder, fit, ROWS_A_PAIR)
        found = measured(model, tokenizer, told.pairs(heldout=True), work.length)
        facts["metrics"] |= {"accuracy": found["accuracy"][0]["accuracy"], "ece": found["ece"]}
        return facts | found

    num_pairs = work.instructions.facts["pairs"]
    told = fit_told(chat_model, settings, work.training.settings, num_pairs, ROWS_A_PAIR, TOKENS_A_TURN)
    artifact = run.stage(
        Stage(
            name="reward",
            title="reward models",
            did="trained on pairs",
            version=VERSION,
            identity=identity | {"margin": margin},
            inputs={"instructions": work.instructions.digest, "model": chat_model.digest},
            build=build,
            label=label,
            cost=told["cost"],
            expected=lambda: told["expected"]() | {"accuracy": [], "ece": None, "histogram": {}},
            headline=lambda facts: (
                f"accuracy {facts['metrics']['accuracy']:.3f}, ECE {facts['ece']:.3f}"
                if facts["accuracy"]
                else ""
            ),
        )
    )
    show_table(
        lambda: artifact.facts["accuracy"],
        key=f"reward-{label}",
        description=f"Accuracy on held-out pairs by strength, margin {margin}",
    )
    return artifact

"""Stage `reward`: a reward model of helpfulness or safety, trained on pairs with their margins, and how good it is."""

from __future__ import annotations

from pathlib import Path

from storage.artifact import Artifact, label_of
from storage.stages import Stage
from storage.unrecorded import AnyRun
from tasks.chat.chat_prices import TOKENS_A_TURN, fit_told
from tasks.chat.dialogue_lines import HELPFULNESS, SAFETY
from tasks.chat.reward.learnt_pairs import learnt_count
from tasks.chat.settings import Margin
from tasks.chat.task import ChatWork
from tasks.stage import Progress, show_table, stage_task

VERSION = 2
ROWS_A_PAIR = 2


@stage_task(name="reward", task_run_name="train-reward-{kind}-{margin}")
def train_reward(
    run: AnyRun, work: ChatWork, margin: Margin, chat_model: Artifact, kind: str = HELPFULNESS
) -> Artifact:
    """A reward model from the chat model, in fp32, with its accuracy, calibration and rewards on held-out pairs.

    kind: of the pairs that are its own, where there are two models.
    """
    is_safety = kind == SAFETY
    label = work.label(SAFETY if is_safety else margin)
    progress, settings = Progress(run, label_of("reward", label)), work.settings.reward
    two = settings.safety
    own_settings = {"margin": margin, "compared": (margin,), "safety": None}
    identity = work.identity(settings.model_copy(update=own_settings))
    if two is not None and is_safety:
        identity |= {SAFETY: two.model_dump(mode="json", exclude={"safety_share"})}
    elif two is not None:
        identity |= {"safety_share": two.safety_share}

    def build(folder: Path) -> dict:
        import models
        from tasks.chat.fitting import Fit, fit_rows
        from tasks.chat.instructions import Instructions
        from tasks.chat.reward.held_out_pairs import measured_on
        from tasks.chat.reward.learnt_pairs import learnt_pairs
        from tasks.chat.reward.reward_pairs import pair_rows
        from tasks.chat.row_order import RowOrder
        from tasks.training.objectives.preference_margin import preference_margin
        from tasks.training.objectives.safety_margin import safety_margin

        told = Instructions(work.instructions.path)
        tokenizer, training = told.tokenizer(), work.training
        model = models.reward_model(chat_model.path / "model", new_head=True)
        learnt = learnt_pairs(told.pairs(), kind, two, training.random_seed)
        auxiliary = two.auxiliary if two is not None and is_safety else None
        rows = pair_rows(tokenizer, learnt, margin, work.length, auxiliary)
        # the trunk is called for itself, which autocast does not reach; a row is no longer than the longest text
        own = {"precision": "fp32", "sequence_length": rows.shape[-1]}
        loop = training.settings.model_copy(update=own)
        fit = Fit(settings, loop, training.random_seed, "reward", progress.step)
        order = RowOrder(rows, settings.epochs, settings.batch_size, training.random_seed, "reward")
        objective = safety_margin if is_safety else preference_margin
        facts = fit_rows(model, order, objective, folder, fit, ROWS_A_PAIR)
        found = measured_on(model, tokenizer, told.pairs(heldout=True), work.length, kind, two)
        facts["metrics"] |= {"accuracy": found["accuracy"][0]["accuracy"], "ece": found["ece"]}
        return facts | found

    num_pairs = learnt_count(work.instructions.facts, kind, two)
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
        description=f"Accuracy on held-out pairs by strength, {kind}, margin {margin}",
    )
    return artifact

"""PPO by TRL's experimental trainer with Llama 2's values (arXiv 2307.09288, section 3.2.3).

    R(g|p) = R~_c(g|p) - beta KL( pi_theta(g|p) || pi_0(g|p) ),    R~_c whitened over the whole batch

Clipped at 1 +- .2, one step a mini-batch, a constant rate. The trainer clips no gradient, which is done before each
step of its optimiser here.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn

import models
from tasks.chat.made_questions import Question
from tasks.chat.ppo.batch_reward import Asked, BatchReward, Seen
from tasks.chat.reward.judging import Judge
from tasks.chat.sampling import Speaker
from tasks.chat.settings import PpoSettings
from tasks.sources.chat_template import encoded, turn_ends
from tasks.training.settings import TrainingSettings

LOGGED = {
    "kl": "objective/kl",
    "entropy": "objective/entropy",
    "clipped": "policy/clipfrac_avg",
    "value_loss": "loss/value_avg",
}  # of a row of the curve: what TRL calls it


@dataclass(frozen=True)
class Optimisation:
    """How, with which seed, what judges, the folder of the model as it was, and of the one that the value starts from.

    training: whose betas and largest gradient hold.
    """

    settings: PpoSettings
    training: TrainingSettings
    random_seed: int
    judge: Judge
    reference: Path
    value: Path


def optimise(
    how: Optimisation,
    questions: Sequence[Question],
    speaker: Speaker,
    scratch: Path,
    report: Callable[[float], None],
) -> dict[str, Any]:
    """Train the speaker's model in place; `curve`, a row an iteration, and `tokens` that were rewarded.

    TRL draws from the global random states, which are put back.
    """
    random_state = np.random.get_state()
    seen = Seen()
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)  # of what TRL calls
        transformers.set_seed(how.random_seed)
        try:
            trainer = _trainer(how, questions, speaker, scratch, seen)
            trainer.add_callback(_told(how.settings.iterations, report))
            trainer.train()
        finally:
            np.random.set_state(random_state)
    logged = [row for row in trainer.state.log_history if LOGGED["kl"] in row]
    curve = [
        {"iteration": number, "reward": mean} | {name: row[key] for name, key in LOGGED.items()}
        for number, (mean, row) in enumerate(zip(seen.means, logged, strict=True), 1)
    ]
    return {"curve": curve, "tokens": seen.tokens}


def _trainer(
    how: Optimisation, questions: Sequence[Question], speaker: Speaker, scratch: Path, seen: Seen
) -> Any:
    from datasets import Dataset

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is experimental
        from trl.experimental.ppo import PPOTrainer

    stop = [*turn_ends(speaker.tokenizer), speaker.tokenizer.eos_token_id][0]
    prompts = [
        encoded(speaker.tokenizer, [{"role": "user", "content": question.prompt}], asks=True).tokens
        for question in questions
    ]
    width, padding = max(map(len, prompts)), padding_of(speaker.tokenizer, prompts, stop)
    padded = copy.deepcopy(speaker.tokenizer)
    padded.pad_token, padded.padding_side = padded.convert_ids_to_tokens(padding), "left"

    def text(tokens: Sequence[int]) -> str:
        kept = list(takewhile(lambda token: token != stop, tokens))
        return str(speaker.tokenizer.decode(kept, skip_special_tokens=True)).strip()

    rows = [[padding] * (width - len(prompt)) + prompt for prompt in prompts]
    data = Dataset.from_dict({"input_ids": rows * -(-how.settings.batch_size // len(rows))})
    asked = Asked(dict(zip(map(tuple, prompts), questions, strict=True)), width, text)
    value = models.reward_model(how.value)
    optimizer = _optimizer(how, speaker.model, value)
    reward: Any = BatchReward(how.judge, asked, seen)  # no model of transformers', but in the form of one
    trainer = PPOTrainer(
        args=_config(how, speaker, stop, scratch),
        processing_class=padded,
        model=speaker.model,
        ref_model=models.load_causal_lm(how.reference, torch.float32),
        reward_model=reward,
        value_model=value,
        train_dataset=data,
        eval_dataset=data,  # asked for, and not used
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)),
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.accelerator.print = lambda *_: None
    return trainer


def _optimizer(how: Optimisation, policy: nn.Module, value: nn.Module) -> torch.optim.Optimizer:
    both, settings, training = [*policy.parameters(), *value.parameters()], how.settings, how.training

    def clip(*_: Any) -> None:
        nn.utils.clip_grad_norm_(both, training.clip)

    optimizer = torch.optim.AdamW(
        both,
        lr=settings.learning_rate,
        betas=(training.beta1, training.beta2),
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
    )
    optimizer.register_step_pre_hook(clip)
    return optimizer


def _config(how: Optimisation, speaker: Speaker, stop: int, scratch: Path) -> Any:
    """A batch is one forward pass of all that is not trained, so that it is whitened whole."""
    from trl.experimental.ppo import PPOConfig

    settings = how.settings
    return PPOConfig(
        output_dir=str(scratch),
        seed=how.random_seed,
        per_device_train_batch_size=settings.batch_size,
        num_mini_batches=settings.batch_size // settings.mini_batch_size,
        local_rollout_forward_batch_size=settings.batch_size,
        num_ppo_epochs=1,
        total_episodes=settings.batch_size * settings.iterations,
        learning_rate=settings.learning_rate,
        kl_coef=settings.kl,
        cliprange=settings.clip,
        temperature=settings.temperature,
        response_length=speaker.new_tokens,
        stop_token_id=stop,
        num_sample_generations=0,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=speaker.model.device.type == "cpu",
        bf16=False,
        gradient_checkpointing=False,
    )


def _told(iterations: int, report: Callable[[float], None]) -> transformers.TrainerCallback:
    class Told(transformers.TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            report(state.global_step / iterations)

    return Told()


def padding_of(tokenizer: Any, prompts: Sequence[Sequence[int]], stop: int) -> int:
    """The tokenizer's own padding where that ends no turn, else the last token that no prompt has.

    TRL takes every such token for padding, so an answer that has it is cut there.
    """
    own = tokenizer.pad_token_id
    if own not in (None, stop, tokenizer.eos_token_id):
        return int(own)
    used = {token for prompt in prompts for token in prompt} | {stop, tokenizer.eos_token_id}
    return max(set(range(len(tokenizer))) - used)

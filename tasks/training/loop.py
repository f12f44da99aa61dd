"""The training loop: any causal LM, next-token cross-entropy, AdamW, warm-up and cosine, on Accelerate.

What trains is what requires a gradient: all of a seed or expert, only the stitches of a stitched model.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator

from storage.writing import write_whole
from tasks.training.checkpoints import (
    latest_checkpoint,
    restore_checkpoint,
    save_checkpoint,
    set_broken_aside,
)
from tasks.training.settings import TrainingSettings
from tasks.training.snapshots import keep_snapshot, snapshot_digest
from tasks.training.token_order import TokenOrder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LOG_SECONDS = 1.0
log = logging.getLogger("mixstitch.training")
StepReport = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class TrainingOutcome:
    """What a run of the loop did: steps and tokens in all, and seconds and tokens/s of this process alone."""

    steps: int
    resumed_at: int
    tokens: int
    seconds: float
    final_loss: float


def learning_rate_at(step: int, num_steps: int, peak: float, settings: TrainingSettings) -> float:
    """Rate of step `step` (from 0): linear warm-up to the peak, then cosine down to final_share of it."""
    warmup = round(settings.warmup_share * num_steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, num_steps - warmup)
    return peak * (settings.final_share + (1 - settings.final_share) * (1 + math.cos(math.pi * done)) / 2)


def make_optimizer(
    model: torch.nn.Module,
    settings: TrainingSettings,
    rate_scales: Mapping[str, float] | None = None,
    near_identity: Sequence[str] = (),
) -> torch.optim.AdamW:
    """AdamW over what requires a gradient, with weight decay on matrices only.

    rate_scales: end of a weight's name -> what its learning rate is multiplied by; each group holds its `scale`.
    near_identity: ends of the names of (.., d, d) weights that decay towards the identity instead of zero; AdamW
    leaves the decay of their groups, `identity_decay`, to `pull_to_identity`.
    """
    groups: dict[tuple[float, float, float], list[torch.nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            scale = next((s for end, s in (rate_scales or {}).items() if name.endswith(end)), 1.0)
            decay = settings.weight_decay if weight.ndim >= 2 else 0.0
            to_identity = name.endswith(tuple(near_identity))
            decays = (0.0, decay) if to_identity else (decay, 0.0)
            groups.setdefault((scale, *decays), []).append(weight)
    return torch.optim.AdamW(
        [
            {"params": weights, "scale": scale, "weight_decay": to_zero, "identity_decay": to_identity}
            for (scale, to_zero, to_identity), weights in groups.items()
        ],
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        fused=True,
    )


@torch.no_grad()
def pull_to_identity(groups: Sequence[Mapping[str, Any]]) -> None:
    """One step's decoupled weight decay of groups with `identity_decay`: W <- W - rate * decay * (W - I)."""
    for group in groups:
        pull = group["lr"] * group["identity_decay"]
        if pull:
            for weight in group["params"]:
                weight.mul_(1 - pull)
                weight.diagonal(dim1=-2, dim2=-1).add_(pull)


def train(
    model: PreTrainedModel,
    order: TokenOrder,
    settings: TrainingSettings,
    peak_learning_rate: float,
    random_seed: int,
    progress: Path,
    report: StepReport,
    rate_scales: Mapping[str, float] | None = None,
    snapshot_steps: Collection[int] = (),
    near_identity: Sequence[str] = (),
) -> TrainingOutcome:
    """Train `model` in place on all sequences of `order`, going on from a checkpoint under `progress`.

    rate_scales, near_identity: as of `make_optimizer`. snapshot_steps: after so many steps the weights are kept
    under `progress`.
    `report` gets {step, steps, loss, learning_rate, gradient_norm, tokens_per_second, seconds_left} about once
    a second, and the same rows are appended to progress/steps.jsonl. Raises FloatingPointError where the loss
    is no longer finite.
    """
    num_steps = len(order) // settings.batch_size
    share = settings.batch_size // settings.processes
    micro = settings.micro_batch_size or share
    accelerator = Accelerator(
        mixed_precision="bf16" if settings.precision == "bf16" else "no",
        gradient_accumulation_steps=share // micro,
    )
    if accelerator.num_processes != settings.processes:
        raise RuntimeError(
            f"training.processes is {settings.processes} but {accelerator.num_processes} were launched"
        )
    model.train()
    wrapped, optimizer = accelerator.prepare(
        model, make_optimizer(model, settings, rate_scales, near_identity)
    )
    bare: Any = accelerator.unwrap_model(wrapped)
    trainable = {name: weight for name, weight in bare.named_parameters() if weight.requires_grad}
    if accelerator.is_main_process:
        set_broken_aside(progress)
    accelerator.wait_for_everyone()
    checkpoint = latest_checkpoint(progress)
    if checkpoint is not None:
        restore_checkpoint(checkpoint, trainable, optimizer.optimizer)
    kept = dict(checkpoint.beside) if checkpoint else {}
    first = checkpoint.step if checkpoint else 0
    rows = _StepLog(progress / "steps.jsonl", first, num_steps, settings, report, accelerator.is_main_process)
    saved = started = time.monotonic()
    loss_value = math.nan
    for step in range(first, num_steps):
        rate = learning_rate_at(step, num_steps, peak_learning_rate, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        # Dropout is drawn anew from (seed, step, process), so a resumed run draws what it would have drawn.
        torch.manual_seed((random_seed * 1_000_003 + step) * 1_009 + accelerator.process_index)
        begin = step * settings.batch_size + accelerator.process_index * share
        loss_sum, norm = torch.zeros((), device=accelerator.device), None
        for offset in range(0, share, micro):
            ids = torch.from_numpy(order.batch(range(begin + offset, begin + offset + micro)))
            ids = ids.to(accelerator.device, non_blocking=True)
            with accelerator.accumulate(wrapped):
                loss = wrapped(input_ids=ids, labels=ids, use_cache=False).loss
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    norm = accelerator.clip_grad_norm_(trainable.values(), settings.clip)
                    pull_to_identity(optimizer.param_groups)  # as AdamW does, before its own step
                optimizer.step()
                optimizer.zero_grad()
            loss_sum += loss.detach() * (micro / share)
        if accelerator.num_processes > 1:
            loss_sum = accelerator.reduce(loss_sum, "mean")
        rows.add(step, loss_sum, norm, rate)
        if rows.due or step + 1 == num_steps:
            loss_value = rows.flush()
        if step + 1 in snapshot_steps and accelerator.is_main_process:
            keep_snapshot(progress, step + 1, trainable)
            kept |= snapshot_digest(progress, step + 1)
        if time.monotonic() - saved > settings.checkpoint_seconds and step + 1 < num_steps:
            if accelerator.is_main_process:
                save_checkpoint(progress, step + 1, trainable, optimizer.optimizer, kept)
            saved = time.monotonic()
    model.eval()
    return TrainingOutcome(
        steps=num_steps,
        resumed_at=first,
        tokens=num_steps * settings.tokens_per_step,
        seconds=time.monotonic() - started,
        final_loss=loss_value,
    )


class _StepLog:
    """Averages the loss between reports, and keeps every report on disk."""

    def __init__(
        self,
        path: Path,
        first: int,
        num_steps: int,
        settings: TrainingSettings,
        report: StepReport,
        is_main: bool,
    ) -> None:
        self._path, self._first, self._num_steps, self._report = path, first, num_steps, report
        self._tokens_per_step, self._is_main = settings.tokens_per_step, is_main
        self._rows: list[tuple[int, torch.Tensor, torch.Tensor | None, float]] = []
        self._started = self._flushed = time.monotonic()
        if is_main:
            path.parent.mkdir(parents=True, exist_ok=True)
            _keep_rows_before(path, first)

    @property
    def due(self) -> bool:
        return time.monotonic() - self._flushed >= LOG_SECONDS

    def add(self, step: int, loss: torch.Tensor, norm: torch.Tensor | None, rate: float) -> None:
        self._rows.append((step, loss, norm, rate))

    def flush(self) -> float:
        """Report the mean loss since the last report, and return it."""
        now = time.monotonic()
        step, _, norm, rate = self._rows[-1]
        loss = float(torch.stack([row[1] for row in self._rows]).mean())
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"loss is {loss} at step {step + 1}: training has diverged; a lower learning rate may help"
            )
        speed = len(self._rows) * self._tokens_per_step / (now - self._flushed)
        average = (step + 1 - self._first) * self._tokens_per_step / (now - self._started)
        row = {
            "step": step + 1,
            "steps": self._num_steps,
            "loss": loss,
            "learning_rate": rate,
            "gradient_norm": float(norm) if norm is not None else math.nan,
            "tokens_per_second": speed,
            "seconds_left": (self._num_steps - step - 1) * self._tokens_per_step / average,
        }
        if self._is_main:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
            self._report(row)
        self._rows, self._flushed = [], now
        return loss


def _keep_rows_before(path: Path, first: int) -> None:
    """Drop what was logged after the checkpoint that is gone on from, as those steps are done again; and lines that a
    kill or a full disk cut off, which are said."""
    if path.exists():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        steps = [_step_of(line) for line in lines]
        if None in steps:
            log.warning("%s: %d lines are damaged: left out of the log", path, steps.count(None))
        rows = [line for line, step in zip(lines, steps, strict=True) if step is not None and step <= first]
        write_whole(path, "".join(f"{row}\n" for row in rows))


def _step_of(line: str) -> int | None:
    """The step of a row of the log; None for what is none."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    step = row.get("step") if isinstance(row, dict) else None
    return step if isinstance(step, int) else None

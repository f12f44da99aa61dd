"""The training loop: any causal LM, next-token cross-entropy or another objective, AdamW, warm-up and cosine.

What trains is what requires a gradient: all of a seed or expert, only the stitches of a stitched model.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator

from models.costs import train_flops_per_token
from models.families.expert_routing import TrainedRouters
from tasks.training.device_peaks import peak_flops_of
from tasks.training.engine_options import computing_as_set
from tasks.training.micro_batches import micro_batch_of
from tasks.training.objectives.next_token import Objective, Sequences, next_token
from tasks.training.peak_memory import begin_peak, peak_bytes
from tasks.training.position import Position
from tasks.training.read_ahead import read_ahead
from tasks.training.routing_log import ROUTING, RoutingLog
from tasks.training.settings import TrainingSettings
from tasks.training.snapshots import keep_snapshot, snapshot_digest
from tasks.training.step_log import StepLog, StepReport

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class TrainingOutcome:
    """What a run of the loop did: steps and tokens in all, and seconds of this process alone.

    micro_batch_size: sequences in a forward pass. peak_memory: bytes of this process, or of its GPU. mfu: share of the
    devices' FLOP/s; None where those are not known. events: alarms, spikes and rewinds in their order. skipped: batches
    that were read by none of these steps.
    """

    steps: int
    resumed_at: int
    tokens: int
    seconds: float
    final_loss: float
    micro_batch_size: int
    peak_memory: int
    tokens_per_second: float
    mfu: float | None
    events: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)

    def measured(self) -> dict[str, float]:
        """How the run went on this machine, for its provenance."""
        told = (
            ("tokens_per_second", self.tokens_per_second),
            ("mfu", self.mfu),
            ("peak_memory", self.peak_memory),
            ("micro_batch_size", self.micro_batch_size),
        )
        return {name: value for name, value in told if value is not None}


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
    order: Sequences,
    settings: TrainingSettings,
    peak_learning_rate: float,
    random_seed: int,
    progress: Path,
    report: StepReport,
    rate_scales: Mapping[str, float] | None = None,
    snapshot_steps: Collection[int] = (),
    near_identity: Sequence[str] = (),
    objective: Objective = next_token,
) -> TrainingOutcome:
    """Train `model` in place on all sequences of `order`, going on from a checkpoint under `progress`.

    The loss that is told is that of the text; what routers of experts add to it is in their log.
    rate_scales, near_identity: as of `make_optimizer`. snapshot_steps: after so many steps the weights are kept
    under `progress`. objective: what is minimised; it takes what `order.batch` gives.
    `report` gets {step, steps, loss, learning_rate, gradient_norm, tokens_per_second, seconds_left} about once
    a second, with the last look at Adam's state, and the same rows are appended to progress/steps.jsonl. Raises
    FloatingPointError where the loss is no longer finite, and no recovery is left.
    """
    num_batches = len(order) // settings.batch_size
    share = settings.share
    accelerator = Accelerator(mixed_precision="bf16" if settings.precision == "bf16" else "no")
    if accelerator.num_processes != settings.processes:
        raise RuntimeError(
            f"training.processes is {settings.processes} but {accelerator.num_processes} were launched"
        )
    flops = train_flops_per_token(model, settings.sequence_length)
    mfu_per_speed = flops / peak_flops_of(settings)
    model.train()
    with computing_as_set(model, settings), read_ahead(order, accelerator.device) as reader:
        micro = micro_batch_of(model, order, objective, settings, accelerator)
        begin_peak(accelerator.device)
        wrapped, optimizer = accelerator.prepare(
            model, make_optimizer(model, settings, rate_scales, near_identity)
        )
        bare: Any = accelerator.unwrap_model(wrapped)
        trainable = {name: weight for name, weight in bare.named_parameters() if weight.requires_grad}
        at = Position(progress, trainable, optimizer.optimizer, accelerator, settings, num_batches)
        rows = StepLog(progress / "steps.jsonl", settings.tokens_per_step, report, at.is_main, mfu_per_speed)
        rows.go_on(at.step, at.course.num_steps, len(at.decisions))
        routers = TrainedRouters(bare, len(order.sources))
        routed = RoutingLog(progress / ROUTING, routers, order.sources, at.is_main)
        routed.go_on(at.step, len(at.decisions))
        replays = settings.stability.recovery.skipped == "replay"
        saved = started = time.monotonic()
        loss_value = math.nan
        while not at.is_last:
            step, batch = at.step, int(at.course.batches[at.step])
            # skipped batches that are not made up for take their part of the schedule with them
            place = step if replays else batch
            rate = learning_rate_at(place, num_batches, peak_learning_rate, settings) * at.course.rate_factor
            for group in optimizer.param_groups:
                group["lr"] = rate * group["scale"]
            # Dropout is drawn anew from (seed, step, process), so a resumed run draws what it would have drawn.
            torch.manual_seed((random_seed * 1_000_003 + step) * 1_009 + accelerator.process_index)
            loss_sum = torch.zeros((), device=accelerator.device)
            routers.begin_step()
            passes = _passes(at.course.batches, step, accelerator.process_index, settings, micro)
            for number, numbers in enumerate(passes[: share // micro], start=1):
                ids, sources = reader.take(numbers, passes[number] if number < len(passes) else None)
                if routers:
                    routers.reads(sources)
                is_last = number == share // micro
                # not accelerator.accumulate, whose state is one for all threads of a process
                with nullcontext() if is_last else accelerator.no_sync(wrapped):
                    loss = objective(wrapped, ids)
                    whole = loss + routers.loss() if routers else loss
                    accelerator.backward(whole / (share // micro))
                loss_sum += loss.detach() * (micro / share)
            norm = accelerator.clip_grad_norm_(trainable.values(), settings.clip)
            pull_to_identity(optimizer.param_groups)  # as AdamW does, before its own step
            optimizer.step()
            optimizer.zero_grad()
            if accelerator.num_processes > 1:
                loss_sum = accelerator.reduce(loss_sum, "mean")
            rows.add(step, loss_sum, norm, rate)
            at.step += 1
            at.watch.add(at.step, loss_sum, norm, rate, optimizer.optimizer)
            if at.went_back():
                rows.go_on(at.step, at.course.num_steps, len(at.decisions))
                routed.go_on(at.step, len(at.decisions))
                continue
            # a loss that is no number may yet be gone back from
            if at.is_last or (rows.due and not (at.recovers and not rows.is_finite)):
                loss_value = rows.flush(at.tell())
            if at.step in snapshot_steps and at.is_main:
                keep_snapshot(progress, at.step, trainable)
                at.kept |= snapshot_digest(progress, at.step)
            is_kept = at.is_due() or (
                time.monotonic() - saved > settings.checkpoint_seconds and not at.is_last
            )
            routed.add(at.step, is_kept or at.is_last)
            if is_kept:
                at.keep()
                saved = time.monotonic()
    routers.remove()
    model.eval()
    seconds = time.monotonic() - started
    speed = (at.course.num_steps - at.resumed_at) * settings.tokens_per_step / max(seconds, 1e-9)
    return TrainingOutcome(
        steps=at.course.num_steps,
        resumed_at=at.resumed_at,
        tokens=at.course.num_steps * settings.tokens_per_step,
        seconds=seconds,
        final_loss=loss_value,
        micro_batch_size=micro,
        peak_memory=peak_bytes(accelerator.device),
        tokens_per_second=speed,
        mfu=None if math.isnan(mfu_per_speed) else speed * mfu_per_speed,
        events=at.events(),
        skipped=sorted(set(range(num_batches)) - set(at.course.batches.tolist())),
    )


def _passes(batches: Any, step: int, process: int, settings: TrainingSettings, micro: int) -> list[range]:
    """Numbers of the sequences of each forward pass of a step in this process, and of the first one after it."""
    found = []
    for batch in batches[step : step + 2].tolist():
        begin = batch * settings.batch_size + process * settings.share
        found += [range(at, at + micro) for at in range(begin, begin + settings.share, micro)]
    return found[: settings.share // micro + 1]

"""Spikes announced, how many steps ahead, false alarms, and what the monitor costs, beside OLMo-core's rules.

Runs are small Llama models on a made text. Provoked: the learning rate climbs from 0 to far too high, v forgets slowly.
Quiet: the default rate, with the usual epsilon and with Llama 2's. Every rule sees the same runs.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import chi2

import models
from tasks.training.loop import make_optimizer, train
from tasks.training.settings import TrainingSettings
from tasks.training.stability.alarm import after_look, begin
from tasks.training.stability.looks import LOOKS
from tasks.training.stability.monitor import Adam, Monitor
from tasks.training.stability.settings import MonitorSettings, RecoverySettings, StabilitySettings
from tasks.training.stability.spikes import spiked_steps
from tasks.training.token_order import TokenOrder

VOCABULARY, LENGTH, BATCH, LAYERS = 256, 16, 16, 3
PROVOKED_SEEDS, QUIET_SEEDS = (0, 1, 20, 21), range(100, 110)  # the alarm's thresholds were chosen on others
PROVOKED_STEPS, QUIET_STEPS = 500, 1500
OLMO = (128, 6.0)  # window and sigmas of OLMo-core's rules
AHEAD = 128  # steps within which a warning counts for a spike
JUMP, HELD, PAST = 0.5, 8, 32  # a spike: the mean of 8 losses is half a nat above the median of the 32 before
EVERY = MonitorSettings().every


@dataclass(frozen=True)
class Trace:
    """loss and gradient norm of every step; looks: layer -> statistics, after every step."""

    name: str
    losses: np.ndarray
    norms: np.ndarray
    looks: list[dict[str, dict[str, float]]]


def measure() -> Iterator[str]:
    """The cost of a look, the runs, then a line a rule."""
    yield _cost()
    provoked = [
        _trained(name, seed, PROVOKED_STEPS, **recipe)
        for name, recipe in PROVOKED.items()
        for seed in PROVOKED_SEEDS
    ]
    quiet = [
        _trained(name, seed, QUIET_STEPS, **recipe) for name, recipe in QUIET.items() for seed in QUIET_SEEDS
    ]
    spikes = {id(run): spike_onsets(run.losses) for run in (*provoked, *quiet)}
    for run in (*provoked, *quiet):
        yield f"{run.name}: {_course(run)}; spikes at steps {[place + 1 for place in spikes[id(run)]]}"
    calm = [run for run in quiet if not spikes[id(run)]]
    total = sum(len(spikes[id(run)]) for run in provoked)
    steps = len(calm) * QUIET_STEPS
    yield f"{total} spikes in {len(provoked)} provoked runs; {steps:,} steps of {len(calm)} quiet runs without one"
    for rule, warn in RULES.items():
        found = [lead for run in provoked for lead in leads(warn(run), spikes[id(run)])]
        ahead = [lead for lead in found if lead is not None and lead > 0]
        earlier = sum(
            step < onsets[0] - AHEAD
            for run in provoked
            if (onsets := spikes[id(run)])
            for step in episodes(warn(run))
        )
        false = sum(len(episodes(warn(run))) for run in calm)
        told = f", median {statistics.median(ahead):.0f} steps [{min(ahead)}, {max(ahead)}]" if ahead else ""
        late = len(found) - found.count(None) - len(ahead)
        yield (
            f"{rule}: {len(ahead)} of {total} spikes announced ahead{told}; {late} more within {HELD} steps after; "
            f"{earlier} warnings more than {AHEAD} steps before a first spike; {false} false alarms in the quiet steps "
            f"(95%: at most 1 in {steps / poisson_bound(false):,.0f})"
        )


def poisson_bound(count: int) -> float:
    """The highest mean that gives so few with a probability of 5%."""
    return float(chi2.ppf(0.95, 2 * (count + 1)) / 2)


def _course(run: Trace) -> str:
    places = (199, len(run.looks) - 1)
    told = (
        f"step {p + 1}: loss {run.losses[p]:.2f}, std r {run.looks[p]['all']['std_r']:.3f}, sqrt(v) < 10 epsilon in "
        f"{run.looks[p]['all']['floor_share']:.1%}"
        for p in places
    )
    return "; ".join(told)


def spike_onsets(losses: Sequence[float]) -> list[int]:
    """Places where the loss stays JUMP above the median of the steps before; one until it is back."""
    values = np.nan_to_num(np.asarray(losses, float), nan=1e9, posinf=1e9)
    found: list[int] = []
    base = None
    for place in range(PAST, len(values) - HELD):
        level = values[place : place + HELD].mean()
        if base is not None:
            if level < base + JUMP / 2:
                base = None
            continue
        before = float(np.median(values[place - PAST : place]))
        if level > before + JUMP and values[place] > before + JUMP / 2:
            found.append(place)
            base = before
    return found


def episodes(warned: Sequence[int]) -> list[int]:
    """First of warnings that follow each other within AHEAD steps."""
    return [step for place, step in enumerate(warned) if place == 0 or step - warned[place - 1] > AHEAD]


def leads(warned: Sequence[int], onsets: Sequence[int]) -> list[int | None]:
    """Steps from the first warning within AHEAD of each onset; 0 or below: once it was there; None: never."""
    found: list[int | None] = []
    for onset in onsets:
        near = [step for step in warned if onset - AHEAD <= step <= onset + HELD]
        found.append(onset - min(near) if near else None)
    return found


def _alarms(run: Trace) -> list[int]:
    watched = begin(RecoverySettings())
    for place, looks in enumerate(run.looks):
        if (place + 1) % EVERY == 0:
            watched = after_look(watched, place + 1, looks, StabilitySettings().alarm)
    return [event["step"] - 1 for event in watched.events]


RULES = {
    "alarm on Adam's state": _alarms,
    "loss, 6 sigma over 128": lambda run: spiked_steps(list(run.losses), *OLMO),
    "gradient norm, 6 sigma over 128": lambda run: spiked_steps(list(run.norms), *OLMO),
}


def _trained(name: str, seed: int, steps: int, **recipe: float) -> Trace:
    stability = StabilitySettings(monitor=MonitorSettings(every=1), recovery=RecoverySettings(when="never"))
    settings = TrainingSettings(sequence_length=LENGTH, batch_size=BATCH, stability=stability, **recipe)
    config = models.seed_config(
        VOCABULARY, 32, LAYERS, 4, max_length=LENGTH, ffn_multiple=16, tie_embeddings=False
    )
    order = TokenOrder({"text": made_text(200_000)}, {"text": steps * BATCH}, {}, LENGTH, name, seed)
    with tempfile.TemporaryDirectory() as folder:
        try:
            model = models.new_seed_model(config, seed)
            train(model, order, settings, settings.learning_rate, seed, Path(folder), lambda row: None)
        except FloatingPointError:
            pass  # a loss that is no number is a spike too: what was looked at until then is on the disk
        rows = [json.loads(line) for line in (Path(folder) / LOOKS).read_text().splitlines()]
    return Trace(
        f"{name}, seed {seed}",
        np.array([row["loss"] for row in rows]),
        np.array([row["gradient_norm"] for row in rows]),
        [_layers(row) for row in rows],
    )


def _layers(row: Mapping) -> dict[str, dict[str, float]]:
    return {
        layer: {name: row[name][place] for name in ("std_r", "tail_r", "floor_share")}
        for place, layer in enumerate(row["layers"])
    }


def made_text(length: int) -> np.ndarray:
    """A Markov chain: four likely followers of each token, and one in twelve tokens from a Zipf law."""
    drawn = np.random.default_rng(0)
    followers = np.stack([drawn.permutation(VOCABULARY)[:4] for _ in range(VOCABULARY)])
    zipf = 1 / np.arange(1, VOCABULARY + 1)
    noise = drawn.choice(VOCABULARY, length, p=zipf / zipf.sum())
    which, is_noise = drawn.integers(0, 4, length), drawn.random(length) < 1 / 12
    text = np.empty(length, np.uint16)
    token = 0
    for place in range(length):
        token = noise[place] if is_noise[place] else followers[token, which[place]]
        text[place] = token
    return text


def _cost() -> str:
    """Seconds of a look, read on the host, beside those of a step, on the model of the recipe pocket."""
    settings = TrainingSettings(sequence_length=128, batch_size=16)
    config = models.seed_config(2048, 128, 4, 4, max_length=128, ffn_multiple=32, tie_embeddings=True)
    model = models.new_seed_model(config, 0).train()
    optimizer = make_optimizer(model, settings)
    monitor = Monitor(dict(model.named_parameters()), MonitorSettings().coordinates)
    adam = Adam(settings.beta1, settings.beta2, settings.epsilon)
    ids = torch.randint(0, 2048, (16, 128), generator=torch.Generator().manual_seed(0))
    shares = []
    for turn in range(12):
        began = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = 1e-3
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad()
        stepped = time.perf_counter()
        monitor.read(monitor.measure(optimizer, adam, turn + 1).tolist(), adam, turn + 1, 1e-3)
        looked = time.perf_counter()
        if turn >= 2:
            shares.append((looked - stepped) / EVERY / (stepped - began))
    return (
        f"a look at Adam's state, every {EVERY} steps, of a step's time: median {statistics.median(shares):.2%}, range "
        f"{min(shares):.2%} to {max(shares):.2%} over {len(shares)} steps (claim: at most 1%)"
    )


CLIMBING = {"learning_rate": 0.5, "warmup_share": 0.99, "weight_decay": 0.0}
PROVOKED: dict[str, dict[str, float]] = {
    "climbing rate, beta2 .999": CLIMBING | {"beta2": 0.999},
    "climbing rate, beta2 .99": CLIMBING | {"beta2": 0.99},
}
QUIET: dict[str, dict[str, float]] = {"quiet, epsilon 1e-8": {}, "quiet, epsilon 1e-5": {"epsilon": 1e-5}}

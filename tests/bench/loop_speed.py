"""Tokens/s of the training loop beside a bare PyTorch loop on the same model and data."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import models
from tasks.training.loop import learning_rate_at, make_optimizer, train
from tasks.training.settings import TrainingSettings
from tasks.training.token_order import TokenOrder

VOCABULARY = 2048
STEPS = 30
ROUNDS = 7


def measure() -> list[str]:
    """Both loops take turns; the ratio of each turn, its median and range."""
    settings = TrainingSettings(sequence_length=128, batch_size=16)
    config = models.seed_config(VOCABULARY, 128, 4, 4, max_length=128, ffn_multiple=32, tie_embeddings=True)
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, 500_000).astype(np.uint16)
    order = TokenOrder({"x": tokens}, {"x": STEPS * settings.batch_size}, {}, 128, "bench", 0)
    ours, bare = models.new_seed_model(config, 0), models.new_seed_model(config, 0)
    ratios = []
    for turn in range(ROUNDS + 1):
        seconds = {}
        for name in ("ours", "bare") if turn % 2 else ("bare", "ours"):
            began = time.perf_counter()
            _run_ours(ours, order, settings) if name == "ours" else _run_bare(bare, order, settings)
            seconds[name] = time.perf_counter() - began
        if turn:  # the first turn warms up
            ratios.append(seconds["bare"] / seconds["ours"])
    median = statistics.median(ratios)
    return [
        f"training loop / bare PyTorch loop, tokens/s: median {median:.3f}, range {min(ratios):.3f} to "
        f"{max(ratios):.3f} over {ROUNDS} turns of {STEPS} steps (claim: at least 0.95)"
    ]


def _run_ours(model, order: TokenOrder, settings: TrainingSettings) -> None:
    with tempfile.TemporaryDirectory() as folder:
        train(model, order, settings, 1e-3, 0, Path(folder), lambda row: None)


def _run_bare(model, order: TokenOrder, settings: TrainingSettings) -> None:
    model.train()
    optimizer = make_optimizer(model, settings)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, STEPS, 1e-3, settings)
        ids = torch.from_numpy(
            order.batch(range(step * settings.batch_size, (step + 1) * settings.batch_size))
        )
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad()

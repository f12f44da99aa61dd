"""Tokens/s of the training loop as recipes call it, beside a bare PyTorch loop and transformers' Trainer.

All three train the same model on the same sequences in the same batches, with AdamW, clipping and a cosine, and take
turns; a ratio is of one turn, by the clock and, which other work on the machine disturbs less, by the CPU time of the
process. The Trainer neither logs nor saves; ours keeps its log, looks at Adam's state and writes
checkpoints as by default. Beside them ours with
document masks and, with MIXSTITCH_COMPILE=1, ours with `compile`.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import models
from tasks.sources.tokenization import open_tokens
from tasks.training.document_order import read_as_set
from tasks.training.loop import learning_rate_at, make_optimizer, train
from tasks.training.settings import TrainingSettings
from tasks.training.token_order import TokenOrder

ROUNDS = 7
RATE = 1e-3
DOCUMENT = 200  # tokens, about
END = 0


@dataclass(frozen=True)
class Size:
    """Of a model and of what it reads."""

    vocabulary: int
    width: int
    layers: int
    length: int
    batch: int
    steps: int

    def model(self) -> Any:
        config = models.seed_config(
            self.vocabulary,
            self.width,
            self.layers,
            4,
            max_length=self.length,
            ffn_multiple=32,
            tie_embeddings=True,
        )
        return models.new_seed_model(config, 0)


SIZES = (Size(2048, 128, 4, 128, 16, 10), Size(8192, 256, 4, 256, 4, 4))


def measure() -> Iterator[str]:
    """A paragraph a size: the ratio of ours to each of the others, its median and range."""
    for size in SIZES:
        yield from _measure(size)


def _measure(size: Size) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingSettings(sequence_length=size.length, batch_size=size.batch)
        order = _order(size, Path(folder))
        loops: dict[str, Callable[[], None]] = {
            "ours": _ours(size, order, settings, Path(folder)),
            "bare": _bare(size, order, settings),
            "trainer": _trainer(size, order, settings, Path(folder)),
            "masked": _ours(size, order, settings.model_copy(update={"document_masks": True}), Path(folder)),
        }
        if os.environ.get("MIXSTITCH_COMPILE"):
            loops["compiled"] = _ours(
                size, order, settings.model_copy(update={"compile": True}), Path(folder)
            )
        seconds = _in_turns(loops)
    tokens = size.steps * size.batch * size.length
    parameters = models.count_parameters(size.model())[0]
    speeds = {name: tokens / statistics.median(one.clock for one in each) for name, each in seconds.items()}
    lines = [
        f"{parameters / 1e6:.1f}M weights, vocabulary {size.vocabulary:,}, batch {size.batch} x {size.length}, "
        f"{size.steps} steps a turn, {ROUNDS} turns, {torch.get_num_threads()} threads; tokens/s: "
        + ", ".join(f"{name} {speed:,.0f}" for name, speed in speeds.items())
    ]
    pairs = [
        ("ours", "bare", " (aim: at least 0.98)"),
        ("ours", "trainer", " (aim: 1.15)"),
        ("masked", "ours", ""),
    ]
    if "compiled" in seconds:
        pairs += [("compiled", "ours", ""), ("compiled", "trainer", "")]
    for first, second, aim in pairs:
        told = []
        for what in Seconds._fields:
            ratios = [
                getattr(b, what) / getattr(a, what)
                for a, b in zip(seconds[first], seconds[second], strict=True)
            ]
            told.append(
                f"by {what} median {statistics.median(ratios):.3f}, range {min(ratios):.3f} to {max(ratios):.3f}"
            )
        lines.append(f"  {first} / {second}, tokens/s: {'; '.join(told)}{aim}")
    return lines


class Seconds(NamedTuple):
    """What a turn took."""

    clock: float
    cpu: float


def _in_turns(loops: dict[str, Callable[[], None]]) -> dict[str, list[Seconds]]:
    """What each loop took in each turn, begun by another one every time; the first turn warms up."""
    seconds: dict[str, list[Seconds]] = {name: [] for name in loops}
    names = list(loops)
    for turn in range(ROUNDS + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            clock, cpu = time.perf_counter(), time.process_time()
            loops[name]()
            if turn:
                seconds[name].append(Seconds(time.perf_counter() - clock, time.process_time() - cpu))
    return seconds


def _order(size: Size, folder: Path) -> TokenOrder:
    """Tokens at random in documents, in a file as the corpus has them."""
    generator = np.random.default_rng(0)
    tokens = generator.integers(1, size.vocabulary, 500_000)
    tokens[generator.random(len(tokens)) < 1 / DOCUMENT] = END
    tokens.astype("<u2").tofile(folder / "x.bin")
    text = {"x": open_tokens(folder / "x.bin", "<u2")}
    return TokenOrder(text, {"x": size.steps * size.batch}, {}, size.length, "bench", 0)


def _ours(size: Size, order: TokenOrder, settings: TrainingSettings, folder: Path) -> Callable[[], None]:
    model = size.model()

    def run() -> None:
        sequences, objective = read_as_set(order, settings, END, model)
        with tempfile.TemporaryDirectory(dir=folder) as progress:
            train(model, sequences, settings, RATE, 0, Path(progress), lambda row: None, objective=objective)

    return run


def _bare(size: Size, order: TokenOrder, settings: TrainingSettings) -> Callable[[], None]:
    model = size.model()

    def run() -> None:
        model.train()
        optimizer = make_optimizer(model, settings)
        for step in range(size.steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(step, size.steps, RATE, settings)
            ids = torch.from_numpy(order.batch(range(step * size.batch, (step + 1) * size.batch)))
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
            optimizer.zero_grad()

    return run


class Rows(torch.utils.data.Dataset):
    """The sequences as the Trainer takes them."""

    def __init__(self, order: TokenOrder) -> None:
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        ids = torch.from_numpy(self._order.sequence(number))
        return {"input_ids": ids, "labels": ids}


def _trainer(size: Size, order: TokenOrder, settings: TrainingSettings, folder: Path) -> Callable[[], None]:
    from transformers import PrinterCallback, Trainer, TrainingArguments
    from transformers.utils import logging

    logging.set_verbosity_error()
    model = size.model()
    model.config.use_cache = False
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        per_device_train_batch_size=size.batch,
        max_steps=size.steps,
        learning_rate=RATE,
        lr_scheduler_type="cosine",
        weight_decay=settings.weight_decay,
        adam_beta1=settings.beta1,
        adam_beta2=settings.beta2,
        max_grad_norm=settings.clip,
        optim="adamw_torch_fused",
        use_cpu=not torch.cuda.is_available(),
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )

    def run() -> None:
        trainer = Trainer(model=model, args=arguments, train_dataset=Rows(order))
        trainer.remove_callback(PrinterCallback)
        trainer.train()

    return run

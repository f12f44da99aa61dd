"""Given models on given benchmarks and texts, each model's results whole in a folder of its own or not there at all."""

from __future__ import annotations

import functools
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.benchmarks.given_benchmarks import GivenBenchmarks
from tasks.evaluation.model_reading import Reading
from tasks.evaluation.named_models import GivenModel
from tasks.evaluation.stopping import Enough
from tasks.side_by_side import own_cores

if TYPE_CHECKING:
    from tasks.benchmarks.code_tasks import CodeRunning
    from tasks.evaluation.scores import Scores


@dataclass(frozen=True)
class Scored:
    """What models are scored on, and how. max_length: tokens that a model is shown at most; None: its own.

    enough: when enough items of a benchmark were asked; None: all are. running: of code that models write; None: none
    is run.
    """

    benchmarks: GivenBenchmarks
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    max_items: int | None = None
    reading: Reading = field(default_factory=Reading)
    max_length: int | None = None
    enough: Enough | None = None
    running: CodeRunning | None = None


def check_empty(out: Path) -> None:
    """Raises ValueError for a folder that holds something, or that cannot be made or written; makes nothing."""
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(f"--out {out}: holds something already; allowed: a new folder, or an empty one")
    there = next(place for place in (out.absolute(), *out.absolute().parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"--out {out}: {there} is no folder that can be written; name another")


def evaluate_models(
    models: Sequence[GivenModel], on: Scored, out: Path, report: Callable[[str], None]
) -> dict[str, Scores]:
    """Model -> its scores, also written into <out>/<model>/: as Parquet and in lm-evaluation-harness' layout.

    Raises ValueError for a model that cannot be loaded or does not fit its tokenizer; those before it stay written.
    """
    found: dict[str, Scores] = {}
    together = on.enough is not None and on.enough.half_width is None
    if on.enough is not None and together:
        on = replace(on, enough=replace(on.enough, others=len(models) - 1))
    for group in [models] if together else [[model] for model in models]:
        began = time.monotonic()
        scores = _evaluated(group, on, report)
        for model in group:
            _write(model, on, scores[model.name], out)
        found |= scores
        report(f"{', '.join(scores)}: scored in {time.monotonic() - began:,.0f} s")
    return found


def _say(report: Callable[[str], None], name: str, line: str) -> None:
    report(f"{name}: {line}")


def _evaluated(group: Sequence[GivenModel], on: Scored, report: Callable[[str], None]) -> dict[str, Scores]:
    """All models of the group are loaded at the same time."""
    from accelerate import PartialState

    import models
    from tasks.evaluation.evaluating import ChosenItems, ModelToScore, evaluate_together
    from tasks.sources.tokenization import load_tokenizer

    with own_cores():
        return evaluate_together(
            [
                ModelToScore(
                    given.name,
                    models.load_causal_lm(given.place).to(PartialState().device),
                    load_tokenizer(given.tokenizer),
                    replace(on.reading, say=functools.partial(_say, report, given.name)),
                )
                for given in group
            ],
            on.benchmarks.tasks,
            heldout=on.texts,
            max_length=on.max_length,
            chosen=ChosenItems(max_items=on.max_items, enough=on.enough),
            running=on.running,
        )


def _write(given: GivenModel, on: Scored, scores: Scores, out: Path) -> None:
    from tasks.evaluation.harness_results import write_harness_results

    config = {
        "model": "hf",
        "model_args": {"pretrained": given.place, "tokenizer": given.tokenizer},
        "batch_size": f"{on.reading.batch_tokens} tokens",
        "max_length": on.max_length,
        "limit": on.max_items,
    }
    unfinished = out / ".unfinished"
    try:
        write_harness_results(unfinished, given.name, scores, config)
        scores.save(unfinished / given.name)
        (unfinished / given.name).rename(out / given.name)
    except OSError as error:
        raise ValueError(f"--out {out}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)

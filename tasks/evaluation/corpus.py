"""Evaluation of a saved model on a prepared corpus: its benchmarks' test items and its held-out text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tasks.benchmarks.items import Benchmark, read_items
from tasks.evaluation.model_reading import Reading
from tasks.evaluation.settings import EvaluationSettings
from tasks.side_by_side import own_cores

if TYPE_CHECKING:
    from tasks.evaluation.scores import Scores
    from tasks.evaluation.stopping import Enough


def evaluate_on_corpus(
    model_folder: Path,
    name: str,
    corpus: Path,
    facts: dict[str, Any],
    settings: EvaluationSettings,
    side: Literal["dev", "test"] = "test",
    also: Sequence[tuple[Path, dict[str, Any]]] = (),
    samples: int = 0,
    reading: Reading = Reading(),
    enough: Enough | None = None,
) -> tuple[Scores, list[dict[str, str]]]:
    """Scores of the model in `model_folder` on the corpus that lies in `corpus` and has the given facts, and samples.

    side: which items of the tasks; held-out text is scored on the test side alone, and only there code is run. also:
    further folders, with their facts, that hold tasks and held-out texts as a corpus does. samples: as
    `samples_of_text` counts them. enough: when enough items were asked; None: all are.
    """
    from accelerate import PartialState

    import models
    from tasks.evaluation.continuing import samples_of_text
    from tasks.evaluation.evaluating import ChosenItems, evaluate
    from tasks.evaluation.running_code import running_of
    from tasks.sources.tokenization import load_tokenizer

    benchmarks: list[Any] = []
    heldout: dict[str, list[str]] = {}
    for folder, told in ((corpus, facts), *also):
        benchmarks += [
            Benchmark(
                task,
                about["kind"],
                about["source"],
                about["metric"],
                read_items(folder / "tasks" / f"{task}.{side}.jsonl"),
            )
            for task, about in told["tasks"].items()
            if about["kind"] != "harness"
        ]
        heldout |= heldout_texts(folder, told, settings.bits_per_byte_bytes) if side == "test" else {}
    running = running_of(settings) if side == "test" else None
    folders = [] if settings.task_folder is None else [settings.task_folder]
    with own_cores():
        model = models.load_causal_lm(model_folder).to(PartialState().device)
        tokenizer = load_tokenizer(corpus / "tokenizer")
        scores = evaluate(
            model,
            tokenizer,
            [*benchmarks, *settings.lm_eval_tasks, *folders],
            name=name,
            heldout=heldout,
            reading=reading,
            max_length=settings.max_length,
            chosen=ChosenItems(settings.dev_share, settings.max_items, side, enough),
            running=running,
        )
        return scores, samples_of_text(model, tokenizer, corpus, facts, samples)


def heldout_texts(corpus: Path, facts: dict[str, Any], max_bytes: int) -> dict[str, list[str]]:
    """Held-out documents by source, as many as fit into `max_bytes`, one at least; none where a source has none."""
    texts = {}
    for source in facts["sources"]:
        kept: list[str] = []
        size = 0
        for row in read_items(corpus / "heldout" / f"{source}.jsonl"):
            size += len(row["text"].encode())
            if kept and size > max_bytes:
                break
            kept.append(row["text"])
        if kept:
            texts[source] = kept
    return texts

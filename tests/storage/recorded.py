"""A run with one stage that holds facts of every kind."""

from __future__ import annotations

from typing import Any

from storage.runs import Run
from storage.stages import Stage

SCORE = {"model": "seed", "task": "quiz", "metric": "acc", "value": 0.5, "stderr": 0.1, "n": 20}
FACTS: dict[str, Any] = {
    "metrics": {"tokens": 1000},
    "scores": [SCORE],
    "mixture": {"name": "seed", "sources": {"a": {"weight": 0.6, "tokens": 60, "epochs": 0.1}}},
    "utility": [{"source": "a", "task": "quiz", "value": 0.7, "stderr": 0.02}],
    "specialisation": [
        {"check": "own task", "subject": "math", "value": 0.1, "bound": 0.0, "holds": True},
        {"check": "weights differ", "subject": "docs", "value": None, "bound": 0.2, "holds": False},
    ],
    "training_events": [
        {
            "step": 30,
            "attempt": 0,
            "event": "rewind",
            "said": "step 30: back to step 20",
            "target": 20,
            "skipped": [20, 21],
        },
        {
            "step": 40,
            "attempt": 1,
            "event": "alarm",
            "said": "step 40: a spike may come",
            "target": None,
            "skipped": [],
        },
    ],
    "forecast": [
        {
            "model": "seed",
            "target": "chat",
            "rating": 3.5,
            "low": 3.0,
            "high": 4.0,
            "extrapolates": True,
            "missing": [],
        },
        {
            "model": "soup",
            "target": None,
            "rating": None,
            "low": None,
            "high": None,
            "extrapolates": False,
            "missing": ["mmlu", "arc"],
        },
    ],
}


def make_run(home, facts=FACTS, settings=None, status="completed") -> Run:
    run = Run(home, "trial", {"random_seed": 0, **(settings or {})})

    def build(folder):
        (folder / "x").write_text(str(settings))
        return dict(facts)

    run.stage(Stage("evaluation", 1, settings or {}, {}, build, "seed"))
    run.finish(status)
    return run

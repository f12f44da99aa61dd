"""The duel of mixtures at real training: on a folder of texts and one of benchmarks, or on pocket's sources.

MIXSTITCH_DATA names a folder with `corpora` and `benchmarks`; runs in the home of the environment, where what is
done already is found again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

TOKENS = 300_000


def measure() -> Iterator[str]:
    from flows.experiment import run_experiment
    from flows.recipes import load_recipe
    from tasks.duels.mixtures.settings import MEASURES
    from tasks.report.formatting import with_interval

    folder = os.environ.get("MIXSTITCH_DATA")
    own = [f"sources.folder={folder}/corpora", f"evaluation.folder={folder}/benchmarks"] if folder else []
    summary = run_experiment(load_recipe("mixture-duel", [f"budget.tokens={TOKENS}", *own])).summary
    largest = max(row["tokens"] for row in summary.duel)
    for row in summary.duel:
        if row["tokens"] == largest:
            yield f"{row['regime']}, {row['contender']}: {MEASURES[row['measure']]} {with_interval(row)}"
    yield f"report {summary.report}"

"""The duel of ways to combine experts, on a folder of texts.

MIXSTITCH_DATA names a folder with `corpora`; runs in the home of the environment, where what is done already is
found again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator


def measure() -> Iterator[str]:
    from flows.experiment import run_experiment
    from flows.recipes import load_recipe
    from tasks.report.formatting import with_interval

    folder = os.environ.get("MIXSTITCH_DATA")
    if folder is None:
        raise ValueError("MIXSTITCH_DATA: not set; it must name a folder with corpora/")
    summary = run_experiment(load_recipe("stitch-duel", [f"sources.folder={folder}/corpora"])).summary
    for row in summary.stitch_duel:
        yield f"{row['model']}, {row['measure']}: {with_interval(row)}"
    yield f"report {summary.report}"

"""A small sweep of how stitches and other combinations are trained, on a seed model that the duel does not use.

MIXSTITCH_DATA names a folder with `corpora`; runs in the home of the environment, where what is done already is
found again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

SEED = 100
STITCHES = {
    "rate-1e-3": {"learning_rate": 1e-3},
    "rate-3e-3": {"learning_rate": 3e-3},
    "rate-1e-2": {"learning_rate": 1e-2},
    "no-dropout": {"learning_rate": 3e-3, "gate_dropout": 0.0, "weight_decay": 0.0},
    "gates-x4": {"learning_rate": 3e-3, "gate_rate_scale": 4.0},
}
OTHERS = {
    "routing": (3e-3, 1e-2, 3e-2),
    "btx-soft": (5e-4, 1e-3, 2e-3),
    "bam-adapters": (1e-3, 2e-3, 4e-3),
    "dense": (1e-3, 2e-3, 4e-3),
}


def measure() -> Iterator[str]:
    from flows.experiment import run_experiment
    from flows.recipes import load_recipe
    from tasks.duels.stitches.settings import AVERAGE

    variants: list[dict] = [
        {"name": name, "method": "stitched", "stitch": {"num_stitches": 4, **changes}}
        for name, changes in STITCHES.items()
    ]
    variants += [
        {"name": f"{method}-{rate:g}", "method": method, "learning_rate": rate}
        for method, rates in OTHERS.items()
        for rate in rates
    ]
    folder = os.environ.get("MIXSTITCH_DATA")
    if folder is None:
        raise ValueError("MIXSTITCH_DATA: not set; it must name a folder with corpora/")
    changes = [
        f"sources.folder={folder}/corpora",
        f"random_seed={SEED}",
        "stitch_duel.seeds=1",
        "stitch_duel.costs=false",
    ]
    summary = run_experiment(
        load_recipe(
            "stitch-duel",
            [*changes, "stitch_duel.changes_of=null", f"stitch_duel.variants={json.dumps(variants)}"],
        )
    ).summary
    averages = {row["model"]: row["mean"] for row in summary.stitch_duel if row["measure"] == AVERAGE}
    for model, value in sorted(averages.items(), key=lambda pair: pair[1]):
        yield f"{model}: {value:.4f} bits per byte, average over domains"

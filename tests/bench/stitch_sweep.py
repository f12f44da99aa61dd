"""A sweep of how stitches, other combinations and experts are trained, on a seed model that the duel does not use.

Each axis changes one setting and says whether its best value lies inside its grid. MIXSTITCH_DATA names a folder with
`corpora`; runs in the home of the environment, where what is done already is found again. MIXSTITCH_SWEEP: names of
the axes to go over, comma-separated, instead of all; MIXSTITCH_SWEEP_DIAL: overrides of the recipe, separated by
spaces, such as budget.tokens=1000000.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

SEED = 100
STITCH = {"num_stitches": 4, "learning_rate": 1e-3}  # what the axes of stitches change one setting of
STITCHES: dict[str, tuple[float, ...]] = {
    "learning_rate": (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3),
    "gate_dropout": (0.0, 0.1, 0.3),
    "weight_decay": (0.0, 0.1, 1.0, 3.0),
    "gate_rate_scale": (0.25, 1.0, 4.0),
    "warmup_share": (0.0, 0.05, 2 / 7, 0.5),
    "final_share": (0.0, 0.01, 0.1, 0.5),
}
TOWARDS = ("identity", "zero")
TOWARDS_DECAY = 1.0  # at which the two can be told apart in a short run
RATES: dict[str, tuple[float, ...]] = {
    "routing": (1e-2, 3e-2, 1e-1, 3e-1),
    "token-routing": (1e-2, 3e-2, 1e-1, 3e-1),
    "btx-soft": (5e-4, 1e-3, 2e-3, 4e-3),
    "bam": (5e-4, 1e-3, 2e-3, 4e-3),
    "bam-adapters": (1e-3, 2e-3, 4e-3, 8e-3),
    "dense": (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2),
}
MERGES = ("ties", "dare-linear", "dare-ties")
DENSITIES = (0.1, 0.2, 0.5, 0.8, 1.0)
WEIGHTS = (
    1 / 24,
    1 / 12,
    1 / 6,
    1 / 3,
    1 / 2,
    2 / 3,
    1.0,
    4 / 3,
)  # 1/3 is 1/n of three experts, a lambda of 1 of TIES
# The first is 1.25% of the seed's peak, as the paper's; the second the seed's final rate.
EXPERT_RATES = (3.75e-5, 3e-4, 1e-3, 2e-3, 4e-3, 8e-3)
EXPERTS = "expert_learning_rate"
EXPERT_VARIANTS: tuple[dict[str, Any], ...] = (
    {"name": "soup", "method": "soup"},
    {"name": "btm", "method": "btm"},
    {"name": "bts", "method": "stitched", "stitch": STITCH},
)


def measure() -> Iterator[str]:
    axes = {**_axes(), EXPERTS: {}}
    wanted = [name for name in os.environ.get("MIXSTITCH_SWEEP", "").split(",") if name] or [*axes]
    unknown = sorted(set(wanted) - set(axes))
    if unknown:
        raise ValueError(f"MIXSTITCH_SWEEP: no axis {', '.join(unknown)}; allowed: {', '.join(axes)}")
    chosen = {name: axes[name] for name in wanted if name != EXPERTS}
    variants = {variant["name"]: variant for axis in chosen.values() for variant in axis.values()}
    bits = _averages([*variants.values()]) if variants else {}
    for name, axis in chosen.items():
        yield told(name, {value: bits[variant["name"]] for value, variant in axis.items()})
    if EXPERTS in wanted:
        yield from _over_expert_rates()


def told(axis: str, bits: Mapping[Any, float]) -> str:
    """The axis' values in order with bits per byte of each, the best one, and where in the grid it lies."""
    values = [*bits]
    best = min(values, key=lambda value: bits[value])
    row = ", ".join(f"{_shown(value)} {bits[value]:.4f}" for value in values)
    if isinstance(best, str):
        return f"{axis}: {row}; best {best}"
    at_edge = best in (values[0], values[-1])
    return f"{axis}: {row}; best {_shown(best)}, {'at the edge of' if at_edge else 'inside'} the grid"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def _axes() -> dict[str, dict[Any, dict]]:
    """Axis -> its values in order, each with the variant that has it. The same variant has the same name in all."""
    axes: dict[str, dict[Any, dict]] = {
        name: {value: _stitched({name: value}) for value in values} for name, values in STITCHES.items()
    }
    axes["decay_towards"] = {
        towards: _stitched({"weight_decay": TOWARDS_DECAY, "decay_towards": towards}) for towards in TOWARDS
    }
    for method, rates in RATES.items():
        axes[method] = {rate: _named(method, learning_rate=rate) for rate in rates}
    for method in MERGES:
        axes[f"{method}_density"] = {each: _named(method, options={"density": each}) for each in DENSITIES}
        axes[f"{method}_weight"] = {each: _named(method, options={"weight": each}) for each in WEIGHTS}
    return axes


def _stitched(changes: dict[str, Any]) -> dict:
    from tasks.stitching.settings import StitchSettings

    return _named("stitched", stitch=StitchSettings(**STITCH | changes).model_dump(mode="json"))


def _named(method: str, **own: Any) -> dict:
    from storage.fingerprint import digest_value

    return {"name": f"{method}-{digest_value(own)[:10]}", "method": method, **own}


def _over_expert_rates() -> Iterator[str]:
    """The experts' own rate: what they gain on their own domains, and what is best of their combinations."""
    bits: dict[str, dict[float, float]] = {variant["name"]: {} for variant in EXPERT_VARIANTS}
    for rate in EXPERT_RATES:
        found = _averages([*EXPERT_VARIANTS], f"training.{EXPERTS}={rate}")
        for name, row in bits.items():
            row[rate] = found[name]
    for name, row in bits.items():
        yield told(f"{EXPERTS}, {name}", row)


def _averages(variants: list[dict], *changes: str) -> dict[str, float]:
    """Bits per byte, average over domains, of every model by name."""
    from flows.experiment import run_experiment
    from flows.recipes import load_recipe
    from tasks.duels.stitches.settings import AVERAGE

    folder = os.environ.get("MIXSTITCH_DATA")
    if folder is None:
        raise ValueError("MIXSTITCH_DATA: not set; it must name a folder with corpora/")
    recipe = load_recipe(
        "stitch-duel",
        [
            f"sources.folder={folder}/corpora",
            f"random_seed={SEED}",
            "stitch_duel.seeds=1",
            "stitch_duel.costs=false",
            "stitch_duel.changes_of=null",
            f"stitch_duel.variants={json.dumps(variants)}",
            "stitch_duel.switching_documents=1",
            "stitch_duel.cross_items=20",
            *os.environ.get("MIXSTITCH_SWEEP_DIAL", "").split(),
            *changes,
        ],
    )
    summary = run_experiment(recipe).summary
    return {row["model"]: row["mean"] for row in summary.stitch_duel if row["measure"] == AVERAGE}

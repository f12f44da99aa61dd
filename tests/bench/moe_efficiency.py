"""A mixture of experts against its dense twin at equal FLOPs: the recipe moe-efficiency, as lines of a table.

Runs in the home of the environment, where what is done already is found again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path


def measure() -> Iterator[str]:
    """Costs and sizes, speed-ups by measure and level, means at every rung, routing at the largest."""
    from flows.experiment import run_experiment
    from flows.recipes import load_recipe
    from tasks.duels.efficiency.efficiency_page import band
    from tasks.report.formatting import compact, fixed, significant
    from tasks.report.routing_tables import layer_rows, source_rows

    summary = run_experiment(load_recipe("moe-efficiency")).summary
    assert summary.report is not None
    found = json.loads((Path(summary.report).parent / "efficiency.json").read_text(encoding="utf-8"))
    for family, sizes in found["sizes"].items():
        yield (
            f"{family}: {sizes['parameters']:,} parameters, {sizes['active_parameters']:,} active, "
            f"{significant(found['costs'][family])} training FLOPs a token"
        )
    yield from summary.answer
    for row in summary.efficiency:
        told = row["why"] if row["speedup"] is None else f"at {row['level']:.3f}: {band(row)}"
        yield f"s(t), {row['kind']}, {row['measure']} {row['metric']}: {told}"
    for row in found["means"]:
        if row["metric"] == "bits_per_byte":
            trained = f"{significant(row['flops'])} FLOPs ({compact(row['tokens'])} tokens)"
            score = f"{fixed(row['mean'])}, sd {fixed(row['spread'])} over {row['seeds']}"
            yield f"{row['kind']}, {row['measure']}, {row['family']} at {trained}: {score}"
    name, told = list(found["routing"].items())[-1]
    for row in (*layer_rows({"routing": told}), *source_rows({"routing": told})):
        yield f"{name}: {', '.join(f'{key} {value}' for key, value in row.items())}"
    yield f"report {summary.report}"

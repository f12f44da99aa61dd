"""Laws on the shared tables of runs: Spearman with intervals, regret and seconds, and what a swarm of runs is worth."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from tasks.mixture.laws import LAWS_BY_NAME as LAWS
from tasks.mixture.laws.fitted_law import fit_law
from tasks.mixture.laws.law_fit import losses_of
from tasks.mixture.laws.law_scores import scored
from tasks.mixture.laws.run_table import RunTable, read_runs
from tasks.mixture.laws.sample_efficiency import efficiency

ROOT = Path(__file__).resolve().parents[2]
SCALES = ("310000000", "680000000", "937000000", "1235000000", "2718000000")
FITTED_AT = "122000000"
WITHOUT_UTILITY = tuple(law for law in LAWS if law != "fusion")


def measure() -> list[str]:
    """All tables; where the data are not there, what is missing."""
    folder = Path(os.environ.get("MIXSTITCH_DATA", ROOT.parent / "shared" / "data")) / "mixtures"
    train, test, ladder = (
        folder / name
        for name in ("regmix_1m_train.csv", "regmix_1m_test.csv", "slimpajama_mixture_losses.csv.gz")
    )
    lines: list[str] = []
    if train.is_file() and test.is_file():
        runs, others = read_runs(train), read_runs(test)
        lines += [f"fitted to {train.name}, {len(runs.weights)} runs; held against {test.name}:"]
        lines += _fitted(runs, {"test": others})
        lines += ["", *_efficient(runs, others)]
    else:
        lines.append(f"{train} or {test.name} is not there: laws not measured on them")
    lines.append("")
    if ladder.is_file():
        runs = read_runs(ladder, where=[f"model_size={FITTED_AT}"], last="n_tokens")
        larger = {
            f"{float(size) / 1e6:,.0f}M": read_runs(ladder, where=[f"model_size={size}"], last="n_tokens")
            for size in SCALES
        }
        lines += [
            f"fitted to {ladder.name} at {float(FITTED_AT) / 1e6:,.0f}M, last checkpoint of {len(runs.weights)} runs; "
            "held against larger models:"
        ]
        lines += _fitted(runs, larger)
    else:
        lines.append(f"{ladder} is not there: laws not measured across scales")
    return lines


def _fitted(runs: RunTable, tables: dict[str, RunTable]) -> Iterator[str]:
    for law in WITHOUT_UTILITY:
        began = time.perf_counter()
        fitted = fit_law(runs.weights, losses_of(runs), law)
        seconds = time.perf_counter() - began
        yield f"  {law}: fitted in {seconds:.1f} s"
        for name, table in tables.items():
            result = scored(fitted.predict(table.weights), losses_of(table))
            low, high = result["spearman_mean_interval"]
            each = ", ".join(f"{loss} {value:.3f}" for loss, value in result["spearman"].items())
            yield (
                f"    {name} ({result['runs']} mixtures): mean {result['spearman_mean']:.4f} [{low:.3f}, {high:.3f}], "
                f"regret top-1 {result['regret']['top_1']:.4f}, top-5 {result['regret']['top_5']:.4f}; {each}"
            )


def _efficient(runs: RunTable, others: RunTable) -> Iterator[str]:
    told = efficiency(runs, others, seeds=2)
    yield f"Spearman of the mean against proxy runs ({told['words']}):"
    for method in dict.fromkeys(point["method"] for point in told["points"]):
        own = [point for point in told["points"] if point["method"] == method]
        yield f"  {method}: " + ", ".join(
            f"{p['runs']}: {p['mean']:.3f} [{p['low']:.2f}, {p['high']:.2f}]" for p in own
        )

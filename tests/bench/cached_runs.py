"""What two hundred runs of one recipe do to a home, all but the first found in the store: seconds a run, sizes."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

RUNS = 200
RECIPE = Path(__file__).resolve().parents[1] / "tiny.yaml"
SHOWN = (2, 11, 51, 101, 151, RUNS + 1)
WINDOW = 10


def measure() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MIXSTITCH_HOME"] = str(Path(folder) / "home")
        from flows.experiment import run_experiment
        from flows.recipes import load_recipe
        from storage.home import Home

        home, took = Home.from_environment(), []
        for number in range(1, RUNS + 2):
            began = time.perf_counter()
            stages = run_experiment(load_recipe(RECIPE)).summary.stages
            took.append(time.perf_counter() - began)
            assert number == 1 or all(stage["cache_hit"] for stage in stages)
            if number in SHOWN:
                databases = {
                    "Prefect": home.prefect_database,
                    "MLflow": home.mlflow_database,
                    "catalog": home.catalog,
                }
                sizes = ", ".join(
                    f"{name} {path.stat().st_size / 2**20:.1f} MiB" for name, path in databases.items()
                )
                last = took[1:][-WINDOW:]
                yield (
                    f"{number - 1} cached runs: {statistics.median(last):.1f} s [{min(last):.1f}, {max(last):.1f}] "
                    f"over the last {len(last)}; {sizes}; {_size(home.artifacts):.1f} MiB of artifacts, "
                    f"{_size(home.runs):.1f} of records"
                )


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20

"""What we add to a stage that does nothing, in a run of many: seconds a stage in each window, memory, sizes.

STAGES=10000 for the whole of it; each goes as a Prefect task through record, catalog and MLflow, as in any run.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

STAGES = int(os.environ.get("STAGES") or 1000)
WINDOWS = 5


def measure() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MIXSTITCH_HOME"] = str(Path(folder) / "home")
        import psutil
        from prefect import flow

        from flows.environment import open_home, prefect_settings
        from flows.running import running
        from flows.settings import Experiment
        from storage.stages import Stage
        from storage.tracking import Tracker
        from tasks.stage import stage_task

        @stage_task(name="nothing", task_run_name="nothing-{number}")
        def nothing(run, number: int):
            stage = Stage(
                "nothing", 1, {"number": number}, {}, lambda _: {"number": number}, label=str(number)
            )
            return run.stage(stage)

        home, told = open_home(), []
        of_a_window = STAGES // WINDOWS

        @flow(persist_result=False)
        def many() -> None:
            with running(Experiment(name="many")) as run:
                for window in range(WINDOWS):
                    began = time.perf_counter()
                    for number in range(of_a_window):
                        nothing(run, window * of_a_window + number)
                    each = (time.perf_counter() - began) / of_a_window
                    memory = psutil.Process().memory_info().rss / 2**20
                    told.append(
                        f"stages {window * of_a_window + 1:,} to {(window + 1) * of_a_window:,}: "
                        f"{1000 * each:.0f} ms each, {memory:,.0f} MiB of memory"
                    )

        with prefect_settings(home, Tracker(home).connect):
            many()
        yield from told
        sizes = {
            "Prefect": home.prefect_database,
            "MLflow": home.mlflow_database,
            "catalog": home.catalog,
            "record": next(home.runs.glob("*/run.json")),
        }
        yield ", ".join(f"{name} {path.stat().st_size / 2**20:.1f} MiB" for name, path in sizes.items())

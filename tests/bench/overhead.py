"""Wall time of a run that goes to Prefect, MLflow and DuckDB rather than to the stages' own work."""

from __future__ import annotations

import functools
import os
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch


class Clock:
    """Seconds spent inside functions, nested calls counted once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = threading.local()

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._inside, "flag", False):
                return function(*args, **kwargs)
            self._inside.flag, began = True, time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self._inside.flag = False
                self.seconds += time.perf_counter() - began

        return timed


def measure(recipe: str = "pocket") -> list[str]:
    """One run of the recipe in an empty home: its wall time after start-up, less the stages' own work."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MIXSTITCH_HOME"] = str(Path(folder) / "home")
        from flows import experiment as flow_module
        from flows.recipes import load_recipe
        from storage.artifacts import ArtifactStore
        from tasks.stage import Progress

        stages, telling, whole = Clock(), Clock(), Clock()
        with ExitStack() as patches:
            patches.enter_context(patch.object(ArtifactStore, "produce", stages.timed(ArtifactStore.produce)))
            for name in ("say", "step", "fraction"):
                patches.enter_context(patch.object(Progress, name, telling.timed(getattr(Progress, name))))
            patches.enter_context(patch.object(flow_module, "pipeline", whole.timed(flow_module.pipeline)))
            summary = flow_module.run_experiment(load_recipe(recipe, ["training.parallel_experts=1"])).summary
    work = stages.seconds - telling.seconds
    share = 1 - work / whole.seconds
    return [
        f"Prefect + MLflow + DuckDB in {recipe}: {whole.seconds - work:.1f} s of {whole.seconds:.1f} s after start-up, "
        f"{share:.1%} (claim: at most 5%); {len(summary.stages)} stages, {telling.seconds:.1f} s of it telling progress"
    ]

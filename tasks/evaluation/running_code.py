"""Settings of running what models write, as benchmarks take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.evaluation.settings import CodeSettings, EvaluationSettings

if TYPE_CHECKING:
    from tasks.benchmarks.code_tasks import CodeRunning


def running_of(settings: EvaluationSettings) -> CodeRunning | None:
    """None where no code is run."""
    if not settings.run_code:
        return None
    from tasks.benchmarks.code_tasks import CodeRunning
    from tasks.sandbox.sandbox import Limits

    code = settings.code or CodeSettings()
    limits = Limits(seconds=code.seconds, memory_mb=code.memory_mb)
    return CodeRunning(code.programs, code.pass_at, code.temperature, code.most_tokens, limits)

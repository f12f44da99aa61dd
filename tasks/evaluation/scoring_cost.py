"""What it costs to score a model on a corpus: requests, tokens and time, from what the corpus holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from storage.stages import Cost
from tasks.benchmarks.kinds import KINDS
from tasks.evaluation.settings import CodeSettings, EvaluationSettings
from tasks.sources.expecting import bytes_per_token
from tasks.training.estimates import reading_cost

# The harness' own bookkeeping: 3.1 s for 5,000 requests to a model that does nothing.
SECONDS_A_REQUEST = 0.6e-3
SECONDS_A_PROGRAM = 0.05  # building walls and starting Python: 974 references of MBPP in 49 s on two cores
OF_CODE = {kind.name for kind in KINDS if kind.code is not None}


def scoring_cost(
    metrics: dict[str, Any],
    corpus_facts: dict[str, Any],
    told: Sequence[dict[str, Any]],
    settings: EvaluationSettings,
) -> Cost:
    """The cost of all test items and held-out text of `told` (facts of a corpus, or of probes beside it)."""
    requests, size = 0, 0
    written, programs = 0.0, 0
    for facts in told:
        requests += sum(task["requests"] for task in facts["tasks"].values())
        size += sum(task["request_bytes"] for task in facts["tasks"].values())
        size += settings.bits_per_byte_bytes * len(facts["sources"])
        if settings.run_code:
            code = settings.code or CodeSettings()
            for task in facts["tasks"].values():
                if task["kind"] in OF_CODE:
                    programs += task["test"] * code.programs
                    size += task["request_bytes"] * code.programs
                    written += task["test"] * code.programs * code.most_tokens
    said = (
        "2 FLOPs a token and active weight; at most evaluation.bits_per_byte_bytes of held-out text a source"
    )
    if programs:
        said += f"; {programs:,} programs of at most {written / programs:,.0f} tokens are written and run"
    return reading_cost(
        metrics,
        size / bytes_per_token(corpus_facts) + written,
        requests + programs,
        SECONDS_A_REQUEST * (requests + programs) + SECONDS_A_PROGRAM * programs,
        said,
    )

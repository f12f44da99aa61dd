"""Names and directions of metrics, and which one stands for a task."""

from __future__ import annotations

HELDOUT = "heldout:"
BITS_PER_BYTE = "bits_per_byte"
LOWER_IS_BETTER = (BITS_PER_BYTE, "perplexity", "word_perplexity", "byte_perplexity")


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value of the metric is better; a filter's name after a colon does not count."""
    return metric.partition(":")[0] in LOWER_IS_BETTER


def bits_per_byte_by_source(scores: list[dict]) -> dict[str, float]:
    """Source -> bits per byte of its held-out text, from a model's score rows."""
    return {
        row["task"].removeprefix(HELDOUT): row["value"]
        for row in scores
        if row["metric"] == BITS_PER_BYTE and row["task"].startswith(HELDOUT)
    }

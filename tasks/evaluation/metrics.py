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


def headline(scores: list[dict]) -> dict[tuple[str, str], dict[str, dict]]:
    """(task, metric) -> model -> score, one metric a task: bits per byte, or accuracy."""
    found: dict[tuple[str, str], dict[str, dict]] = {}
    chosen: dict[str, str] = {}
    for score in scores:
        metric = chosen.setdefault(score["task"], score["metric"])
        if score["metric"] == metric:
            found.setdefault((score["task"], metric), {})[score["model"]] = score
    return found


def best_models(by_model: dict[str, dict], metric: str) -> set[str]:
    """The model with the best value; none where several have it, and what is no number is not compared."""
    values = {
        m: row["value"]
        for m, row in by_model.items()
        if row["value"] is not None and row["value"] == row["value"]
    }
    if not values:
        return set()
    best = min(values.values()) if lower_is_better(metric) else max(values.values())
    found = {model for model, value in values.items() if value == best}
    return found if len(found) == 1 else set()

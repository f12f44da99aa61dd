"""Which scores of a model fell from one run to the next by more than their errors carry."""

from __future__ import annotations

from tasks.evaluation.metrics import headline, lower_is_better


def fallen_scores(before: list[dict], last: list[dict], model: str, score_drop: float) -> list[str]:
    """What fell from one run to the next, in words: headline scores of the model that got worse by
    more than `score_drop` standard errors.

    before, last: rows with model, task, metric, value, stderr. The error of a difference is
    sqrt(stderr_before^2 + stderr_last^2), as for independent scores; a score without error cannot be said to
    have fallen.
    """
    earlier = headline([score for score in before if score["model"] == model])
    found = []
    for (task, metric), scores in headline([score for score in last if score["model"] == model]).items():
        new, old = scores[model], earlier.get((task, metric), {}).get(model)
        if old is None or new["stderr"] is None or old["stderr"] is None:
            continue
        worse = new["value"] - old["value"] if lower_is_better(metric) else old["value"] - new["value"]
        error = (new["stderr"] ** 2 + old["stderr"] ** 2) ** 0.5
        if worse > score_drop * error:
            found.append(f"{task} {metric} from {old['value']:.3f} to {new['value']:.3f} (± {error:.3f})")
    return found

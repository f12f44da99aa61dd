"""Which numbers and settings of a run are shown in MLflow, and under which names."""

from __future__ import annotations

import json
from typing import Any

MAX_CHARACTERS = 6000  # of a parameter


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Every value in nested settings by its dotted name; a list is one value."""
    if isinstance(value, dict) and value:
        return {k: v for name, part in value.items() for k, v in flat(part, f"{prefix}{name}.").items()}
    return {prefix.removesuffix("."): value}


def shown_settings(experiment: dict) -> dict[str, str]:
    """Every setting that has a value, as text: what is no text, as JSON."""
    given = {name: value for name, value in flat(experiment).items() if value not in (None, [], {})}
    texts = {n: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for n, v in given.items()}
    return {name: text[:MAX_CHARACTERS] for name, text in texts.items()}


def headline_scores(facts: dict) -> dict[str, float]:
    """<model>/<task>/<metric> of the first metric of each task among the scores of a result; snapshots have none."""
    first: dict[tuple[str, str], dict] = {}
    for score in facts.get("scores", []):
        first.setdefault((score["model"], score["task"]), score)
    return {f"{m}/{t}/{s['metric']}": s["value"] for (m, t), s in first.items() if "@" not in m}


def numbers_of(facts: dict) -> dict[str, float]:
    """Every number among the facts of a result that is shown in MLflow, by its name there."""
    numbers = dict(facts.get("metrics", {}))
    for score in facts.get("scores", []):
        numbers[f"{score['task']}/{score['metric']}"] = score["value"]
        if score["stderr"] is not None:
            numbers[f"{score['task']}/{score['metric']}/stderr"] = score["stderr"]
    mixture = facts.get("mixture")
    for source, share in (mixture["sources"] if mixture else {}).items():
        for number in ("weight", "tokens", "epochs"):
            numbers[f"{number}/{source}"] = share[number]
    for cell in facts.get("utility", []):
        numbers[f"utility/{cell['source']}/{cell['task']}"] = cell["value"]
    return numbers


def legal(name: str) -> str:
    """MLflow allows letters, digits and `_-. :/` in a metric's name."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-. :/") else "_" for c in name)

"""Which numbers of a result are shown in MLflow, and under which names."""

from __future__ import annotations


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

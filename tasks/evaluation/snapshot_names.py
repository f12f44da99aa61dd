"""How scores of a model on its way are named: <model>@<step>."""

from __future__ import annotations


def snapshot_name(model: str, step: int) -> str:
    return f"{model}@{step}"


def is_snapshot(name: str) -> bool:
    return "@" in name


def trained_model(name: str) -> str:
    """The model that the name, of a snapshot or not, belongs to."""
    return name.partition("@")[0]

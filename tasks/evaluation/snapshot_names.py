"""A model on its way: how it is named, <model>@<step>, and where it lies in the model's artifact."""

from __future__ import annotations

from collections.abc import Iterable

from storage.artifact import Artifact


def snapshot_name(model: str, step: int) -> str:
    return f"{model}@{step}"


def is_snapshot(name: str) -> bool:
    return "@" in name


def trained_model(name: str) -> str:
    """The model that the name, of a snapshot or not, belongs to."""
    return name.partition("@")[0]


def without_snapshots(names: Iterable[str]) -> list[str]:
    """The names, each once, of models that are no snapshots; all of them where there are only snapshots."""
    different = list(dict.fromkeys(names))
    return [name for name in different if not is_snapshot(name)] or different


def model_or_snapshot(name: str, model: Artifact, step: int | None) -> tuple[str, str]:
    """(name, folder in the artifact) of the model, or of what it was after so many steps, <name>@<step>.

    Raises ValueError where there is no snapshot of that step.
    """
    if step is None:
        return name, "model"
    try:
        snapshots = model.facts["snapshots"]
    except KeyError:  # combined without training
        snapshots = []
    kept = {snapshot["step"]: snapshot["path"] for snapshot in snapshots}
    if step not in kept:
        raise ValueError(
            f"{model.label}: no snapshot of step {step}; allowed: {', '.join(map(str, kept)) or 'none'}"
        )
    return snapshot_name(name, step), kept[step]

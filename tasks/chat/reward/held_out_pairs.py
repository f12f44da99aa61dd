"""A reward model on held-out pairs: of its own kind, of the other, and what safety's tells of single answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.chat.dialogue_lines import SAFETY, Pair
from tasks.chat.reward.calibration import accuracy_by_strength, measured, rewards_of_pairs
from tasks.chat.reward.safe_answers import told_safe
from tasks.chat.settings import SafetySettings


def measured_on(
    model: Any,
    tokenizer: Any,
    pairs: Sequence[Pair],
    length: int,
    kind: str,
    settings: SafetySettings | None,
) -> dict[str, Any]:
    """accuracy, ece and histogram on pairs of its kind; with two models `crossed`, accuracy on the other kind's pairs,
    and of safety's model `told_safe`. settings: None: all pairs are of one model."""
    own = [pair for pair in pairs if settings is None or pair.kind == kind]
    chosen, rejected = rewards_of_pairs(model, tokenizer, own, length)
    found = measured(chosen, rejected, own)
    if settings is None:
        return found
    others = [pair for pair in pairs if pair.kind != kind]
    crossed, lost = rewards_of_pairs(model, tokenizer, others, length)
    found["crossed"] = accuracy_by_strength(crossed - lost, [pair.strength for pair in others])[:1]
    if kind == SAFETY:
        found["told_safe"] = told_safe(chosen, rejected, own, settings.threshold)
    return found

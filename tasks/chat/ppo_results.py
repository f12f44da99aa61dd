"""What PPO gained: the reward of answers to held-out prompts, before and after, and its way there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.chat.over_seeds import over_seeds
from tasks.chat.results_of_a_seed import ChatResults


def ppo_tables(results: Sequence[ChatResults]) -> dict[str, Any] | None:
    """heldout: before, after, and the gain with its interval; kl: the last; curve: a row an iteration, of the first
    seed; None without PPO."""
    found = [one.ppo.facts["ppo"] for one in results if one.ppo is not None]
    if not found:
        return None
    held = [one["heldout"] for one in found]
    return {
        "heldout": {
            **{name: float(np.mean([own[name] for own in held])) for name in ("before", "after")},
            **over_seeds([own["mean"] for own in held], (held[0]["low"], held[0]["high"])),
            "prompts": held[0]["prompts"],
        },
        "kl": float(np.mean([one["curve"][-1]["kl"] for one in found])),
        "curve": found[0]["curve"],
    }


def said_of_ppo(found: Mapping[str, Any] | None) -> list[str]:
    """In a sentence."""
    if found is None:
        return []
    held = found["heldout"]
    verdict = "higher" if held["low"] > 0 else "lower" if held["high"] < 0 else "not told apart"
    return [
        f"PPO: the reward of answers to held-out prompts from {held['before']:.2f} to {held['after']:.2f}, "
        f"{held['mean']:+.2f} [{held['low']:+.2f}, {held['high']:+.2f}], {verdict}; divergence of an answer from the "
        f"model before {found['kl']:.2f} at the end."
    ]

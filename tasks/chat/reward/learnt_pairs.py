"""Which pairs each of two reward models learns from, and what the user's pairs must have for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.chat.dialogue_lines import HELPFULNESS, SAFETY, Pair
from tasks.chat.drawn_share import drawn_share, share_count
from tasks.chat.settings import SafetySettings


def learnt_pairs(
    pairs: Sequence[Pair], kind: str, settings: SafetySettings | None, random_seed: int
) -> list[Pair]:
    """All pairs of the kind, then those of the other that are drawn beside them (Llama 2, section 3.2.1).

    Safety takes none in which the unsafe answer is the better one. settings: None: all pairs are of one model.
    """
    if settings is None:
        return list(pairs)
    own = [pair for pair in pairs if pair.kind == kind]
    others = [pair for pair in pairs if pair.kind != kind]
    if kind == SAFETY:
        others = [pair for pair in others if (pair.chosen_safe, pair.rejected_safe) != (False, True)]
    share = settings.helpfulness_share if kind == SAFETY else settings.safety_share
    return [*own, *drawn_share(others, len(own), share, random_seed, f"pairs beside {kind}")]


def learnt_count(facts: Mapping[str, Any], kind: str, settings: SafetySettings | None) -> int:
    """How many these are at most, by the facts of the instructions."""
    if settings is None:
        return int(facts["pairs"])
    safety, helpfulness = facts["safety_pairs"], facts["pairs"] - facts["safety_pairs"]
    if kind == SAFETY:
        return safety + share_count(safety, helpfulness, settings.helpfulness_share)
    return helpfulness + share_count(helpfulness, safety, settings.safety_share)


def check_kinds(pairs: Sequence[Pair], settings: SafetySettings | None) -> None:
    """Raises ValueError, by file and where it is one pair's by line, for pairs that these models cannot learn from.

    One model takes no safety pairs. Two take some of both kinds; the loss that tells safe answers from unsafe ones
    takes labels of every safety pair, of both classes.
    """
    file = pairs[0].where.partition(", line")[0]
    own = [pair for pair in pairs if pair.kind == SAFETY]
    if settings is None:
        if own:
            raise ValueError(
                f"{own[0].where}: kind is {SAFETY}, but there is one reward model; allowed: "
                f"chat.reward.safety={{}} for two, or pairs of {HELPFULNESS} alone"
            )
        return
    for kind in (SAFETY, HELPFULNESS):
        if not any(pair.kind == kind for pair in pairs):
            raise ValueError(
                f"{file}: chat.reward.safety asks for two reward models, and no pair has the kind {kind}; allowed: "
                "pairs of both kinds, or no chat.reward.safety"
            )
    if not settings.auxiliary:
        return
    for pair in own:
        if None in (pair.chosen_safe, pair.rejected_safe):
            raise ValueError(
                f"{pair.where}: a safety pair without chosen_safe and rejected_safe; allowed: true or false for both, "
                "or chat.reward.safety.auxiliary=0, which learns from no label"
            )
    labels = {label for pair in own for label in (pair.chosen_safe, pair.rejected_safe)}
    if len(labels) == 1:
        raise ValueError(
            f"{file}: every answer of the safety pairs is {'safe' if True in labels else 'unsafe'}; allowed: some of "
            "both, or chat.reward.safety.auxiliary=0, which learns from no label"
        )

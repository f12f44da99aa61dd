"""A text with each token in the colour of the expert that carries it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tasks.report.formatting import percent
from tasks.report.pictures.colours import EXPERTS

STRONGEST = 0.85


class Piece(NamedTuple):
    """A token as it is shown: its text, CSS background, and what is said when one points at it."""

    text: str
    background: str
    words: str


def coloured(view: Mapping[str, Any]) -> dict[str, Any]:
    """{"pieces", "legend": [(expert, colour, tokens carried)], "domains"} of what `token_view` gives.

    domains: [(domain, tokens, which expert carries how many of them)], where it is known what the text is of.

    The colour is the fuller the more of what the experts bring is the carrier's: none at an even share.
    """
    experts = view["streams"][1:]
    colours = {name: EXPERTS[place % len(EXPERTS)] for place, name in enumerate(experts)}
    even = 1 / len(experts)
    pieces = []
    for token in view["tokens"]:
        above = (token["share"] - even) / (1 - even) if len(experts) > 1 else token["share"]
        alpha = round(255 * STRONGEST * min(max(above, 0.0), 1.0) ** 0.5)
        said = ", ".join(f"{name} {percent(share)}" for name, share in token["shares"].items())
        pieces.append(Piece(token["text"], f"{colours[token['carrier']]}{alpha:02x}", said))
    carried = [token["carrier"] for token in view["tokens"]]
    legend = [(name, colour, percent(carried.count(name) / len(carried))) for name, colour in colours.items()]
    return {"pieces": pieces, "legend": legend, "cut": view["cut"], "domains": list(_by_domain(view))}


def _by_domain(view: Mapping[str, Any]) -> Iterator[tuple[str, int, str]]:
    starts = list(view.get("domains", {}).items())
    for place, (domain, start) in enumerate(starts):
        end = starts[place + 1][1] if place + 1 < len(starts) else math.inf
        carried = Counter(token["carrier"] for token in view["tokens"] if start <= token["start"] < end)
        if total := carried.total():
            yield (
                domain,
                total,
                ", ".join(f"{name} {percent(n / total)}" for name, n in carried.most_common()),
            )

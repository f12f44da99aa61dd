"""Documents that switch domain inside: held-out pieces of two domains in turns."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

PIECES = 4
PIECE_CHARACTERS = 300


def domain_sources(domains: Mapping[str, Sequence[str]], sources: Sequence[str]) -> dict[str, list[str]]:
    """Domain -> its sources, of patterns. Raises ValueError for a domain without any, and a source in two."""
    found = {
        domain: [source for source in sources if any(fnmatchcase(source, pattern) for pattern in patterns)]
        for domain, patterns in domains.items()
    }
    for domain, names in found.items():
        if not names:
            raise ValueError(
                f"stitch_duel.domains.{domain}={list(domains[domain])}: fits no source; the sources are "
                f"{', '.join(sources)}"
            )
    every = [source for names in found.values() for source in names]
    twice = sorted({source for source in every if every.count(source) > 1})
    if twice:
        raise ValueError(f"stitch_duel.domains: {', '.join(twice)} in two domains; allowed: one a source")
    return found


def source_weights(
    shares: Mapping[str, float], domains: Mapping[str, Sequence[str]], tokens: Mapping[str, int]
) -> dict[str, float]:
    """Weight of every source of `tokens`: its domain's share, by tokens within the domain; 0 in no domain."""
    weights = dict.fromkeys(tokens, 0.0)
    for domain, sources in domains.items():
        total = sum(tokens[source] for source in sources)
        weights |= {source: shares[domain] * tokens[source] / total for source in sources}
    return weights


def switching_documents(texts: Mapping[str, Sequence[str]], count: int, random_seed: int) -> list[str]:
    """`count` documents of 4 pieces of about 300 characters, from two domains in turns (A B A B).

    texts: domain -> held-out documents. A piece begins and ends at a space or line end, where its document has
    one. Raises ValueError for fewer than two domains with text.
    """
    domains = sorted(domain for domain, documents in texts.items() if documents)
    if len(domains) < 2:
        raise ValueError(f"domains with held-out text are {domains}; allowed: two or more")
    documents = []
    for number in range(count):
        draw = random.Random(f"switching-{random_seed}-{number}")
        first, second = draw.sample(domains, 2)
        pieces = [_piece(draw, texts[(first, second)[place % 2]]) for place in range(PIECES)]
        documents.append("\n\n".join(pieces) + "\n")
    return documents


def _piece(draw: random.Random, documents: Sequence[str]) -> str:
    text = draw.choice(documents)
    begin = draw.randrange(max(1, len(text) - PIECE_CHARACTERS))
    piece = text[begin : begin + PIECE_CHARACTERS]
    if begin:
        piece = piece[next((i for i, character in enumerate(piece) if character.isspace()), 0) :]
    return piece.strip()

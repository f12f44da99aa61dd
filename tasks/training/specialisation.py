"""Whether the experts are experts: their share of own-domain data, junk in the mixtures, and bits per byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Weights = Mapping[str, float]


def own_sources(own_tasks: Sequence[str], tasks: Mapping[str, dict], weights: Weights) -> list[str]:
    """The sources of an expert's domain: those its tasks are made from; without any, its heaviest source."""
    made_from = sorted({tasks[task]["source"] for task in own_tasks if tasks[task]["source"] is not None})
    return made_from or [max(sorted(weights), key=lambda name: weights[name])]


def specialisation(
    experts: Mapping[str, Sequence[str]],
    tasks: Mapping[str, dict],
    mixtures: Mapping[str, Weights],
    bits_per_byte: Mapping[str, Mapping[str, float]],
    own_share: float,
    junk_sources: Sequence[str],
    junk_share: float,
) -> list[dict]:
    """Rows of {check, subject, value, bound, holds}: one for every claim that an expert or a mixture must meet.

    experts: name -> own tasks. mixtures: of the seed, the experts and the stitches. bits_per_byte: model ->
    source -> bits per byte on held-out text. The seed's mixture follows the paper, which keeps junk, and is
    not checked for it.
    """
    rows = []
    for name, own_tasks in experts.items():
        domain = own_sources(own_tasks, tasks, mixtures[name])
        share = sum(mixtures[name][source] for source in domain)
        rows.append(
            _row(f"own-domain share of {', '.join(domain)}", name, share, own_share, share >= own_share)
        )
        for source in domain:
            expert, seed = bits_per_byte[name].get(source), bits_per_byte["seed"].get(source)
            if expert is not None and seed is not None:
                rows.append(
                    _row(f"bits per byte on {source}, below the seed's", name, expert, seed, expert < seed)
                )
    for name, weights in mixtures.items():
        junk = sum(weights.get(source, 0.0) for source in junk_sources)
        if name != "seed" and any(source in weights for source in junk_sources):
            rows.append(
                _row(
                    f"share of {', '.join(junk_sources)}",
                    f"{name} mixture",
                    junk,
                    junk_share,
                    junk <= junk_share,
                )
            )
    return rows


def _row(check: str, subject: str, value: float, bound: float, holds: bool) -> dict:
    return {"check": check, "subject": subject, "value": value, "bound": bound, "holds": holds}

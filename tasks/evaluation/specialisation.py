"""Whether the experts are experts: their share of own-domain data, junk in the mixtures, and bits per byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Weights = Mapping[str, float]


def own_sources(own_tasks: Sequence[str], tasks: Mapping[str, dict], utility: Sequence[Mapping]) -> list[str]:
    """The sources of an expert's domain: those its tasks are made from; without any, the most useful one for them.

    utility: rows of {source, task, value}.
    """
    made_from = sorted({tasks[task]["source"] for task in own_tasks if tasks[task]["source"] is not None})
    if made_from:
        return made_from
    total: dict[str, float] = {}
    for row in utility:
        if row["task"] in own_tasks:
            total[row["source"]] = total.get(row["source"], 0.0) + row["value"]
    return [max(sorted(total), key=lambda source: total[source])]


def specialisation(
    experts: Mapping[str, Sequence[str]],
    tasks: Mapping[str, dict],
    utility: Sequence[Mapping],
    mixtures: Mapping[str, Weights],
    bits_per_byte: Mapping[str, Mapping[str, float]],
    own_share: float,
    junk_sources: Sequence[str],
    junk_share: float,
) -> list[dict]:
    """Rows of {check, subject, value, bound, holds}: one for every claim that an expert or a mixture must meet.

    experts: name -> own tasks. mixtures: of the seed, the experts that are trained and the stitches. bits_per_byte:
    model -> source -> bits per byte on held-out text; a check whose value is not there (a source without held-out
    text) does not hold. The seed's mixture follows the paper, which keeps junk, and is not checked for it.
    Raises ValueError for a junk source that does not exist.
    """
    unknown = sorted(set(junk_sources) - set(mixtures["seed"]))
    if unknown:
        raise ValueError(
            f"experts.specialisation_check.junk_sources: no sources {unknown}; allowed: "
            + ", ".join(sorted(mixtures["seed"]))
        )
    rows = []
    for name, own_tasks in experts.items():
        domain = own_sources(own_tasks, tasks, utility)
        if name in mixtures:
            share = sum(mixtures[name][source] for source in domain)
            rows.append(
                _row(f"own-domain share of {', '.join(domain)}", name, share, own_share, share >= own_share)
            )
        for source in domain:
            expert, seed = bits_per_byte[name].get(source), bits_per_byte["seed"].get(source)
            holds = expert is not None and seed is not None and expert < seed
            rows.append(_row(f"bits per byte on {source}, below the seed's", name, expert, seed, holds))
    for name, weights in mixtures.items():
        if name != "seed" and junk_sources:
            junk = sum(weights[source] for source in junk_sources)
            check = f"share of {', '.join(junk_sources)}"
            rows.append(_row(check, f"{name} mixture", junk, junk_share, junk <= junk_share))
    return rows


def _row(check: str, subject: str, value: float | None, bound: float | None, holds: bool) -> dict:
    return {"check": check, "subject": subject, "value": value, "bound": bound, "holds": holds}

"""Tables of what ran and of what there was to train on: the chain, the sources, the benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from storage.artifact import Artifact
from tasks.report.formatting import compact, count, duration, listed, num_bytes, significant

SHOWN_KEY = 10


@dataclass(frozen=True)
class Step:
    """A box of the chain: a stage, how often it ran, its seconds and their part of all."""

    name: str
    times: int
    did: str
    seconds: str
    part: float


@dataclass(frozen=True)
class Totals:
    """What the whole run cost; tokens and FLOPs of training."""

    seconds: float
    tokens: float
    flops: float


def totals(artifacts: Iterable[Artifact]) -> Totals:
    """Sums over stages, each counted when it was made (also where a later run reused it)."""
    kept = list(artifacts)
    return Totals(
        sum(seconds_of(a) for a in kept),
        sum(a.facts.get("metrics", {}).get("tokens", 0) for a in kept),
        sum(a.facts.get("metrics", {}).get("flops", 0) for a in kept),
    )


def seconds_of(artifact: Artifact) -> float:
    """Seconds that the artifact took to make; not those of finding it again."""
    return float(artifact.provenance.get("seconds", artifact.seconds))


def chain(artifacts: Sequence[Artifact]) -> list[Step]:
    """The boxes of the chain: a stage each, in the order in which they come first."""
    whole = sum(seconds_of(a) for a in artifacts) or 1.0
    by_stage: dict[str, list[Artifact]] = {}
    for artifact in artifacts:
        by_stage.setdefault(artifact.stage, []).append(artifact)
    steps = []
    for stage, part in by_stage.items():
        seconds = sum(seconds_of(a) for a in part)
        name = part[0].title or stage
        did = "; ".join(dict.fromkeys(a.did for a in part))
        steps.append(Step(name, len(part), did, duration(seconds), seconds / whole))
    return steps


def _parameters(metrics: Mapping[str, float]) -> str:
    """All weights, and those that a token meets where they are fewer."""
    total, active = metrics.get("parameters"), metrics.get("active_parameters")
    return compact(total) + (f" ({compact(active)} active)" if active and active != total else "")


def stage_rows(artifacts: Sequence[Artifact]) -> list[dict]:
    """One row an artifact: what it cost and what identifies it."""
    whole = sum(seconds_of(a) for a in artifacts) or 1.0
    rows = []
    for artifact in artifacts:
        metrics = artifact.facts.get("metrics", {})
        rows.append(
            {
                "label": artifact.label,
                "seconds": duration(seconds_of(artifact)),
                "part": seconds_of(artifact) / whole,
                "tokens": compact(metrics.get("tokens")),
                "flops": significant(metrics.get("flops")),
                "parameters": _parameters(metrics),
                "steps": count(metrics.get("steps")),
                "final_loss": significant(metrics.get("final_loss"), 4),
                "key": artifact.key[:SHOWN_KEY],
            }
        )
    return rows


def source_rows(sources: Mapping[str, dict]) -> list[dict]:
    """One row a source: counts after cleaning, and what cleaning took away."""
    rows = []
    for name, told in sources.items():
        contaminated = told.get("contaminated", {})
        by_task = [f"{task} {number:,}" for task, number in sorted(contaminated.items(), key=lambda x: -x[1])]
        rows.append(
            {
                "name": name,
                "documents": count(told["documents"]),
                "bytes": num_bytes(told["bytes"]),
                "tokens": compact(told["tokens"]),
                "bytes_per_token": f"{told['bytes'] / told['tokens']:.2f}" if told["tokens"] else "–",
                "duplicates": count(told["duplicates"]),
                "near_duplicates": count(told["near_duplicates"]) if "near_duplicates" in told else "",
                "heldout": count(told["heldout_documents"]),
                "removed": count(told["removed"]) if "removed" in told else "",
                "by_task": listed(by_task, 4) if by_task else "",
                "by_task_whole": ", ".join(by_task),
            }
        )
    return rows


def language_rows(sources: Mapping[str, dict]) -> list[dict]:
    """One row a language, where sources say theirs: what there is of it, and how the tokenizer cuts it."""
    by_language: dict[str, list[dict]] = {}
    for told in sources.values():
        if language := told.get("language"):
            by_language.setdefault(language, []).append(told)
    rows = []
    for language, own in sorted(
        by_language.items(), key=lambda item: -sum(told["tokens"] for told in item[1])
    ):
        size, tokens = (sum(told[name] for told in own) for name in ("bytes", "tokens"))
        rows.append(
            {
                "name": language,
                "sources": count(len(own)),
                "bytes": num_bytes(size),
                "tokens": compact(tokens),
                "bytes_per_token": f"{size / tokens:.2f}" if tokens else "–",
            }
        )
    return rows


def task_rows(
    tasks: Mapping[str, dict], headline: Mapping[str, str], served_by: Mapping[str, Sequence[str]]
) -> list[dict]:
    """One row a benchmark: how it is scored and on how many items."""
    return [
        {
            "name": name,
            "kind": told["kind"],
            "source": told["source"] or "–",
            "metric": told["metric"] or headline.get(name, "–"),
            "dev": count(told["dev"]),
            "test": count(told["test"]),
            "experts": listed(list(served_by.get(name, ()))) if served_by.get(name) else "–",
        }
        for name, told in tasks.items()
    ]

"""A mixture in the words of the trainers that will read it: weights, and where the token files of each source lie.

olmo-core    YAML of an olmo_core.data.source_mixture.SourceMixtureList
megatron     the file that --data-args-path takes: weight and prefix a line
nemo         YAML of model.data.data_prefix; the list is also what NeMo 2's MegatronPretraining takes as `paths`
torchtitan   Python: the `dataloader` of a trainer's configuration; --paths are names of datasets
mosaic       YAML of the streams of llm-foundry's dataset, each with the arguments of streaming.Stream
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from tasks.mixture.mixture import Mixture

Paths = Mapping[str, Sequence[str]]


def written_for(trainer: str, mixture: Mixture, paths: Paths) -> str:
    """The text of the file. paths: source -> paths, patterns or prefixes, as the trainer will see them.

    Sources without tokens are left out; weights are shares of tokens and sum to 1. Raises ValueError for an unknown
    trainer, sources without paths or unknown ones, and paths that the trainer cannot read.
    """
    if trainer not in TRAINERS:
        raise ValueError(f"--export {trainer}: no such format; allowed: {', '.join(TRAINERS)}")
    unknown = sorted(set(paths) - set(mixture.tokens))
    if unknown:
        raise ValueError(f"--paths: no sources {unknown}; allowed: {', '.join(mixture.tokens)}")
    read = [source for source, tokens in mixture.tokens.items() if tokens > 0]
    lacking = [source for source in read if not paths.get(source)]
    if lacking:
        raise ValueError(
            f"--paths: none for {', '.join(lacking)}; allowed: NAME=PATTERN for every source with tokens"
        )
    budget = sum(mixture.tokens.values())
    return TRAINERS[trainer]({source: mixture.tokens[source] / budget for source in read}, mixture, paths)


def _olmo_core(shares: Mapping[str, float], mixture: Mixture, paths: Paths) -> str:
    sources = [
        {
            "source_name": source,
            "target_ratio": share,
            "paths": list(paths[source]),
            "max_repetition_ratio": float(max(1, math.ceil(mixture.epochs[source]))),
        }
        for source, share in shares.items()
    ]
    return _yaml({"sources": sources})


def _megatron(shares: Mapping[str, float], mixture: Mixture, paths: Paths) -> str:
    lines = []
    for source, share in shares.items():
        prefix = _only(paths[source], source, "megatron")
        if prefix.split() != [prefix]:
            raise ValueError(
                f"--paths {source}={prefix}: megatron splits at blanks; allowed: a path without any"
            )
        lines.append(f"{share!r} {prefix}\n")
    return "".join(lines)


def _nemo(shares: Mapping[str, float], mixture: Mixture, paths: Paths) -> str:
    prefixes: list[Any] = []
    for source, share in shares.items():
        prefixes += [share, _only(paths[source], source, "nemo")]
    return _yaml({"model": {"data": {"data_prefix": prefixes}}})


def _mosaic(shares: Mapping[str, float], mixture: Mixture, paths: Paths) -> str:
    streams = {}
    for source, share in shares.items():
        place = _only(paths[source], source, "mosaic")
        streams[source] = {"remote" if "://" in place else "local": place, "proportion": share}
    return _yaml({"streams": streams})


def _torchtitan(shares: Mapping[str, float], mixture: Mixture, paths: Paths) -> str:
    sources = ""
    for source, share in shares.items():
        place = _only(paths[source], source, "torchtitan")
        sources += f"        HFDataSource(dataset={place!r}, weight={share!r}, infinite=True),\n"
    return (
        "from torchtitan.hf_datasets.text_datasets import HFDataSource, InterleavedHuggingFaceTextDataLoader\n\n"
        f"dataloader = InterleavedHuggingFaceTextDataLoader.Config(\n    sources=[\n{sources}    ],\n)\n"
    )


def _only(places: Sequence[str], source: str, trainer: str) -> str:
    """The one path that these trainers weigh; which part of a weight each of several would get they do not say."""
    if len(places) > 1 or any(character in places[0] for character in "*?["):
        raise ValueError(
            f"--paths {source}={', '.join(places)}: {trainer} reads one place a source; allowed: one path, no pattern"
        )
    return places[0]


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)


TRAINERS: dict[str, Callable[[Mapping[str, float], Mixture, Paths], str]] = {
    "olmo-core": _olmo_core,
    "megatron": _megatron,
    "nemo": _nemo,
    "mosaic": _mosaic,
    "torchtitan": _torchtitan,
}

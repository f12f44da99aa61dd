"""Utility from folders of text and benchmarks alone, as the stage estimates it from a prepared corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tasks.benchmarks.given_benchmarks import GivenBenchmarks
from tasks.sources.given_text import sampled_documents
from tasks.sources.settings import SourceSettings, SourcesSettings
from tasks.utility.matrix import UtilityMatrix
from tasks.utility.methods import METHODS, METHODS_BY_NAME
from tasks.utility.utility_method import Given

ALONE = [method for method in METHODS if method.estimate is not None]  # the others train proxies


@dataclass(frozen=True)
class Sampling:
    """Documents sampled a source and their characters at most; share of each benchmark's items that utility may see."""

    documents: int = SourcesSettings.model_fields["sample_documents"].default
    characters: int = SourcesSettings.model_fields["sample_characters"].default
    dev_share: float = 0.3


def check_method(name: str) -> None:
    """Raises ValueError for a method that is unknown or needs more than text and benchmarks."""
    if name not in {method.name for method in ALONE}:
        why = "trains proxies, which takes a recipe" if name in METHODS_BY_NAME else "no such method"
        raise ValueError(f"--method {name}: {why}; allowed: {', '.join(m.name for m in ALONE)}")


def estimated_utility(
    sources: tuple[SourceSettings, ...],
    benchmarks: GivenBenchmarks,
    settings: Any,
    sampling: Sampling,
    kept: Callable[[str], Path],
    report: Callable[[str], None],
) -> UtilityMatrix:
    """The utility of every source for every benchmark, by the method of the settings (those of the utility stage).

    about: as of the method, and `passed_over`, the documents of a source that hold an item and were not sampled. kept,
    report: as of `Given`. Raises ValueError where a source or a benchmark is left with nothing.
    """
    sides = benchmarks.sides(sampling.dev_share)
    dev = {task: texts.dev for task, texts in sides.items()}
    items = {task: [*texts.dev, *texts.test] for task, texts in sides.items()}
    window = SourcesSettings.model_fields["decontamination_words"].default
    samples, passed_over = sampled_documents(sources, sampling.documents, sampling.characters, items, window)
    method, section = METHODS_BY_NAME[settings.method], settings.section(settings.method)
    assert method.estimate is not None
    matrix = method.estimate(section, Given(samples, dev, kept, report))
    if settings.anchors is not None:
        from tasks.utility.anchors import calibrated, read_anchors

        matrix = calibrated(matrix, read_anchors(settings.anchors), settings.anchor_groups)
    return replace(matrix, about={**matrix.about, "passed_over": passed_over})

"""The page: what each section shows, and one HTML file with everything inside."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.evaluation.metrics import HELDOUT
from tasks.evaluation.specialisation import own_sources
from tasks.mixture.methods import METHODS_BY_NAME
from tasks.preference.study import LEVEL, Study
from tasks.report import (
    corpus_tables,
    findings,
    heatmaps,
    mixture_tables,
    preference_tables,
    provenance_tables,
    score_tables,
    words,
)
from tasks.report.differences import Score, chance_levels, read_scores
from tasks.report.formatting import compact, duration, significant
from tasks.report.language_maps import language_section
from tasks.report.pictures.colours import Look, looks
from tasks.report.pictures.losses import draw_losses
from tasks.report.pictures.routing_maps import draw_routing, read_routing_map
from tasks.report.pictures.stability_maps import draw_stability, read_stability
from tasks.report.routing_tables import layer_rows, source_rows
from tasks.report.run_figures import curves_of, score_pictures
from tasks.report.run_results import RunResults
from tasks.report.smallness import too_small
from tasks.report.templating import page_environment, page_style
from tasks.report.token_text import coloured

OPEN_PANELS = 8
Scores = dict[str, dict[tuple[str, str], Score]]


class ReportData(RunResults):
    """What a report is about, with what follows from it."""

    @cached_property
    def tasks(self) -> dict[str, dict]:
        return self.corpus.facts["tasks"]

    @cached_property
    def own_tasks(self) -> dict[str, list[str]]:
        """expert -> the tasks it serves."""
        of_mixtures = {
            name: artifact.facts["own_tasks"]
            for name, artifact in self.mixtures.items()
            if artifact.facts.get("own_tasks")
        }
        return of_mixtures | {name: list(tasks) for name, tasks in self.experts.items()}

    @cached_property
    def domains(self) -> dict[str, list[str]]:
        """expert -> the sources of its domain."""
        found = {}
        for name, tasks in self.own_tasks.items():
            found[name] = own_sources(tasks, self.tasks, self.utility.facts["utility"])
        return found

    @cached_property
    def served_by(self) -> dict[str, list[str]]:
        """task -> experts that serve it."""
        found: dict[str, list[str]] = {}
        for name, tasks in self.own_tasks.items():
            for task in tasks:
                found.setdefault(task, []).append(name)
        return found

    @cached_property
    def looks(self) -> dict[str, Look]:
        stages = {name: artifact.stage for name, artifact in self.models.items()}
        others = {name: "composition" for name in (*self.mixtures, *self.scores) if name not in stages}
        return looks(stages | others)

    @cached_property
    def combined(self) -> list[str]:
        """Models that are made from the experts: the stitched one last."""
        names = [name for name, a in self.models.items() if a.stage in ("composition", "stitched")]
        return sorted(names, key=lambda name: self.models[name].stage == "stitched")


def write_page(data: ReportData, path: Path) -> list[str]:
    """Write the report on a run to `path`, HTML that needs no other file and no network; its first sentences."""
    environment = page_environment()
    context = page_context(data)
    path.write_text(environment.get_template("template.html").render(**context), encoding="utf-8")
    return context["answer"]


def page_context(data: ReportData) -> dict[str, Any]:
    """Everything that the template shows, by name."""
    scores = {name: read_scores(a.path, a.facts["scores"]) for name, a in data.scores.items()}
    headline = findings.headline_metrics(data.tasks, scores)
    chance = _chance(data)
    left_out = data.forecast.facts["left_out"]
    kept = findings.kept_gains(scores, data.domains, data.combined)
    return {
        "title": data.title,
        "style": page_style(),
        **_chain(data),
        **_languages(data),
        **_corpus(data, headline),
        **_mixtures(data, scores),
        **_training(data),
        **_scores(data, scores, headline, chance, kept),
        **_gates(data),
        "preference": None if left_out else preference_tables.study_view(Study.load(data.forecast.path)),
        "preference_left_out": f"{left_out[:1].upper()}{left_out[1:]}.",
        "preference_level": f"{data.forecast.facts['confidence']:.0%}",
        "programmatic": _programmatic(data),
        "holds_at": f"{LEVEL:g}".lstrip("0"),
        **_headline(data, scores, headline, chance, kept),
        "environment": provenance_tables.environment_rows(data.artifacts),
        "keys": provenance_tables.key_rows(data.artifacts),
    }


def _headline(
    data: ReportData,
    scores: Scores,
    headline: Mapping[str, str],
    chance: Mapping[str, float],
    kept: list[findings.Kept],
) -> dict[str, Any]:
    means = findings.benchmark_means(data.tasks, headline, scores, chance)
    last = data.combined[-1] if data.combined else ""
    of_last = [part for part in kept if part.combined == last]
    cost = corpus_tables.totals(data.artifacts)
    budget = sum(a.facts.get("budget", 0) for a in data.mixtures.values())
    experts = [name for name, a in data.models.items() if a.stage == "expert"]
    return {
        "asked": words.asked(data.corpus.facts["sources"], data.tasks, experts, budget),
        "answer": [
            *filter(None, [too_small(_steps(data), headline, scores)]),
            _on_mixture(data),
            words.on_stitching(findings.kept_together(of_last), len(of_last)),
            words.on_benchmarks(means),
            *(sentence for artifact in data.languages.values() for sentence in artifact.facts["answer"]),
            words.on_specialisation(data.specialisation.facts["specialisation"], kept),
            words.on_preference(data.forecast.facts["forecast"], data.forecast.facts["confidence"]),
        ],
        "figures": [
            (compact(cost.tokens), "tokens trained on"),
            (significant(cost.flops), "FLOPs of training"),
            (duration(cost.seconds), "of work, all stages"),
            (str(len(data.models)), "models scored" if len(data.models) != 1 else "model scored"),
        ],
        "mean_row": score_tables.mean_row(means, scores) if means else None,
        "left_out": means.left_out if means else [],
    }


def _steps(data: ReportData) -> dict[str, int]:
    """Optimiser steps of each model that was trained."""
    told = {name: artifact.facts.get("metrics", {}) for name, artifact in data.models.items()}
    return {name: int(metrics["steps"]) for name, metrics in told.items() if "steps" in metrics}


def _on_mixture(data: ReportData) -> str:
    """The seed's mixture, which is what a single model would train on."""
    mixture = data.mixtures["seed"]
    certificate = mixture_tables.read_certificate(mixture)
    shares = mixture.facts["mixture"]["sources"]
    method = METHODS_BY_NAME.get(certificate.get("method", ""))
    title = method.title if method else certificate.get("method", "hand")
    weights = {source: told["weight"] for source, told in shares.items()}
    spent = data.utility.facts["about"].get("cost", {}).get("flops")
    return words.on_mixture(weights, certificate, title, spent / len(weights) if spent else None)


def _chance(data: ReportData) -> dict[str, float]:
    """From the first model whose samples are kept: all have the same items."""
    for artifact in data.scores.values():
        levels = chance_levels(artifact.path, data.tasks)
        if levels:
            return levels
    return {}


def _languages(data: ReportData) -> dict[str, Any]:
    return {"in_languages": [language_section(a.facts["languages"]) for a in data.languages.values()]}


def _chain(data: ReportData) -> dict[str, Any]:
    return {
        "chain": corpus_tables.chain(data.artifacts),
        "stages": corpus_tables.stage_rows(data.artifacts),
    }


def _corpus(data: ReportData, headline: Mapping[str, str]) -> dict[str, Any]:
    facts = data.corpus.facts
    return {
        "sources": corpus_tables.source_rows(facts["sources"]),
        "languages": corpus_tables.language_rows(facts["sources"]),
        "too_short": facts.get("items_too_short_to_look_for", 0),
        "vocab_size": facts.get("vocab_size"),
        "tasks": corpus_tables.task_rows(data.tasks, headline, data.served_by),
        "utility": heatmaps.utility_map(data.utility.facts["utility"]),
        "utility_method": data.utility.facts.get("method", ""),
        "judge_check": (data.utility.facts.get("about") or {}).get("judge_check"),
    }


def _mixtures(data: ReportData, scores: Scores) -> dict[str, Any]:
    certificates = {name: mixture_tables.read_certificate(a) for name, a in data.mixtures.items()}
    return {
        "mixtures": mixture_tables.mixture_bars(
            data.mixtures, certificates, data.looks, data.corpus.facts["sources"]
        ),
        "certificates": mixture_tables.certificate_rows(data.mixtures, certificates),
        "specialisation": mixture_tables.specialisation_rows(
            data.specialisation.facts["specialisation"], scores
        ),
    }


def _training(data: ReportData) -> dict[str, Any]:
    curves = curves_of(data.models)
    given = [name for name, artifact in data.models.items() if artifact.facts.get("given")]
    trained = [name for name, a in data.models.items() if a.stage != "composition" and name not in given]
    return {
        "given": given,
        "folders": [(name, str(a.path / "model")) for name, a in data.models.items()],
        "losses": draw_losses(curves, data.looks),
        "stability": [
            (name, draw_stability(found, artifact.facts.get("training_events", [])), artifact.facts)
            for name, artifact in data.models.items()
            if (found := read_stability(artifact.path)) is not None
        ],
        "routing": [
            (name, draw_routing(told), layer_rows(artifact.facts), source_rows(artifact.facts))
            for name, artifact in data.models.items()
            if (told := read_routing_map(artifact.path)) is not None
        ],
        "without_curve": [name for name in trained if name not in curves],
    }


def _scores(
    data: ReportData,
    scores: Scores,
    headline: Mapping[str, str],
    chance: Mapping[str, float],
    kept: list[findings.Kept],
) -> dict[str, Any]:
    stops = [a.facts.get("enough", []) for a in data.scores.values()]
    benchmark_rows, heldout_rows = score_tables.score_rows(scores, headline, chance)
    panels: tuple[list[Any], list[Any]] = ([], [])
    for task, picture in score_pictures(headline, scores, data.looks).items():
        panels[task.startswith(HELDOUT)].append((task.removeprefix(HELDOUT), picture))
    return {
        "models": list(scores),
        "benchmark_rows": benchmark_rows,
        "heldout_rows": heldout_rows,
        "benchmark_panels": panels[0],
        "heldout_panels": panels[1],
        "open_panels": OPEN_PANELS,
        "partly_asked": words.on_partly_asked(stops),
        "told_apart": words.on_told_apart(stops),
        "kept": score_tables.kept_rows(kept),
        "is_paired": all(part.gain.paired and part.moved.paired for part in kept),
    }


def _gates(data: ReportData) -> dict[str, Any]:
    used = [row for a in data.models.values() for row in a.facts.get("gate_use") or []]
    return {
        "gate_maps": heatmaps.gate_maps(used, data.domains),
        "gate_words": words.on_gates(used, data.domains),
        "token_texts": [
            coloured(a.facts["token_view"]) for a in data.models.values() if "token_view" in a.facts
        ],
    }


def _programmatic(data: ReportData) -> dict[str, Any] | None:
    """The study of the run's own models by rules, with its ratings; None where there is none."""
    if data.programmatic is None:
        return None
    facts = data.programmatic.facts
    return {
        "study": preference_tables.study_view(Study.load(data.programmatic.path))
        if facts["studied"]
        else None,
        "ratings": preference_tables.rating_rows(facts["ratings"]),
        "categories": facts["items_by_category"],
        "notes": facts["notes"],
    }

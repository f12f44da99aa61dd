"""Stage `utility`: how useful each source is for each task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from storage.artifact import Artifact
from storage.fingerprint import digest_file
from storage.stages import Stage
from storage.unrecorded import AnyRun
from tasks.benchmarks.items import Benchmark, dev_texts, read_items
from tasks.proxies.ablation.proxy_plans import ProxyPlan
from tasks.proxies.ablation.settings import AblationSettings
from tasks.stage import Progress, show_table, stage_task
from tasks.utility.methods import METHODS_BY_NAME
from tasks.utility.settings import UtilitySettings
from tasks.utility.utility_method import Given

VERSION = 8


@stage_task(name="utility", task_run_name="utility-{settings.method}")
def estimate_utility(run: AnyRun, settings: UtilitySettings, corpus: Artifact) -> Artifact:
    """The utility matrix, sources x tasks, with standard errors, by the method of the settings."""
    progress = Progress(run, "utility")
    method, section = METHODS_BY_NAME[settings.method], settings.section(settings.method)
    inputs = {"sources": corpus.digest, **method.inputs(section)}
    identity: dict[str, Any] = {"method": method.name, method.name: method.decides(section)}
    if settings.anchors is not None:
        if not settings.anchors.is_file():
            raise ValueError(f"utility.anchors={settings.anchors}: no such file; allowed: a table file")
        inputs["anchors"] = digest_file(settings.anchors)
        identity["anchor_groups"] = settings.anchor_groups
    tasks = corpus.facts["tasks"]

    def build(folder: Path) -> dict:
        samples = {
            name: [row["text"] for row in read_items(corpus.path / "samples" / f"{name}.jsonl")]
            for name in corpus.facts["sources"]
        }
        dev = {name: _dev_texts(corpus, name, about) for name, about in tasks.items()}
        assert method.estimate is not None, "utility from proxies is `utility_of_proxies`"
        answers = run.store.home.root / "answers"
        matrix = method.estimate(section, Given(samples, dev, lambda who: answers / who, progress.say))
        if settings.anchors is not None:
            from tasks.utility.anchors import calibrated, read_anchors

            matrix = calibrated(matrix, read_anchors(settings.anchors), settings.anchor_groups)
        matrix.save(folder)
        return {"utility": matrix.rows(), "method": settings.method, "about": matrix.about}

    artifact = run.stage(
        Stage(
            name="utility",
            title="utility",
            did="estimated",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            cost=lambda: method.cost(section, len(tasks), len(tasks) * len(corpus.facts["sources"])),
            expected=lambda: {"utility": [], "method": settings.method, "about": {}},
            headline=_headline,
        )
    )
    show_table(
        lambda: artifact.facts["utility"],
        key="utility",
        description=f"Utility by {settings.method}, with standard errors",
    )
    return artifact


@stage_task(name="utility", task_run_name="utility-ablation")
def utility_of_proxies(
    run: AnyRun, settings: AblationSettings, plans: list[ProxyPlan], proxies: Mapping[str, Artifact]
) -> Artifact:
    """The utility matrix, sources x tasks, with standard errors, from the proxies by their plans' names."""
    identity = {"method": "ablation", "scale": settings.scale, "plans": [[p.name, p.weights] for p in plans]}
    inputs = {f"proxy {name}": artifact.digest for name, artifact in proxies.items()}

    def build(folder: Path) -> dict:
        import pandas as pd

        from tasks.utility.methods.loss_utilities import ProxyRun, ablation_utility, runs_table

        runs = [
            ProxyRun(
                p.name, p.weights, p.random_seed, pd.read_parquet(proxies[p.name].path / "losses.parquet")
            )
            for p in plans
        ]
        matrix = ablation_utility(runs, settings)
        flops = sum(artifact.facts["metrics"]["flops"] for artifact in proxies.values())
        matrix = replace(matrix, about=matrix.about | {"cost": {"flops": flops}})
        matrix.save(folder)
        runs_table(runs).to_csv(folder / "runs.csv", index=False)
        return {"utility": matrix.rows(), "method": "ablation", "about": matrix.about}

    artifact = run.stage(
        Stage(
            name="utility",
            title="utility",
            did="estimated",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            expected=lambda: {"utility": [], "method": "ablation", "about": {}},
            headline=_headline,
        )
    )
    show_table(
        lambda: artifact.facts["utility"],
        key="utility",
        description="Utility by ablation, with standard errors",
    )
    return artifact


def _headline(facts: dict) -> str:
    values = [row["value"] for row in facts["utility"]]
    best = max(facts["utility"], key=lambda row: row["value"])
    check = facts["about"].get("judge_check")
    if check is not None and not check["is_better_than_length"]:
        return f"{facts['method']}: nothing is known, and the mixture rests on no utility: {check['line']}"
    return (
        f"{facts['method']}: {len(values)} utilities from {min(values):.2f} to {max(values):.2f}, the largest of "
        f"{best['source']} for {best['task']}{_described(facts['about'])}{_unchecked(facts)}"
    )


def _described(about: dict) -> str:
    """How many items a language model's descriptions are of, where that is not all of them."""
    described, items = (sum(about.get(name, {}).values()) for name in ("described", "items"))
    return (
        f", described by {described:,} of {items:,} items"
        if described < items and "described" in about
        else ""
    )


def _unchecked(facts: dict) -> str:
    """What is said of a language model's labels by whether it was tried on documents of known quality."""
    if facts["method"] != "medu":
        return ""
    check = facts["about"].get("judge_check")
    return (
        f"; {check['line']}" if check else "; its judge was not tried on labelled documents (medu.labelled)"
    )


def _dev_texts(corpus: Artifact, name: str, about: dict) -> list[str]:
    items = read_items(corpus.path / "tasks" / f"{name}.dev.jsonl")
    if about["kind"] == "harness":
        return [item["text"] for item in items]
    return dev_texts(Benchmark(name, about["kind"], about["source"], about["metric"], items))

"""Stage `utility`: how useful each source is for each task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from storage.artifacts import Artifact
from storage.fingerprint import digest_file, digest_pretrained, digest_value
from storage.stage import Cost, Stage
from storage.unrecorded import AnyRun
from tasks.benchmarks.items import Benchmark, dev_texts, read_items
from tasks.proxies.ablation.proxy_plans import ProxyPlan
from tasks.proxies.ablation.settings import AblationSettings
from tasks.stage import Progress, show_table, stage_task
from tasks.utility.medu.judging_cost import judging_cost
from tasks.utility.medu.settings import MeduSettings
from tasks.utility.settings import UtilitySettings

VERSION = 4
SECONDS_A_CELL = 0.2


@stage_task(name="utility", task_run_name="utility-{settings.method}")
def estimate_utility(run: AnyRun, settings: UtilitySettings, corpus: Artifact) -> Artifact:
    """The utility matrix, sources x tasks, with standard errors, by the method of the settings."""
    progress = Progress(run, "utility")
    inputs = {"sources": corpus.digest}
    for name in ("table", "anchors"):
        if (path := getattr(settings, name)) is not None:
            if not path.is_file():
                raise ValueError(f"utility.{name}={path}: no such file; allowed: a CSV file")
            inputs[name] = digest_file(path)
    identity = settings.model_dump(mode="json", include={"method", settings.method} - {"table", "medu"})
    if settings.anchors is not None:
        identity["anchor_groups"] = settings.anchor_groups
    if settings.method == "medu":
        identity["medu"] = settings.medu.identity()
        local = settings.medu.model if settings.medu.judge == "transformers" else settings.medu.tokenizer
        if local is not None:
            inputs["judge"] = digest_pretrained(local)

    def build(folder: Path) -> dict:
        tasks = corpus.facts["tasks"]
        samples = {
            name: [row["text"] for row in read_items(corpus.path / "samples" / f"{name}.jsonl")]
            for name in corpus.facts["sources"]
        }
        dev = {name: _dev_texts(corpus, name, about) for name, about in tasks.items()}
        if settings.method == "ngram":
            from tasks.utility.methods.ngram_utility import ngram_utility

            matrix = ngram_utility(samples, dev, settings.ngram)
        elif settings.method == "medu":
            from tasks.utility.medu.labelling import medu_utility

            matrix = medu_utility(samples, dev, settings.medu, _kept(run, settings.medu), progress.say)
        else:
            from tasks.utility.methods.table_utility import table_utility

            assert settings.table is not None
            matrix = table_utility(settings.table, list(samples), list(tasks))
        if settings.anchors is not None:
            from tasks.utility.anchors import calibrated, read_anchors

            matrix = calibrated(matrix, read_anchors(settings.anchors), settings.anchor_groups)
        matrix.save(folder)
        return {"utility": matrix.rows(), "method": settings.method, "about": matrix.about}

    artifact = run.stage(
        Stage(
            name="utility",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            cost=lambda: _cost(settings, corpus.facts),
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
            ProxyRun(p.name, p.weights, p.seed, pd.read_parquet(proxies[p.name].path / "losses.parquet"))
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


def _cost(settings: UtilitySettings, corpus_facts: dict) -> Cost:
    num_cells = len(corpus_facts["sources"]) * len(corpus_facts["tasks"])
    if settings.method != "medu":
        return Cost(seconds=SECONDS_A_CELL * num_cells, basis="seconds of n-grams by sources x tasks")
    return judging_cost(settings.medu, len(corpus_facts["tasks"]), num_cells)


def _headline(facts: dict) -> str:
    values = [row["value"] for row in facts["utility"]]
    best = max(facts["utility"], key=lambda row: row["value"])
    return (
        f"{facts['method']}: {len(values)} utilities from {min(values):.2f} to {max(values):.2f}, the largest of "
        f"{best['source']} for {best['task']}"
    )


def _kept(run: AnyRun, settings: MeduSettings) -> Path:
    """Where a judge's answers are kept: in the home, for all runs; what has been paid for outlives a stage."""
    if settings.judge == "openai":
        from tasks.utility.medu.endpoint import answerer

        who = "-".join(answerer(settings))
    else:
        who = settings.model
    return run.store.home.root / "answers" / digest_value(who)[:16]


def _dev_texts(corpus: Artifact, name: str, about: dict) -> list[str]:
    items = read_items(corpus.path / "tasks" / f"{name}.dev.jsonl")
    if about["kind"] == "harness":
        return [item["text"] for item in items]
    return dev_texts(Benchmark(name, about["kind"], about["source"], about["metric"], items))

"""Stage `evaluation`: every model on the same benchmarks, and the check that the experts are experts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from storage.artifact import Artifact
from storage.artifacts import environment
from storage.fingerprint import digest_named
from storage.kept_scores import AnswerStore
from storage.stages import Cost, Stage
from storage.unrecorded import AnyRun
from tasks.evaluation.metrics import bits_per_byte_by_source, headline
from tasks.evaluation.model_reading import Reading
from tasks.evaluation.scoring_cost import scoring_cost
from tasks.evaluation.settings import CodeSettings, EvaluationSettings, SpecialisationSettings
from tasks.evaluation.snapshot_names import model_or_snapshot
from tasks.evaluation.specialisation import specialisation
from tasks.stage import Progress, show_table, stage_task

if TYPE_CHECKING:
    from tasks.evaluation.stopping import ToldFrom

VERSION = 8
SCORING_FIELDS = {
    "lm_eval_tasks",
    "dev_share",
    "max_items",
    "max_length",
    "bits_per_byte_bytes",
}


@dataclass(frozen=True)
class Compared:
    """What models are told from: a model's name and its scores on all items; others: how many models are, in all."""

    name: str
    scores: Artifact
    others: int

    def told_from(self) -> ToldFrom:
        import pandas as pd

        from tasks.evaluation.stopping import ToldFrom

        samples = pd.read_parquet(
            self.scores.path / "samples.parquet", columns=["task", "metric", "item", "value"]
        )
        return ToldFrom(
            self.name,
            {
                (str(task), str(metric)): (part["item"].tolist(), part["value"].to_numpy(float))
                for (task, metric), part in samples.groupby(["task", "metric"], sort=False)
            },
        )


@stage_task(name="evaluation", task_run_name="evaluate-{name}")
def evaluate_model(
    run: AnyRun,
    name: str,
    model: Artifact,
    corpus: Artifact,
    settings: EvaluationSettings,
    probes: Artifact | None = None,
    snapshot: int | None = None,
    compared: Compared | None = None,
) -> Artifact:
    """Scores of one model on the test items of every task, and its bits per byte on every source.

    compared: where `evaluation.enough.against` is set, what the model is told from; without, it is asked all items.
    probes: further tasks and texts, laid out as a corpus has its own. snapshot: the model after so many steps of its
    training is scored, as <name>@<step>; raises ValueError where there is none of that step.
    """
    name, place = model_or_snapshot(name, model, snapshot)
    progress = Progress(run, f"evaluation/{name}")
    inputs = {"sources": corpus.digest, "model": model.digest}
    if settings.task_folder is not None:
        inputs["task_folder"] = digest_named(settings.task_folder)
    if probes is not None:
        inputs["probes"] = probes.digest
    samples = settings.samples if snapshot is None else 0
    identity = {**settings.model_dump(mode="json", include=SCORING_FIELDS), "samples": samples}
    if snapshot is not None:
        identity["snapshot"] = snapshot
    if settings.run_code:
        identity["code"] = (settings.code or CodeSettings()).model_dump(mode="json")
    wanted = settings.enough
    if wanted is not None and wanted.against is not None and compared is None:
        wanted = None
    if wanted is not None:
        identity["enough"] = wanted.model_dump(mode="json", exclude_none=True)
    if wanted is not None and compared is not None:
        inputs["told from"] = compared.scores.digest
        identity["others"] = compared.others

    def build(folder: Path) -> dict:
        from tasks.evaluation.corpus import evaluate_on_corpus
        from tasks.evaluation.stopping import Enough

        progress.say("scoring")
        packages = {name: environment()["packages"][name] for name in ("torch", "transformers")}
        answers = AnswerStore(run.home, model.digest, {"place": place, "version": VERSION, **packages})
        reading = Reading(
            settings.batch_tokens, settings.shared_prefixes, settings.check_items, progress.say, answers
        )
        told = () if probes is None else ((probes.path, probes.facts),)
        enough = None
        if wanted is not None:
            enough = Enough(**wanted.model_dump(exclude={"against"}))
            if compared is not None:
                enough = replace(enough, told_from=compared.told_from(), others=compared.others)
        with closing(answers):
            scores, written = evaluate_on_corpus(
                model.path / place,
                name,
                corpus.path,
                corpus.facts,
                settings,
                also=told,
                samples=samples,
                reading=reading,
                enough=enough,
            )
        scores.save(folder)
        return {
            "scores": scores.rows(),
            "samples": [{"model": name, **row} for row in written],
            "enough": list(scores.stops),
        }

    def cost() -> Cost:
        told = [corpus.facts] if probes is None else [corpus.facts, probes.facts]
        return scoring_cost(model.facts["metrics"], corpus.facts, told, settings)

    artifact = run.stage(
        Stage(
            name="evaluation",
            title="evaluation",
            did="models scored",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            label=name,
            cost=cost,
            expected=lambda: {"scores": [], "samples": [], "enough": []},
            headline=_headline,
        )
    )
    show_table(lambda: artifact.facts["scores"], key=f"scores-{name}", description=f"Scores of {name}")
    return artifact


@stage_task(name="specialisation", task_run_name="specialisation")
def check_specialisation(
    run: AnyRun,
    experts: Mapping[str, tuple[str, ...]],
    corpus: Artifact,
    utility: Artifact,
    mixtures: Mapping[str, Artifact],
    scores: Mapping[str, Artifact],
    settings: SpecialisationSettings | None,
) -> Artifact:
    """What experts and mixtures must show before anything is stitched.

    mixtures: of seed, experts and stitches. scores: of seed and experts. Raises ValueError where a bound is
    broken and settings are given.
    """
    bounds = (settings or SpecialisationSettings()).model_dump(mode="json")
    inputs = {"sources": corpus.digest, "utility": utility.digest}
    inputs |= {f"mixture {name}": artifact.digest for name, artifact in mixtures.items()}
    inputs |= {f"scores {name}": artifact.digest for name, artifact in scores.items()}

    def build(folder: Path) -> dict:
        rows = specialisation(
            experts,
            corpus.facts["tasks"],
            utility.facts["utility"],
            {
                name: {
                    source: share["weight"] for source, share in artifact.facts["mixture"]["sources"].items()
                }
                for name, artifact in mixtures.items()
            },
            {name: bits_per_byte_by_source(artifact.facts["scores"]) for name, artifact in scores.items()},
            **bounds,
        )
        (folder / "specialisation.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
        return {"specialisation": rows}

    identity = {"experts": {name: list(tasks) for name, tasks in experts.items()}, **bounds}
    artifact = run.stage(
        Stage(
            name="specialisation",
            title="specialisation",
            did="checked",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            expected=lambda: {"specialisation": []},
            headline=lambda facts: (
                f"{sum(row['holds'] for row in facts['specialisation'])} of {len(facts['specialisation'])} bounds hold"
            ),
        )
    )
    show_table(
        lambda: artifact.facts["specialisation"],
        key="specialisation",
        description="What experts and mixtures must show before stitching",
    )
    broken = [row for row in artifact.facts["specialisation"] if not row["holds"]]
    if broken and settings is not None:
        raise ValueError(
            "experts.specialisation_check: not stitched, as "
            + "; ".join(
                f"{r['subject']}: {r['check']} is {r['value']:.3f}, bound {r['bound']:.3f}" for r in broken
            )
            + "; a larger budget, other mixture settings or other bounds may help"
        )
    return artifact


def _headline(facts: dict) -> str:
    return ", ".join(
        f"{task} {metric} {score['value']:.3f}"
        for (task, metric), by_model in headline(facts["scores"]).items()
        for score in by_model.values()
    )

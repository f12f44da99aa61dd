"""Stage `mixture`: what the seed, each expert and the stitches train on."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from storage.artifact import Artifact
from storage.stages import Stage
from storage.unrecorded import AnyRun
from tasks.mixture.methods import method_of
from tasks.mixture.mixture_method import MixtureMethod
from tasks.mixture.settings import MixtureSettings
from tasks.sources.scarcity import token_counts
from tasks.stage import show_table, stage_task
from tasks.training.lineage import lineage_use, tokens_of

VERSION = 9


@dataclass(frozen=True)
class Known:
    """What mixtures are solved from.

    learnt: the weights that the stage `online` learnt, for a method that needs them. limits: source -> tokens of it
    that there are; None: all that the corpus holds.
    """

    corpus: Artifact
    utility: Artifact
    learnt: Artifact | None = None
    limits: Mapping[str, int] | None = None

    @property
    def tokens(self) -> dict[str, int]:
        """Tokens of each source that there are."""
        return dict(self.limits) if self.limits is not None else token_counts(self.corpus.facts)


@dataclass(frozen=True)
class Stretch:
    """The training that a mixture is for: a seed's; an expert's where it has `own_tasks`; else the stitches'.

    budget: in tokens. lineage: the mixtures trained on before, by name: `seed` first, then the experts; a seed has
    none. experts: for the stitches, the tasks of each expert. is_read: False of the mixture that a seed which is taken
    as it is would have got: experts replay it, and it counts no epochs.
    """

    budget: int
    lineage: Mapping[str, Artifact] = field(default_factory=dict)
    own_tasks: tuple[str, ...] = ()
    experts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_read: bool = True


@stage_task(name="mixture", task_run_name="mixture-{name}")
def solve_mixture(
    run: AnyRun, name: str, settings: MixtureSettings, known: Known, stretch: Stretch
) -> Artifact:
    """The mixture called `name`."""
    corpus, utility, learnt, tokens = known.corpus, known.utility, known.learnt, known.tokens
    settings = settings.with_languages(
        {name: told["language"] for name, told in corpus.facts["sources"].items() if told.get("language")}
    )
    budget, own_tasks, earlier = stretch.budget, stretch.own_tasks, stretch.lineage
    inputs = {"sources": corpus.digest, "utility": utility.digest} | {k: a.digest for k, a in earlier.items()}
    if learnt is not None:
        inputs["online"] = learnt.digest
    identity = {
        "name": name,
        "budget": budget,
        "own_tasks": list(own_tasks),
        "limits": dict(known.limits or {}),
        "experts": {expert: list(tasks) for expert, tasks in stretch.experts.items()},
        **settings.identity(),
    }
    if not stretch.is_read:
        identity["is_read"] = False
    trained = budget if stretch.is_read else 0

    def build(folder: Path) -> dict:
        from tasks.mixture.found_weights import read_runs_of
        from tasks.mixture.mixture import Mixture
        from tasks.mixture.mixture_method import Found
        from tasks.mixture.plans import expert_plan, seed_plan, stitch_plan
        from tasks.utility.matrix import UtilityMatrix

        matrix = UtilityMatrix.load(utility.path)
        plans = {name: tokens_of(artifact) for name, artifact in earlier.items()}
        used = lineage_use(plans.pop("seed", None), list(plans.values()))
        found = Found()
        if learnt is not None:
            told = {fact: learnt.facts[fact] for fact in ("weights_are", "late_drift")}
            found = Found(learnt.facts["weights"], told)
        elif reads_runs(method_of(settings), stretch, utility.path):
            found = Found(runs=read_runs_of(utility.path))
        if not earlier:
            mixture = seed_plan(matrix.values, tokens, budget, settings, found, matrix.errors)
        elif own_tasks:
            seed = Mixture.from_json(read_mixture(earlier["seed"]))
            mixture = expert_plan(
                matrix.values, matrix.errors, own_tasks, seed, tokens, budget, settings, used
            )
        else:
            groups = list(stretch.experts.values())
            mixture = stitch_plan(matrix.values, tokens, budget, settings, used, found, groups)
        if not stretch.is_read:
            mixture = mixture.unread()
        (folder / "mixture.json").write_text(json.dumps(mixture.to_json(), indent=1), encoding="utf-8")
        return {"mixture": mixture.to_facts(name), "own_tasks": list(own_tasks), "budget": trained}

    artifact = run.stage(
        Stage(
            name="mixture",
            title="mixtures",
            did="solved",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            label=name,
            expected=lambda: _expected(name, list(tokens), own_tasks, trained),
            headline=_headline,
        )
    )
    show_table(
        lambda: [
            {"source": source, **share} for source, share in artifact.facts["mixture"]["sources"].items()
        ],
        key=f"mixture-{name}",
        description=f"Mixture of {name}",
    )
    return artifact


@stage_task(name="mixture", task_run_name="mixture-{name}")
def add_up_mixtures(
    run: AnyRun, name: str, corpus: Artifact, mixtures: Mapping[str, Artifact], seed: Artifact
) -> Artifact:
    """All these mixtures as one: what one run on as many tokens would read. seed: the mixture read before."""
    inputs = {"sources": corpus.digest, "seed": seed.digest} | {k: a.digest for k, a in mixtures.items()}

    def build(folder: Path) -> dict:
        import numpy as np

        from tasks.mixture.mixture import planned

        sizes = token_counts(corpus.facts)
        plans = [tokens_of(artifact) for artifact in mixtures.values()]
        total = {source: sum(plan.get(source, 0) for plan in plans) for source in sizes}
        budget = sum(total.values())
        weights = np.array(list(total.values())) / budget
        mixture = planned(weights, sizes, budget, total, tokens_of(seed), {"method": "sum"})
        (folder / "mixture.json").write_text(json.dumps(mixture.to_json(), indent=1), encoding="utf-8")
        return {"mixture": mixture.to_facts(name), "own_tasks": [], "budget": budget}

    return run.stage(
        Stage(
            name="mixture",
            title="mixtures",
            did="solved",
            version=VERSION,
            identity={"name": name, "sum_of": list(mixtures)},
            inputs=inputs,
            build=build,
            label=name,
            expected=lambda: _expected(
                name, list(corpus.facts["sources"]), (), sum(m.facts["budget"] for m in mixtures.values())
            ),
            headline=_headline,
        )
    )


def reads_runs(method: MixtureMethod, stretch: Stretch, utility: Path) -> bool:
    """Whether the mixture is solved from the proxies' runs: a law's needs them, the default's takes them."""
    from tasks.mixture.found_weights import has_runs

    if method.evidence == "swarm":
        return not stretch.own_tasks
    return method.reads_runs and not stretch.lineage and has_runs(utility)


def count_experts(listed: dict[str, tuple[str, ...]], count: int, corpus: Artifact) -> int:
    """How many experts `group_tasks` will give."""
    return len(listed) or min(count, len(corpus.facts["tasks"]))


@stage_task(name="experts", task_run_name="group-tasks")
def group_tasks(
    run: AnyRun,
    listed: dict[str, tuple[str, ...]],
    count: int,
    corpus: Artifact,
    utility: Artifact,
    reserved: Collection[str] = (),
) -> dict[str, tuple[str, ...]]:
    """The tasks that each expert serves: as listed by name or pattern, or else grouped by what data serves them.

    reserved: names that experts of grouped tasks may not have, since other models are called so.
    Raises ValueError for what is listed and fits no task.
    """
    known = list(corpus.facts["tasks"])
    for name, tasks in listed.items():
        unknown = sorted(
            pattern for pattern in tasks if not any(fnmatch.fnmatchcase(task, pattern) for task in known)
        )
        if unknown:
            raise ValueError(
                f"experts.listed: expert {name!r}: no tasks {unknown}; allowed: {', '.join(known)}"
            )
    if listed:
        return {
            name: tuple(task for task in known if any(fnmatch.fnmatchcase(task, p) for p in patterns))
            for name, patterns in listed.items()
        }

    def build(folder: Path) -> dict:
        from tasks.mixture.experts import auto_experts
        from tasks.utility.matrix import UtilityMatrix

        groups = auto_experts(UtilityMatrix.load(utility.path).values, min(count, len(known)), reserved)
        (folder / "experts.json").write_text(json.dumps(groups, indent=1), encoding="utf-8")
        return {"experts": {name: list(tasks) for name, tasks in groups.items()}}

    artifact = run.stage(
        Stage(
            name="experts",
            title="tasks of experts",
            did="grouped",
            version=VERSION,
            identity={"count": count, "reserved": sorted(reserved)},
            inputs={"utility": utility.digest},
            build=build,
            expected=lambda: {"experts": _numbered(known, min(count, len(known)))},
            headline=lambda facts: "; ".join(f"{e}: {', '.join(t)}" for e, t in facts["experts"].items()),
        )
    )
    return {name: tuple(tasks) for name, tasks in artifact.facts["experts"].items()}


def _expected(name: str, sources: list[str], own_tasks: tuple[str, ...], budget: int) -> dict:
    """Before a mixture is solved its budget is known, and not the sources' shares."""
    shares = {source: {"weight": None, "tokens": None, "epochs": None} for source in sources}
    return {"mixture": {"name": name, "sources": shares}, "own_tasks": list(own_tasks), "budget": budget}


def _numbered(tasks: list[str], count: int) -> dict[str, list[str]]:
    """So many experts, by number until they are named for what data serves them."""
    return {str(number + 1): tasks[number::count] for number in range(count)}


def _headline(facts: dict) -> str:
    shares = sorted(facts["mixture"]["sources"].items(), key=lambda share: -share[1]["weight"])
    told = f"{facts['budget']:,} tokens" if facts["budget"] else "not trained on, and replayed by experts"
    return f"{told}: " + ", ".join(f"{name} {share['weight']:.1%}" for name, share in shares)


def read_mixture(artifact: Artifact) -> dict:
    """The JSON form of a mixture artifact, certificate included."""
    return json.loads((artifact.path / "mixture.json").read_text(encoding="utf-8"))

"""A plan says what a run would do and cost without doing any of it."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import models
from flows.experiment import checked, stop_after, walk
from flows.planning import plan_experiment
from flows.recipes import load_recipe
from storage.planned import PlannedRun, grouped, totals
from storage.unrecorded import UnrecordedRun
from tasks.sources import task as sources_task
from tasks.sources.settings import TokenizerSettings
from tasks.sources.task import HubUnreachable, prepare_sources
from tasks.sources.tokenization import make_tokenizer

SMALL = "{hidden_size: 32, num_layers: 1, num_heads: 2}"
RATED = "preference.programmatic={items: 20, prompt_characters: 40, letters: 1, new_tokens: 4}"


@pytest.fixture
def pretrained_folder(tmp_path):
    """A model of a few thousand weights and its tokenizer, as a user would have them."""
    texts = [f"a text of number {number} and more" for number in range(500)]
    tokenizer = make_tokenizer(TokenizerSettings(vocab_size=320), texts)
    config = models.seed_config(
        vocab_size=len(tokenizer), hidden_size=32, num_layers=2, num_heads=2, num_kv_heads=None, max_length=64,
        ffn_multiple=16, tie_embeddings=True, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    folder = tmp_path / "model"
    models.new_seed_model(config, 0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def no_network(monkeypatch):
    def unreachable(source):
        raise HubUnreachable(f"source {source.name!r}: the newest commit could not be asked for")

    monkeypatch.setattr(sources_task, "_dataset_commit", unreachable)


def test_the_gpu_recipe_is_planned_without_network_or_gpu(home, no_network):
    planned = plan_experiment(load_recipe("gpu-300m"))
    stages = {(row["stage"], row["name"]): row for row in planned["stages"]}
    assert {name for stage, name in stages if stage == "expert"} == {"code", "math", "languages"}
    assert not any(row["cached"] for row in planned["stages"])
    seed = stages["seed", ""]
    assert seed["tokens"] == 6_000_000_000 // (256 * 2048) * (256 * 2048)
    assert 250e6 < seed["flops"] / seed["tokens"] / 6 < 450e6  # about 6 FLOPs a weight and token
    assert seed["memory_gb"] < 80
    assert stages["stitched", ""]["memory_gb"] < 80
    assert planned["tokens"] == pytest.approx(12e9, rel=1e-3)
    assert any("newest commit" in note for note in planned["notes"])


def test_a_plan_of_an_empty_home_leaves_it_empty(home):
    planned = plan_experiment(load_recipe("pocket"))
    assert planned["stages"][0] | {"cached": False} == planned["stages"][0]
    assert list(home.artifacts.iterdir()) == list(home.work.iterdir()) == list(home.runs.iterdir()) == []
    assert planned["tokens"] == pytest.approx(750_000, rel=0.02)


def test_proxies_are_in_the_plan_with_what_they_cost(home):
    overrides = ["utility.method=ablation", "utility.ablation.swarm=2", "utility.ablation.tokens=100000"]
    planned = plan_experiment(load_recipe("pocket", overrides))
    proxies = [row for row in planned["stages"] if row["stage"] == "proxy"]
    names = [source.name for source in load_recipe("pocket").sources.listed]
    assert [row["name"] for row in proxies] == [*sorted(names), "swarm-000", "swarm-001"]
    assert {row["tokens"] for row in proxies} == {100_000}
    assert all(0 < row["flops"] < planned["flops"] and row["minutes"] > 0 for row in proxies)
    plain = plan_experiment(load_recipe("pocket"))
    assert planned["tokens"] == plain["tokens"] + 100_000 * len(proxies)


def test_what_the_own_models_are_asked_is_in_the_plan(home):
    overrides = ["training.snapshots=2", "preference.programmatic={items: 10}"]
    planned = plan_experiment(load_recipe("pocket", overrides))
    names = {
        stage: [row["name"] for row in planned["stages"] if row["stage"] == stage]
        for stage in ("evaluation", "responses", "programmatic")
    }
    assert sorted(names["responses"]) == sorted(names["evaluation"])
    assert sum(name.startswith("seed@") for name in names["responses"]) == 2
    assert names["programmatic"] == [""]
    plain = plan_experiment(load_recipe("pocket", ["preference.programmatic=null"]))
    assert {"responses", "programmatic"}.isdisjoint(row["stage"] for row in plain["stages"])


@pytest.mark.parametrize(("method", "share"), [("odm", 1.0), ("doremi", 2.0), ("skill-it", 1.5)])
def test_weights_learnt_online_are_in_the_plan(home, method, share):
    overrides = [f"mixture.method={method}"]
    if method == "skill-it":
        num_sources = len(load_recipe("pocket").sources.listed)
        overrides.append(f"mixture.online.skill_it.graph_share={0.5 / num_sources}")
    planned = plan_experiment(load_recipe("pocket", overrides))
    (row,) = [row for row in planned["stages"] if row["stage"] == "online"]
    assert row["tokens"] == pytest.approx(share * 200_000, rel=1e-6)


def test_what_a_judge_may_be_asked_is_said(home):
    overrides = ["utility.method=medu", "utility.medu.documents=32", "utility.medu.max_tokens=1000000"]
    planned = plan_experiment(load_recipe("pocket", overrides))
    (note,) = [n for n in planned["notes"] if "judge" in n]
    assert "32 documents a source" in note and "1,000,000 tokens" in note
    (row,) = [row for row in planned["stages"] if row["stage"] == "utility"]
    assert row["read"] == 1_000_000
    assert row["requests"] == 32 * 4 * 3 + 3 * (2 * 8 - 1)  # documents, and a tree over 8 chunks a task
    assert row["flops"] is row["minutes"] is None  # of a judge whose size is not told


def stages_of(planned, stage):
    return [row for row in planned["stages"] if row["stage"] == stage]


def test_a_duel_of_mixtures_is_planned_model_by_model(home):
    planned = plan_experiment(load_recipe("mixture-duel", ["duel.seeds=2"]))
    seeds = stages_of(planned, "seed")
    assert len(seeds) == 84  # 7 contenders, 2 regimes, 3 rungs, 2 seeds
    assert sum(row["tokens"] for row in seeds) == pytest.approx(84 * 400_000 * (0.25 + 0.5 + 1) / 3, rel=0.02)
    assert len(stages_of(planned, "proxy")) == 8  # pocket's four sources in two regimes
    shown = {row["stage"]: row for row in grouped(planned["stages"], 16)}
    assert shown["seed"]["name"] == "84 results"
    assert shown["seed"]["tokens"] == sum(row["tokens"] for row in seeds)
    assert totals(planned["stages"]) == pytest.approx(totals(grouped(planned["stages"], 16)))


def test_a_duel_of_combinations_is_planned_model_by_model(home, tmp_path):
    for name in ("math_x", "web_x", "multilingual_x"):
        (tmp_path / f"{name}.jsonl").write_text('{"text": "one and one are two"}\n')
    planned = plan_experiment(load_recipe("stitch-duel", [f"sources.folder={tmp_path}"]))
    step = 16 * 128
    expert, stitch = int(3e6 * 0.5 / 3) // step * step, int(3e6 * 0.1) // step * step
    duel = load_recipe("stitch-duel").stitch_duel
    dense = sum(1 if v.side else 3 for v in duel.variants if v.method == "dense")
    trained = [row["tokens"] for row in stages_of(planned, "expert")]
    assert sorted(trained) == [expert] * 9 + [3 * expert + stitch] * dense
    assert len(stages_of(planned, "seed")) == 3


def test_a_ladder_of_experts_is_planned_at_equal_flops(home):
    planned = plan_experiment(load_recipe("moe-efficiency"))
    seeds = stages_of(planned, "seed")
    assert len(seeds) == 24  # two families, four rungs, three seeds
    dense, moe = (
        [row for row in seeds if row["name"].startswith(family) and row["name"].endswith("seed0")]
        for family in ("dense", "moe")
    )
    step = 16 * 128
    for one, other in zip(dense, moe, strict=True):
        per_token = other["flops"] / other["tokens"]
        assert abs(one["flops"] - other["flops"]) < step * per_token  # whole steps
        assert 1.1 < per_token / (one["flops"] / one["tokens"]) < 1.3
    assert stages_of(planned, "moe-efficiency")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model={family: qwen3}"], "model.family='qwen3': no dense model to compare it with"),
        (["model.capacity_factor=0"], "model.capacity_factor: Input should be greater than 0"),
        (["model.num_experts=2", "model.top_k=3"], "num_experts=2 is fewer than top_k=3"),
        (["moe_efficiency.rungs=[0.5]"], "moe_efficiency.rungs"),
        (["moe_efficiency.rungs=[0.9999, 1.0]"], "rungs that are different numbers of steps"),
        (["duel={seeds: 1}"], "duel and moe_efficiency are given together; allowed: one of them"),
        (["budget.minutes=3"], "budget.minutes=3 with a duel"),
    ],
)
def test_a_ladder_that_cannot_be_is_refused_before_anything_is_spent(home, overrides, message):
    with pytest.raises(ValueError, match=message):
        plan_experiment(load_recipe("moe-efficiency", overrides))


def test_own_text_is_planned_from_its_files_first_rows(home, tmp_path):
    """Half of each row is text, and a compressed file holds what it says it holds."""
    text = "word " * 200
    rows = "".join(json.dumps({"text": text, "other": text}) + "\n" for _ in range(2_000))
    (tmp_path / "plain.jsonl").write_text(rows)
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(rows.encode()))
    pq.write_table(pa.table({"text": [text] * 2_000}), tmp_path / "table.parquet")
    listed = "sources.listed=[{name: columns, reader: parquet, path: %s}]" % (tmp_path / "table.parquet")
    recipe = load_recipe(
        "pocket",
        [
            f"sources.folder={tmp_path}",
            listed,
            "evaluation={made: [], made_from_each: 20}",
            "experts={count: 1}",
        ],
    )
    corpus = prepare_sources(PlannedRun(home), recipe.sources, recipe.evaluation, 0)
    kept = 2_000 * 1_000 * 0.9
    for name in ("plain", "columns"):
        assert corpus.facts["sources"][name]["bytes"] == pytest.approx(kept, rel=0.01)
    assert corpus.facts["sources"]["packed"]["bytes"] == pytest.approx(kept, rel=0.5)


def test_a_pretrained_model_and_tokenizer_in_a_folder_are_priced(home, pretrained_folder):
    overrides = [
        f"model.pretrained={pretrained_folder}",
        f"sources.tokenizer.pretrained={pretrained_folder}",
        "model.num_layers=2",
        "stitching.num_stitches=1",
    ]
    planned = plan_experiment(load_recipe("tests/tiny.yaml", overrides))
    (seed,) = stages_of(planned, "seed")
    parameters = sum(weight.numel() for weight in models.load_causal_lm(pretrained_folder).parameters())
    assert seed["disk_gb"] == pytest.approx(4 * parameters / 1e9)
    assert seed["flops"] > 6 * seed["tokens"] * parameters * 0.5
    assert all(row["minutes"] > 0 for row in stages_of(planned, "evaluation"))


def test_a_stage_to_stop_at_is_known_before_anything_runs(home):
    planned = checked(load_recipe("tests/tiny.yaml"), home)
    with pytest.raises(
        ValueError, match="--until mixtures: no such stage; allowed: sources, utility, mixture, "
    ):
        stop_after("mixtures", planned)
    stop_after("evaluation/stitched", planned)
    assert planned.stages[-1].artifact.label == "evaluation/stitched"
    stop_after("mixture", planned)
    assert planned.stages[-1].artifact.label == "mixture/seed"


KINDS = {
    "pipeline": ["training.snapshots=1", RATED],
    "own experts": ["experts={count: 2}"],
    "ablation": ["utility={method: ablation, ablation: {tokens: 1024, swarm: 1, model: " + SMALL + "}}"],
    "online": ["mixture={method: odm, online: {tokens: 2048, model: " + SMALL + "}}"],
    "minutes": ["budget={minutes: 0.05}"],
    "mixture duel": [
        "duel={seeds: 1, rungs: [1], regimes: [{name: all}], contenders: [{name: best, mixture: {method: utilimax}}, "
        "{name: even, mixture: {method: uniform}}]}"
    ],
    "chat": [
        "training.sequence_length=256",
        "chat={new_tokens: 8, made: {dialogues: 12, pairs: 20, prompts: 4, heldout: 6}, "
        "sft: {epochs: 1, batch_size: 1}, reward: {compared: [small], batch_size: 2}, "
        "rejection: {rounds: 1, samples: 2, batch_size: 1}, ghost: {dialogues: 0}}",  # so small a model says nothing
    ],
    "experts": ["model.family=moe", "moe_efficiency={rungs: [0.5, 1.0], seeds: 1, resamples: 100}"],
    "stitch duel": [
        "stitch_duel={seeds: 1, costs: false, changes_of: bts, switching_documents: 4, cross_items: 20, "
        "cross_tokens: 2000, domains: {docs: [python-docs], math: [arith*]}, variants: [{name: soup, method: soup}, "
        "{name: dense, method: dense}, {name: bts, method: stitched, stitch: {num_stitches: 1}}]}"
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_has_the_stages_of_the_run(home, kind):
    """From an empty home, where nothing is known yet, and afterwards, where all of it is there."""
    experiment = load_recipe("tests/tiny.yaml", KINDS[kind])
    before, run, after = PlannedRun(home), Noted(home), PlannedRun(home)
    walk(before, experiment)
    walk(run, experiment)
    walk(after, experiment)
    labels = {
        name: [one.artifact.label for one in planned.stages]
        for name, planned in (("before", before), ("after", after))
    }
    if kind == "own experts":  # they are named for what data serves them
        assert len(labels["before"]) == len(run.labels)
    else:
        assert labels["before"] == run.labels
    assert labels["after"] == run.labels
    assert all(row["cached"] for row in after.rows(1.0))
    assert all(row["minutes"] is not None for row in before.rows(1.0))
    if kind != "minutes":
        assert_told_what_was_trained(before, run)


class Noted(UnrecordedRun):
    """Notes what it builds."""

    def __init__(self, home):
        super().__init__(home)
        self.built = {}

    def stage(self, stage):
        artifact = super().stage(stage)
        self.built.setdefault(artifact.key, artifact)
        return artifact

    @property
    def labels(self):
        return [artifact.label for artifact in self.built.values()]


def assert_told_what_was_trained(planned, run):
    """Tokens, FLOPs and weights of what trains are known to the last one before it is trained."""
    built = {artifact.label: artifact.facts.get("metrics", {}) for artifact in run.built.values()}
    for one in planned.stages:
        if one.stage.name in ("seed", "stitched", "proxy") and one.artifact.label in built:
            told = built[one.artifact.label]
            assert one.cost.tokens == told["tokens"]
            assert one.cost.flops == pytest.approx(told["flops"], rel=1e-6)

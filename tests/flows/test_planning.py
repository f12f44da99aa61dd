"""A plan says what a run would do and cost without doing any of it."""

from __future__ import annotations

import pytest

from flows.planning import plan_experiment
from flows.recipes import load_recipe
from tasks.sources import task as sources_task
from tasks.sources.task import HubUnreachable


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
    assert planned["tokens"] == pytest.approx(1_500_000, rel=0.02)


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
    (note,) = [n for n in plan_experiment(load_recipe("pocket", overrides))["notes"] if "MEDU" in n]
    assert "32 documents a source" in note and "1,000,000 tokens" in note


def test_a_duel_of_mixtures_is_planned_as_so_many_models(home):
    planned = plan_experiment(load_recipe("mixture-duel", ["duel.seeds=2"]))
    rows = {row["stage"]: row for row in planned["stages"]}
    assert rows["seed"]["name"] == "60 models"  # 5 contenders, 2 regimes, 3 rungs, 2 seeds
    assert rows["seed"]["tokens"] == pytest.approx(60 * 400_000 * (0.25 + 0.5 + 1) / 3)
    assert rows["proxy"]["name"] == "8 models"  # pocket's four sources in two regimes


def test_a_duel_of_combinations_is_planned_as_so_many_models(home, tmp_path):
    (tmp_path / "math_x.jsonl").write_text('{"text": "one and one are two"}\n')
    planned = plan_experiment(load_recipe("stitch-duel", [f"sources.folder={tmp_path}"]))
    rows = {row["stage"]: row for row in planned["stages"]}
    assert (rows["seed"]["name"], rows["expert"]["name"]) == ("3 models", "9 models")
    step = 16 * 128
    expert, stitch = int(3e6 * 0.5 / 3) // step * step, int(3e6 * 0.1) // step * step
    assert rows["expert"]["tokens"] == 9 * expert
    dense = sum(
        1 if v.side else 3 for v in load_recipe("stitch-duel").stitch_duel.variants if v.method == "dense"
    )
    assert rows["expert (dense)"]["tokens"] == pytest.approx(dense * (3 * expert + stitch))

"""Duels of combinations: what is asked, what is kept of gains, and a small one from recipe to page."""

from __future__ import annotations

import itertools
import json
import re

import pytest

import models
from flows.experiment import run_experiment
from flows.recipes import load_recipe
from tasks.duels.stitches.cross_problems import TASKS, cross_tasks, cross_text
from tasks.duels.stitches.measured_costs import run_costs
from tasks.duels.stitches.settings import StitchDuelSettings, Variant, default_variants
from tasks.duels.stitches.stitch_duel_results import Scored, differences, gains, kept, means, measured, ranks
from tasks.duels.stitches.switching import domain_sources, source_weights, switching_documents

WORK = re.compile(r"\nWork: (\d+) ([+x-]) (\d+) = (\d+)\nAnswer: (\d+)$")
OPERATIONS = {"+": int.__add__, "-": int.__sub__, "x": int.__mul__}


def test_solutions_are_right_once_and_wrong_three_times():
    for task in cross_tasks(30, random_seed=1):
        assert len(task.items) == len({item["id"] for item in task.items}) == 30
        for item in task.items:
            worked = [WORK.search(choice).groups() for choice in item["choices"]]
            a, symbol, b, result, answer = worked[item["answer"]]
            assert {a, b} <= set(re.findall(r"\d+", item["context"]))
            assert OPERATIONS[symbol](int(a), int(b)) == int(result) == int(answer)
            others = [w for place, w in enumerate(worked) if place != item["answer"]]
            right_but_other = [w for w in others if OPERATIONS[w[1]](int(w[0]), int(w[2])) == int(w[3])]
            assert len({w[1] for w in right_but_other} | {symbol}) == 3
            (off,) = [w for w in others if w not in right_but_other]
            assert (off[1], int(off[3]) - 10) == (symbol, int(result))


def test_training_text_is_of_the_same_make_and_holds_no_item():
    tasks = cross_tasks(200, random_seed=0)
    texts = list(itertools.islice(cross_text(tasks, random_seed=0), 2000))
    questions = {item["context"] for task in tasks for item in task.items}
    assert not [text for text in texts if any(text.startswith(question) for question in questions)]
    assert all(WORK.search(text.rstrip("\n")) for text in texts)
    assert 400 < sum("def count" in text for text in texts) <= 500  # one of four tasks, less what is asked


def test_cross_tasks_differ_by_language_and_seed():
    first, other = cross_tasks(20, random_seed=0), cross_tasks(20, random_seed=1)
    assert [task.name for task in first] == list(TASKS)
    assert first[0].items != other[0].items
    assert cross_tasks(20, random_seed=0)[0].items == first[0].items


def test_a_document_switches_between_two_domains():
    texts = {"a": ["aaaa " * 200], "b": ["bbbb " * 200], "c": ["cccc " * 200, "c"], "none": []}
    for document in switching_documents(texts, 20, random_seed=3):
        pieces = document.strip().split("\n\n")
        letters = [piece.strip()[0] for piece in pieces]
        assert len(pieces) == 4 and len(set(letters)) == 2
        assert letters[0] == letters[2] != letters[1] == letters[3]
        assert all(set(piece) <= {letter, " "} for piece, letter in zip(pieces, letters, strict=True))
    with pytest.raises(ValueError, match="two or more"):
        switching_documents({"a": ["text"], "b": []}, 1, 0)


def test_domains_are_patterns_of_sources():
    sources = ["code", "math_a", "math_b", "news"]
    assert domain_sources({"math": ("math*",), "c": ("code",)}, sources) == {
        "math": ["math_a", "math_b"],
        "c": ["code"],
    }
    with pytest.raises(ValueError, match=r"domains.poems=\['poem\*'\]: fits no source"):
        domain_sources({"poems": ("poem*",)}, sources)
    with pytest.raises(ValueError, match="math_a in two domains"):
        domain_sources({"math": ("math*",), "a": ("*_a",)}, sources)


def bits(**by_source: float) -> list[dict]:
    rows = [{"task": f"heldout:{s}", "metric": "bits_per_byte", "value": v} for s, v in by_source.items()]
    return [
        *rows,
        {"task": "heldout:switching", "metric": "bits_per_byte", "value": 3.0},
        {"task": "cross-code", "metric": "acc", "value": 0.5},
        {"task": "cross-german", "metric": "acc", "value": 0.25},
        {"task": "cross-code", "metric": "bits_per_byte", "value": 1.0},
    ]


@pytest.fixture
def table():
    return measured(
        [
            Scored("seed", 0, bits(a=4.0, b=2.0, other=2.0)),
            Scored("x", 0, bits(a=2.0, b=1.0, other=2.5)),
            Scored("joined", 0, bits(a=2.5, b=1.0, other=2.0)),
            Scored("seed", 1, bits(a=4.0, b=2.0, other=2.0)),
            Scored("x", 1, bits(a=2.0, b=1.0, other=2.5)),
            Scored("joined", 1, bits(a=3.5, b=1.5, other=2.0)),
            Scored("side", 0, bits(a=6.0, b=2.0, other=2.0)),
        ],
        {"x": ["a", "b"], "rest": ["other"]},
    )


def test_domains_are_means_over_sources_and_probes_over_tasks(table):
    assert table.iloc[0].to_dict() == {
        "model": "seed", "seed": 0, "x": 3.0, "rest": 2.0, "average": 2.5, "switching": 3.0,
        "cross-accuracy": 0.375, "cross-bits": 1.0,
    }  # fmt: skip


def test_kept_is_the_share_of_the_experts_gain(table):
    assert gains(table, ["x"]) == [{"expert": "x", "mean": 0.5, "low": 0.5, "high": 0.5}]
    rows = {(row["model"], row["expert"]): row for row in kept(table, ["x"])}
    # (3 - 1.75) / 1.5 and (3 - 2.5) / 1.5
    assert rows["joined", "x"]["mean"] == pytest.approx((1.25 + 0.5) / 1.5 / 2)
    assert rows["joined", "mean"]["mean"] == rows["joined", "x"]["mean"]
    assert rows["side", "x"] == {"model": "side", "expert": "x", "mean": -1 / 1.5, "low": None, "high": None}


def test_differences_are_paired_and_ranks_go_by_the_average(table):
    (against_side,) = [row for row in differences(table, ["joined"], ["average"]) if row["other"] == "side"]
    # Only seed 0 has both: averages 3 and 1.875.
    assert (against_side["mean"], against_side["low"]) == (pytest.approx(3.0 - 1.875), None)
    assert [row["model"] for row in ranks(table)] == ["x", "joined", "seed", "side"]
    assert {row["seeds"] for row in means(table) if row["model"] == "side"} == {1}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "stitched"}, "it needs one"),
        ({"method": "btm", "hub": "math"}, "has no effect on btm"),
        ({"method": "soup", "in_domain_share": 0.1}, "has no effect on soup"),
        ({"method": "stitched", "stitch": {}, "learning_rate": 0.1}, "is that in stitch"),
    ],
)
def test_a_variant_takes_only_what_its_method_uses(changes, said):
    with pytest.raises(ValueError, match=said):
        Variant(name="v", **changes)


def test_weights_by_shares_of_domains():
    domains = {"a": ["x", "y"], "b": ["z"]}
    weights = source_weights({"a": 0.6, "b": 0.4}, domains, {"x": 30, "y": 10, "z": 5, "noise": 99})
    assert weights == pytest.approx({"x": 0.45, "y": 0.15, "z": 0.4, "noise": 0.0})
    with pytest.raises(ValueError, match="shares="):
        StitchDuelSettings(domains={"a": ("x",)}, shares={"b": 1.0})


def test_costs_are_those_of_the_model(tmp_path):
    config = models.seed_config(64, 16, 2, 2, max_length=128, ffn_multiple=8)
    model = models.new_seed_model(config, 0)
    model.save_pretrained(tmp_path / "model")
    costs = run_costs(tmp_path / "model", length=32, batch_size=2)
    assert costs["total"] == costs["active"] == sum(weight.numel() for weight in model.parameters())
    assert costs["flops_per_token"] == models.model_costs(model, 32).forward_flops_per_token
    assert costs["tokens_per_second"] > costs["generated_per_second"] > 0
    assert costs["peak_mb"] > 4 * costs["total"] / 1e6
    with pytest.raises(RuntimeError, match="costs could not be measured"):
        run_costs(tmp_path / "none", length=32, batch_size=2)


def test_what_is_changed_is_a_stitched_variant():
    settings = {"domains": {"a": ("a",)}, "variants": (Variant(name="soup", method="soup"),)}
    with pytest.raises(ValueError, match="changes_of='bts-k4'; allowed: a stitched variant"):
        StitchDuelSettings(**settings)
    assert StitchDuelSettings(**settings, changes_of=None).changes_of is None


def test_every_default_variant_is_named_once():
    names = [variant.name for variant in default_variants()]
    assert len(set(names)) == len(names)


@pytest.mark.slow
def test_a_small_duel_runs_to_its_page(home):
    variants = [
        "{name: soup, method: soup}",
        "{name: routing, method: routing}",
        "{name: dense, method: dense, in_domain_share: 0.2}",
        "{name: bts, method: stitched, stitch: {num_stitches: 2}, in_domain_share: 0.2}",
        "{name: on-math, method: stitched, stitch: {num_stitches: 1}, hub: math, side: true}",
    ]
    experiment = load_recipe(
        "tests/tiny.yaml",
        [
            f"stitch_duel.variants=[{', '.join(variants)}]",
            "stitch_duel.domains={docs: [python-docs], math: [arith*]}",
            "stitch_duel.seeds=1",
            "stitch_duel.costs=false",
            "stitch_duel.shares={docs: 0.5, math: 0.5}",
            "stitch_duel.changes_of=bts",
            "stitch_duel.switching_documents=4",
            "stitch_duel.cross_items=20",
            "stitch_duel.cross_tokens=2000",
        ],
    )
    summary = run_experiment(experiment).summary
    assert summary.status == "completed"
    page = home.artifacts / "stitch-duel"
    (folder,) = page.iterdir()
    told = json.loads((folder / "stitch-duel.json").read_text(encoding="utf-8"))
    names = {"seed", "docs", "math", "soup", "routing", "dense", "bts", "on-math"}
    assert {row["model"] for row in told["means"]} == names
    assert {row["expert"] for row in told["gains"]} == {"docs", "math"}
    changes = {(row["expert"], row["change"]): row for row in told["changes"]}
    assert len(changes) == 1 + 2 * 3
    assert changes["docs", "dropped"]["seconds"] == 0 < changes["docs", "added"]["seconds"]
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert html.count("<tr>") > 20 and "on-math" in html
    assert any(stage["name"] == "probes" for stage in summary.stages)

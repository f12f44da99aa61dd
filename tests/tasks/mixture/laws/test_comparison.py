"""Methods side by side, and what more runs are worth."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest

from tasks.mixture.comparing import compare, planned_budget
from tasks.mixture.laws.run_table import RunTable
from tasks.mixture.laws.sample_efficiency import efficiency, probe_runs, probe_utility, usable_counts
from tasks.report.pictures.drawing import write_svg
from tasks.report.pictures.law_pictures import draw_comparison, draw_efficiency
from tests.tasks.mixture.laws.made_runs import SOURCES, made_mixtures, power_losses

TOKENS = {"web": 1000, "code": 300, "books": 250, "wiki": 107}
UTILITY = pd.DataFrame(
    [[0.9, 0.1], [0.2, 0.9], [0.6, 0.1], [0.4, 0.4]], index=list(SOURCES), columns=["reading", "coding"]
)


def table(count: int, random_seed: int) -> RunTable:
    runs = made_mixtures(count, random_seed)
    return RunTable(f"made-{random_seed}", runs, power_losses(runs))


@pytest.fixture(scope="module")
def compared():
    mixtures = pd.DataFrame([[0.1, 0.1, 0.1, 0.7]], ["by hand"], list(SOURCES))
    plan = planned_budget(SOURCES, TOKENS, 1000, 2.0)
    return compare(table(40, 0), table(20, 1), plan, UTILITY, mixtures, ["ridge", "power", "fusion"])


def test_every_method_stands_in_the_table_once(compared):
    by_name = {entry["method"]: entry for entry in compared["methods"]}
    assert len(by_name) == len(compared["methods"])
    assert {"uniform", "proportional", "unimax", "utilimax", "by hand", "ridge", "power", "fusion"} <= set(
        by_name
    )
    assert by_name["power"]["spearman_mean"] > 0.99
    assert by_name["power"]["spearman_mean"] > by_name["ridge"]["spearman_mean"]
    assert "spearman_mean" not in by_name["uniform"]


def test_proposals_keep_the_cap_and_mixtures_found_elsewhere_are_left_and_marked(compared):
    for entry in compared["methods"]:
        assert sum(entry["weights"].values()) == pytest.approx(1)
        over = [s for s in SOURCES if entry["weights"][s] * 1000 > 2.0 * TOKENS[s] * (1 + 1e-9)]
        assert entry["breaks_cap"] == over
        assert (entry["method"] == "by hand") == bool(over)
    by_hand = next(entry for entry in compared["methods"] if entry["method"] == "by hand")
    assert by_hand["weights"] == pytest.approx({"web": 0.1, "code": 0.1, "books": 0.1, "wiki": 0.7})


def test_regret_of_proposals_is_counted_from_the_best_of_them(compared):
    means = [entry["predicted"]["mean"] for entry in compared["methods"]]
    assert min(entry["proposal_regret"] for entry in compared["methods"]) == 0
    for entry, mean in zip(compared["methods"], means, strict=True):
        assert entry["proposal_regret"] == pytest.approx(mean - min(means))
        # The reference law knows the truth here to a few thousandths.
        truth = power_losses(pd.DataFrame([entry["weights"]])[list(SOURCES)]).to_numpy().mean()
        assert mean == pytest.approx(truth, abs=0.02)
    assert compared["reference"] == {"law": "diminishing+gp", "runs": 60}


def test_without_token_counts_nothing_is_capped_and_it_is_said():
    told = compare(table(30, 0), laws=["ridge"])
    assert [entry["method"] for entry in told["methods"]] == ["uniform", "returns", "ridge"]
    assert told["capped"] is False
    assert any("no token counts given" in note for note in told["notes"])
    assert any("UtiliMax and fusion need" in note for note in told["notes"])


def test_what_a_user_can_get_wrong_is_said():
    with pytest.raises(ValueError, match="--tokens without --budget"):
        planned_budget(SOURCES, TOKENS, None, None)
    with pytest.raises(ValueError, match="need --tokens"):
        planned_budget(SOURCES, None, 1000, None)
    assert planned_budget(SOURCES, None, None, None).epoch_cap == math.inf
    with pytest.raises(ValueError, match=r"--laws \['cubic'\]: must be some of auto"):
        compare(table(10, 0), laws=["cubic"])
    with pytest.raises(ValueError, match=r"fusion: needs --utility"):
        compare(table(10, 0), laws=["fusion"])
    named = pd.DataFrame([[1.0, 0, 0, 0]], ["uniform"], list(SOURCES))
    with pytest.raises(ValueError, match=r"mixtures \['uniform'\] have the name of a method"):
        compare(table(10, 0), laws=["ridge"], mixtures=named)
    with pytest.raises(ValueError, match=r"sources \['wiki', 'wikipedia'\]"):
        compare(
            table(10, 0),
            laws=["ridge"],
            mixtures=named.rename(index={"uniform": "m"}, columns={"wiki": "wikipedia"}),
        )


def test_a_method_that_needs_runs_has_no_point_without():
    told = efficiency(table(40, 0), table(30, 1), ("ridge", "power", "fusion"), (0, 8, 32), 2, UTILITY)
    at = {(point["method"], point["runs"]): point for point in told["points"]}
    assert set(at) == {("fusion", 0)} | {(m, n) for m in ("ridge", "power", "fusion") for n in (8, 32)}
    assert len(at["power", 32]["values"]) == 2
    assert at["power", 32]["mean"] > 0.98
    assert told["probes"] == []


def test_probes_are_counted_as_the_runs_they_are():
    """Four probes: fusion begins at 4 runs, all of them probes, and at 12 has a swarm of 8."""
    told = efficiency(table(40, 0), table(30, 1), ("ridge", "fusion"), (0, 4, 12), 2)
    assert [(p["method"], p["runs"]) for p in told["points"]] == [
        ("ridge", 4), ("fusion", 4), ("ridge", 12), ("fusion", 12)
    ]  # fmt: skip
    assert len(told["probes"]) == 4
    assert "utilities from 4 runs" in told["words"]
    assert "0 runs: no method has a point" in told["words"]


def test_probes_are_the_runs_most_concentrated_on_each_source():
    weights = pd.DataFrame(
        {"a": [0.9, 0.1, 0.5], "b": [0.1, 0.6, 0.5], "never": [0.0, 0.0, 0.0]}, ["x", "y", "z"]
    )
    losses = pd.DataFrame({"t": [1.0, 3.0, 2.0], "u": [4.0, 2.0, 0.0]}, ["x", "y", "z"])
    assert probe_runs(weights) == ["x", "y"]
    utility = probe_utility(weights, losses, ["x", "y"])
    assert utility.to_dict("index") == {
        "a": {"t": 1.0, "u": 0.0},
        "b": {"t": 0.0, "u": 1.0},
        "never": {"t": 0.0, "u": 0.0},
    }
    assert usable_counts((0, 8, 512), 100) == [0, 8, 100]


def test_pictures_hold_every_method_and_source_and_are_the_same_again(compared, tmp_path):
    write_svg(draw_comparison(compared), tmp_path / "first.svg")
    write_svg(draw_comparison(compared), tmp_path / "second.svg")
    text = (tmp_path / "first.svg").read_text(encoding="utf-8")
    assert text == (tmp_path / "second.svg").read_text(encoding="utf-8")
    for word in ("UtiliMax", "by hand", "power", *SOURCES, "nats per token", "Spearman"):
        assert word in text
    told = efficiency(table(40, 0), table(30, 1), ("ridge", "power"), (8, 16), 2)
    write_svg(draw_efficiency(told), tmp_path / "efficiency.svg")
    text = (tmp_path / "efficiency.svg").read_text(encoding="utf-8")
    assert re.search(r">ridge<", text)
    assert "proxy runs" in text
    assert np.isfinite([point["mean"] for point in told["points"]]).all()

"""Intervals and paired differences of models' scores, by hand."""

from __future__ import annotations

import math

import pytest

from tasks.evaluation.scores import Scores
from tasks.report.model_comparison import compared_models


def scores(model: str, values: list[float]) -> Scores:
    n, mean = len(values), sum(values) / len(values)
    stderr = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1) / n)
    row = {"model": model, "task": "t", "metric": "acc", "value": mean, "stderr": stderr, "n": n}
    sample = {"model": model, "task": "t", "metric": "acc", "outputs": "[[0, true], [1, true]]"}
    samples = [{**sample, "item": str(i), "value": value} for i, value in enumerate(values)]
    return Scores.from_rows([row], samples)


@pytest.fixture
def compared(tmp_path):
    found = {"a": scores("a", [1, 0, 0, 0]), "b": scores("b", [1, 1, 0, 0]), "c": scores("c", [1, 0, 0, 0])}
    for name, own in found.items():
        own.save(tmp_path / name)
    return compared_models(tmp_path, found, {"t": {"kind": "choice"}}), tmp_path


def test_shares_have_wilsons_interval_and_the_level_of_guessing(compared):
    row = compared[0].scores[0]
    # (1/4 + z^2/8 -+ z sqrt(3/64 + z^2/64)) / (1 + z^2/4), z = 1.96
    assert (row["low"], row["high"]) == (pytest.approx(0.0456, abs=1e-4), pytest.approx(0.6994, abs=1e-4))
    assert row["guess"] == 0.5


def test_pass_at_k_of_several_programs_has_an_interval_inside_0_and_1(tmp_path):
    own = scores("a", [0.5, 0, 0, 0])
    own.frame["metric"] = own.samples["metric"] = "pass@1"
    own.save(tmp_path / "a")
    [row] = compared_models(tmp_path, {"a": own}, {}).scores
    # The error is .125, that of a share of 1/8 of .125 * .875 / .125^2 = 7 items.
    assert (row["low"], row["high"]) == (pytest.approx(0.0204, abs=1e-4), pytest.approx(0.4954, abs=1e-4))


def test_differences_are_paired_over_items(compared):
    more, same = compared[0].differences
    # One of four items differs: its deviations .75, -.25 three times; sqrt(.75 / 3 / 4) = .25.
    assert (more["model"], more["against"], more["difference"]) == ("b", "a", 0.25)
    assert more["stderr"] == pytest.approx(0.25)
    assert (more["low"], more["high"]) == (pytest.approx(-0.24, abs=1e-3), pytest.approx(0.74, abs=1e-3))
    assert more["paired"] and more["n"] == 4
    assert (same["difference"], same["stderr"]) == (0, 0)


def test_no_item_that_tells_two_models_apart_does_not_make_them_equal(tmp_path):
    found = {name: scores(name, [1, 0, 0, 0]) for name in "ab"}
    for name, values in (("a", [1, 0, 0]), ("b", [1, 1, 0])):
        other = scores(name, values)
        other.frame["task"] = other.samples["task"] = "u"
        found[name] = Scores.joined([found[name], other])
        found[name].save(tmp_path / name)
    on_t, on_u = compared_models(tmp_path, found, {}).differences
    assert (on_t["task"], on_t["difference"]) == ("t", 0)
    assert on_t["stderr"] == pytest.approx(math.sqrt(0.1 / 4))  # d = 1/2 / 5
    assert on_u["stderr"] == pytest.approx(1 / 3)


def test_both_tables_are_written(compared):
    found, folder = compared
    written = found.save(folder)
    assert written[:3] == [str(folder / name) for name in "abc"]
    assert (folder / "scores.csv").read_text().splitlines()[
        0
    ] == "model,task,metric,value,stderr,n,low,high,guess"
    assert len((folder / "differences.csv").read_text().splitlines()) == 3
    assert len(Scores.load(folder).frame) == 3

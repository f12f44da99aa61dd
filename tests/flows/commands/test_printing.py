"""What the commands print: one headline metric a task, the best marked, forecasts never without an interval."""

from __future__ import annotations

from flows.commands.printing import best_models, forecast_lines, headline


def score(model, task, metric, value):
    return {"model": model, "task": task, "metric": metric, "value": value, "stderr": 0.1, "n": 9}


def test_the_headline_takes_the_first_metric_of_a_task():
    scores = [
        score("a", "quiz", "acc", 0.4),
        score("a", "quiz", "acc_norm", 0.9),
        score("b", "quiz", "acc", 0.5),
    ]
    found = headline(scores)
    assert list(found) == [("quiz", "acc")]
    assert best_models(found["quiz", "acc"], "acc") == {"b"}


def test_lower_bits_per_byte_are_better():
    by_model = {"a": score("a", "t", "bits_per_byte", 2.0), "b": score("b", "t", "bits_per_byte", 1.5)}
    assert best_models(by_model, "bits_per_byte") == {"b"}


def test_forecasts_have_intervals_and_missing_benchmarks_are_named_once():
    rated = {
        "model": "a", "target": "chat", "rating": 0.5, "low": 0.3, "high": 0.8, "extrapolates": True, "missing": ["X"],
    }  # fmt: skip
    code = {**rated, "target": "code"}
    wide = {**rated, "model": "z", "low": None, "high": None, "extrapolates": False}
    lacking = [{**rated, "model": name, "rating": None, "missing": ["MMLU", "GSM8K"]} for name in ("b", "c")]
    assert forecast_lines([rated, code, *lacking, wide]) == [
        "chat of a: 0.500 [0.300, 0.800] (beyond the public models: extrapolates)",
        "chat of z: 0.500 [unbounded, unbounded]",
        "further categories in the report: 1",
        "no human rating for b, c: lacks MMLU, GSM8K",
    ]


def test_snapshots_are_counted_and_not_listed_unless_they_are_all_there_is():
    rated = {
        "model": "seed", "target": "chat", "rating": 0.5, "low": 0.3, "high": 0.8, "extrapolates": False, "missing": [],
    }  # fmt: skip
    on_the_way = [{**rated, "model": name, "rating": 0.9} for name in ("seed@4", "seed@8")]
    assert forecast_lines([rated, *on_the_way]) == [
        "chat of seed: 0.500 [0.300, 0.800]",
        "snapshots forecast as well: 2",
    ]
    lacking = [{**row, "rating": None, "missing": ["MMLU"]} for row in (rated, *on_the_way)]
    assert forecast_lines(lacking) == ["no human rating for seed: lacks MMLU"]
    assert [line.partition(":")[0] for line in forecast_lines(on_the_way)] == [
        "chat of seed@4",
        "chat of seed@8",
    ]

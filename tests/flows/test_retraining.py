"""When a model is trained again, and when not."""

import pytest

from flows.retraining import retraining_reason
from tasks.evaluation.falling import fallen_scores


def score(
    value: float, stderr: float | None, metric: str = "acc", model: str = "stitched", task: str = "docs"
):
    return {"model": model, "task": task, "metric": metric, "value": value, "stderr": stderr, "n": 100}


def test_same_sources_and_no_fall_is_no_reason():
    assert retraining_reason("a" * 64, "a" * 64, []) is None


def test_changed_sources_are_a_reason_that_names_both_digests():
    reason = retraining_reason("a" * 64, "b" * 64, [])
    assert reason == "the sources have changed (aaaaaaaaaaaa to bbbbbbbbbbbb)"


def test_without_an_earlier_run_there_is_a_reason_whatever_the_sources():
    assert "no completed run" in retraining_reason(None, "a" * 64, [])


def test_a_fall_is_a_reason_that_says_what_fell():
    assert "docs acc from" in retraining_reason(
        "a" * 64, "a" * 64, ["docs acc from 0.900 to 0.700 (± 0.050)"]
    )


@pytest.mark.parametrize(("value", "falls"), [(0.651, False), (0.649, True)])
def test_a_fall_is_measured_in_standard_errors_of_the_difference(value, falls):
    # errors .03 and .04: the difference has .05, so three of them are .15, from .80 down to .65
    found = fallen_scores([score(0.80, 0.03)], [score(value, 0.04)], "stitched", 3.0)
    assert bool(found) is falls


def test_more_bits_per_byte_are_a_fall():
    before, last = [score(2.0, 0.03, "bits_per_byte")], [score(2.2, 0.04, "bits_per_byte")]
    assert fallen_scores(before, last, "stitched", 3.0) == [
        "docs bits_per_byte from 2.000 to 2.200 (± 0.050)"
    ]
    assert fallen_scores(last, before, "stitched", 3.0) == []


def test_other_models_other_metrics_and_scores_without_error_do_not_decide():
    before = [score(0.9, 0.01, model="soup"), score(0.9, None), score(0.9, 0.01, task="only-before")]
    last = [score(0.1, 0.01, model="soup"), score(0.1, None), score(0.1, 0.01, task="only-after")]
    assert fallen_scores(before, last, "stitched", 3.0) == []
    headline_first = [score(0.8, 0.01), score(9.0, 0.1, "perplexity")]
    assert (
        fallen_scores(headline_first, [score(0.8, 0.01), score(90.0, 0.1, "perplexity")], "stitched", 3.0)
        == []
    )

"""Standard errors by hand, and the settings' bounds."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from tasks.benchmarks.settings import MadeTask
from tasks.evaluation.metrics import best_models
from tasks.evaluation.settings import EvaluationSettings
from tasks.evaluation.standard_errors import (
    jackknife_error,
    mean_error,
    ratio,
    share_interval,
    weighted_mean_error,
)


def test_mean_error_by_hand() -> None:
    # 1 1 1 0: variance .25 * 3 / 3 = .25 with n - 1, over 4.
    assert mean_error([1, 1, 1, 0]) == pytest.approx(0.25)
    assert math.isnan(mean_error([1]))


def test_a_share_of_none_or_all_has_an_error() -> None:
    # Beta(.5, 56.5): variance .5 * 56.5 / (57^2 * 58).
    assert mean_error([0.0] * 56) == mean_error([1.0] * 56) == pytest.approx(0.01224, abs=1e-5)
    assert mean_error([0.0] * 7) > mean_error([0.0] * 56)
    assert mean_error([0.3] * 5) == 0  # no share


def test_wilson_interval_by_hand() -> None:
    # 0 of 56 at 95%: high = z^2 / (n + z^2) = 3.8415 / 59.8415.
    assert share_interval(0, 56, 0.95) == (0.0, pytest.approx(0.064194, abs=1e-5))
    assert share_interval(56, 56, 0.95) == (pytest.approx(1 - 0.064194, abs=1e-5), 1.0)
    assert share_interval(5, 10, 0.95) == pytest.approx((0.236593, 0.763407), abs=1e-5)


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ({"a": 0.5, "b": 0.4}, {"a"}),
        ({"a": 0.5, "b": 0.5, "c": 0.1}, set()),
        ({"a": 0.5, "b": 0.5}, set()),
        ({"a": math.nan, "b": 0.1}, {"b"}),
        ({"a": None, "b": math.nan}, set()),
    ],
)
def test_a_tie_and_what_is_no_number_are_not_the_best(values: dict, best: set) -> None:
    assert best_models({model: {"value": value} for model, value in values.items()}, "acc") == best


def test_jackknife_of_a_mean_is_the_sample_error() -> None:
    values = np.random.default_rng(0).random(60).tolist()
    assert jackknife_error(lambda v: sum(v) / len(v), values) == pytest.approx(mean_error(values))
    # 100 groups: the estimate itself has a relative standard error of sqrt(1 / 198) = .07.
    many = np.random.default_rng(0).random(20_000).tolist()
    assert jackknife_error(lambda v: sum(v) / len(v), many) == pytest.approx(mean_error(many), rel=0.21)


def test_ratio_error_agrees_with_the_spread_of_repetitions() -> None:
    rng = np.random.default_rng(0)

    def draw() -> tuple[float, float]:
        sizes = rng.integers(50, 500, 80)
        return ratio((sizes * rng.normal(2, 0.3, 80)).tolist(), sizes.tolist())

    drawn = np.array([draw() for _ in range(2000)])
    assert drawn[:, 1].mean() == pytest.approx(drawn[:, 0].std(), rel=0.05)


def test_weighted_mean_error_by_hand() -> None:
    # Weights 3/4 and 1/4 of errors .1 and .2: sqrt(.075^2 + .05^2).
    assert weighted_mean_error([0.1, 0.2], [30, 10]) == pytest.approx(math.hypot(0.075, 0.05))


def test_settings_name_what_is_wrong() -> None:
    assert [task.kind for task in EvaluationSettings().made] == ["next-line", "cloze", "arithmetic-answer"]
    with pytest.raises(ValidationError, match="dev_share"):
        EvaluationSettings(dev_share=1.0)
    made = MadeTask(name="x", kind="cloze", source="s")
    with pytest.raises(ValidationError, match=r"duplicate task names \['x'\]"):
        EvaluationSettings(made=(made, made))


def test_naming_the_stage_loads_no_model_library() -> None:
    code = (
        "import sys, tasks.evaluation, tasks.evaluation.settings;"
        "print({'torch', 'lm_eval', 'pandas', 'transformers'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"

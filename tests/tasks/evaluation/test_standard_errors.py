"""Standard errors by hand, and the settings' bounds."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from tasks.benchmarks.settings import MadeTask
from tasks.evaluation.settings import EvaluationSettings
from tasks.evaluation.standard_errors import jackknife_error, mean_error, ratio, weighted_mean_error


def test_mean_error_by_hand() -> None:
    # 1 1 1 0: variance .25 * 3 / 3 = .25 with n - 1, over 4.
    assert mean_error([1, 1, 1, 0]) == pytest.approx(0.25)
    assert math.isnan(mean_error([1]))


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

"""Bias against anchors, and calibration on them: by hand, on simulated judges, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.utility.anchors import bias_by_group, calibrated, fit_line, read_anchors
from tasks.utility.matrix import UtilityMatrix

WEB = ["web1", "web2", "web3"]
REST = ["books", "code", "math"]
TASKS = [f"t{i}" for i in range(5)]


def simulated(random_seed: int, slope: float, offsets: dict[str, float], error: float, scatter: float = 0.0):
    """Truth, a judged matrix with judged = (truth - offset) / slope + noise, and anchors = truth + noise."""
    random = np.random.default_rng(random_seed)
    truth = pd.DataFrame(random.uniform(0.3, 0.7, (6, 5)), index=WEB + REST, columns=TASKS)
    judged = truth.copy()
    for source in truth.index:
        judged.loc[source] = (truth.loc[source] - offsets["web" if source in WEB else "others"]) / slope
    judged += random.normal(0, error, judged.shape) + random.normal(0, scatter / slope, judged.shape)
    errors = judged * 0 + error
    anchors = pd.DataFrame(
        [
            (source, task, truth.loc[source, task] + random.normal(0, error), error, 1)
            for source in truth.index
            for task in TASKS
        ],
        columns=["source", "task", "value", "stderr", "documents"],
    )
    return truth, UtilityMatrix(judged.clip(0, 1), errors), anchors


def test_an_exact_line_with_a_bias_of_one_group_is_found_and_undone() -> None:
    truth, matrix, anchors = simulated(0, 0.8, {"web": 0.2, "others": 0.05}, error=0.0)
    found = calibrated(matrix, anchors.iloc[::3], {"web": WEB})
    about = found.about["calibration"]
    assert about["slope"] == pytest.approx(0.8, abs=1e-4)
    assert about["offsets"] == pytest.approx({"web": 0.2, "others": 0.05}, abs=1e-4)
    assert about["scatter"] == pytest.approx(0, abs=1e-4)
    pd.testing.assert_frame_equal(found.values, truth, atol=1e-4)
    assert about["bias_after"]["web"]["bias"] == pytest.approx(0, abs=1e-4)
    assert about["bias_before"]["web"]["bias"] < -0.1


def test_errors_in_both_do_not_flatten_the_slope_and_its_error_is_honest() -> None:
    slopes, stated, covered = [], [], []
    for seed in range(60):
        truth, matrix, anchors = simulated(seed, 0.7, {"web": 0.25, "others": 0.1}, error=0.05)
        found = calibrated(matrix, anchors, {"web": WEB})
        slopes.append(found.about["calibration"]["slope"])
        stated.append(found.about["calibration"]["slope_stderr"])
        covered.append((abs(found.values - truth) <= 1.96 * found.errors).to_numpy().mean())
    # Ordinary least squares would be flattened by the noise in x, to some .61.
    assert np.mean(slopes) == pytest.approx(0.7, abs=0.03)
    assert np.mean(stated) == pytest.approx(np.std(slopes), rel=0.35)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_scatter_beyond_the_errors_widens_them() -> None:
    scatters, covered = [], []
    for seed in range(20):
        truth, matrix, anchors = simulated(seed, 1.0, {"web": 0.1, "others": 0.0}, error=0.01, scatter=0.08)
        found = calibrated(matrix, anchors, {"web": WEB})
        scatters.append(found.about["calibration"]["scatter"])
        covered.append((abs(found.values - truth) <= 1.96 * found.errors).to_numpy().mean())
    assert np.mean(scatters) == pytest.approx(0.08, rel=0.2)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.04)


def test_few_anchors_give_offsets_alone() -> None:
    values = pd.DataFrame([[0.3], [0.5], [0.4]], index=["web", "code", "books"], columns=["t"])
    matrix = UtilityMatrix(values, values * 0 + 0.03)
    anchors = pd.DataFrame(
        [("web", "t", 0.6, 0.04, 1), ("code", "t", 0.5, 0.04, 1)],
        columns=["source", "task", "value", "stderr", "documents"],
    )
    found = calibrated(matrix, anchors, {"web": ["web"]})
    assert not found.about["calibration"]["slope_is_estimated"]
    assert found.values["t"].tolist() == pytest.approx([0.6, 0.5, 0.4])
    # Its own error, and the offset's: that of the judged and that of the anchor, .05 together.
    assert found.errors.loc["books", "t"] == pytest.approx(np.hypot(0.03, 0.05))
    assert found.about["calibration"]["bias_before"]["web"] == pytest.approx(
        {"bias": -0.3, "stderr": 0.05, "anchors": 1}
    )


def test_bias_is_the_weighted_mean_difference() -> None:
    joined = pd.DataFrame(
        {
            "group": ["web", "web"],
            "judged": [0.3, 0.5],
            "judged_error": [0.03, 0.03],
            "value": [0.4, 0.62],
            "stderr": [0.04, 0.04],
        }
    )
    # Both differences have the error .05; they differ by less than that: mean -.11, error .05 / sqrt(2).
    assert bias_by_group(joined)["web"] == pytest.approx(
        {"bias": -0.11, "stderr": 0.05 / np.sqrt(2), "anchors": 2}
    )
    far = joined.assign(value=[0.4, 0.9])
    assert bias_by_group(far)["web"]["stderr"] == pytest.approx(
        0.3 / 2, rel=1e-6
    )  # their own spread, over sqrt(2)


def test_an_estimate_that_does_not_rise_with_the_anchors_is_refused() -> None:
    joined = pd.DataFrame(
        {"judged": np.linspace(0.1, 0.9, 9), "value": np.linspace(0.9, 0.1, 9), "group": "others"}
    ).assign(judged_error=0.01, stderr=0.01)
    with pytest.raises(ValueError, match="does not rise with the trusted utility"):
        fit_line(joined, ["others"])


def test_names_that_do_not_match_and_groups_without_anchors() -> None:
    _, matrix, anchors = simulated(0, 1.0, {"web": 0.1, "others": 0.0}, error=0.01)
    with pytest.raises(ValueError, match=r"unknown sources \['wob'\]"):
        calibrated(matrix, anchors.replace("web1", "wob"))
    with pytest.raises(ValueError, match=r"unknown tasks \['x'\]"):
        calibrated(matrix, anchors.replace("t0", "x"))
    with pytest.raises(ValueError, match=r"anchor_groups: unknown sources \['wob'\]"):
        calibrated(matrix, anchors, {"web": ["wob"]})
    with pytest.raises(ValueError, match=r"the groups \['web'\] of sources have no anchor"):
        calibrated(matrix, anchors[~anchors["source"].isin(WEB)], {"web": WEB})


def test_the_order_of_sources_and_anchors_does_not_matter() -> None:
    _, matrix, anchors = simulated(3, 0.8, {"web": 0.1, "others": 0.0}, error=0.03)
    found = calibrated(matrix, anchors, {"web": WEB})
    turned = UtilityMatrix(matrix.values.iloc[::-1], matrix.errors.iloc[::-1])
    again = calibrated(turned, anchors.iloc[::-1], {"web": WEB[::-1]})
    pd.testing.assert_frame_equal(again.values.loc[found.values.index], found.values, atol=1e-9)


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "anchors.csv").write_text(text)
    return tmp_path / "anchors.csv"


def test_anchor_documents_are_averaged(tmp_path: Path) -> None:
    found = read_anchors(write(tmp_path, "source,task,value\nweb,t,1\nweb,t,.5\nweb,t,0\ncode,t,.3\n"))
    web = found.iloc[0]
    assert (web["value"], web["documents"]) == (0.5, 3)
    # Scatter .5 and 1/4 for the observation of the largest variance, over 9.
    assert web["stderr"] == pytest.approx(np.sqrt(0.75 / 9))
    assert found.iloc[1]["stderr"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source,task\nweb,t\n", r"csv:1: columns .*must be source, task, value"),
        ("source,task,value\nweb,t,1.5\n", r"csv:2: value is '1\.5': must be a number from 0 to 1"),
        ("source,task,value,stderr\nweb,t,.5,-1\n", r"csv:2: stderr is '-1'"),
        (
            "source,task,value,stderr\nweb,t,.5,.1\nweb,t,.6,.1\n",
            r"csv:3: source 'web' and task 't' stand twice",
        ),
        ("source,task,value\nweb,t\n", r"csv:2: not as many cells"),
        ("source,task,value\n", "no row"),
        ("", r"csv:1: columns \[\]"),
    ],
)
def test_a_wrong_file_says_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_anchors(write(tmp_path, text))

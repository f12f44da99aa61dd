"""Votes of two models: names before words, signs and decimals count, and a code book that is not clear is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tasks.preference.annotation.aggregating import aggregate
from tasks.preference.annotation.judgements import read_judgements
from tasks.preference.annotation.votes import outcomes


def _values(*cells: object, first: str = "p", second: str = "q") -> list[float | str]:
    return outcomes((cell, first, second) for cell in cells)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-1", "0"], [1.0, 0.0, 0.5]),
        (["1.0", "2.0", "0.0"], [1.0, 0.0, 0.5]),
        ([1, 2], [1.0, 0.0]),
        (["-1.0", "-1"], [0.0, 0.0]),
        (["A", "[[b]]", "Model_A", "model b"], [1.0, 0.0, 1.0, 0.0]),
        (["both_bad", "tie (bothbad)", "Tie", "both-good", "neither", "both bad"], [0.5] * 6),
        (["q", "p", "P", "Q"], [0.0, 1.0, 1.0, 0.0]),
    ],
)
def test_names_words_and_codes(cells: list[object], values: list[float]) -> None:
    assert _values(*cells) == values


@pytest.mark.parametrize(
    ("cell", "first", "second", "value"),
    [
        ("model-1", "model-2", "model-1", 0.0),
        ("A", "B", "A", 0.0),
        ("1", "2", "1", 0.0),
        ("1.0", "2", "1", 0.0),
        ("tie", "x", "tie", 0.0),
        ("model", "Model", "model", 0.0),
        ("Command-R+", "command-r", "command-r+", 0.0),
        ("command r", "command-r+", "command-r", 0.0),
        ("second", "second", "first", 1.0),
    ],
)
def test_a_models_name_comes_before_words(cell: str, first: str, second: str, value: float) -> None:
    assert _values(cell, first=first, second=second) == [value]


@pytest.mark.parametrize("cells", [["0", "1"], ["0"], ["1"], [1.0, 0.0], ["1", "2", "-1"], ["1", "A"]])
def test_a_code_book_that_is_not_clear_is_refused(cells: list[object]) -> None:
    with pytest.raises(ValueError, match=r"the codes .* are not clear: .*; write A, B and tie, or the name"):
        _values(*cells)


@pytest.mark.parametrize(
    ("cell", "first", "second"),
    [("a", "B", "A"), ("MODEL", "Model", "model"), ("model 1", "model-2", "model-1")],
)
def test_a_vote_that_can_mean_either_is_refused(cell: str, first: str, second: str) -> None:
    (told,) = _values(cell, first=first, second=second)
    assert isinstance(told, str) and told.startswith(f"{cell!r} can mean either of")


@pytest.mark.parametrize("cell", ["3", "-2", "0.5", "-a", "A-", "True", "None", "p+", "r", "", "1e1"])
def test_other_votes_are_refused(cell: str) -> None:
    (told,) = _values(cell)
    assert isinstance(told, str) and "must be A, B or tie" in told


def test_a_file_of_unclear_codes_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    rows = "".join(f"i{k},x,y,u{k},{k % 2}\n" for k in range(6))
    path.write_text("item,model_a,model_b,annotator,preference\n" + rows)
    with pytest.raises(ValueError, match=r"v\.csv, column 'preference': the codes 0, 1 are not clear"):
        read_judgements(path)


def test_columns_of_annotators_share_a_code_book() -> None:
    wide = pd.DataFrame(
        {
            "item": ["i", "j"],
            "model_a": "x",
            "model_b": "y",
            "annotator_1": ["1", "0"],
            "annotator_2": ["-1", None],
        }
    )
    assert sorted(read_judgements(wide).rows["value"]) == [0.0, 0.5, 1.0]
    with pytest.raises(ValueError, match="no choice in the columns annotator_1, annotator_2"):
        read_judgements(wide.assign(annotator_1=None, annotator_2=None))


@pytest.mark.parametrize("counts", [False, True])
def test_a_score_of_none_or_all_has_an_interval(counts: bool) -> None:
    if counts:
        table = pd.DataFrame({"model_a": ["x"], "model_b": ["y"], "wins_a": [6], "wins_b": [0]})
    else:
        rows = {"item": range(6), "model_a": "x", "model_b": "y", "annotator": list("pqrstu"), "choice": "A"}
        table = pd.DataFrame(rows)
    told = aggregate(table, bootstraps=50, confidence=0.9).ratings.query("level == 'all'").set_index("model")
    # Wilson: z^2 / (n + z^2) with z = 1.6449 and n = 6.
    assert told.loc["y", ["score", "score_low", "score_high"]].tolist() == pytest.approx(
        [0, 0, 0.3108], abs=1e-4
    )
    assert told.loc["x", ["score", "score_low", "score_high"]].tolist() == pytest.approx(
        [1, 0.6892, 1], abs=1e-4
    )

"""A run's profile by category: from what it has, never from its own ratings; and rules that judge for people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.preference import PreferenceSettings
from tasks.preference.annotation.aggregating import aggregate
from tasks.preference.annotation.programmatic import RULES, annotate, choices_table
from tasks.preference.profile import forecast_profile, public_models
from tasks.preference.table import read_table

COLUMNS = ["model", "task", "metric", "value", "stderr"]
NAMES = {"mmlu_test": "b0", "hellaswag_val": "b1"}


def files(folder: Path, n: int = 16) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    level = rng.uniform(0.2, 0.8, size=n)
    frame = pd.DataFrame({"model": [f"public-{i}" for i in range(n)]})
    for j in range(3):
        frame[f"b{j}"] = (level + 0.03 * rng.normal(size=n)).clip(0, 1)
    frame["human_rating"] = level
    ratings = frame[["model"]].assign(math=1000 + 300 * level, chat=900 + 500 * level)
    paths = folder / "public.csv", folder / "ratings.csv"
    frame.to_csv(paths[0], index=False)
    ratings.to_csv(paths[1], index=False)
    return paths


def run_scores(*rows: tuple[str, str, float]) -> pd.DataFrame:
    return pd.DataFrame([(model, task, "acc", value, 0.01) for model, task, value in rows], columns=COLUMNS)


def test_a_model_with_one_benchmark_has_a_profile_and_one_without_is_told(tmp_path: Path) -> None:
    table, ratings = files(tmp_path)
    settings = PreferenceSettings(table=table, ratings=ratings, names=NAMES)
    scores = run_scores(
        ("ours", "mmlu_test", 0.5), ("ours", "hellaswag_val", 0.5), ("thin", "mmlu_test", 0.5)
    )
    scores = pd.concat([scores, run_scores(("bare", "other", 0.5))])
    found = forecast_profile(scores, read_table(table), settings, ratings)
    rows = found.rows.set_index(["model", "target"])
    assert set(rows.index) == {(model, target) for model in ("ours", "thin") for target in ("math", "chat")}
    assert rows.loc[("ours", "math"), "predicted"] == pytest.approx(1150, abs=25)
    assert rows.loc[("ours", "chat"), "predicted"] == pytest.approx(1150, abs=40)
    assert any("No profile of bare" in note for note in found.notes)


def test_a_run_s_model_that_stands_in_the_tables_is_forecast_without_its_ratings(tmp_path: Path) -> None:
    table, ratings = files(tmp_path)
    settings = PreferenceSettings(table=table, ratings=ratings, names=NAMES)
    scores = run_scores(("org/Public-3", "mmlu_test", 0.5))
    before = forecast_profile(scores, read_table(table), settings, ratings)
    frame = pd.read_csv(ratings)
    frame.loc[frame["model"] == "public-3", ["math", "chat"]] = 9999.0
    frame.to_csv(ratings, index=False)
    after = forecast_profile(scores, read_table(table), settings, ratings)
    pd.testing.assert_frame_equal(before.rows, after.rows)
    assert any("not learned from: public-3" in note for note in after.notes)


def test_tables_that_share_too_few_models_are_refused_before_a_run(tmp_path: Path) -> None:
    table, ratings = files(tmp_path)
    pd.read_csv(ratings).head(2).to_csv(ratings, index=False)
    settings = PreferenceSettings(table=table, ratings=ratings)
    with pytest.raises(ValueError, match="2 models stand in both"):
        public_models(read_table(table), settings, ratings)


@pytest.mark.parametrize(
    ("rule", "argument", "good", "bad"),
    [
        ("contains", "Paris", "It is paris.", "It is Rome."),
        ("equals", "yes", " yes\n", "yes."),
        ("answer", "1234", "5 times more: 1,234", "1234 or 5"),
        ("words_at_most", "3", "one two three", "one two three four"),
        ("words_exactly", "2", "one two", "one"),
        ("starts_with", "Dear", "  Dear all", "dear all"),
        ("ends_with", ".", "Done. ", "Done"),
        ("json", "", '{"a": 1}', "{a: 1}"),
        ("no_repeat", "2", "a b c a d", "a b c a b"),
    ],
)
def test_rules_have_known_answers(rule: str, argument: str, good: str, bad: str) -> None:
    assert RULES[rule](good, argument)
    assert not RULES[rule](bad, argument)


def responses() -> pd.DataFrame:
    rows = [
        ("i1", "m", "Paris", "contains", "Paris", "Facts"),
        ("i1", "n", "Rome", "contains", "Paris", "Facts"),
        ("i1", "o", "Paris!", "contains", "Paris", "Facts"),
        ("i2", "m", "one two", "words_exactly", "3", "Form"),
        ("i2", "n", "one two three", "words_exactly", "3", "Form"),
    ]
    return pd.DataFrame(rows, columns=["item", "model", "response", "rule", "argument", "category"])


def test_choices_of_rules_are_called_programmatic(tmp_path: Path) -> None:
    judged = annotate(responses())
    told = {(row.item, row.first, row.second): row.value for row in judged.rows.itertuples()}
    assert told == {("i1", "m", "n"): 1, ("i1", "m", "o"): 0.5, ("i1", "n", "o"): 0, ("i2", "m", "n"): 0}
    assert judged.rows["annotator"].str.startswith("programmatic:").all()
    path = tmp_path / "choices.csv"
    choices_table(judged).to_csv(path, index=False)
    found = aggregate(path, bootstraps=50)
    assert found.origin == found.to_json()["origin"] == "programmatic"
    assert any("not people" in note for note in found.notes)


def test_programs_and_people_are_not_mixed() -> None:
    mixed = choices_table(annotate(responses()))
    mixed.loc[0, "annotator"] = "anna"
    with pytest.raises(ValueError, match="3 of 4 judgements are programmatic; programs and people must not"):
        aggregate(mixed, bootstraps=50)


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("rule", "nice", r"row 0, column 'rule': 'nice' must be one of \['contains'"),
        ("argument", None, r"row 0, column 'argument': empty; the rule 'contains' needs one"),
        ("model", "n", r"row 1: 'n' answered item 'i1' twice"),
    ],
)
def test_bad_responses_are_named(column: str, value: object, told: str) -> None:
    frame = responses()
    frame.loc[0, column] = value
    with pytest.raises(ValueError, match=told):
        annotate(frame)

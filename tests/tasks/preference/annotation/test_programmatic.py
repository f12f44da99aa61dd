"""Rules that judge in people's place: known answers, their name on every row, and never mixed with people."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tasks.preference.annotation.aggregating import aggregate
from tasks.preference.annotation.programmatic import RULES, annotate, choices_table


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
        ("first_word", "well,", "\n  well, then", "well then"),
        ("json", "", '{"a": 1}', "{a: 1}"),
        ("no_repeat", "2", "a b c a d", "a b c a b"),
    ],
)
def test_rules_have_known_answers(rule: str, argument: str, good: str, bad: str) -> None:
    assert RULES[rule](good, argument)
    assert not RULES[rule](bad, argument)


@pytest.mark.parametrize(
    ("response", "number"),
    [
        ("The range is 10-12", "12"),
        ("10\u201312", "12"),
        ("GPT-4", "4"),
        ("f(5)-3", "3"),
        ("It is -12.", "-12"),
        ("x=-12", "-12"),
        ("(\u22123)", "-3"),
        ("10,12", "12"),
        ("1,200,300.5", "1200300.5"),
        ("3,1,200", "1200"),
        ("about .5", "0.5"),
        ("1.5e3", "1500"),
        ("2.0", "2"),
        ("version 1.2.3", "3"),
    ],
)
def test_the_last_number_is_read_as_it_is_written(response: str, number: str) -> None:
    assert RULES["answer"](response, number)


def test_what_is_no_json_does_not_hold() -> None:
    held = [
        RULES["json"](text, "") for text in ("NaN", "[" * 100_000, "[" * 100_000 + "]" * 100_000, "7" * 9_999)
    ]
    assert held == [False] * 4


def test_an_argument_may_be_a_whole_number_written_with_a_point() -> None:
    frame = responses().assign(rule="words_exactly", argument="1.0").iloc[:2]
    assert annotate(frame).rows["value"].tolist() == [0.5]
    for argument in ("inf", "nan", "1.5", "0"):
        with pytest.raises(ValueError, match=f"row 0, column 'argument': '{argument}' must be a"):
            annotate(frame.assign(argument=argument))


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


def test_notes_on_programs_say_nothing_of_people_or_places() -> None:
    found = aggregate(annotate(responses()), bootstraps=50)
    assert found.notes[-1] == "These judgements are programmatic: rules with a known answer, not people."
    assert not any("annotators" in note or "named first" in note for note in found.notes)


def test_strengths_can_be_left_out() -> None:
    whole, scores = (aggregate(annotate(responses()), bootstraps=50, elo=elo) for elo in (True, False))
    names = [name for name in whole.ratings if not name.startswith("elo")]
    assert len(names) < len(whole.ratings.columns)
    pd.testing.assert_frame_equal(scores.ratings, whole.ratings[names])
    with pytest.raises(ValueError, match=r"rating='elo': allowed are \['score'\]"):
        scores.table("elo")


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


def test_a_zero_is_a_cell_like_any_other() -> None:
    frame = pd.DataFrame(
        {
            "item": ["i", "i"],
            "model": ["m", "n"],
            "response": [0, 7],
            "rule": "answer",
            "argument": 0,
            "category": 0,
        }
    )
    row = annotate(frame).rows.iloc[0]
    assert (row["value"], row["annotator"], row["category"]) == (1, "programmatic:answer(0)", "0")


def test_whole_numbers_beside_an_empty_cell_stay_whole() -> None:
    frame = responses().assign(argument=[None] * 3 + [3.0] * 2, rule=["json"] * 3 + ["words_exactly"] * 2)
    assert annotate(frame).rows["annotator"].iloc[-1] == "programmatic:words_exactly(3)"


def test_an_item_is_of_one_document() -> None:
    frame = responses().assign(document=[1, 2, 1, 1, 1])
    with pytest.raises(
        ValueError, match="row 1, column 'document': '2'; another row has item 'i1' of another"
    ):
        annotate(frame)
    judged = annotate(frame.assign(document=[0, 0, 0, 4, 4]))
    assert judged.rows["cluster"].unique().tolist() == ["Facts/document 0", "Form/document 4"]

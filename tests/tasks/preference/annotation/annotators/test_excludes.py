"""A word that a response was asked to do without."""

from __future__ import annotations

import pandas as pd
import pytest

from tasks.preference.annotation.annotators import RULES_BY_NAME
from tasks.preference.annotation.programmatic import annotate


@pytest.mark.parametrize(
    ("response", "holds"),
    [("It is grey.", True), ("A Delve into it.", False), ("delve", False), ("", False), (" \n", False)],
)
def test_a_response_without_the_word_holds(response: str, holds: bool) -> None:
    assert RULES_BY_NAME["excludes"].holds(response, "delve") is holds


def test_it_judges_responses_and_needs_its_word() -> None:
    rows = [("i", "m", "We delve.", "excludes", "delve"), ("i", "n", "We look.", "excludes", "delve")]
    frame = pd.DataFrame(rows, columns=["item", "model", "response", "rule", "argument"])
    (row,) = annotate(frame).rows.to_dict("records")
    assert (row["first"], row["value"], row["annotator"]) == ("m", 0.0, "programmatic:excludes(delve)")
    frame.loc[1, "argument"] = None
    with pytest.raises(ValueError, match="row 1, column 'argument': empty; the rule 'excludes' needs one"):
        annotate(frame)

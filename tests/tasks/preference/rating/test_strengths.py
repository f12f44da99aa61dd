"""Margins of strengths, as the paper has them."""

import pytest

from tasks.preference.rating.strengths import margin_of


def test_margins_are_those_of_the_papers_table_27():
    def margins(kind: str) -> list[float]:
        return [margin_of(strength, kind) for strength in (4, 3, 2, 1, 2.5)]

    assert margins("none") == [0, 0, 0, 0, 0]
    assert margins("small") == pytest.approx([1, 2 / 3, 1 / 3, 0, 0.5])
    assert margins("large") == [3, 2, 1, 0, 1.5]

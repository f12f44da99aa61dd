"""Numbers of tokens as people write them."""

from __future__ import annotations

import pytest

from tasks.tables.token_counts import token_count


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("1000", 1000),
        ("12_000", 12_000),
        ("1e11", 10**11),
        ("100B", 100_000_000_000),
        ("1.5b", 1_500_000_000),
        (" 1.2 T ", 1_200_000_000_000),
        ("0.1K", 100),
        ("9007199254740993", 9007199254740993),  # 2^53 + 1: no float holds it
    ],
)
def test_a_count_is_exact(text, tokens):
    assert token_count(text) == tokens


@pytest.mark.parametrize("text", ["1.5", "lots", "", "B", "1e999999", "nan", "inf", "1,000", "1.0001K"])
def test_what_is_no_whole_number_is_refused(text):
    with pytest.raises(
        ValueError, match=r"no whole number of tokens; allowed: such as 12_000, 1e11, 100B, 1\.2T"
    ):
        token_count(text)

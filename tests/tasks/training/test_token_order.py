"""Sequences follow the token plan, in the same order every time, and a lineage reads nothing twice too early."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tasks.training.token_order import TokenOrder, sequences_by_source

LENGTH = 8
TOKENS = {"a": np.arange(0, 80, dtype=np.uint16), "b": np.arange(1000, 1040, dtype=np.uint16)}


def order(counts, used=None, name="seed", seed=0) -> TokenOrder:
    return TokenOrder(TOKENS, counts, used or {}, LENGTH, name, seed)


def starts(run: TokenOrder, first: int, last: int) -> list[int]:
    rows = [run.sequence(n) for n in range(len(run))]
    return [int(row[0]) for row in rows if first <= row[0] < last]


def test_sequences_sum_to_the_number_asked_for_by_largest_remainder():
    assert sequences_by_source({"a": 50, "b": 30, "c": 20}, 7) == {"a": 4, "b": 2, "c": 1}
    assert sequences_by_source({"a": 1, "b": 1, "c": 1}, 2) == {"a": 1, "b": 1, "c": 0}


def test_an_epoch_reads_every_window_once_and_sources_are_interleaved():
    run = order({"a": 10, "b": 5})
    assert sorted(starts(run, 0, 1000)) == list(range(0, 80, LENGTH))
    assert sorted(starts(run, 1000, 2000)) == list(range(1000, 1040, LENGTH))
    by_source = [int(run.sequence(n)[0]) >= 1000 for n in range(len(run))]
    assert by_source != sorted(by_source)


def test_a_second_epoch_reads_everything_again_in_another_order():
    run = order({"a": 20})
    rows = [run.sequence(n) for n in range(20)]
    assert Counter(np.concatenate(rows[:10])) == Counter(TOKENS["a"])
    assert Counter(np.concatenate(rows)) == Counter(np.concatenate([TOKENS["a"], TOKENS["a"]]))
    assert [int(row[0]) for row in rows[:10]] != [int(row[0]) for row in rows[10:]]


def test_an_expert_goes_on_where_the_seed_stopped():
    seed = order({"a": 4})
    expert = order({"a": 6}, used={"a": 4}, name="expert")
    assert sorted(starts(seed, 0, 1000) + starts(expert, 0, 1000)) == list(range(0, 80, LENGTH))


def test_the_order_depends_on_seed_and_name_alone():
    first, again, other = order({"a": 10}), order({"a": 10}), order({"a": 10}, seed=1)
    assert np.array_equal(first.batch(range(10)), again.batch(range(10)))
    assert not np.array_equal(first.batch(range(10)), other.batch(range(10)))


def test_a_source_shorter_than_a_sequence_wraps_around():
    run = TokenOrder({"a": np.array([1, 2, 3], dtype=np.uint16)}, {"a": 1}, {}, LENGTH, "x", 0)
    assert run.sequence(0).tolist() == [1, 2, 3, 1, 2, 3, 1, 2]


def test_limits_leave_whole_windows_from_all_over_the_source_the_same_for_every_run():
    def limited(counts, seed=0, name="seed"):
        return TokenOrder(TOKENS, counts, {}, LENGTH, name, seed, limits={"a": 3 * LENGTH + 5})

    once = starts(limited({"a": 3}), 0, 1000)
    assert len(set(once)) == 3
    assert set(starts(limited({"a": 12}), 0, 1000)) == set(once)  # four epochs of the same three windows
    assert set(starts(limited({"a": 3}, seed=7, name="other"), 0, 1000)) == set(once)
    assert once != [0, LENGTH, 2 * LENGTH]
    unlimited = starts(limited({"a": 3, "b": 5}), 1000, 2000)
    assert sorted(unlimited) == list(range(1000, 1040, LENGTH))

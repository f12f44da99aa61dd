"""Votes: each pair is judged by as many as wanted, by nobody twice, and none is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tasks.preference.rating.compared_answers import Answer, Prompt
from tasks.preference.rating.vote_book import LEFT, RIGHT, TIE, Said, VoteBook

ROOT = Path(__file__).resolve().parents[4]
MODELS = ("alpha", "beta", "gamma")


def answers(items: int = 4) -> list[Answer]:
    return [
        Answer(f"q{i}", "code" if i % 2 else "talk", f"question {i}?", model, f"{model} on {i}")
        for i in range(items)
        for model in MODELS
    ]


def book(folder: Path, items: int = 4, gold: int = 0, **settings) -> VoteBook:
    golden = [Prompt(f"g{i}", "", f"gold {i}?", f"good {i}", f"bad {i}") for i in range(gold)]
    return VoteBook.made(folder / "votes.sqlite", answers(items), golden, **settings)


def by_name(shown, said: int = 3) -> Said:
    """The model whose name comes first is the better."""
    return Said(LEFT if shown.left < shown.right else RIGHT, said)


def test_every_pair_is_judged_by_as_many_as_wanted_and_by_nobody_twice(tmp_path):
    votes = book(tmp_path, per_pair=2)
    for annotator in ("ann", "bo", "cy", "di"):
        for _ in range(12):
            if (shown := votes.next(annotator)) is None:
                break
            votes.vote(shown.id, annotator, by_name(shown))
    table = votes.votes()
    assert len(table) == 4 * 3 * 2
    units = [
        (row.item, *sorted((row.left, row.right)))
        for row in table.rename(columns={"left_model": "left", "right_model": "right"}).itertuples()
    ]
    assert {units.count(unit) for unit in units} == {2}
    assert len(set(zip(units, table["annotator"], strict=True))) == len(table)
    assert votes.next("di") is None


def test_sides_are_drawn(tmp_path):
    votes = book(tmp_path, items=40)
    for _ in range(120):
        votes.vote(votes.next("ann").id, "ann", Said(TIE, 0))
    left = (votes.votes()["left_model"] < votes.votes()["right_model"]).sum()
    assert 30 <= left <= 90  # of 120 by lot: outside with a chance of 1 in 10 million


def test_what_was_shown_and_not_answered_is_shown_again(tmp_path):
    votes = book(tmp_path)
    first = votes.next("ann")
    assert votes.next("ann") == first
    assert votes.next("bo").id != first.id


def test_a_vote_that_is_taken_back_is_asked_again_and_stays_on_record(tmp_path):
    votes = book(tmp_path)
    shown = votes.next("ann")
    assert not votes.undo("ann")
    votes.vote(shown.id, "ann", Said(LEFT, 4, "sure"))
    assert votes.undo("ann") and votes.votes().empty
    again = votes.next("ann")
    assert (again.id, again.left) == (shown.id, shown.left)
    votes.vote(again.id, "ann", Said(RIGHT, 1))
    assert votes.votes()["choice"].tolist() == [RIGHT]
    with sqlite3.connect(votes.path) as connection:
        assert connection.execute("select choice, taken_back from votes").fetchall() == [
            (LEFT, 1),
            (RIGHT, 0),
        ]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (Said("both", 0), "allowed: left, right, tie"),
        (Said(LEFT, 0), "1 to 4"),
        (Said(TIE, 2), "of a tie 0"),
        (Said(LEFT, 1, left_score=8), "1 to 7"),
    ],
)
def test_what_is_no_vote_is_refused(tmp_path, said, message):
    votes = book(tmp_path)
    with pytest.raises(ValueError, match=message):
        votes.vote(votes.next("ann").id, "ann", said)
    assert votes.votes().empty


def test_nobody_votes_twice_on_a_pair_or_on_another_s(tmp_path):
    votes = book(tmp_path)
    shown = votes.next("ann")
    with pytest.raises(ValueError, match="not shown to bo"):
        votes.vote(shown.id, "bo", Said(LEFT, 1))
    votes.vote(shown.id, "ann", Said(LEFT, 1))
    with pytest.raises(ValueError, match="has its vote already"):
        votes.vote(shown.id, "ann", Said(LEFT, 1))


def test_one_vote_in_ten_is_of_gold_as_long_as_there_is_some(tmp_path):
    votes = book(tmp_path, items=20, gold=2)
    for _ in range(30):
        shown = votes.next("ann")
        votes.vote(shown.id, "ann", by_name(shown))
    assert votes.votes()["is_gold"].tolist() == [1 if n in (9, 19) else 0 for n in range(30)]


def test_where_more_is_to_be_learnt_is_asked_first(tmp_path):
    """alpha beats beta always, beta and gamma are even: after some votes gamma's pairs tell most."""
    votes = book(tmp_path, items=60, per_pair=1)
    for _ in range(60):
        shown = votes.next("ann")
        models = {shown.left.split()[0], shown.right.split()[0]}
        even = models == {"beta", "gamma"}
        votes.vote(shown.id, "ann", Said(TIE, 0) if even else by_name(shown))
    counted = votes.votes()[["left_model", "right_model"]].apply(lambda row: "-".join(sorted(row)), axis=1)
    assert counted.value_counts()["beta-gamma"] > 1.3 * counted.value_counts()["alpha-beta"]


def test_answers_that_are_the_same_text_are_not_asked_about(tmp_path):
    same = [Answer("q", "", "?", model, " yes ") for model in ("alpha", "beta")]
    votes = VoteBook.made(tmp_path / "votes.sqlite", [*same, Answer("q", "", "?", "gamma", "no")])
    assert votes.same_answers() == 1
    seen = set()
    while (shown := votes.next("ann")) is not None:
        seen.add(frozenset((shown.left.strip(), shown.right.strip())))
        votes.vote(shown.id, "ann", Said(TIE, 0))
    assert seen == {frozenset(("yes", "no"))} and len(votes.votes()) == 2


def test_many_at_once_lose_nothing(tmp_path):
    votes = book(tmp_path, items=10, per_pair=3)
    errors = []

    def work(annotator: str) -> None:
        try:
            while (shown := votes.next(annotator)) is not None:
                votes.vote(shown.id, annotator, by_name(shown))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(votes.votes()) == 10 * 3 * 3


KILLED = """
import sys
from pathlib import Path
from tasks.preference.rating.vote_book import Said, VoteBook
votes = VoteBook(Path(sys.argv[1]))
while (shown := votes.next("ann")) is not None:
    votes.vote(shown.id, "ann", Said("tie", 0))
    print(shown.id, flush=True)
"""


def test_a_kill_loses_no_vote_that_was_given(tmp_path):
    votes = book(tmp_path, items=200)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(votes.path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    told = [process.stdout.readline() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    told += process.communicate()[0].splitlines()
    given = len([line for line in told if line.strip()])
    assert given <= len(votes.votes()) <= given + 1
    assert votes.next("ann") is not None

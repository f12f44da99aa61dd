"""Where the votes of people are kept: one SQLite file, a transaction a vote, so that nothing is lost and nothing waits.

    prompts    item, category, prompt; of a gold one which of its two answers is the better
    answers    item, model, answer
    shown      a pair of answers as one annotator saw it: which stood left, when
    votes      what was said of it: choice, strength, seconds, comment; taken back ones stay, marked

A pair that is shown is its annotator's for ten minutes, so that two at once are not asked for the same last vote.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd

from tasks.preference.rating.compared_answers import Answer, Prompt
from tasks.preference.rating.next_pair import Open, chosen
from tasks.preference.rating.strengths import STRONGEST

TABLES = """
create table prompts (item text primary key, category text not null, prompt text not null, is_gold integer not null);
create table answers (item text not null references prompts, model text not null, answer text not null,
                      primary key (item, model));
create table shown (id integer primary key, item text not null references prompts, left_model text not null,
                    right_model text not null, annotator text not null, at real not null,
                    unique (item, left_model, right_model, annotator));
create table votes (id integer primary key, shown integer not null references shown, choice text not null,
                    strength integer not null, left_score integer, right_score integer, seconds real not null,
                    comment text not null, at real not null, taken_back integer not null default 0);
create unique index one_vote on votes (shown) where taken_back = 0;
"""
BETTER, WORSE = "better", "worse"  # what the two answers of a gold prompt are called
LEFT, RIGHT, TIE = "left", "right", "tie"
HELD_SECONDS = 600.0
GOLD_EVERY = 10
WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Shown:
    """What an annotator sees; done: votes of theirs so far, left: pairs that still wait for one of theirs."""

    id: int
    category: str
    prompt: str
    left: str
    right: str
    done: int
    waiting: int


@dataclass(frozen=True)
class Said:
    """A vote: choice left, right or tie; strength 1 to 4, 0 for a tie; scores 1 to 7 where they are asked for."""

    choice: str
    strength: int
    comment: str = ""
    left_score: int | None = None
    right_score: int | None = None


class VoteBook:
    """The votes in one file; any number of threads and processes may use it at once."""

    def __init__(self, path: Path, per_pair: int = 3, clock: Callable[[], float] = time.time) -> None:
        self.path, self.per_pair, self._clock = path, per_pair, clock

    @classmethod
    def made(
        cls, path: Path, answers: Iterable[Answer], gold: Iterable[Prompt] = (), per_pair: int = 3
    ) -> VoteBook:
        """A new book of these answers; it is there as a whole or not at all."""
        book = cls(path.with_name(f"{path.name}.making"), per_pair)
        book.path.unlink(missing_ok=True)
        with closing(book._connect()) as connection:
            connection.executescript(TABLES)
            with connection:
                for answer in answers:
                    told = (answer.item, answer.category, answer.prompt, 0)
                    connection.execute("insert or ignore into prompts values (?, ?, ?, ?)", told)
                    connection.execute(
                        "insert into answers values (?, ?, ?)", (answer.item, answer.model, answer.answer)
                    )
                for one in gold:
                    connection.execute(
                        "insert into prompts values (?, ?, ?, ?)", (one.item, one.category, one.prompt, 1)
                    )
                    for name, text in ((BETTER, one.better), (WORSE, one.worse)):
                        connection.execute("insert into answers values (?, ?, ?)", (one.item, name, text))
            connection.execute("pragma wal_checkpoint(truncate)")
        book.path.rename(path)
        return cls(path, per_pair)

    def next(self, annotator: str) -> Shown | None:
        """The pair that this annotator is asked now: the one they were shown and have not answered, or where a vote
        tells most; None where none of theirs is left."""
        with self._changing() as connection:
            held = connection.execute(
                "select id from shown where annotator = ? and id not in (select shown from votes where taken_back = 0) "
                "order by at desc limit 1",
                (annotator,),
            ).fetchone()
            waiting = self._open(connection, annotator)
            if held is None:
                if not waiting:
                    return None
                done = self._done(connection, annotator)
                gold = [pair for pair in waiting if pair.is_gold]
                if gold and (done % GOLD_EVERY == GOLD_EVERY - 1 or len(gold) == len(waiting)):
                    pair = random.Random(f"{annotator}\0{done}").choice(gold)
                else:
                    pair = chosen(
                        [pair for pair in waiting if not pair.is_gold], self._wins(connection), annotator
                    )
                sides = [pair.first, pair.second]
                random.SystemRandom().shuffle(sides)
                held = connection.execute(
                    "insert into shown (item, left_model, right_model, annotator, at) values (?, ?, ?, ?, ?) "
                    "returning id",
                    (pair.item, *sides, annotator, self._clock()),
                ).fetchone()
            return self._shown(connection, held[0], annotator, len(waiting))

    def vote(self, shown: int, annotator: str, said: Said) -> None:
        """Keep a vote. Raises ValueError for a pair that was not shown to this annotator, or that has a vote."""
        check_said(said)
        with self._changing() as connection:
            row = connection.execute("select annotator, at from shown where id = ?", (shown,)).fetchone()
            if row is None or row[0] != annotator:
                raise ValueError(f"pair {shown} was not shown to {annotator}")
            try:
                connection.execute(
                    "insert into votes (shown, choice, strength, left_score, right_score, seconds, comment, at) "
                    "values (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(shown, said.choice, said.strength, said.left_score, said.right_score),
                        *(self._clock() - row[1], said.comment, self._clock()),
                    ),
                )
            except sqlite3.IntegrityError as error:
                raise ValueError(f"pair {shown} has its vote already; take it back first") from error

    def undo(self, annotator: str) -> bool:
        """Take back this annotator's last vote, so that they are asked again; False where there is none."""
        with self._changing() as connection:
            last = connection.execute(
                "select votes.id, shown.id from votes join shown on shown.id = votes.shown "
                "where annotator = ? and taken_back = 0 order by votes.id desc limit 1",
                (annotator,),
            ).fetchone()
            if last is None:
                return False
            connection.execute("update votes set taken_back = 1 where id = ?", (last[0],))
            connection.execute("update shown set at = ? where id = ?", (self._clock(), last[1]))
            return True

    def votes(self) -> pd.DataFrame:
        """Every vote that stands, in their order: item, category, prompt, is_gold, left, right (models), their answers,
        annotator, choice, strength, scores, seconds, comment, at."""
        query = (
            "select p.item, p.category, p.prompt, p.is_gold, s.left_model as left_model, s.right_model as right_model, "
            "l.answer as left_answer, r.answer as right_answer, s.annotator, v.choice, v.strength, v.left_score, "
            "v.right_score, v.seconds, v.comment, v.at from votes v join shown s on s.id = v.shown "
            "join prompts p on p.item = s.item "
            "join answers l on l.item = s.item and l.model = s.left_model "
            "join answers r on r.item = s.item and r.model = s.right_model where v.taken_back = 0 order by v.id"
        )
        with closing(self._connect()) as connection:
            return pd.read_sql_query(query, connection)

    def models(self) -> list[str]:
        """The models whose answers are compared."""
        query = (
            "select distinct model from answers join prompts using (item) where not is_gold order by model"
        )
        with closing(self._connect()) as connection:
            return [name for (name,) in connection.execute(query)]

    def same_answers(self) -> int:
        """Pairs of answers that are the same text: nobody is asked about them."""
        with closing(self._connect()) as connection:
            return sum(pair.same for pair in self._pairs(connection))

    def _pairs(self, connection: sqlite3.Connection) -> Iterator[Open]:
        query = (
            "select item, is_gold, model, answer from answers join prompts using (item) order by item, model"
        )
        answers: dict[str, list[tuple[str, str]]] = {}
        gold = set()
        for item, is_gold, model, answer in connection.execute(query):
            answers.setdefault(item, []).append((model, answer.strip()))
            if is_gold:
                gold.add(item)
        for item, said in answers.items():
            for (first, one), (second, other) in combinations(said, 2):
                yield Open(item, first, second, is_gold=item in gold, same=one == other)

    def _open(self, connection: sqlite3.Connection, annotator: str) -> list[Open]:
        """Pairs that this annotator has not answered and that want a vote more."""
        since = self._clock() - HELD_SECONDS
        query = (
            "select item, min(left_model, right_model), max(left_model, right_model), "
            "sum(v.id is not null or (annotator != ? and s.at > ?)), max(annotator = ? and v.id is not null), "
            "sum(v.id is not null) "
            "from shown s left join votes v on v.shown = s.id and v.taken_back = 0 group by 1, 2, 3"
        )
        asked = {
            (item, first, second): (taken, mine, votes)
            for item, first, second, taken, mine, votes in connection.execute(
                query, (annotator, since, annotator)
            )
        }
        found = []
        for pair in self._pairs(connection):
            taken, mine, votes = asked.get((pair.item, pair.first, pair.second), (0, 0, 0))
            if not pair.same and not mine and (pair.is_gold or taken < self.per_pair):
                found.append(pair.with_votes(votes))
        return found

    def _wins(self, connection: sqlite3.Connection) -> dict[tuple[str, str], float]:
        """(winner, loser) -> how often, a tie as half a win of each."""
        query = (
            "select left_model, right_model, choice, count(*) from votes v join shown s on s.id = v.shown "
            "join prompts using (item) where taken_back = 0 and not is_gold group by 1, 2, 3"
        )
        wins: dict[tuple[str, str], float] = {}
        for left, right, choice, count in connection.execute(query):
            share = {LEFT: 1.0, RIGHT: 0.0, TIE: 0.5}[choice]
            wins[left, right] = wins.get((left, right), 0.0) + share * count
            wins[right, left] = wins.get((right, left), 0.0) + (1 - share) * count
        return wins

    def _done(self, connection: sqlite3.Connection, annotator: str) -> int:
        query = "select count(*) from votes v join shown s on s.id = v.shown where annotator = ? and taken_back = 0"
        return int(connection.execute(query, (annotator,)).fetchone()[0])

    def _shown(self, connection: sqlite3.Connection, number: int, annotator: str, waiting: int) -> Shown:
        category, prompt, left, right = connection.execute(
            "select p.category, p.prompt, l.answer, r.answer from shown s join prompts p on p.item = s.item "
            "join answers l on l.item = s.item and l.model = s.left_model "
            "join answers r on r.item = s.item and r.model = s.right_model where s.id = ?",
            (number,),
        ).fetchone()
        return Shown(number, category, prompt, left, right, self._done(connection, annotator), waiting)

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as connection:
            connection.execute("begin immediate")
            with connection:
                yield connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=WAIT_SECONDS, isolation_level=None)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma foreign_keys = on")
        return connection


def check_said(said: Said) -> None:
    """Raises ValueError for a choice, strength or score that no vote has."""
    if said.choice not in (LEFT, RIGHT, TIE):
        raise ValueError(f"choice={said.choice!r}: allowed: {LEFT}, {RIGHT}, {TIE}")
    if (said.strength != 0) if said.choice == TIE else said.strength not in range(1, STRONGEST + 1):
        raise ValueError(f"strength={said.strength} of {said.choice}: allowed: 1 to {STRONGEST}, of a tie 0")
    for score in (said.left_score, said.right_score):
        if score is not None and score not in range(1, 8):
            raise ValueError(f"score={score}: allowed: 1 to 7")

"""A database that another tool migrates is whole or not there; a damaged one is set aside, and a run goes on."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing

import pytest

import flows.environment
from flows.environment import have_prefect_database
from storage.databases import have_whole, newest_revision
from storage.run_records import find_record
from storage.runs import Run
from storage.tracking import MIGRATIONS, Tracker
from tests.storage.recorded import make_run


def make(path, revision="head", rows=500):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("create table if not exists alembic_version (version_num text)")
        connection.execute("create table if not exists runs (name text)")
        connection.execute("delete from alembic_version")
        connection.execute("insert into alembic_version values (?)", [revision])
        connection.executemany("insert into runs values (?)", [[f"run {n}" * 20] for n in range(rows)])


def execute(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def cut(path):
    path.write_bytes(path.read_bytes()[:9000])


DAMAGES = {
    "cut": cut,
    "empty": lambda path: path.write_bytes(b""),
    "no database": lambda path: path.write_bytes(b"garbage" * 9999),
    "a bad header": lambda path: path.write_bytes(bytes(16) + path.read_bytes()[16:]),
    "a migration cut off": lambda path: execute(path, "create table _alembic_tmp_runs (name text)"),
    "no revision": lambda path: execute(path, "delete from alembic_version"),
    "no tables": lambda path: execute(path, "drop table alembic_version"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_set_aside_and_made_anew(home, damage, caplog):
    path = home.root / "some.db"
    assert have_whole(home, path, "head", make, "made again")
    assert not have_whole(home, path, "head", make, "made again")
    DAMAGES[damage](path)
    damaged = path.read_bytes()
    assert have_whole(home, path, "head", make, "made again")
    assert not have_whole(home, path, "head", make, "made again")
    (aside,) = home.damaged.glob("*-some.db")
    assert aside.read_bytes() == damaged
    assert [line for line in caplog.messages if "is damaged" in line] == caplog.messages
    assert len(caplog.messages) == 1 and caplog.messages[0].endswith("made again")
    assert sorted(p.name for p in home.root.glob("some*")) == ["some.db"]


def test_what_cuts_off_the_making_leaves_no_database(home):
    path = home.root / "some.db"

    def cut_off(fresh):
        make(fresh)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        have_whole(home, path, "head", cut_off, "made again")
    assert not path.exists()
    assert have_whole(home, path, "head", make, "made again")


def test_one_of_an_earlier_version_is_migrated_in_a_copy(home):
    path = home.root / "some.db"
    make(path, "before", rows=3)

    def cut_off(fresh):
        execute(fresh, "create table _alembic_tmp_runs (name text)")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        have_whole(home, path, "head", cut_off, "made again")
    assert not have_whole(home, path, "head", lambda fresh: make(fresh, rows=0), "made again")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select count(*) from runs").fetchone() == (3,)
        assert connection.execute("select * from alembic_version").fetchall() == [("head",)]
    assert not home.damaged.exists()


def test_the_newest_revision_is_the_one_that_mlflow_has_made(home):
    with closing(sqlite3.connect(home.mlflow_database)) as connection:
        found = connection.execute("select version_num from alembic_version").fetchall()
    assert found == [(newest_revision(*MIGRATIONS),)]


def shown_by_mlflow(home) -> dict[str, tuple[str, dict]]:
    client = Tracker(home).connect()
    found = client.search_runs([one.experiment_id for one in client.search_experiments()])
    return {
        run.data.tags.get("mixstitch.run", run.info.run_name): (run.info.status, run.data.metrics)
        for run in found
    }


def test_mlflows_database_is_made_again_from_records_also_under_a_run_at_work(home):
    first = make_run(home)
    before = shown_by_mlflow(home)
    assert before["evaluation/seed"][1]["quiz/acc"] == 0.5
    at_work = Run(home, "at-work", {})
    execute(home.mlflow_database, "create table _alembic_tmp_experiments (name text)")
    last = make_run(home, settings={"cap": 1})
    at_work.finish("completed")
    told = shown_by_mlflow(home)
    assert {name: told[name] for name in before} == before
    assert {told[run.run_id][0] for run in (first, at_work, last)} == {"FINISHED"}
    assert find_record(home, at_work.run_id)["status"] == "completed"
    cut(home.mlflow_database)
    assert shown_by_mlflow(home) == told


def test_made_again_a_stage_that_a_run_found_stands_once(home):
    def stages() -> int:
        client = Tracker(home).connect()
        experiments = [one.experiment_id for one in client.search_experiments()]
        return len(client.search_runs(experiments, "tags.`mixstitch.stage` = 'evaluation/seed'"))

    make_run(home)
    make_run(home)
    assert stages() == 1
    cut(home.mlflow_database)
    assert stages() == 1


def test_prefects_database_that_cannot_be_made_for_want_of_space_is_one_message(home, monkeypatch):
    def full(command, **_):
        error = "sqlite3.OperationalError: database or disk is full"
        return subprocess.CompletedProcess(command, 1, "", error)

    home.prefect_database.unlink()
    monkeypatch.setattr(flows.environment.subprocess, "run", full)
    with pytest.raises(
        ValueError, match=rf"^Prefect's database: {home.root} cannot be written: .*disk is full"
    ):
        have_prefect_database(home)
    assert not home.prefect_database.exists()

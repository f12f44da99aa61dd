"""Cleaning removes what no kept run needs, and nothing that a run at work may still use."""

from __future__ import annotations

from typer.testing import CliRunner

from flows.commands.app import app
from storage.cleaning import find_garbage, remove
from storage.runs import Run, find_record, summarise
from storage.stages import Stage
from tests.storage.recorded import SCORE, make_run


def test_cleaning_keeps_what_the_latest_completed_run_uses(home):
    make_run(home, settings={"cap": 4})
    kept = make_run(home, settings={"cap": 2})
    make_run(home, settings={"cap": 1}, status="failed")
    garbage = find_garbage(home, keep=1)
    assert len(garbage) == 2
    freed = remove(home, garbage)
    assert freed == sum(item.bytes for item in garbage) > 0
    assert find_garbage(home, keep=1) == []
    assert summarise(home, find_record(home, kept.run_id)).scores == [SCORE]
    assert len(find_garbage(home, keep=0)) == 1


def test_keeping_more_runs_than_there_are_keeps_them_all(home):
    for cap in (1, 2, 3):
        make_run(home, settings={"cap": cap})
    assert [len(find_garbage(home, keep)) for keep in range(6)] == [3, 2, 1, 0, 0, 0]


def test_while_a_run_is_in_progress_nothing_is_removed_and_that_is_said(home):
    make_run(home, settings={"cap": 1}, status="failed")
    listed = find_garbage(home, keep=1)
    assert len(listed) == 1
    run = Run(home, "trial", {})  # it may come to use what the failed run has made
    assert find_garbage(home, keep=1) == []
    assert remove(home, listed) == 0
    done = CliRunner().invoke(app, ["clean", "--yes"])
    assert done.exit_code == 0
    assert f"nothing can be removed before {run.run_id} has ended" in done.stdout
    assert listed[0].path.exists()
    run.finish("completed")
    assert "0.0 MB freed" in CliRunner().invoke(app, ["clean", "--yes"]).stdout
    assert not listed[0].path.exists()


def test_work_in_progress_is_not_garbage(home):
    run = Run(home, "trial", {})

    def build(folder):
        (folder / "progress").mkdir()
        assert find_garbage(home, keep=0) == []
        return {}

    run.stage(Stage("seed", 1, {}, {}, build))
    assert find_garbage(home, keep=0) == []

"""Cleaning removes what no kept run needs, and nothing that a run at work may still use."""

from __future__ import annotations

from typer.testing import CliRunner

from flows.commands.app import app
from storage.cleaning import find_garbage, remove
from storage.run_records import find_record
from storage.runs import Run, summarise
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


def folder_of(path) -> set[str]:
    return {str(part.relative_to(path)) for part in path.rglob("*")}


def test_only_what_bears_our_mark_is_removed(home, tmp_path):
    """A folder named as the home held something before, and something was put there since."""
    make_run(home, status="failed")
    (home.work / "my-thesis").mkdir()
    (home.work / "my-thesis" / "chapter").write_text("one")
    (home.work / "notes.txt").write_text("a plain file")
    (home.artifacts / "web" / "page").mkdir(parents=True)
    (home.artifacts / "web" / "page" / "manifest.json").write_text("{}")
    (home.artifacts / "list.txt").write_text("a plain file")
    strange = {home.work, home.artifacts / "web"}
    before = [folder_of(path) for path in strange]
    garbage = find_garbage(home, keep=0)
    assert [item.path.parent.name for item in garbage] == ["evaluation"]
    assert remove(home, garbage) > 0
    assert [folder_of(path) for path in strange] == before
    assert (home.artifacts / "list.txt").exists()
    said = CliRunner().invoke(app, ["clean", "--yes"]).stdout
    assert f"{home.work / 'my-thesis'}  (not made by mixstitch" in said


def test_what_lies_outside_of_the_home_is_never_removed(home, tmp_path):
    make_run(home, settings={"cap": 1}, status="failed")
    make_run(home, settings={"cap": 2}, status="failed")
    one, other = sorted((home.artifacts / "evaluation").iterdir())
    outside = tmp_path / "outside"
    outside.mkdir()
    one.rename(outside / one.name)
    one.symlink_to(outside / one.name)
    (other / "extra").symlink_to(outside)
    before = folder_of(outside)
    assert remove(home, find_garbage(home, keep=0)) > 0
    assert folder_of(home.artifacts / "evaluation") == set()  # the link went as a link
    assert folder_of(outside) == before

    (home.artifacts / "evaluation").rmdir()
    (home.artifacts / "evaluation").symlink_to(outside)
    assert find_garbage(home, keep=0) == []
    assert folder_of(outside) == before


def test_a_folder_that_is_no_home_is_not_cleaned(home):
    make_run(home, status="failed")
    home.marker.unlink()
    assert find_garbage(home, keep=0) == []


def test_work_that_was_cut_off_and_what_was_set_aside_can_go(home):
    run = make_run(home)
    (folder,) = (home.artifacts / "evaluation").iterdir()
    (folder / "x").write_text("changed")
    make_run(home)
    work = home.work / f"seed-{'a' * 16}"
    (work / "progress").mkdir(parents=True)
    (work / ".mixstitch").write_text(f"seed {'a' * 64}")
    (home.damaged / "mine").mkdir()
    assert [item.path.name for item in find_garbage(home, keep=1)] == [work.name, *sorted(
        path.name for path in home.damaged.iterdir() if path.name.endswith(folder.name)
    )]  # fmt: skip
    remove(home, find_garbage(home, keep=1))
    assert folder_of(home.work) == set() and (home.damaged / "mine").exists()
    assert find_record(home, run.run_id)["status"] == "completed"

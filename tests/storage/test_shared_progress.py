"""What a stage keeps while it works, and another machine goes on from."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.objects import FolderObjects, Unreachable
from storage.shared_progress import SharedProgress
from storage.shared_store import SharedStore
from storage.stages import Stage


@pytest.fixture
def objects(tmp_path) -> FolderObjects:
    return FolderObjects(tmp_path / "shared")


def progress(objects, work: Path) -> SharedProgress:
    work.mkdir(parents=True, exist_ok=True)
    return SharedProgress(objects, "training", "seed-abc", work)


def write(work: Path, **files: str) -> None:
    for name, content in files.items():
        path = work / "progress" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def read(work: Path) -> dict[str, str]:
    folder = work / "progress"
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }


def test_another_machine_gets_the_files_of_the_last_moment(objects, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    mine = progress(objects, here)
    write(here, **{"step.json": "10", "checkpoint/weights": "ten"})
    assert mine.keep()
    write(here, **{"step.json": "20", "checkpoint/weights": "twenty"})
    assert mine.keep()
    assert progress(objects, there).fetch()
    assert read(there) == {"step.json": "20", "checkpoint/weights": "twenty"}
    assert len(objects.names("progress")) == 3  # the index and two files: those of step 10 are gone


def test_what_has_not_changed_is_not_put_again(objects, tmp_path):
    mine = progress(objects, tmp_path / "here")
    assert not mine.keep()
    write(tmp_path / "here", step="1")
    assert [mine.keep(), mine.keep()] == [True, False]


def test_own_progress_is_not_replaced(objects, tmp_path):
    write(tmp_path / "here", step="1")
    progress(objects, tmp_path / "here").keep()
    write(tmp_path / "there", step="2")
    assert not progress(objects, tmp_path / "there").fetch()
    assert read(tmp_path / "there") == {"step": "2"}


@pytest.mark.parametrize("harm", ["cut", "missing", "index", "outside"])
def test_damaged_progress_is_left_where_it_is_and_the_work_begins_anew(objects, tmp_path, harm, caplog):
    write(tmp_path / "here", step="1", other="2")
    progress(objects, tmp_path / "here").keep()
    index = objects.folder / "progress/training/seed-abc/index.json"
    first = next(path for path in index.parent.iterdir() if path != index)
    if harm == "cut":
        first.write_text("")
    elif harm == "missing":
        first.unlink()
    elif harm == "index":
        index.write_text("[1]")
    else:
        index.write_text(index.read_text().replace('"step"', '"../../step"'))
    assert not progress(objects, tmp_path / "there").fetch()
    assert "begins anew" in caplog.text and list((tmp_path / "there").iterdir()) == []
    assert not (tmp_path / "step").exists()


def test_a_store_that_stays_away_stops_nothing(objects, tmp_path, monkeypatch, caplog):
    def refused(*_):
        raise Unreachable("store: gone")

    monkeypatch.setattr(objects, "put", refused)
    write(tmp_path / "here", step="1")
    with progress(objects, tmp_path / "here").kept(0.01):
        time.sleep(0.2)  # several intervals
    assert "progress is not shared just now: store: gone" in caplog.text


def test_a_stage_that_was_cut_off_goes_on_on_another_machine_and_leaves_no_progress(
    objects, tmp_path, monkeypatch
):
    monkeypatch.setattr("storage.artifacts.PROGRESS_SECONDS", 0.01)

    def store(name: str) -> ArtifactStore:
        home = Home(tmp_path / name)
        for folder in (home.artifacts, home.work, home.locks):
            folder.mkdir(parents=True)
        made = ArtifactStore(home)
        made.shared = SharedStore(objects)
        return made

    def cut_off(folder: Path) -> dict:
        write(folder, step="7")
        while not objects.names("progress/training"):
            time.sleep(0.01)
        raise MemoryError("the machine is taken away")

    def goes_on(folder: Path) -> dict:
        return {"from": (folder / "progress" / "step").read_text()}

    with pytest.raises(MemoryError):
        store("one").produce(Stage("training", 1, {}, {}, cut_off))
    assert store("two").produce(Stage("training", 1, {}, {}, goes_on)).facts == {"from": "7"}
    assert objects.names("progress") == []

"""What a stage keeps while it works, and another machine goes on from."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.objects import FolderObjects, Unreachable
from storage.shared_progress import LAST_PUT, SharedProgress
from storage.shared_store import SharedStore
from storage.stages import Cost, Stage


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
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != LAST_PUT]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


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


def test_whoever_put_it_last_goes_on_from_what_it_has_and_anybody_else_from_what_was_put(objects, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    write(here, step="1000")
    progress(objects, here).keep()
    write(here, step="1100")  # after the last copy, before the kill
    assert not progress(objects, here).fetch()
    assert read(here)["step"] == "1100"
    assert progress(objects, there).fetch()
    write(there, step="50000")
    progress(objects, there).keep()
    assert progress(objects, here).fetch()
    assert read(here)["step"] == "50000"


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


@pytest.fixture
def store(objects, tmp_path):
    def made(name: str) -> ArtifactStore:
        home = Home(tmp_path / name)
        for folder in (home.artifacts, home.work, home.locks):
            folder.mkdir(parents=True)
        store = ArtifactStore(home)
        store.shared = SharedStore(objects)
        return store

    return made


def training(build) -> Stage:
    return Stage("training", 1, {}, {}, build, cost=lambda: Cost(flops=1e9))


def write_and_share(folder: Path, objects: FolderObjects) -> None:
    write(folder, step="7")
    while not objects.names("progress/training"):
        time.sleep(0.01)


def weights(folder: Path) -> dict:
    (folder / "weights").write_text("dear")
    return {}


def test_a_stage_that_was_cut_off_goes_on_on_another_machine_and_leaves_no_progress(
    store, objects, monkeypatch
):
    monkeypatch.setattr("storage.artifacts.PROGRESS_SECONDS", 0.01)

    def cut_off(folder: Path) -> dict:
        write_and_share(folder, objects)
        raise MemoryError("the machine is taken away")

    def goes_on(folder: Path) -> dict:
        return {"from": (folder / "progress" / "step").read_text()}

    with pytest.raises(MemoryError):
        store("one").produce(training(cut_off))
    assert store("two").produce(training(goes_on)).facts == {"from": "7"}
    assert objects.names("progress") == []


def test_a_result_outlives_a_store_that_is_gone_when_its_progress_is_to_be_forgotten(
    store, objects, monkeypatch, caplog
):
    def build(folder: Path) -> dict:
        write(folder, step="7")
        return weights(folder)

    def refused(*_):
        raise Unreachable("store: gone")

    monkeypatch.setattr(objects, "remove", refused)
    made = store("one").produce(training(build))
    assert (made.path / "weights").read_text() == "dear"
    assert "nobody needs any more stays in the store: store: gone" in caplog.text


def test_a_worker_that_is_killed_before_its_result_is_published_leaves_its_progress(
    store, objects, monkeypatch
):
    monkeypatch.setattr("storage.artifacts.PROGRESS_SECONDS", 0.01)

    def build(folder: Path) -> dict:
        write_and_share(folder, objects)
        return {}

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(SharedStore, "publish", killed)
    with pytest.raises(KeyboardInterrupt):
        store("one").produce(training(build))
    assert objects.names("progress/training")


def test_what_costs_nothing_shares_no_progress(store, objects, monkeypatch):
    monkeypatch.setattr("storage.artifacts.PROGRESS_SECONDS", 0.01)

    def build(folder: Path) -> dict:
        write(folder, text="gigabytes")
        time.sleep(0.1)  # several intervals
        return {"shared": objects.names("progress")}

    assert store("one").produce(Stage("sources", 1, {}, {}, build)).facts == {"shared": []}


def test_of_two_results_the_second_stays_where_the_first_is_damaged(store, objects):
    first, second = store("one"), store("two")

    def other_is_first(folder: Path) -> dict:
        first.produce(training(weights))
        (file,) = (path for path in (objects.folder / "files").rglob("*") if path.is_file())
        file.write_text("cut")
        return weights(folder)

    made = second.produce(training(other_is_first))
    assert (made.path / "weights").read_text() == "dear" and (made.path / "manifest.json").is_file()
    assert store("three").produce(training(weights)).hit

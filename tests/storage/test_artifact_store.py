"""A result is whole or absent, found again by its key, and rebuilt where it is damaged."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

import storage.artifacts
import storage.work_folders
from storage.artifact import Artifact
from storage.artifacts import ArtifactStore
from storage.fingerprint import canonical_json, stage_key
from storage.home import Home
from storage.sealed import write_sealed
from storage.stages import Stage
from tests.storage.recorded import make_run


@pytest.fixture
def store(home) -> ArtifactStore:
    return ArtifactStore(home)


def counting_build(content: str = "hello"):
    calls = []

    def build(folder):
        calls.append(folder)
        (folder / "result.txt").write_text(content)
        return {"metrics": {"size": len(content)}}

    return build, calls


def produce(store, build, settings=None, version=1, inputs=None):
    return store.produce(
        Stage("stage", version, settings or {"a": 1}, inputs or {"x": "digest"}, build, "name")
    )


def test_the_same_key_is_built_once(store):
    build, calls = counting_build()
    first, second = produce(store, build), produce(store, build)
    assert len(calls) == 1
    assert (first.hit, second.hit) == (False, True)
    assert first.digest == second.digest
    assert second.facts == {"metrics": {"size": 5}}
    assert (second.path / "result.txt").read_text() == "hello"


@pytest.mark.parametrize("change", [{"settings": {"a": 2}}, {"version": 2}, {"inputs": {"x": "other"}}])
def test_another_setting_version_or_input_is_another_result(store, change):
    build, calls = counting_build()
    assert produce(store, build).key != produce(store, build, **change).key
    assert len(calls) == 2


def change_manifest(path, reseal=True, **changes) -> None:
    """Change a manifest; with its seal made anew, as somebody would who knows of it."""
    manifest = json.loads(path.read_text())
    seal = manifest.pop("seal")
    if reseal:
        write_sealed(path, {**manifest, **changes})
    else:
        path.write_text(json.dumps({**manifest, **changes, "seal": seal}))


BY_HAND = {"facts": {"metrics": {"size": 0.99}}}
DAMAGES = {
    "a changed file": lambda path: (path.parent / "result.txt").write_text("hallo"),
    "a cut file": lambda path: (path.parent / "result.txt").write_text("hell"),
    "a missing file": lambda path: (path.parent / "result.txt").unlink(),
    "a folder for a file": lambda path: [
        (path.parent / "result.txt").unlink(),
        (path.parent / "result.txt").mkdir(),
    ],
    "no JSON": lambda path: path.write_text("{"),
    "a list": lambda path: path.write_text("[]"),
    "deep": lambda path: path.write_text("[" * 100_000),
    "bytes": lambda path: path.write_bytes(b"\xff\xfe"),
    "no manifest": lambda path: path.unlink(),
    "a folder for a manifest": lambda path: [path.unlink(), path.mkdir()],
    "a score changed by hand": lambda path: change_manifest(path, reseal=False, **BY_HAND),
    "no seal": lambda path: path.write_text(json.dumps(BY_HAND)),
    "files of another type": lambda path: change_manifest(path, files=["result.txt"]),
    "a size of another type": lambda path: change_manifest(
        path, files={"result.txt": {"bytes": "5", "sha256": "0" * 64}}
    ),
    "facts of another type": lambda path: change_manifest(path, facts=[]),
    "no time": lambda path: change_manifest(path, provenance={}),
    "another key": lambda path: change_manifest(path, key="0" * 64),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_is_found_out_set_aside_and_made_again(store, home, damage, caplog):
    build, calls = counting_build()
    folder = produce(store, build).path
    DAMAGES[damage](folder / "manifest.json")
    rebuilt = produce(store, build)
    assert not rebuilt.hit
    assert len(calls) == 2
    assert rebuilt.facts == {"metrics": {"size": 5}}
    assert (rebuilt.path / "result.txt").read_text() == "hello"
    (aside,) = home.damaged.glob(f"*-{folder.name}")
    assert len([line for line in caplog.messages if f"set aside as {aside}" in line]) == 1


@pytest.mark.parametrize("damage", ["a score changed by hand", "files of another type", "no JSON"])
def test_a_damaged_manifest_is_shown_to_nobody(store, damage):
    build, _ = counting_build()
    folder = produce(store, build).path
    DAMAGES[damage](folder / "manifest.json")
    with pytest.raises(ValueError, match=r"the artifact is damaged \(its manifest: .*run the recipe again"):
        store.load("stage", folder.name)
    assert store.manifests() == []
    assert store.unreadable_manifests() == [str(folder / "manifest.json")]


def test_facts_that_are_no_numbers_are_as_whole_as_others(store):
    def build(folder):
        return {"metrics": {"loss": float("nan"), 2: float("inf")}, "pairs": (1, 2)}

    produce(store, build)
    assert produce(store, build).hit


def test_a_link_in_the_place_of_a_result_is_put_away_and_what_it_leads_to_stays(store, home, tmp_path):
    build, _ = counting_build()
    folder = produce(store, build).path
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    (elsewhere / "result.txt").write_text("hallo")
    folder.symlink_to(elsewhere)
    assert not produce(store, build).hit
    assert (elsewhere / "result.txt").read_text() == "hallo"
    assert not folder.is_symlink()


def test_what_somebody_else_keeps_in_the_place_of_work_is_kept(store, home):
    build, _ = counting_build()
    work = home.work / produce(store, build).path.name
    work = work.with_name(f"stage-{work.name}")
    shutil.rmtree(home.artifacts / "stage")
    (work / "thesis").mkdir(parents=True)
    (work / "thesis" / "chapter").write_text("one")
    assert not produce(store, build).hit
    (kept,) = home.damaged.glob("*/thesis/chapter")
    assert kept.read_text() == "one"


def test_a_link_that_a_stage_left_is_cleared_as_a_link(store, home, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "text").write_text("mine")

    def build(folder):
        (folder / "link").symlink_to(tmp_path / "kept")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        produce(store, build)
    assert (tmp_path / "kept" / "text").read_text() == "mine"
    assert list(home.work.iterdir()) == []


def test_a_result_is_on_the_disk_before_it_has_its_name(store, monkeypatch):
    synced, renamed = set(), []
    fsync, replace = os.fsync, Path.replace

    def noting(number):
        synced.add(Path(f"/proc/self/fd/{number}").readlink().name)
        fsync(number)

    def watched(self, place):
        if self.is_dir():
            renamed.append(set(synced))
            synced.clear()
        return replace(self, place)

    monkeypatch.setattr(os, "fsync", noting)
    monkeypatch.setattr(Path, "replace", watched)
    build, _ = counting_build()
    folder = produce(store, build).path
    ((*before,),) = renamed
    assert {"result.txt", "manifest.json", f"stage-{folder.name}"} <= set(before)
    assert {"work", "stage"} <= synced  # the folders that hold the old and the new name


def test_a_build_that_fails_leaves_no_result_but_its_progress(store, home):
    def build(folder):
        (folder / "progress").mkdir(exist_ok=True)
        (folder / "progress" / "half").write_text("done so far")
        (folder / "result.txt").write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        produce(store, build)
    assert not list(home.artifacts.rglob("*.txt"))
    seen = []

    def go_on(folder):
        seen.append((folder / "progress" / "half").read_text())
        seen.append((folder / "result.txt").exists())
        (folder / "result.txt").write_text("whole")
        return {}

    done = produce(store, go_on)
    assert seen == ["done so far", False]
    assert not (done.path / "progress").exists()


def long_build(folder):
    """Keeps progress, and says whether it found some."""
    half = folder / "progress" / "half"
    resumed = half.exists()
    half.parent.mkdir(exist_ok=True)
    half.write_text("paid for")
    (folder / "result.txt").write_text("whole")
    return {"resumed": resumed}


def never_built(folder):
    raise AssertionError("the result was whole already")


def produce_until(store, place: object, name: str) -> None:
    """Produce in a process that dies, as by kill -9, at the call of a function."""
    process = os.fork()
    if process == 0:
        setattr(place, name, lambda *_: os._exit(9))
        try:
            produce(store, long_build)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9


def check_whole(artifact: Artifact) -> None:
    assert sorted(path.name for path in artifact.path.iterdir()) == ["manifest.json", "result.txt"]
    assert json.loads((artifact.path / "manifest.json").read_text())["files"].keys() == {"result.txt"}


def test_a_kill_while_files_are_hashed_loses_no_progress(store, home):
    produce_until(store, storage.work_folders, "digest_file")
    done = produce(store, long_build)
    assert done.facts == {"resumed": True}
    check_whole(done)
    assert list(home.work.iterdir()) == []


@pytest.mark.parametrize(
    "place, name", [(storage.artifacts, "put_whole"), (storage.work_folders, "put_in_place")]
)
def test_a_result_cut_off_after_its_manifest_is_taken_up(store, home, place, name):
    produce_until(store, place, name)
    done = produce(store, never_built)
    assert done.hit
    check_whole(done)
    assert list(home.work.iterdir()) == []


def test_a_result_cut_off_after_its_manifest_is_built_again_where_it_is_damaged(store, home):
    produce_until(store, storage.artifacts, "put_whole")
    (work,) = home.work.iterdir()
    (work / "result.txt").write_text("hole")
    done = produce(store, long_build)
    assert (done.hit, done.facts) == (False, {"resumed": True})
    check_whole(done)


def test_two_at_once_build_once(store):
    build, calls = counting_build()
    results = []
    threads = [threading.Thread(target=lambda: results.append(produce(store, build))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert sorted(result.hit for result in results) == [False, True, True, True]


def test_logs_do_not_count_towards_the_digest(store):
    def build_with(seconds):
        def build(folder):
            (folder / "result.txt").write_text("same")
            (folder / "logs").mkdir()
            (folder / "logs" / "time.txt").write_text(seconds)
            return {}

        return build

    first = produce(store, build_with("1"), settings={"a": 1})
    second = produce(store, build_with("2"), settings={"a": 2})
    assert first.digest == second.digest


def test_a_manifest_says_where_a_result_is_from(store):
    build, _ = counting_build()
    manifest = json.loads((produce(store, build).path / "manifest.json").read_text())
    assert manifest["inputs"] == {"x": "digest"}
    assert manifest["settings"] == {"a": 1}
    assert {"python", "packages", "commit", "cores", "seconds", "created"} <= manifest["provenance"].keys()


def test_keys_refuse_what_has_no_stable_text():
    assert stage_key("s", 1, {"b": 1, "a": 2}, {}) == stage_key("s", 1, {"a": 2, "b": 1}, {})
    with pytest.raises(TypeError):
        canonical_json({"a": {1, 2}})
    with pytest.raises(ValueError):
        canonical_json({"a": float("nan")})


def test_a_home_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MIXSTITCH_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(ValueError, match=r"MIXSTITCH_HOME=.*cannot be written"):
        Home.from_environment()


def test_a_home_whose_path_no_database_can_have_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("MIXSTITCH_HOME", str(tmp_path / "what?x=1"))
    with pytest.raises(ValueError, match=r"MIXSTITCH_HOME=.*its path holds '\?'"):
        Home.from_environment()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["with space", "ünï-日本", "50%20 #1", "d$HOME ${x}", "long" * 40])
def test_a_home_of_any_other_name_holds_mlflows_database(monkeypatch, tmp_path, template, place):
    """Relative, and behind a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIXSTITCH_HOME", f"link/{place}")
    home = Home.from_environment()
    shutil.copy(template.mlflow_database, home.mlflow_database)
    make_run(home)
    assert home.root == tmp_path / "real" / place
    with sqlite3.connect(home.mlflow_database) as connection:
        assert connection.execute("select count(*) from runs").fetchone() == (2,)
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("real", "link")] == []
    assert [path.name for path in (tmp_path / "real").iterdir()] == [place.split("/")[0]]


def test_a_home_of_a_user_who_does_not_exist_is_named(monkeypatch):
    monkeypatch.setenv("MIXSTITCH_HOME", "~nobody-of-this-name/home")
    with pytest.raises(ValueError, match=r"MIXSTITCH_HOME=~nobody-of-this-name/home: .*name a folder"):
        Home.from_environment()

"""A disk that is full or cannot be written is one message, whoever meets it, and nothing is left half-written."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

import storage.work_folders
from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.run_records import find_record
from storage.runs import Run
from storage.stages import Stage
from storage.writing import writing

FULL = "/dev/full"  # every write fails with "No space left on device"
needs_full = pytest.mark.skipif(not Path(FULL).exists(), reason=f"{FULL} is not there")


def produce(home, build):
    return ArtifactStore(home).produce(Stage("stage", 1, {}, {}, build, "name"))


def write_text(folder):
    (folder / "text").symlink_to(FULL)
    (folder / "text").write_text("something")


def write_tensors(folder):
    from safetensors import SafetensorError

    (folder / "weights").write_bytes(b"half")
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def write_tokenizer(folder):
    from tokenizers import Tokenizer, models

    (folder / "tokenizer.json").symlink_to(FULL)
    Tokenizer(models.BPE()).save(str(folder / "tokenizer.json"))


def write_database(folder):
    with sqlite3.connect(folder / "seen.db") as connection:
        connection.execute("pragma max_page_count = 2")
        connection.execute("create table seen (hash blob)")
        connection.execute("insert into seen values (zeroblob(100000))")


@needs_full
@pytest.mark.parametrize("write", [write_text, write_tensors, write_tokenizer, write_database])
def test_a_full_disk_while_a_stage_works_is_one_message(home, write):
    def build(folder):
        (folder / "progress").mkdir()
        write(folder)
        return {}

    with pytest.raises(
        ValueError, match=r"^stage/name: \S+ cannot be written: .*(No space left|disk is full)"
    ) as caught:
        produce(home, build)
    assert str(home.root) in str(caught.value) and "MIXSTITCH_HOME" in str(caught.value)
    left = sorted(path.name for path in home.work.rglob("*"))
    assert left == [".mixstitch", "progress", "stage-name-" + key_of(home)]
    assert not list(home.artifacts.rglob("*"))

    def with_room(folder):
        assert (folder / "progress").is_dir()  # it goes on
        (folder / "text").write_text("something")
        return {}

    made = produce(home, with_room)
    assert not made.hit and (made.path / "text").read_text() == "something"


def key_of(home: Home) -> str:
    (work,) = home.work.iterdir()
    return work.name.removeprefix("stage-name-")


@pytest.mark.parametrize("place, name", [(storage.work_folders, "digest_file"), (os, "fsync")])
def test_a_full_disk_while_a_result_is_sealed_is_one_message(home, monkeypatch, place, name):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def build(folder):
        (folder / "text").write_text("something")
        return {}

    with monkeypatch.context() as patch, pytest.raises(ValueError, match="No space left"):
        patch.setattr(place, name, full)
        produce(home, build)
    assert not list(home.work.iterdir()) and not list(home.artifacts.rglob("*"))
    assert not produce(home, build).hit


def test_the_cause_of_a_librarys_error_counts(home):
    with (
        pytest.raises(ValueError, match="trial: /elsewhere/file cannot be written: Read-only file system"),
        writing(home, "trial"),
    ):
        try:
            raise OSError(errno.EROFS, "read-only", "/elsewhere/file")
        except OSError as error:
            raise RuntimeError("could not save") from error


def test_a_forbidden_file_is_told_from_one_of_the_user_that_cannot_be_read(home):
    with pytest.raises(ValueError, match="cannot be written: Permission denied"), writing(home, "trial"):
        raise PermissionError(errno.EACCES, "denied", str(home.work / "file"))
    with pytest.raises(PermissionError), writing(home, "trial"):
        raise PermissionError(errno.EACCES, "denied", "/data/of/the/user.txt")


def test_a_home_that_becomes_read_only_while_a_stage_works_is_one_message(home, monkeypatch):
    def build(folder):
        raise PermissionError(errno.EACCES, "denied", str(folder / "weights"))

    def forbidden(*_):
        raise PermissionError(errno.EACCES, "denied", ".mixstitch")  # as `rmtree` names it

    with monkeypatch.context() as patch:
        patch.setattr("storage.work_folders.remove_tree", forbidden)
        (home.work / "stage-name").mkdir()
        with pytest.raises(ValueError, match=r"^stage/name: \S+weights cannot be written: Permission denied"):
            produce(home, build)


@pytest.mark.parametrize(
    "error", [RuntimeError("loss is nan"), OSError(errno.EIO, "broken"), sqlite3.OperationalError("locked")]
)
def test_other_errors_pass_as_they_are(home, error):
    with pytest.raises(type(error)) as caught, writing(home, "trial"):
        raise error
    assert caught.value is error


@needs_full
def test_a_record_that_cannot_be_written_leaves_the_one_before(home, monkeypatch):
    run = Run(home, "trial", {})
    folder = home.runs / run.run_id
    (folder / f"run.json.{os.getpid()}.tmp").symlink_to(FULL)
    with pytest.raises(ValueError, match=f"run {run.run_id}: .* cannot be written: No space left"):
        run.update(error="x" * 10_000)
    assert [path.name for path in folder.iterdir()] == ["run.json"]
    assert find_record(home, run.run_id)["error"] is None

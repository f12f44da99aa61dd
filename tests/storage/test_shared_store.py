"""Results that machines share by a site: whole, verified, one a key, in a folder and in a bucket."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.objects import FolderObjects, Objects, Unreachable
from storage.planned import PlannedRun
from storage.shared_store import SharedStore
from storage.site import Site, read_site
from storage.stages import Stage
from tests.s3_server import BUCKET, s3_server

PLACES = ("folder", "bucket")


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("s3fs")
    pytest.importorskip("moto")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "for-tests")
        with s3_server() as served:
            yield served


@pytest.fixture(params=PLACES)
def objects(request, tmp_path) -> Objects:
    if request.param == "folder":
        return FolderObjects(tmp_path / "shared")
    url, _ = request.getfixturevalue("server")
    return Site(store=f"s3://{BUCKET}/{tmp_path.name}", endpoint=url).objects()


def store(root: Path, objects: Objects) -> ArtifactStore:
    home = Home(root)
    for folder in (home.artifacts, home.work, home.locks):
        folder.mkdir(parents=True, exist_ok=True)
    made = ArtifactStore(home)
    made.shared = SharedStore(objects)
    return made


@pytest.fixture
def out_of_reach(objects, monkeypatch):
    """A block in which nothing can be put."""

    def refused(*_: object) -> None:
        raise Unreachable("store: gone")

    @contextmanager
    def block() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(objects, "put", refused)
            yield

    return block


def stage(content: str = "weights", calls: list | None = None) -> Stage:
    def build(folder: Path) -> dict:
        if calls is not None:
            calls.append(content)
        (folder / "model").mkdir()
        (folder / "model" / "weights").write_text(content)
        (folder / "empty").touch()
        return {"loss": 2.5}

    return Stage("seed", 1, {"tokens": 7}, {"corpus": "c"}, build, label="a")


def test_objects_are_there_whole_once_and_by_name(objects, tmp_path):
    sent = tmp_path / "sent"
    sent.write_bytes(b"\0\1" * 3_000_000)
    assert (objects.size("a/b"), objects.read("a/b"), objects.names("")) == (None, None, [])
    assert not objects.get("a/b", tmp_path / "back")
    objects.put("a/b", sent)
    assert objects.size("a/b") == 6_000_000
    assert objects.get("a/b", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == sent.read_bytes()
    assert objects.create("a/c", b"first")
    assert not objects.create("a/c", b"second")
    assert objects.read("a/c") == b"first"
    assert objects.names("") == objects.names("a") == ["a/b", "a/c"]
    objects.remove("a/b")
    objects.remove("a/b")
    assert objects.names("") == ["a/c"]


def test_threads_that_put_one_file_at_a_time_all_succeed(objects, tmp_path):
    """Two experts have the same config.json."""
    sent = tmp_path / "sent"
    sent.write_bytes(b"same" * 1000)
    with ThreadPoolExecutor(8) as side_by_side:
        for done in [side_by_side.submit(objects.put, "files/same", sent) for _ in range(64)]:
            done.result()
    assert objects.read("files/same") == sent.read_bytes()
    assert objects.names("") == ["files/same"]


def test_what_one_home_made_another_finds_and_verifies(objects, tmp_path):
    calls: list[str] = []
    first = store(tmp_path / "one", objects).produce(stage(calls=calls))
    plan = PlannedRun(Home(tmp_path / "two"))
    plan.store = store(tmp_path / "two", objects)
    assert plan.stage(stage()).facts == {"loss": 2.5}
    assert plan.rows(1e9)[0]["cached"]
    second = store(tmp_path / "two", objects).produce(stage(calls=calls))
    assert calls == ["weights"]
    assert (first.hit, second.hit) == (False, True)
    assert (second.digest, second.facts) == (first.digest, first.facts)
    assert second.path.is_relative_to(tmp_path / "two")
    assert (second.path / "model" / "weights").read_text() == "weights"
    assert (second.path / "empty").read_bytes() == b""


def test_of_two_results_of_one_key_the_first_is_everybodys(objects, tmp_path):
    """Both began before either had ended; training is not the same to the last bit on every machine."""
    slow = store(tmp_path / "slow", objects)
    quick: list = []

    def overtaken(folder: Path) -> dict:
        quick.append(store(tmp_path / "quick", objects).produce(stage("quick")))
        return stage("slow").build(folder)

    made = slow.produce(Stage("seed", 1, {"tokens": 7}, {"corpus": "c"}, overtaken, label="a"))
    assert made.digest == quick[0].digest
    assert (made.path / "model" / "weights").read_text() == "quick"
    assert not list((tmp_path / "slow" / "work").iterdir())


def test_what_was_made_before_the_site_was_named_is_put_there_when_it_is_next_used(objects, tmp_path):
    alone = store(tmp_path / "one", objects)
    alone.shared = None
    alone.produce(stage())
    assert objects.names("") == []
    assert store(tmp_path / "one", objects).produce(stage()).hit
    assert store(tmp_path / "two", objects).produce(stage()).hit


@pytest.mark.parametrize("damage", ["cut", "gone", "manifest"])
def test_what_is_damaged_there_is_said_and_made_again(objects, tmp_path, caplog, damage):
    calls: list[str] = []
    made = store(tmp_path / "one", objects).produce(stage(calls=calls))
    (tmp_path / "bad").write_bytes(b"weigh")
    digest = json.loads((made.path / "manifest.json").read_text())["files"]["model/weights"]["sha256"]
    (file,) = [name for name in objects.names("files") if digest in name]
    if damage == "cut":
        objects.put(file, tmp_path / "bad")
    elif damage == "gone":
        objects.remove(file)
    else:
        objects.put(objects.names("manifests")[0], tmp_path / "bad")
    with caplog.at_level(logging.WARNING):
        again = store(tmp_path / "two", objects).produce(stage(calls=calls))
    assert "is damaged" in caplog.text
    assert (calls, again.hit) == (["weights", "weights"], False)
    assert store(tmp_path / "three", objects).produce(stage(calls=calls)).hit


def test_a_manifest_from_there_writes_nothing_outside_of_its_folder(objects, tmp_path):
    from storage.sealed import write_sealed

    made = store(tmp_path / "one", objects).produce(stage())
    told = json.loads((made.path / "manifest.json").read_text())
    del told["seal"]
    told["files"]["../../../escaped"] = told["files"].pop("empty")
    write_sealed(tmp_path / "bad", told)
    objects.put(objects.names("manifests")[0], tmp_path / "bad")
    calls: list[str] = []
    store(tmp_path / "two", objects).produce(stage(calls=calls))
    assert calls == ["weights"]
    assert not list(tmp_path.rglob("escaped"))


def test_a_store_that_cannot_be_reached_loses_no_work(tmp_path, objects, out_of_reach):
    calls: list[str] = []
    own = store(tmp_path / "one", objects)

    with out_of_reach():
        with pytest.raises(Unreachable):
            own.produce(stage(calls=calls))
        assert objects.names("manifests") == []
    assert own.produce(stage(calls=calls)).hit
    assert calls == ["weights"]
    assert store(tmp_path / "two", objects).produce(stage()).hit


def test_what_could_not_be_put_gives_way_to_what_another_put_meanwhile(tmp_path, objects, out_of_reach):
    own = store(tmp_path / "one", objects)

    with out_of_reach(), pytest.raises(Unreachable):
        own.produce(stage("mine"))
    theirs = store(tmp_path / "two", objects).produce(stage("theirs"))
    assert own.produce(stage("mine")).digest == theirs.digest
    assert own.produce(stage("mine")).digest == theirs.digest


def test_a_full_disk_here_is_not_said_of_the_store(tmp_path, objects):
    (tmp_path / "sent").write_bytes(b"0" * 10_000)
    objects.put("a", tmp_path / "sent")
    with pytest.raises(OSError, match="No space left"):
        objects.get("a", Path("/dev/full"))


def test_a_server_that_fails_three_calls_in_ten_is_asked_again(server, tmp_path):
    url, failing = server
    objects = Site(store=f"s3://{BUCKET}/{tmp_path.name}", endpoint=url).objects()
    failing.share = 0.3
    try:
        store(tmp_path / "one", objects).produce(stage())
        assert store(tmp_path / "two", objects).produce(stage()).hit
        assert failing.failed > 2
    finally:
        failing.share = 0.0


def test_wrong_sites_are_refused_by_name(tmp_path, server):
    file = tmp_path / "site.yaml"
    wrong = {
        "store: gs://bucket": "store: allowed: a folder, or s3://BUCKET/PREFIX",
        "store: s3://": "store: allowed: a folder, or s3://BUCKET/PREFIX",
        "stor: here": "store: Field required; stor: Extra inputs are not permitted; allowed keys: store, endpoint",
        "store: s3://b\nendpoint: http://me:secret@host": "endpoint: allowed: an http:// or https:// URL without user",
        "- a": "the file: Input should be",
        "store: [": "is not YAML",
    }
    for text, message in wrong.items():
        file.write_text(text)
        with pytest.raises(ValueError, match=r"--site .*") as caught:
            read_site(file)
        assert message in str(caught.value)
        assert "secret" not in str(caught.value)
    with pytest.raises(ValueError, match=r"none\.yaml: No such file"):
        read_site(tmp_path / "none.yaml")
    file.write_text("store: results")
    assert read_site(file).store == str(tmp_path / "results")
    with pytest.raises(Unreachable, match=r"store s3://none/x: .*NoSuchBucket|bucket"):
        Site(store="s3://none/x", endpoint=server[0]).objects().create("a", b"")

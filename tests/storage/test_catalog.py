"""The catalog holds every fact, is made again from manifests and records, and a damaged one says how."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import duckdb
import pytest
from filelock import FileLock, Timeout
from typer.testing import CliRunner

from flows.commands.app import app
from storage.artifacts import ArtifactStore
from storage.catalog import Catalog
from storage.catalog_schema import EXAMPLES
from storage.run_records import find_record, read_records
from storage.runs import Run
from storage.stages import Stage
from tests.storage.recorded import FACTS, make_run

FACTS_OF_RESULTS = (
    "metrics",
    "scores",
    "mixtures",
    "utility",
    "specialisation",
    "training_events",
    "forecast",
)
VIEWS = ("runs", "run_stages", "run_scores", "artifacts", *(f"latest_{fact}" for fact in FACTS_OF_RESULTS))


@pytest.fixture
def run(home) -> Run:
    return make_run(home)


def rebuild(home) -> dict[str, int]:
    return Catalog(home).rebuild(lambda: read_records(home), ArtifactStore(home).manifests)


def everything(home) -> dict[str, dict]:
    catalog = Catalog(home)
    return {
        name: catalog.query(f"select * from {name} order by all")
        .drop(columns="recorded", errors="ignore")
        .to_dict("list")
        for name in VIEWS
    }


def test_the_catalog_has_every_fact_and_can_be_rebuilt(home, run):
    before = everything(home)
    assert before["run_scores"]["value"] == [0.5]
    assert before["latest_mixtures"]["tokens"] == [60]
    assert before["latest_utility"]["stderr"] == [0.02]
    assert before["latest_metrics"]["value"] == [1000.0]
    home.catalog.unlink()
    assert rebuild(home) == {"runs": 1, "artifacts": 1}
    assert repr(everything(home)) == repr(before)  # repr: two absent numbers are the same


def test_the_catalog_has_the_rows_of_gate_and_forecast(home, run):
    query = Catalog(home).query
    gate = query('select subject, "check", "value", bound, holds from latest_specialisation order by subject')
    assert gate["subject"].tolist() == ["docs", "math"]
    assert gate["check"].tolist() == ["weights differ", "own task"]
    assert gate["holds"].tolist() == [False, True]
    assert gate["bound"].tolist() == [0.2, 0.0]
    assert len(query('select * from specialisation where "value" is null')) == 1
    events = query("select step, event, target, skipped from run_training_events order by step")
    assert events["event"].tolist() == ["rewind", "alarm"]
    assert events["target"].dropna().tolist() == [20]
    assert [list(skipped) for skipped in events["skipped"]] == [[20, 21], []]
    seed, soup = query("select * from latest_forecast order by model").to_dict("records")
    assert (seed["rating"], seed["low"], seed["high"], seed["extrapolates"]) == (3.5, 3.0, 4.0, True)
    assert (list(seed["missing"]), list(soup["missing"])) == ([], ["mmlu", "arc"])
    assert query("select model from forecast where rating is null")["model"].tolist() == ["soup"]


@pytest.mark.parametrize("damage", ["garbage", "empty", "flipped", "cut"])
def test_a_damaged_catalog_is_set_aside_and_made_again(home, run, damage, caplog):
    before = everything(home)
    content = bytearray(home.catalog.read_bytes())
    if damage == "flipped":
        content[12288:12352] = bytes(64)
    damaged = {"garbage": b"garbage" * 99, "empty": b"", "flipped": content, "cut": content[:9000]}[damage]
    home.catalog.write_bytes(damaged)
    assert repr(everything(home)) == repr(before)
    (aside,) = [path for path in home.damaged.iterdir() if path.name.endswith("catalog.duckdb")]
    assert aside.read_bytes() == damaged
    assert f"{home.catalog} is damaged" in caplog.text and str(aside) in caplog.text


def test_a_damaged_catalog_stops_no_run(home, run):
    home.catalog.write_bytes(b"garbage" * 99)
    Run(home, "next", {}).finish("completed")
    assert everything(home)["runs"]["status"] == ["completed", "completed"]


def test_a_catalog_that_another_program_has_open_says_so(home, run):
    holder = f"import duckdb; c = duckdb.connect({str(home.catalog)!r}); print('open', flush=True); input()"
    command = [sys.executable, "-c", holder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "open\n"
        with pytest.raises(ValueError, match=rf"{home.catalog}: .*close other programs"):
            everything(home)
        process.communicate("\n")
    assert not home.damaged.exists()


def test_a_clock_set_back_does_not_bring_back_an_earlier_status(home, monkeypatch):
    run = Run(home, "trial", {})
    later = time.time
    monkeypatch.setattr(time, "time", lambda: later() - 3600)
    run.finish("completed")
    assert everything(home)["runs"]["status"] == ["completed"]
    record = find_record(home, run.run_id)
    assert record["ended"] >= record["started"]
    second = Run(home, "second", {})
    assert find_record(home, "latest")["run_id"] == second.run_id


def test_a_wrong_query_is_not_taken_for_a_damaged_file(home, run):
    with pytest.raises(Exception, match="Table with name nothing does not exist") as caught:
        Catalog(home).query("select * from nothing")
    assert not isinstance(caught.value, ValueError)


def test_a_log_that_a_killed_process_left_does_not_spoil_the_new_catalog(home, run, tmp_path):

    before = everything(home)
    left = tmp_path / "left.wal"
    connection = duckdb.connect(str(home.catalog))
    connection.execute("insert into metrics values ('key', 'lost', 1, now())")
    shutil.copy(f"{home.catalog}.wal", left)  # as it is between commit and close
    connection.close()
    shutil.copy(left, f"{home.catalog}.wal")
    rebuild(home)
    assert repr(everything(home)) == repr(before)
    assert not list(home.root.glob("catalog*.wal")) and not list(home.root.glob("*.rebuilding"))


def test_what_a_run_at_work_writes_meanwhile_is_neither_lost_nor_doubled(home, run):
    lock = FileLock(home.locks / "catalog.lock")
    held = []

    def read_under_lock():
        with pytest.raises(Timeout):
            lock.acquire(timeout=0)
        held.append(True)
        return read_records(home)

    Catalog(home).rebuild(read_under_lock, ArtifactStore(home).manifests)
    assert held == [True]
    before = everything(home)
    (entry,) = find_record(home, run.run_id)["stages"]
    artifact = ArtifactStore(home).load("evaluation", entry["folder"])
    Catalog(home).record_stage(run.run_id, entry, artifact)  # the run wrote its record before, and this after
    assert repr(everything(home)) == repr(before)


def test_a_result_built_again_replaces_its_facts_in_the_latest(home, run):
    (folder,) = home.artifacts.glob("*/*")
    shutil.rmtree(folder)
    better = {**FACTS, "scores": [{**FACTS["scores"][0], "value": 0.9}]}
    make_run(home, better)
    assert Catalog(home).query("select distinct value from run_scores")["value"].tolist() == [0.9]
    assert len(Catalog(home).query("select * from scores")) == 2


def test_a_rebuild_that_fails_leaves_the_catalog_as_it_was(home, run):
    before = everything(home)

    def damaged():
        raise ValueError("a record is damaged")

    with pytest.raises(ValueError, match="a record is damaged"):
        Catalog(home).rebuild(damaged, ArtifactStore(home).manifests)
    assert repr(everything(home)) == repr(before)
    assert not list(home.root.glob("*.rebuilding*"))


def test_the_command_says_what_it_could_not_read(home, run):
    home.catalog.write_bytes(b"garbage")
    done = CliRunner().invoke(app, ["catalog", "rebuild"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"{home.catalog}: 1 runs, 1 artifacts" in done.stdout
    (manifest,) = home.artifacts.glob("*/*/manifest.json")
    manifest.write_text("{}")
    done = CliRunner().invoke(app, ["catalog", "rebuild"])
    assert done.exit_code == 1
    assert f"{home.catalog}: 1 runs, 0 artifacts" in done.stdout
    assert f"{manifest}: cannot be read" in done.stderr


def test_a_catalog_of_an_earlier_form_is_made_again(home, run):
    before = everything(home)
    home.catalog.unlink()
    with duckdb.connect(str(home.catalog)) as connection:
        connection.execute("create table run_events (run_id varchar, started double)")
    assert repr(everything(home)) == repr(before)


def test_times_are_timestamps_and_every_view_by_run_finds_the_run(home, run):
    query = Catalog(home).query
    (started,) = query("select started from runs")["started"]
    assert started.timestamp() == pytest.approx(find_record(home, "latest")["started"], abs=1e-5)
    for fact in FACTS_OF_RESULTS:
        assert query(f"select distinct run_id from run_{fact}")["run_id"].tolist() == [run.run_id]
    said = query("select view_name from duckdb_views() where not internal and comment is null")
    assert said["view_name"].tolist() == []


def test_snapshots_stand_apart_from_the_models(home):
    run = Run(home, "trial", {})
    score = {**FACTS["scores"][0], "model": "seed@100"}
    run.stage(
        Stage("evaluation", 1, {}, {}, lambda folder: {"scores": [FACTS["scores"][0], score]}, label="x")
    )
    query = Catalog(home).query
    assert query("select model from run_scores")["model"].tolist() == ["seed"]
    assert query("select model from run_snapshot_scores")["model"].tolist() == ["seed@100"]


@pytest.mark.parametrize("asked", EXAMPLES, ids=str)
def test_the_queries_of_the_reference_find_something(home, asked):
    scores = [
        {**FACTS["scores"][0], "model": model, "metric": metric}
        for model in ("seed", "stitched")
        for metric in ("acc", "bits_per_byte")
    ]
    run = Run(home, "trial", {})

    def build(folder):
        (folder / "x").touch()
        return FACTS | {"scores": scores}

    run.stage(Stage("evaluation", 1, {}, {}, build, label="seed"))
    run.finish("completed")
    assert len(Catalog(home).query(EXAMPLES[asked])) > 0

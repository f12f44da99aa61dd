"""Every number of a run can be found in its record, in the catalog and in MLflow; a dead run is found out."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from storage.artifacts import ArtifactStore
from storage.catalog import Catalog
from storage.cleaning import find_garbage, remove
from storage.comparison import compare_runs
from storage.runs import Run, find_record, mark_crashed, read_records, summarise, write_record

SCORE = {"model": "seed", "task": "quiz", "metric": "acc", "value": 0.5, "stderr": 0.1, "n": 20}
FACTS = {
    "metrics": {"tokens": 1000},
    "scores": [SCORE],
    "mixture": {"name": "seed", "sources": {"a": {"weight": 0.6, "tokens": 60, "epochs": 0.1}}},
    "utility": [{"source": "a", "task": "quiz", "value": 0.7, "stderr": 0.02}],
}


def make_run(home, facts=FACTS, settings=None, status="completed") -> Run:
    run = Run(home, "trial", {"seed": 0, **(settings or {})})

    def build(folder):
        (folder / "x").write_text(str(settings))
        return dict(facts)

    run.stage("evaluation", 1, settings or {}, {}, build, "seed")
    run.finish(status)
    return run


@pytest.fixture
def run(home) -> Run:
    return make_run(home)


def test_a_summary_holds_what_the_artifacts_say(home, run):
    summary = summarise(home, find_record(home, "latest")).to_dict()
    assert summary["scores"] == [SCORE]
    assert summary["mixtures"] == {"seed": {"a": {"weight": 0.6, "tokens": 60, "epochs": 0.1}}}
    assert summary["utility"] == FACTS["utility"]
    assert [s["name"] for s in summary["stages"]] == ["evaluation/seed"]
    assert summary["status"] == "completed"


def test_the_catalog_has_every_fact_and_can_be_rebuilt(home, run):
    catalog = Catalog(home)

    def everything():
        return {
            name: catalog.query(f"select * from {name} order by all")
            .drop(columns="recorded", errors="ignore")
            .to_dict("list")
            for name in (
                "runs",
                "latest_scores",
                "latest_mixtures",
                "latest_utility",
                "metrics",
                "run_scores",
            )
        }

    before = everything()
    assert before["run_scores"]["value"] == [0.5]
    assert before["latest_mixtures"]["tokens"] == [60]
    assert before["latest_utility"]["stderr"] == [0.02]
    assert before["metrics"]["value"] == [1000.0]
    home.catalog.unlink()
    assert catalog.rebuild(read_records(home), ArtifactStore(home).manifests()) == {"runs": 1, "artifacts": 1}
    assert everything() == before


def test_mlflow_has_the_run_its_stage_and_its_numbers(home, run):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{home.mlflow_database}")
    experiment = client.get_experiment_by_name("mixstitch")
    parent = client.get_run(find_record(home, "latest")["mlflow_run_id"])
    assert (parent.info.run_name, parent.info.status) == (run.run_id, "FINISHED")
    (stage,) = client.search_runs(
        [experiment.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    )
    assert stage.data.metrics == {"tokens": 1000.0, "quiz/acc": 0.5, "weight/a": 0.6, "utility/a/quiz": 0.7}
    assert stage.info.status == "FINISHED"


def test_a_run_is_found_by_the_beginning_of_its_id_or_refused(home, run):
    assert find_record(home, run.run_id[:-1])["run_id"] == run.run_id
    with pytest.raises(ValueError, match="is not a run; allowed: `latest`"):
        find_record(home, "nothing")


def test_a_run_whose_process_is_gone_is_marked_crashed(home, run):
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    record = find_record(home, "latest")
    write_record(home, {**record, "status": "running", "process": process.pid})
    assert [r["run_id"] for r in mark_crashed(home)] == [run.run_id]
    assert find_record(home, "latest")["status"] == "crashed"
    assert mark_crashed(home) == []


def test_a_run_at_work_is_not_marked(home):
    Run(home, "trial", {})
    assert mark_crashed(home) == []
    assert find_record(home, "latest")["process"] == os.getpid()


def test_threads_of_one_run_lose_nothing(home):
    run = Run(home, "trial", {})

    def build(folder):
        (folder / "x").touch()
        return FACTS | {"scores": []}

    threads = [
        threading.Thread(target=run.stage, args=("expert", 1, {"n": n}, {}, build, f"e{n}")) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.finish("completed")
    assert {s["name"] for s in find_record(home, "latest")["stages"]} == {f"expert/e{n}" for n in range(8)}
    assert len(Catalog(home).query("select distinct label from run_stages")) == 8


def test_comparing_runs_shows_what_differs(home):
    first = make_run(home, settings={"cap": 4})
    better = {**FACTS, "scores": [{**SCORE, "value": 0.8, "stderr": 0.075}]}
    second = make_run(home, better, settings={"cap": 2})
    compared = compare_runs(home, find_record(home, first.run_id), find_record(home, second.run_id))
    assert compared["settings"] == [{"setting": "cap", "first": 4, "second": 2}]
    (score,) = compared["scores"]
    assert score["difference"] == pytest.approx(0.3)
    assert score["stderr"] == pytest.approx(0.125)  # hypot(.1, .075)
    assert compared["weights"] == [{"mixture": "seed", "source": "a", "first": 0.6, "second": 0.6}]


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


def test_cleaning_takes_nothing_from_a_run_in_progress(home):
    run = Run(home, "trial", {})

    def build(folder):
        (folder / "progress").mkdir()
        assert find_garbage(home, keep=0) == []
        return {}

    run.stage("seed", 1, {}, {}, build)
    assert find_garbage(home, keep=0) == []


def test_a_tracking_server_that_is_not_there_is_one_message_and_no_run(home):
    with pytest.raises(
        ValueError, match=r"tracking\.mlflow_uri=http://127\.0\.0\.1:9: no MLflow server answers"
    ):
        Run(home, "trial", {}, "http://127.0.0.1:9")
    assert read_records(home) == []

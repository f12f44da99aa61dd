"""Every number of a run can be found in its record and in MLflow, and two runs can be compared."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from storage.catalog import Catalog
from storage.comparison import compare_records
from storage.run_records import STOPPED, find_record, read_records
from storage.runs import Run, in_order, summarise
from storage.sealed import write_sealed
from storage.stages import Stage
from storage.tracking_servers import may_write_to
from storage.unrecorded import Reached
from tests.storage.recorded import FACTS, SCORE, make_run


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


def test_mlflow_has_the_run_its_stage_and_its_numbers(home, run):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{home.mlflow_database}")
    experiment = client.get_experiment_by_name("mixstitch")
    assert experiment is not None
    parent = client.get_run(find_record(home, "latest")["mlflow_run_id"])
    assert parent.info.run_name.startswith("trial 20")
    assert (parent.data.tags["mixstitch.run"], parent.info.status) == (run.run_id, "FINISHED")
    (stage,) = client.search_runs(
        [experiment.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    )
    assert stage.data.metrics == {
        "tokens": 1000.0,
        "quiz/acc": 0.5,
        "quiz/acc/stderr": 0.1,
        "weight/a": 0.6,
        "tokens/a": 60.0,
        "epochs/a": 0.1,
        "utility/a/quiz": 0.7,
    }
    assert stage.info.status == "FINISHED"


def test_mlflow_shows_settings_headline_scores_and_page_on_the_run_itself(home):
    from mlflow.tracking import MlflowClient

    def build(folder):
        (folder / "report.html").write_text("<p>page</p>")
        second = {**SCORE, "metric": "acc_norm", "value": 0.6}
        snapshot = {**SCORE, "model": "seed@10"}
        return {"scores": [SCORE, second, snapshot], "page": "report.html", "metrics": {"tokens": 5}}

    for _ in range(2):
        run = Run(
            home,
            "trial",
            {"budget": {"tokens": 1000, "minutes": None}, "experts": {"listed": [{"name": "a"}]}},
        )
        run.stage(Stage("evaluation", 1, {}, {}, build, label="seed"))
        run.finish("completed")
    client = MlflowClient(tracking_uri=f"sqlite:///{home.mlflow_database}")
    experiment = client.get_experiment_by_name("mixstitch")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`mixstitch.name` = 'trial'")
    assert len(runs) == 2
    for one in runs:
        assert one.data.params == {"budget.tokens": "1000", "experts.listed": '[{"name": "a"}]'}
        assert one.data.metrics == {"seed/quiz/acc": 0.5}
    files = [[f.path for f in client.list_artifacts(one.info.run_id)] for one in runs]
    assert sorted(files, key=len) == [["experiment.json"], ["experiment.json", "report.html"]]
    stages = client.search_runs([experiment.experiment_id], "tags.`mixstitch.stage` = 'evaluation/seed'")
    assert len(stages) == 1  # what the second run found stands under the first
    assert stages[0].data.metrics["tokens"] == 5


def test_a_run_is_found_by_the_beginning_of_its_id_or_refused(home, run):
    assert find_record(home, run.run_id[:-1])["run_id"] == run.run_id
    with pytest.raises(ValueError, match="is not a run; allowed: `latest`"):
        find_record(home, "nothing")


def test_threads_of_one_run_lose_nothing(home):
    run = Run(home, "trial", {})

    def build(folder):
        (folder / "x").touch()
        return FACTS | {"scores": []}

    threads = [
        threading.Thread(target=run.stage, args=(Stage("expert", 1, {"n": n}, {}, build, f"e{n}"),))
        for n in range(8)
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
    second = make_run(home, settings={"cap": 2})
    compared = compare_records(home, find_record(home, first.run_id), find_record(home, second.run_id))
    assert compared["settings"] == [{"setting": "cap", "first": 4, "second": 2}]
    assert compared["weights"] == [{"mixture": "seed", "source": "a", "first": 0.6, "second": 0.6}]


def test_a_tracking_server_that_is_not_there_is_one_message_and_no_run(home):
    with pytest.raises(
        ValueError, match=r"http://127\.0\.0\.1:9: no MLflow server answers .*tracking\.mlflow_uri"
    ):
        Run(home, "trial", {}, "http://127.0.0.1:9")
    assert read_records(home) == []


@pytest.mark.parametrize(
    ("folder", "server", "may"),
    [
        ("file:///home/me/.ssh", "https://evil.example", False),
        ("/home/me", "https://evil.example", False),
        ("mlflow-artifacts:/1/2/artifacts", "https://evil.example", True),
        ("s3://bucket/1", "https://mlflow.example", True),
        ("/data/mlruns", "http://127.0.0.1:5000", True),
    ],
)
def test_no_server_of_elsewhere_names_a_folder_of_this_machine(folder, server, may):
    assert may_write_to(folder, server) == may


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "of another type", "of another run"])
def test_a_damaged_record_is_set_aside_and_the_results_stay(home, run, damage, caplog):
    path = home.runs / run.run_id / "run.json"
    text = path.read_text()
    if damage == "of another type":
        write_sealed(path, {**find_record(home, "latest"), "stages": "none"})
    elif damage == "of another run":
        write_sealed(path, {**find_record(home, "latest"), "run_id": "another"})
    else:
        changed = text.replace('"completed"', '"failed"')
        path.write_text({"cut": text[:-9], "changed": changed, "empty": ""}[damage])
    assert read_records(home) == []
    assert "is damaged (the record of this run: " in caplog.text
    assert [path.name for path in home.runs.iterdir()] == []
    assert any((aside / "run.json").exists() for aside in home.damaged.iterdir() if aside.is_dir())
    assert make_run(home).run_id in [record["run_id"] for record in read_records(home)]
    assert find_record(home, "latest")["stages"][0]["cache_hit"] is True


@pytest.mark.parametrize("until", ["b", "b/x"])
def test_a_run_goes_as_far_as_it_was_asked_to(home, until):
    run = Run(home, "trial", {}, until=until)
    run.stage(Stage("a", 1, {}, {}, lambda folder: {"n": 1}))
    run.go_on()
    run.stage(
        Stage("b", 1, {}, {}, lambda folder: {"n": 2}, "x", headline=lambda facts: f"n is {facts['n']}")
    )
    with pytest.raises(Reached):
        run.go_on()
    run.finish(STOPPED)
    told = summarise(home, find_record(home, "latest"))
    assert (told.status, told.stages[-1]["headline"]) == ("stopped", "n is 2")
    assert Path(told.stages[-1]["folder"]).parent.name == "b"


def test_scores_stand_in_the_order_of_the_chain_whatever_ended_first():
    rows = [{"model": name} for name in ("soup", "docs", "stitched", "seed@4", "code", "seed")]
    found = in_order(rows, ["seed", "code", "docs", "stitched"])
    assert [row["model"] for row in found] == ["seed", "code", "docs", "soup", "seed@4", "stitched"]

"""The whole chain: it completes, is not done twice, survives a kill, and shares a home with another run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows.planning import plan_experiment
from flows.recipes import load_recipe
from storage.artifacts import ArtifactStore
from storage.catalog import Catalog
from storage.home import Home
from storage.run_records import find_record, read_records
from storage.runs import summarise
from tasks.evaluation.snapshot_names import is_snapshot, trained_model, without_snapshots
from tests.asking import FOREIGN, basic, status

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
TINY = str(ROOT / "tests" / "tiny.yaml")
RATED = (
    "-o",
    "training.snapshots=1",
    "-o",
    "preference.programmatic={items: 20, prompt_characters: 40, letters: 1, new_tokens: 4}",
)
COMMAND = [sys.executable, "-c", "from flows.commands.app import main; main()"]


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    environment = {**os.environ, "MIXSTITCH_HOME": str(folder)}
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    return output


def shown(folder: Path) -> dict:
    """What `mixstitch show latest --json` prints."""
    return summarise(Home(folder), find_record(Home(folder), "latest")).to_dict()


def planned(folder: Path, *overrides: str) -> dict:
    """What `mixstitch plan --json` prints of the tiny recipe."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXSTITCH_HOME", str(folder))
        return plan_experiment(load_recipe(TINY, [o for o in overrides if o != "-o"]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, str]:
    """The home of a run that nothing interrupted, and what the run printed."""
    folder = tmp_path_factory.mktemp("whole") / "home"
    return folder, finish(start(folder, "run", TINY, *RATED))


def test_a_run_prints_its_table_its_id_and_its_report(whole):
    folder, output = whole
    summary = shown(folder)
    assert summary["status"] == "completed"
    assert summary["run_id"] in output
    assert Path(summary["report"]).read_text(encoding="utf-8").startswith("<!")
    names = {score["model"] for score in summary["scores"]}
    assert set(without_snapshots(names)) == {"seed", "docs", "math", "soup", "stitched"}
    assert {trained_model(n) for n in names if is_snapshot(n)} == {"seed", "docs", "math", "stitched"}
    assert {"docs-cloze", "arithmetic-answer", "heldout:noise"} <= {s["task"] for s in summary["scores"]}
    assert all({"model", "task", "metric", "value", "stderr"} <= score.keys() for score in summary["scores"])
    assert set(summary["mixtures"]) == {"seed", "docs", "math", "stitched"}
    for shares in summary["mixtures"].values():
        assert sum(share["weight"] for share in shares.values()) == pytest.approx(1)
        assert all(share.keys() == {"weight", "tokens", "epochs"} for share in shares.values())
    assert len(summary["utility"]) == 4 * 2
    assert [row["model"] for row in summary["forecast"]] == sorted({s["model"] for s in summary["scores"]})


def test_only_their_user_may_read_what_is_in_a_home(whole):
    folder, _ = whole
    assert len(list(folder.rglob("*"))) > 100
    open_to_others = [
        p for p in (folder, *folder.rglob("*")) if p.lstat().st_mode & 0o077 and not p.is_symlink()
    ]
    assert open_to_others == []


def test_mixtures_sum_to_the_budget_and_keep_the_cap_along_the_lineage(whole):
    mixtures = shown(whole[0])["mixtures"]
    tokens = {name: sum(share["tokens"] for share in shares.values()) for name, shares in mixtures.items()}
    assert tokens["seed"] == 24_000 // 2 // 512 * 512
    for source in mixtures["seed"]:
        experts = max(mixtures[name][source]["epochs"] for name in ("docs", "math"))
        assert (
            mixtures["seed"][source]["epochs"] + experts + mixtures["stitched"][source]["epochs"] <= 4 + 1e-9
        )


def test_the_report_rates_the_own_models_by_rules_and_counts_all_results(whole):
    folder, _ = whole
    summary = shown(folder)
    page = Path(summary["report"]).read_text(encoding="utf-8")
    assert "What rules say of this run" in page and "nobody was asked" in page
    (rated,) = [m for m in ArtifactStore(Home(folder)).manifests() if m["stage"] == "programmatic"]
    left_out = "each forecast from the others: a model is left out with all its snapshots"
    assert (left_out in page) == rated["facts"]["studied"]
    counted = [stage for stage in summary["stages"] if stage["name"] not in ("report", "experts", "speed")]
    assert f"All {len(counted)} results" in page
    assert "<b>responses</b> × 9" in page and "<b>evaluation</b> × 9" in page


def test_the_catalog_finds_the_scores_of_a_run(whole):
    summary = shown(whole[0])
    query = Catalog(Home(whole[0])).query
    for view, wanted in (("run_scores", False), ("run_snapshot_scores", True)):
        rows = query(f"select model, task, metric from {view} where run_id = ?", [summary["run_id"]])
        known = [
            (s["model"], s["task"], s["metric"])
            for s in summary["scores"]
            if is_snapshot(s["model"]) == wanted
        ]
        assert known
        assert sorted(rows.itertuples(index=False, name=None)) == sorted(known)


def test_a_second_run_does_no_stage_again_and_a_plan_says_so(whole):
    folder, _ = whole
    stages = planned(folder, *RATED)["stages"]
    assert [stage for stage in stages if not stage["cached"]] == []
    answered = [stage["name"] for stage in stages if stage["stage"] == "responses"]
    assert len(answered) == 5 + 4 and "programmatic" in [stage["stage"] for stage in stages]
    finish(start(folder, "run", TINY, *RATED))
    assert all(stage["cache_hit"] for stage in shown(folder)["stages"])


def test_a_plan_of_a_change_says_what_it_reaches(whole):
    stages = planned(whole[0], *RATED, "-o", "stitching.num_stitches=2")["stages"]
    cached = {(s["stage"], s["name"]): s["cached"] for s in stages}
    assert cached["expert", "docs"] is True
    assert cached["stitched", ""] is False
    assert cached["evaluation", "stitched"] is False


def lets_nobody_in(server: psutil.Process) -> None:
    (port,) = {c.laddr.port for c in server.net_connections() if c.status == psutil.CONN_LISTEN}
    url = f"http://127.0.0.1:{port}/api"
    auth_string = server.environ()["PREFECT_SERVER_API_AUTH_STRING"]
    assert not any(auth_string.partition(":")[2] in word for word in server.cmdline())
    assert [status(f"{url}/admin/version", asked) for asked in ({}, basic(auth_string))] == [401, 200]
    assert [status(f"{url}/health", foreign) for foreign in FOREIGN] == [403] * len(FOREIGN)
    assert status(f"{url}/flows/filter", basic(auth_string), "POST", b"{}") == 403  # without a CSRF token


IN_TRAINING = "work/seed-*/progress/step-*/step.json"


def test_a_run_that_is_killed_in_training_goes_on_and_ends_with_the_same_scores(whole, tmp_path, furnish):
    folder = furnish(tmp_path / "home").root
    often = (
        "-o",
        "training.checkpoint_seconds=0.001",
        "--until",
        "evaluation/math",
    )  # no part of a result's identity
    killed = start(folder, "run", TINY, *often)
    deadline = time.monotonic() + 300
    while not list(folder.glob(IN_TRAINING)):
        assert killed.poll() is None, killed.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    crashed = find_record(Home(folder), "latest")
    server = crashed["server"]["process"]
    assert psutil.pid_exists(server)
    lets_nobody_in(psutil.Process(server))

    finish(start(folder, "run", TINY, *often))
    summary = shown(folder)
    assert summary["scores"] == [
        s for s in shown(whole[0])["scores"] if s["model"] in ("seed", "docs", "math")
    ]
    hits = {stage["name"]: stage["cache_hit"] for stage in summary["stages"]}
    assert hits["sources"] and hits["utility"] and not hits["expert/math"]
    (seed,) = [m for m in ArtifactStore(Home(folder)).manifests() if m["stage"] == "seed"]
    assert seed["provenance"]["resumed_at"] > 0
    assert find_record(Home(folder), crashed["run_id"])["status"] == "crashed"
    assert not psutil.pid_exists(server) or psutil.Process(server).status() == psutil.STATUS_ZOMBIE


def test_two_runs_at_once_in_one_home_both_finish(tmp_path, furnish):
    folder = furnish(tmp_path / "home").root
    until_seed = ("run", TINY, "--until", "seed", "-o")
    both = [start(folder, *until_seed, f"training.learning_rate={rate}") for rate in ("0.003", "0.001")]
    for process in both:
        finish(process)
    records = read_records(Home(folder))
    assert [record["status"] for record in records] == ["stopped", "stopped"]
    keys = [{s["name"]: s["key"] for s in record["stages"]} for record in records]
    assert keys[0]["sources"] == keys[1]["sources"]
    assert keys[0]["seed"] != keys[1]["seed"]
    stages = Catalog(Home(folder)).query("select run_id, count(*) as stages from run_stages group by run_id")
    assert sorted(stages["stages"]) == sorted(len(record["stages"]) for record in records)

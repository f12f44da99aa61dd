"""What a site says of its engine, and how a run has stages made by it."""

from __future__ import annotations

import pytest
import yaml

from flows.engines import engine_settings
from flows.engines.engine import Lost, Wanted
from flows.engines.making import check_engine, check_offers, make_in_the_end, tell_resources
from flows.engines.on_worker import DONE, REFUSED, TIMED_OUT, make_here
from flows.engines.one_stage import OneStageRun, make
from flows.experiment import walk
from flows.recipes import load_recipe
from storage.home import Home
from storage.planned import PlannedRun
from storage.site import ENVIRONMENT, Site


@pytest.mark.parametrize(
    "engine, said",
    [
        ({"kind": "slurm"}, "kind"),
        ({"workers": 2}, "kind"),
        ({"kind": "dask", "workers": 0}, "workers"),
        ({"kind": "dask", "minuts": 3}, "minuts"),
        ({"kind": "ray", "resources": {"seed": {"GPU": -1}}}, "resources"),
    ],
)
def test_wrong_words_of_an_engine_are_refused_before_anything_starts(engine, said, tmp_path, monkeypatch):
    site_named(tmp_path, monkeypatch, engine)
    with pytest.raises(ValueError, match=f"site: engine: .*{said}"):
        check_engine(load_recipe("tests/tiny.yaml", []))


class Workers:
    """An engine of two workers, one of which has two GPUs."""

    def offered(self):
        return [{}, {"GPU": 2.0}]


def test_resources_that_no_worker_has_are_refused():
    def settings(**resources):
        found = engine_settings(Site(store="x", engine={"kind": "dask", "resources": resources}))
        assert found is not None
        return found

    check_offers(Workers(), settings(seed={"GPU": 2}))
    with pytest.raises(
        ValueError, match="resources: seed: none of the 2 workers that are there offers GPU: 3"
    ):
        check_offers(Workers(), settings(seed={"GPU": 3}))


def site_named(tmp_path, monkeypatch, engine: dict) -> None:
    (tmp_path / "site.yaml").write_text(yaml.safe_dump({"store": "store", "engine": engine}))
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "site.yaml"))


def test_resources_for_what_is_no_stage_are_told(tmp_path, monkeypatch, caplog):
    resources = {"training": {"GPU": 1}, "seed": {"GPU": 1}}
    site_named(tmp_path, monkeypatch, {"kind": "dask", "resources": resources})
    tell_resources(["sources", "seed"])
    (said,) = caplog.messages
    assert said.startswith("site: engine: resources: training: no stage") and said.endswith("sources, seed")


def test_minutes_are_refused_where_another_machine_trains(tmp_path, monkeypatch):
    site_named(tmp_path, monkeypatch, {"kind": "dask"})
    with pytest.raises(ValueError, match=r"budget.minutes=3: .*allowed: budget.tokens"):
        check_engine(load_recipe("tests/tiny.yaml", ["budget={minutes: 3}"]))


class LosesWorkers:
    """An engine whose workers are lost so often."""

    def __init__(self, times: int) -> None:
        self.left, self.asked = times, 0

    def make(self, wanted):
        self.asked += 1
        self.left -= 1
        if self.left >= 0:
            raise Lost("killed by signal 9")


def test_a_stage_whose_worker_is_lost_is_begun_again_so_often_and_no_more():
    asked = Wanted({}, {}, "expert/code", "k" * 64, 1.0)
    make_in_the_end(held := LosesWorkers(2), asked, 3)
    assert held.asked == 3
    said = r"expert/code: begun 3 times, and lost each time \(last: killed by signal 9\)"
    with pytest.raises(ValueError, match=said):
        make_in_the_end(LosesWorkers(3), asked, 3)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXSTITCH_HOME", str(tmp_path / "home"))
    experiment = load_recipe("tests/tiny.yaml", [])
    home = Home.from_environment()
    planned = PlannedRun(home)
    walk(planned, experiment)
    return experiment, home, planned


def wanted(experiment, stage, tmp_path, **changes) -> Wanted:
    told = {
        "experiment": experiment.to_json(),
        "site": {"store": str(tmp_path / "store")},
        "label": stage.artifact.label,
        "key": stage.artifact.key,
        "minutes": 5.0,
    }
    return Wanted(**{**told, **changes})


def test_only_the_wanted_stage_is_made(tiny, tmp_path):
    experiment, home, planned = tiny
    first = planned.stages[0]
    assert first.artifact.stage == "sources"
    make(wanted(experiment, first, tmp_path))
    made = [path.parents[1].name for path in home.artifacts.glob("*/*/manifest.json")]
    assert made == ["sources"]


def test_a_stage_that_the_walk_does_not_lead_to_is_refused_and_nothing_is_made(tiny, tmp_path):
    experiment, home, planned = tiny
    with pytest.raises(ValueError, match=r"seed: no stage of key 0000.* the worker's version or its files"):
        make(wanted(experiment, planned.stages[0], tmp_path, key="0" * 64, label="seed"))
    assert not list(home.artifacts.iterdir())


def test_a_walk_passes_stages_that_are_not_there_yet(tiny):
    """Beside the wanted one others may be at work on other machines."""
    experiment, home, planned = tiny
    run = OneStageRun(home, "another")
    walk(run, experiment)
    assert [one.artifact.key for one in run.stages] == [one.artifact.key for one in planned.stages]


@pytest.mark.slow
def test_what_a_worker_answers(tiny, tmp_path, monkeypatch):
    """Made; refused in the stage's words; ended where it takes too long. Each in a process of its own."""
    experiment, _, planned = tiny
    (tmp_path / "store").mkdir()
    first = planned.stages[0]
    there = str(tmp_path / "worker")
    assert make_here(wanted(experiment, first, tmp_path), there) == (DONE, "")
    assert list((tmp_path / "store" / "manifests" / "sources").iterdir())
    status, words = make_here(wanted(experiment, first, tmp_path, key="0" * 64), there)
    assert status == REFUSED and "no stage of key" in words
    status, words = make_here(wanted(experiment, first, tmp_path, minutes=1e-3), there)
    assert status == TIMED_OUT and "longer than the 0.001 minutes" in words
    monkeypatch.setattr("flows.engines.on_worker._MODULE", "no.such.module")
    with pytest.raises(RuntimeError, match=r"ended with 1: .*No module named"):
        make_here(wanted(experiment, first, tmp_path), there)

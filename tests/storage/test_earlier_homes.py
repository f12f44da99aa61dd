"""A home that an earlier version has made keeps its runs and results."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from flows.environment import open_home
from storage.earlier_homes import seal_earlier
from storage.home import Home
from storage.run_records import find_record, read_records
from storage.sealed import write_sealed
from tests.storage.recorded import make_run


def make_earlier(home) -> None:
    for path in [*home.artifacts.glob("*/*/manifest.json"), *home.runs.glob("*/run.json")]:
        content = json.loads(path.read_text())
        for name in ("seal", "number", "title", "did"):
            content.pop(name, None)
        path.write_text(json.dumps(content))
    home.marker.unlink()


def test_the_runs_and_results_of_an_earlier_version_are_taken_over_once(home, caplog):
    first, second = make_run(home), make_run(home, settings={"cap": 1})
    make_earlier(home)
    open_home()
    assert [record["run_id"] for record in read_records(home)] == [first.run_id, second.run_id]
    make_run(home)
    assert find_record(home, "latest")["stages"][0]["cache_hit"] is True
    assert caplog.text.count("is of an earlier version: 4 results and records are taken over") == 1
    assert not home.damaged.exists()

    (path,) = home.runs.glob(f"{second.run_id}/run.json")
    path.write_text(json.dumps({"name": "without a seal"}))
    open_home()
    assert second.run_id not in [record["run_id"] for record in read_records(home)]


def test_what_was_cut_off_is_done_to_its_end_by_one_of_two_that_come_next(home, caplog, monkeypatch):
    runs = [make_run(home, settings={"cap": cap}).run_id for cap in range(3)]
    make_earlier(home)
    home = Home.from_environment()
    left = iter([True] * 4)

    def cut_off(*what):
        if not next(left, False):
            raise KeyboardInterrupt
        write_sealed(*what)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("storage.earlier_homes.write_sealed", cut_off)
        seal_earlier(home)
    with ThreadPoolExecutor(2) as both:
        list(both.map(seal_earlier, [home, home]))
    assert [(record["run_id"], record["number"]) for record in read_records(home)] == [
        (run_id, number) for number, run_id in enumerate(runs, 1)
    ]
    assert caplog.text.count("results and records are taken over") == 1

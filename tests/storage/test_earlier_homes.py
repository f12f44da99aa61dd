"""A home that an earlier version has made keeps its runs and results."""

from __future__ import annotations

import json

from flows.environment import open_home
from storage.run_records import find_record, read_records
from tests.storage.recorded import make_run


def test_the_runs_and_results_of_an_earlier_version_are_taken_over_once(home, caplog):
    first, second = make_run(home), make_run(home, settings={"cap": 1})
    for path in [*home.artifacts.glob("*/*/manifest.json"), *home.runs.glob("*/run.json")]:
        content = json.loads(path.read_text())
        for name in ("seal", "number", "title", "did"):
            content.pop(name, None)
        path.write_text(json.dumps(content))
    home.marker.unlink()
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

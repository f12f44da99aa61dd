"""`mixstitch doctor` and `--site`: what is wrong with a site is said before anything is spent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.commands.app import app


@pytest.fixture
def called(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXSTITCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MIXSTITCH_SITE", "")  # and as it was afterwards, whatever a command names
    monkeypatch.chdir(tmp_path)
    mask = os.umask(0)
    os.umask(mask)
    yield lambda *words: CliRunner().invoke(app, list(words))
    os.umask(mask)


def test_a_folder_is_tried_and_left_as_it_was(called, tmp_path):
    Path("site.yaml").write_text("store: shared")
    told = called("doctor", "--site", "site.yaml", "--json")
    assert told.exit_code == 0
    found = {check["name"]: check for check in json.loads(told.stdout)}
    assert {"disk", "packages", "GPUs", "store", "first come", "clock", "two homes", "versions"} == set(found)
    assert all(check["is_well"] for check in found.values())
    assert not list((tmp_path / "shared").iterdir())


def test_what_is_wrong_is_one_line_and_exit_status_1(called, tmp_path):
    Path("file").write_text("")
    Path("site.yaml").write_text("store: file/shared")
    told = called("doctor", "--site", "site.yaml")
    assert told.exit_code == 1
    (line,) = [line for line in told.stdout.splitlines() if line.startswith("WRONG")]
    assert "file/shared" in line and "Not a directory" in line


def test_the_site_of_the_environment_is_tried_too(called, monkeypatch):
    Path("site.yaml").write_text("store: shared")
    monkeypatch.setenv("MIXSTITCH_SITE", str(Path("site.yaml").resolve()))
    assert "well   two homes" in called("doctor").stdout
    monkeypatch.setenv("MIXSTITCH_SITE", "none.yaml")
    for command in (["doctor"], ["plan", "pocket"]):
        told = called(*command)
        assert "MIXSTITCH_SITE: none.yaml: No such file" in str(told.exception)


def test_a_manifest_that_is_none_is_one_line(called):
    Path("site.yaml").write_text("store: shared")
    Path("shared/manifests/x").mkdir(parents=True)
    Path("shared/manifests/x/y.json").write_text('{"a": 1}')
    told = called("doctor", "--site", "site.yaml")
    assert told.exit_code == 1
    (line,) = [line for line in told.stdout.splitlines() if line.startswith("WRONG")]
    assert "manifests/x/y.json" in line


def test_a_plan_reads_a_store_and_says_where_it_is_not_there(called, caplog):
    Path("site.yaml").write_text("store: shared")
    told = called("plan", "pocket", "--site", "site.yaml")
    assert told.exit_code == 0
    assert "shared is not there: as if it held nothing" in caplog.text
    assert not Path("shared").exists()


def test_a_store_that_cannot_be_written_ends_a_run_before_it_begins(called, tmp_path):
    Path("file").write_text("")
    Path("site.yaml").write_text("store: file/shared")
    told = called("run", "pocket", "--site", "site.yaml")
    assert isinstance(told.exception, ValueError)
    assert "the same command goes on" in str(told.exception)
    assert os.environ["MIXSTITCH_SITE"] == ""
    assert not (tmp_path / "home").exists()

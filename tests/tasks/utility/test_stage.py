"""The stage: what identifies its result, where a judge's answers are kept, and calibration on anchors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.artifact import Artifact
from storage.home import Home
from storage.unrecorded import UnrecordedRun
from tasks.utility.matrix import UtilityMatrix
from tasks.utility.medu.templates import SHIPPED
from tasks.utility.settings import UtilitySettings
from tasks.utility.task import estimate_utility
from tests.chat_server import ChatServer

SAMPLES = {"web": ["Great a", "Good b", "Okay c"], "code": ["Poor d", "Useless e", "Good f"]}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = ChatServer()
    yield server
    server.close()


@pytest.fixture
def corpus(tmp_path: Path) -> Artifact:
    folder = tmp_path / "corpus"
    for place in ("samples", "tasks"):
        (folder / place).mkdir(parents=True)
    for name, texts in SAMPLES.items():
        rows = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (folder / "samples" / f"{name}.jsonl").write_text(rows)
    item = {"id": "1", "context": "item1 ", "choices": ["yes", "no"], "answer": 0}
    (folder / "tasks" / "t.dev.jsonl").write_text(json.dumps(item) + "\n")
    facts = {
        "sources": dict.fromkeys(SAMPLES),
        "tasks": {"t": {"kind": "choice", "source": None, "metric": "acc"}},
    }
    return Artifact("sources", "", "k", "d", folder, facts, {})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UnrecordedRun:
    monkeypatch.setenv("MIXSTITCH_HOME", str(tmp_path / "home"))
    return UnrecordedRun(Home.from_environment())


def settings_for(server: ChatServer, **changes) -> UtilitySettings:
    medu = {"base_url": server.url, "model": "m", "retries": 0} | changes.pop("medu", {})
    return UtilitySettings(method="medu", medu=medu, **changes)


def test_answers_outlive_the_stage_and_serve_other_settings(run, corpus, server) -> None:
    first = estimate_utility(run, settings_for(server, medu={"documents": 2}), corpus)
    assert len(server.log.prompts) == 1 + 4
    assert UtilityMatrix.load(first.path).values.loc["web", "t"] == 0.875
    again = estimate_utility(run, settings_for(server, medu={"documents": 2, "concurrency": 3}), corpus)
    assert again.hit
    more = estimate_utility(run, settings_for(server, medu={"documents": 3}), corpus)
    assert not more.hit
    assert len(server.log.prompts) == 1 + 6  # the two that are new
    assert more.facts["about"]["requests"] == {"asked": 2, "answered_before": 5}
    assert [path.name for path in (run.store.home.root / "answers").glob("*/*.jsonl")] == ["answers.jsonl"]


def test_other_prompts_make_another_result(run, corpus, server, tmp_path: Path) -> None:
    estimate_utility(run, settings_for(server), corpus)
    asked = len(server.log.prompts)
    own = tmp_path / "own"
    own.mkdir()
    for path in SHIPPED.glob("*.txt"):
        (own / path.name).write_text(path.read_text())
    same = estimate_utility(run, settings_for(server, medu={"prompts": own}), corpus)
    assert same.hit
    (own / "label.txt").write_text((own / "label.txt").read_text() + "Be brief.\n")
    other = estimate_utility(run, settings_for(server, medu={"prompts": own}), corpus)
    assert not other.hit
    assert len(server.log.prompts) == asked + 6  # all labels, and no description


def test_the_estimate_is_calibrated_on_anchors(run, corpus, server, tmp_path: Path) -> None:
    plain = estimate_utility(run, settings_for(server), corpus)
    anchors = tmp_path / "anchors.csv"
    anchors.write_text("source,task,value,stderr\nweb,t,.95,.01\ncode,t,.3,.01\n")
    groups = {"web": ["web"]}
    found = estimate_utility(run, settings_for(server, anchors=anchors, anchor_groups=groups), corpus)
    assert UtilityMatrix.load(plain.path).values.loc["web", "t"] == 0.75
    assert UtilityMatrix.load(found.path).values.loc["web", "t"] == pytest.approx(0.95)
    assert found.facts["about"]["calibration"]["bias_before"]["web"]["bias"] == pytest.approx(-0.2)
    anchors.write_text("source,task,value,stderr\nweb,t,.85,.01\ncode,t,.3,.01\n")
    other = estimate_utility(run, settings_for(server, anchors=anchors, anchor_groups=groups), corpus)
    assert not other.hit and other.key != found.key


def test_files_that_are_not_there_are_named(run, corpus, server, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"utility\.anchors=.*none\.csv: no such file"):
        estimate_utility(run, settings_for(server, anchors=tmp_path / "none.csv"), corpus)
    with pytest.raises(ValueError, match=r"utility\.table=.*none\.csv: no such file"):
        estimate_utility(run, UtilitySettings(method="table", table=tmp_path / "none.csv"), corpus)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"anchor_groups": {"a": ["x"]}}, "anchor_groups without anchors"),
        ({"anchors": "a.csv", "anchor_groups": {"a": ["x"], "b": ["x"]}}, r"\['x'\] stand twice"),
        ({"anchors": "a.csv", "method": "ablation"}, "ablations are what others are calibrated on"),
    ],
)
def test_anchors_that_make_no_sense(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UtilitySettings(**settings)

"""The page: whole and self-contained, whatever a run holds or lacks."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tasks.report.page import ReportData, write_page

VOID = {"meta", "img", "br", "link", "hr", "input"}
MakeRun = Callable[..., ReportData]


class Reader(HTMLParser):
    """Collects text, tags and addresses, and fails where tags do not close in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href") and value:
                self.addresses.append(value)
            if name == "id" and value:
                self.ids.append(value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(data: ReportData, folder: Path) -> Reader:
    path = folder / "report.html"
    write_page(data, path)
    assert path.stat().st_size < 3_000_000
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert not reader.open
    return reader


def pictures(page: Reader) -> list[str]:
    start = "data:image/svg+xml;base64,"
    return [base64.b64decode(a.removeprefix(start)).decode() for a in page.addresses if a.startswith(start)]


def test_page_needs_no_other_file_and_runs_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    page = read(make_run(rated=("seed",)), tmp_path)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert page.tags.isdisjoint({"script", "link", "iframe", "object"})
    style = (tmp_path / "report.html").read_text(encoding="utf-8").partition("</style>")[0]
    assert "url(" not in style and "@import" not in style
    assert {a.removeprefix("#") for a in page.addresses if a.startswith("#")} <= set(page.ids)


def test_page_has_every_section_and_labelled_pictures(make_run: MakeRun, tmp_path: Path) -> None:
    page = read(make_run(rated=("seed",)), tmp_path)
    for words in (
        "Given 3 sources (code, docs and junk), 2 benchmarks",
        "checks of specialisation fail (stitched mixture: share of junk)",
        "✓ holds",
        "✗ fails",
        "stitch 2: experts-into-hub, layer 3",
        "best single benchmark (baseline)",
        "No forecast for coder, writer, soup and stitched: scores are missing on MMLU, GSM8K.",
        "beyond the public models on",
        "ridge (chosen)",
        "What 12 rated models cannot show",
        "Refused: ",
        "at the cap",
        "0123456789ab",
    ):
        assert words in page.text, words
    drawn = pictures(page)
    assert len(drawn) == 1 + 2 + 3 + 5  # losses, benchmarks, held-out text, preference
    for label in (
        "training loss (nats per token)",
        "tokens read along the lineage (millions)",
        ", less the seed's (",
    ):
        assert any(label in svg for svg in drawn), label


def test_same_run_gives_the_same_bytes(make_run: MakeRun, tmp_path: Path) -> None:
    data = make_run()
    write_page(data, tmp_path / "first.html")
    write_page(data, tmp_path / "second.html")
    assert (tmp_path / "first.html").read_bytes() == (tmp_path / "second.html").read_bytes()


def test_odd_and_long_names_stay_text(make_run: MakeRun, tmp_path: Path) -> None:
    odd = "<script>alert('$x_1$')</script>&\"{{ 7*7 }}"
    page = read(
        make_run(sources=(odd, "s" * 60), tasks=(odd + " t", "名前 ß"), experts=("<i>e</i>",), title=odd),
        tmp_path,
    )
    assert page.tags.isdisjoint({"script", "i"})
    assert odd in page.text and "49" not in page.text.partition("What ran")[0]
    for svg in pictures(page):
        ElementTree.fromstring(svg)


def test_many_sources_and_tasks_fit(make_run: MakeRun, tmp_path: Path) -> None:
    page = read(
        make_run(
            sources=[f"source-{i}" for i in range(30)],
            tasks=[f"task-{i}" for i in range(20)],
            experts=[f"expert-{i}" for i in range(4)],
        ),
        tmp_path,
    )
    assert "Pictures of all 20" in page.text and "Pictures of all 30" in page.text
    assert "mean of 20 benchmarks" in page.text


def changed(data: ReportData, name: str, **facts: object) -> ReportData:
    """The run with other facts of one model."""
    model = data.models[name]
    return dataclasses.replace(
        data, models={**data.models, name: dataclasses.replace(model, facts=model.facts | facts)}
    )


def test_what_is_missing_is_said_to_be(make_run: MakeRun, tmp_path: Path) -> None:
    data = changed(make_run(), "stitched", gate_use=[])
    shutil.rmtree(data.models["coder"].path / "logs")
    for artifact in data.scores.values():
        (artifact.path / "samples.parquet").unlink()
    for mixture in data.mixtures.values():
        (mixture.path / "mixture.json").unlink()
    check = dataclasses.replace(data.specialisation, facts={"specialisation": []})
    page = read(dataclasses.replace(data, specialisation=check), tmp_path)
    assert "No use of gates was measured." in page.text
    assert "No logged losses: coder." in page.text
    assert "No checks were made." in page.text
    assert "else those of independent scores" in page.text


def test_missing_scores_and_errors_are_shown_as_such(make_run: MakeRun, tmp_path: Path) -> None:
    data = make_run()
    first, *rest = data.scores["coder"].facts["scores"]
    data.scores["coder"].facts["scores"] = rest
    data.scores["writer"].facts["scores"][0]["stderr"] = None
    data.scores["soup"].facts["scores"][1]["stderr"] = math.nan
    data.scores["seed"].facts["scores"][3]["value"] = None
    page = read(data, tmp_path)
    assert page.text.count("no score") == 2
    assert page.text.count("error unknown") >= 2
    assert f"leaves out {first['task']}" in page.text
    assert any("no score" in svg for svg in pictures(page))


def test_nothing_scored_still_makes_a_page(make_run: MakeRun, tmp_path: Path) -> None:
    data = make_run()
    for artifact in data.scores.values():
        artifact.facts["scores"] = []
    page = read(data, tmp_path)
    assert "Nothing was scored." in page.text and "no model is called the best" in page.text


def test_settings_of_a_manifest_are_shown(make_run: MakeRun, tmp_path: Path) -> None:
    data = make_run()
    (data.utility.path / "manifest.json").write_text(json.dumps({"settings": {"smoothing": 0.125}}))
    page = read(data, tmp_path)
    assert "Settings of utility" in page.text and re.search(r'"smoothing": 0\.125', page.text)


@pytest.mark.parametrize("steps", [1, 5000])
def test_curves_of_any_length_are_drawn(make_run: MakeRun, tmp_path: Path, steps: int) -> None:
    page = read(make_run(steps=steps), tmp_path)
    assert any("training loss" in svg for svg in pictures(page))


def test_page_counts_near_duplicates_where_they_were_looked_for(make_run: MakeRun, tmp_path: Path) -> None:
    data = make_run()
    assert "near duplicates dropped" not in read(data, tmp_path).text
    data.corpus.facts["sources"]["docs"]["near_duplicates"] = 4711
    page = read(data, tmp_path)
    assert "near duplicates dropped" in page.text
    assert "4,711" in page.text

"""The command `mixstitch evaluate` on tiny models: one answer, the same in JSON, tables and the harness' layout."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from flows.commands.app import app
from models import new_seed_model, seed_config
from tasks.evaluation.harness_results import read_harness_results
from tasks.evaluation.scores import Scores
from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import make_tokenizer
from tests.tasks.sandbox.test_sandbox import pytestmark as sandboxed

ROWS = [
    {
        "question": f"How much is {n} and {n}?",
        "choices": [f"It is {2 * n}.", f"It is {n}."],
        "answer_idx": n % 2,
    }
    for n in range(8)
]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Folders `one` and `two`, models with a tokenizer; `sums`, a benchmark; `text`, two sources."""
    folder = tmp_path_factory.mktemp("evaluate")
    tokenizer = make_tokenizer(TokenizerSettings(vocab_size=320), ["How much is it and is it?"] * 3)
    for seed, name in enumerate(("one", "two")):
        config = seed_config(len(tokenizer), 16, 1, 2, max_length=64, ffn_multiple=16, eos_token_id=0)
        model = new_seed_model(config, seed)
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    (folder / "sums").mkdir()
    (folder / "sums" / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "text").mkdir()
    for name in ("web", "code"):
        rows = [json.dumps({"text": f"{name} number {n}, and more of it"}) for n in range(3)]
        (folder / "text" / f"{name}.jsonl").write_text("\n".join(rows))
    return folder


@pytest.fixture(autouse=True)
def here(place, monkeypatch):
    monkeypatch.chdir(place)


def invoke(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["evaluate", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_models_are_scored_and_compared_item_by_item(place, tmp_path):
    out = tmp_path / "out"
    told = json.loads(
        invoke(
            "one", "two", "again=one", "--benchmarks", "sums", "--text", "text", "--out", str(out), "--json"
        )
    )
    rows = {(row["model"], row["task"], row["metric"]): row for row in told["scores"]}
    assert {task for _, task, _ in rows} == {"sums", "heldout:web", "heldout:code"}
    one = rows["one", "sums", "acc"]
    assert (one["n"], one["guess"]) == (8, 0.5) and 0 <= one["low"] < one["value"] < one["high"] <= 1
    gains = {(row["model"], row["task"], row["metric"]): row for row in told["differences"]}
    assert all(row["paired"] and row["against"] == "one" for row in gains.values())
    for (model, task, metric), gain in gains.items():
        assert gain["difference"] == rows[model, task, metric]["value"] - rows["one", task, metric]["value"]
        if model == "again":
            assert (gain["difference"], gain["stderr"]) == (0, 0)
        elif metric == "bits_per_byte" and task == "sums":
            assert gain["stderr"] < math.hypot(*(rows[m, task, metric]["stderr"] for m in ("one", "two")))

    written = pd.read_csv(out / "scores.csv")
    assert written["value"].tolist() == pytest.approx([row["value"] for row in told["scores"]])
    assert len(Scores.load(out).frame) == len(told["scores"])
    frame, _ = read_harness_results(out)
    harness = {(row.model, row.benchmark): row.score for row in frame.itertuples()}
    assert harness["two", "sums"] == rows["two", "sums", "acc_norm"]["value"]
    assert harness["one", "heldout:web"] == rows["one", "heldout:web", "bits_per_byte"]["value"]
    [samples] = (out / "one").glob("samples_sums_*.jsonl")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert sum(line["acc"] for line in lines) / 8 == one["value"]
    assert not (out / ".unfinished").exists()


def test_items_are_capped_for_files_and_for_the_harness_alike(tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "tasks" / "asked.yaml").write_text(
        "task: asked\ndataset_path: json\ndataset_kwargs: {data_files: {test: items.jsonl}}\ntest_split: test\n"
        'output_type: multiple_choice\ndoc_to_text: "{{question}}"\ndoc_to_target: "{{answer_idx}}"\n'
        'doc_to_choice: "{{choices}}"\n'
    )
    shown = invoke(
        *("one", "--benchmarks", "sums", "--benchmarks", str(tmp_path / "tasks"), "--max-items", "5"),
        *("--out", str(tmp_path / "out")),
    )
    assert set(Scores.load(tmp_path / "out").frame["n"]) == {5}
    assert "asked" in shown and "sums" in shown


@sandboxed
def test_programs_are_drawn_run_and_scored_with_an_interval(place, tmp_path):
    row = {"question": "Add.", "canonical_solution": "def f(n):\n    return n", "tests": ["assert f(1) == 1"]}
    (tmp_path / "code").mkdir()
    rows = [json.dumps({**row, "question": f"Add {n}."}) for n in range(3)]
    (tmp_path / "code" / "adding.jsonl").write_text("\n".join(rows))
    given = ("one", "--benchmarks", str(tmp_path / "code"), "--json", "--out")
    plain = json.loads(invoke(*given, str(tmp_path / "plain")))["scores"]
    assert [one["metric"] for one in plain] == ["bits_per_byte"]
    drawn = ("--run-code", "--programs", "2", "--pass-at", "1", "--pass-at", "2", "--code-tokens", "4")
    told = json.loads(invoke(*given, str(tmp_path / "drawn"), *drawn))["scores"]
    found = {one["metric"]: one for one in told}
    assert [found[name]["value"] for name in ("pass@1", "pass@2")] == [0, 0]  # four tokens are no program
    assert 0 == found["pass@1"]["low"] < found["pass@1"]["high"] < 1 and found["bits_per_byte"] == plain[0]
    frame, _ = read_harness_results(tmp_path / "drawn")
    assert (frame["benchmark"].item(), frame["score"].item()) == ("adding", 0)


def test_asking_ends_where_it_is_enough(tmp_path):
    """Eight items, a look after each: at the latest all are asked, and then the score is known."""
    out = tmp_path / "out"
    told = json.loads(
        invoke(
            *(
                "one",
                "two",
                "--benchmarks",
                "sums",
                "--half-width",
                ".2",
                "--every",
                "1",
                "--out",
                str(out),
                "--json",
            )
        )
    )
    stops = {row["model"]: row for row in told["enough"]}
    rows = {row["model"]: row for row in told["scores"] if row["metric"] == "acc"}
    for name, stop in stops.items():
        assert (stop["of"], stop["metric"], rows[name]["n"]) == (8, "acc", stop["asked"])
        assert stop["asked"] < 8 and stop["because"] == "the interval is narrow enough"
        assert (rows[name]["low"], rows[name]["high"]) == (stop["low"], stop["high"])
        assert stop["low"] <= rows[name]["value"] <= stop["high"] <= stop["low"] + 0.4 + 1e-9
    [gain] = [row for row in told["differences"] if row["metric"] == "acc"]
    assert gain["paired"] and gain["n"] == min(stop["asked"] for stop in stops.values())
    assert pd.read_csv(out / "enough.csv")["asked"].tolist() == [stop["asked"] for stop in stops.values()]
    shown = invoke(
        "one", "again=one", "--benchmarks", "sums", "--until-decided", "--out", str(tmp_path / "two")
    )
    assert "again against one" in shown and "8 of 8" in shown and "all items were asked" in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("one", "--benchmarks", "sums", "--every", "5"), "--every: is for --half-width and --until-decided"),
        (("one", "--benchmarks", "sums", "--until-decided"), "--until-decided: there is one model"),
        (("one", "--text", "text", "--half-width", ".1"), "there are no items without --benchmarks"),
        (
            ("one", "--benchmarks", "sums", "--half-width", "2"),
            "--half-width 2: allowed: above 0 and below .5",
        ),
        (
            ("one", "two", "--benchmarks", "sums", "--half-width", ".1", "--until-decided"),
            "allowed: one of them",
        ),
        (
            ("one", "--benchmarks", "sums", "--half-width", ".1", "--about", "me"),
            "--about me: allowed: benchmark",
        ),
        (("one", "--benchmarks", "sums", "--programs", "2"), "--programs: is for --run-code"),
        pytest.param(
            ("one", "--benchmarks", "sums", "--run-code"),
            "none of the benchmarks is answered by code",
            marks=sandboxed,
        ),
        (("one", "--benchmarks", "sums", "--run-code", "--pass-at", "2"), "pass@2: 1 written for each item"),
        (("one",), "nothing to score on: give --benchmarks, --text, or both"),
        (("none/here", "--benchmarks", "sums"), "MODEL none/here: is not there"),
        (("one", "--benchmarks", "./none"), "--benchmarks=none: no such folder"),
        (("one", "--text", "none"), "--text=none: no such folder"),
        (("one", "one", "--text", "text"), "'one' stands twice"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_written(tmp_path, arguments, told, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("socket.getaddrinfo", _unknown)
    monkeypatch.setattr("tasks.evaluation.named_models.getproxies", dict)
    with pytest.raises(ValueError, match=told):
        invoke(*arguments, "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def _unknown(*_: object) -> None:
    raise OSError("unknown")


def test_a_folder_that_holds_something_is_not_written_into(place):
    with pytest.raises(ValueError, match="--out text: holds something already"):
        invoke("one", "--text", "text", "--out", "text")


def test_weights_that_are_no_numbers_leave_nothing(place, tmp_path):
    from models import load_causal_lm

    model = load_causal_lm(place / "two")
    with torch.no_grad():
        model.lm_head.weight[0, 0] = math.nan
    model.save_pretrained(tmp_path / "broken")
    with pytest.raises(ValueError, match=r"weight 'lm_head\.weight' holds 1 of .* NaN or infinite"):
        invoke(
            str(tmp_path / "broken"), "--tokenizer", "one", "--text", "text", "--out", str(tmp_path / "out")
        )
    assert not (tmp_path / "out").exists()

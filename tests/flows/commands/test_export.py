"""`mixstitch export`: a run's model leaves with tokenizer and card, and loads as the card says."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

import models
from flows.commands.app import app
from storage.home import Home
from storage.processes import this_process
from storage.run_records import COMPLETED, write_record
from storage.runs import summarise
from storage.stages import Stage
from storage.unrecorded import UnrecordedRun
from tasks.stitching.compositions import COMPOSITIONS_BY_NAME
from tasks.stitching.task import compose_models
from tasks.training.lineage import Lineage
from tasks.training.settings import TrainingSettings
from tasks.training.task import take_model
from tasks.training.training_run import Training, TrainingData

SCORE = {"model": "soup", "task": "quiz", "metric": "acc", "value": 0.5, "stderr": 0.1, "n": 25}


@pytest.fixture
def record(own_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """A run in a home: a corpus, a seed, an expert, their soup and its score."""
    monkeypatch.setenv("MIXSTITCH_HOME", str(tmp_path / "home"))
    run = UnrecordedRun(Home.from_environment())

    def corpus(folder: Path) -> dict:
        shutil.copytree(
            own_models / "seed", folder / "tokenizer", ignore=shutil.ignore_patterns("*.safetensors")
        )
        return {"metrics": {"tokens": 1000}}

    def scored(folder: Path) -> dict:
        (folder / "scores.json").write_text("{}")
        return {"scores": [SCORE]}

    sources = run.stage(Stage("sources", 1, {}, {}, corpus))
    seed, code = (take_model(run, name, str(own_models / name)) for name in ("seed", "code"))
    data = TrainingData(sources, sources)
    training = Training(TrainingSettings(), 0)
    soup = compose_models(
        run, COMPOSITIONS_BY_NAME["soup"].configured(), training, data, Lineage(seed, {"code": code})
    )
    scores = run.stage(Stage("evaluation", 1, {}, {}, scored, label="soup"))
    made = (sources, seed, code, soup, scores)
    record = {
        "run_id": "20260101-000000-own-abcd",
        "number": 1,
        "name": "own",
        "status": COMPLETED,
        **this_process(),
        "started": time.time(),
        "ended": time.time(),
        "experiment": {},
        "stages": [
            {
                "name": a.label,
                "stage": a.stage,
                "folder": a.path.name,
                "key": a.key,
                "cache_hit": False,
                "seconds": 0.0,
            }
            for a in made
        ],
        "flow_run_id": None,
        "mlflow_run_id": None,
        "error": None,
    }
    write_record(run.home, record)
    return record


def export(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["export", "latest", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_model_leaves_whole_and_its_card_says_what_it_is(record, own_models, tmp_path):
    told = json.loads(export("soup", str(tmp_path / "out"), "--json"))
    assert told == {"model": "soup", "out": str(tmp_path / "out")}
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert (
        models.count_parameters(model)[0]
        == models.count_parameters(AutoModelForCausalLM.from_pretrained(own_models / "seed"))[0]
    )
    assert len(AutoTokenizer.from_pretrained(tmp_path / "out")) == model.config.vocab_size
    assert (tmp_path / "out" / "generation_config.json").is_file()
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "| quiz | acc | 0.50 ± 0.10 | 25 |" in card
    assert "| tokens of | seed | code | soup |" in card
    assert "| in all | not known: given | not known: given | 0 |" in card
    assert "A seed and its experts code combined" in card
    assert "lm_eval --model hf --model_args pretrained=" in card and "import models" not in card


def test_show_names_the_folder_of_every_model(record):
    told = summarise(Home.from_environment(), record).models
    assert [row["model"] for row in told] == ["seed", "code", "soup"]
    assert all((Path(row["folder"]) / "model.safetensors").is_file() for row in told)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("stew", "OUT"), r"MODEL=stew: no such model in the run; allowed: seed, code, soup"),
        (("soup@3", "OUT"), r"composition/soup: no snapshot of step 3; allowed: none"),
        (("soup", "HERE"), r"DIR .*: is there already; allowed: a new or an empty folder"),
    ],
)
def test_what_is_not_there_is_one_message(record, tmp_path, arguments, message):
    places = {"OUT": str(tmp_path / "out"), "HERE": str(tmp_path)}
    with pytest.raises(ValueError, match=message):
        export(*(places.get(argument, argument) for argument in arguments))
    assert not (tmp_path / "out").exists()


def test_a_damaged_model_does_not_leave(record, tmp_path):
    (row,) = (row for row in summarise(Home.from_environment(), record).models if row["model"] == "code")
    weights = Path(row["folder"]) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8] + bytes(8))
    with pytest.raises(ValueError, match=r"MODEL=code: .* is damaged; run the recipe again"):
        export("code", str(tmp_path / "out"))

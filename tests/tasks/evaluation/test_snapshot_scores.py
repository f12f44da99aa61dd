"""Scoring a snapshot scores that model, under its own name, and not the finished one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

import models
from flows.parts import evaluate_snapshots
from storage.artifact import Artifact
from storage.planned import PlannedRun
from storage.runs import Run
from storage.stages import Stage
from tasks.evaluation.settings import EvaluationSettings
from tasks.evaluation.task import evaluate_model

SETTINGS = EvaluationSettings(made=(), bits_per_byte_bytes=1000)


@pytest.fixture
def corpus(tmp_path) -> Artifact:
    """Held-out text of three letters, and a tokenizer of them."""
    folder = tmp_path / "corpus"
    (folder / "heldout").mkdir(parents=True)
    (folder / "heldout" / "abc.jsonl").write_text(json.dumps({"text": "abacab" * 20}) + "\n")
    tokenizer = Tokenizer(WordLevel({"a": 0, "b": 1, "c": 2, "<eos>": 3}, unk_token="<eos>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>").save_pretrained(
        folder / "tokenizer"
    )
    return Artifact("sources", "", "c", "c", folder, {"tasks": {}, "sources": {"abc": {}}}, {})


@pytest.fixture
def trained(tmp_path) -> Artifact:
    """A model and two snapshots of it, all with different weights."""
    folder = tmp_path / "seed"
    config = models.seed_config(4, 32, 2, 2, max_length=32, ffn_multiple=16, tie_embeddings=True)
    for number, place in enumerate(("model", "snapshots/4", "snapshots/8")):
        models.new_seed_model(config, number).save_pretrained(folder / place)
    kept = [{"step": step, "tokens": 256 * step, "path": f"snapshots/{step}"} for step in (4, 8)]
    return Artifact("seed", "", "s", "s", folder, {"snapshots": kept}, {})


@pytest.fixture
def run(home) -> Run:
    made = Run(home, "snapshots", {})
    made.uses_prefect = False
    return made


def test_a_snapshot_is_scored_as_a_model_of_its_own(run, corpus, trained, tmp_path):
    final = evaluate_model(run, "seed", trained, corpus, SETTINGS)
    (sample,) = final.facts["samples"]
    assert (sample["model"], sample["source"], sample["prompt"]) == ("seed", "abc", ("abacab" * 20)[:80])
    assert 0 < len(sample["text"].replace(" ", "")) <= 24
    scores = evaluate_snapshots(run, {"seed": trained}, corpus, SETTINGS)
    assert list(scores) == ["seed@4", "seed@8"]
    assert not any(artifact.facts["samples"] for artifact in scores.values())
    for step, found in zip((4, 8), scores.values(), strict=True):
        alone = replace(trained, folder=tmp_path / str(step), digest=str(step))
        (alone.path).mkdir()
        (alone.path / "model").symlink_to(trained.path / "snapshots" / str(step))
        (row,) = found.facts["scores"]
        (expected,) = evaluate_model(run, "alone", alone, corpus, SETTINGS).facts["scores"]
        assert row == {**expected, "model": f"seed@{step}"}
        assert row["value"] != final.facts["scores"][0]["value"]
    assert len({final.key, *(found.key for found in scores.values())}) == 3


def test_a_snapshot_that_is_not_there_is_refused(run, corpus, trained):
    with pytest.raises(ValueError, match=r"seed: no snapshot of step 5; allowed: 4, 8"):
        evaluate_model(run, "seed", trained, corpus, SETTINGS, snapshot=5)
    untrained = replace(trained, stage="composition", name="soup", facts={})
    with pytest.raises(ValueError, match=r"composition/soup: no snapshot of step 4; allowed: none"):
        evaluate_model(run, "soup", untrained, corpus, SETTINGS, snapshot=4)
    assert evaluate_snapshots(run, {"soup": untrained}, corpus, SETTINGS) == {}


def test_a_plan_goes_on_past_snapshots_that_are_not_known_yet(home, corpus):
    planned = PlannedRun(home)
    """It scores those that a stage expects, and none of a model that expects none."""
    kept = [{"step": 4, "path": "snapshots/4"}]
    seed = planned.stage(Stage("seed", 1, {}, {}, dict, expected=lambda: {"snapshots": kept}))
    soup = planned.stage(Stage("composition", 1, {}, {}, dict, "soup"))
    models_to_come = {"seed": seed, "soup": soup}
    assert list(evaluate_snapshots(planned, models_to_come, corpus, SETTINGS)) == ["seed@4"]
    with pytest.raises(ValueError, match="no snapshot of step 8; allowed: 4"):
        evaluate_model(planned, "seed", seed, corpus, SETTINGS, snapshot=8)

"""Programmatic ratings of a run's own models: who knows the text is rated above who does not, and what is not told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch

import models
from flows.parts import evaluate_snapshots, respond_all
from storage.artifact import Artifact
from storage.planned import PlannedRun
from storage.runs import Run
from storage.stages import Stage
from tasks.evaluation.settings import EvaluationSettings
from tasks.evaluation.task import evaluate_model
from tasks.preference.annotation.aggregating import aggregate
from tasks.preference.annotation.own_models import join_scores, rate, read_by_both
from tasks.preference.annotation.programmatic import annotate
from tasks.preference.annotation.task import respond_to_prompts, study_programmatic
from tasks.preference.settings import PreferenceSettings, ProgrammaticSettings
from tasks.preference.study import Study
from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import make_tokenizer

KNOWN = "the owl sat on a tall oak and saw how red fox ran by".split()
ASKED = ProgrammaticSettings(items=12, prompt_characters=40, new_tokens=8)
SETTINGS = PreferenceSettings(method="ridge", permutations=99, programmatic=ASKED)
EVALUATION = EvaluationSettings(made=(), bits_per_byte_bytes=1000)


def known(first: int) -> str:
    """The known words in their order, but for every seventh, which nobody can know."""
    words = [KNOWN[(first + step) % len(KNOWN)] for step in range(60)]
    words[first % 7 :: 7] = [str(first * 7919 % 97 + place) for place in range(len(words[first % 7 :: 7]))]
    return " ".join(words) + "\n"


def strange(first: int) -> str:
    return " ".join(f"{(first * 7919 + step * 104729) % 9973}" for step in range(60)) + "\n"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Artifact:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "heldout").mkdir()
    for source, made in (("known", known), ("strange", strange)):
        rows = "".join(json.dumps({"text": made(first)}) + "\n" for first in range(16))
        (folder / "heldout" / f"{source}.jsonl").write_text(rows, encoding="utf-8")
    (folder / "heldout" / "small.jsonl").write_text('{"text": "too short"}\n', encoding="utf-8")
    texts = [made(first) for made in (known, strange) for first in range(20, 40)]
    make_tokenizer(TokenizerSettings(vocab_size=320), texts).save_pretrained(folder / "tokenizer")
    facts = {"tasks": {}, "sources": {source: {} for source in ("known", "strange", "small")}}
    return Artifact("sources", "", "c", "c", folder, facts, {})


@pytest.fixture(scope="module")
def knows(corpus, tmp_path_factory) -> Artifact:
    """A model that was trained on the known text, and its snapshots before the first step and on the way."""
    from tasks.sources.tokenization import load_tokenizer

    tokenizer = load_tokenizer(corpus.path / "tokenizer")
    folder = tmp_path_factory.mktemp("knows")
    model = new_model(0, len(tokenizer))
    text = tokenizer("".join(known(first) for first in range(20, 40)), add_special_tokens=False)["input_ids"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)
    model.save_pretrained(folder / "snapshots" / "0")
    for step in range(1, 61):
        starts = torch.randint(0, len(text) - 48, (8,), generator=generator).tolist()
        batch = torch.tensor([text[start : start + 48] for start in starts])
        model(batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step == 8:
            model.save_pretrained(folder / "snapshots" / "8")
    model.save_pretrained(folder / "model")
    kept = [{"step": step, "tokens": 384 * step, "path": f"snapshots/{step}"} for step in (0, 8)]
    return Artifact("seed", "", "k", "k", folder, {"snapshots": kept}, {})


def new_model(random_seed: int, vocabulary: int) -> Any:
    config = models.seed_config(vocabulary, 32, 2, 4, max_length=64, ffn_multiple=16)
    return models.new_seed_model(config, random_seed)


@pytest.fixture
def trained(knows, tmp_path) -> dict[str, Artifact]:
    folder = tmp_path / "random"
    vocabulary = models.load_causal_lm(knows.path / "model").config.vocab_size
    new_model(1, vocabulary).save_pretrained(folder / "model")
    return {"knows": knows, "random": Artifact("composition", "random", "r", "r", folder, {}, {})}


@pytest.fixture
def run(home) -> Run:
    made = Run(home, "programmatic", {})
    made.uses_prefect = False
    return made


def scored(run: Run, trained: dict[str, Artifact], corpus: Artifact) -> dict[str, Artifact]:
    scores = {name: evaluate_model(run, name, model, corpus, EVALUATION) for name, model in trained.items()}
    return scores | evaluate_snapshots(run, trained, corpus, EVALUATION)


def test_a_model_that_knows_the_text_is_rated_above_those_that_do_not(run, corpus, trained):
    responses = respond_all(run, trained, corpus, ASKED, EVALUATION.bits_per_byte_bytes)
    assert list(responses) == ["knows", "random", "knows@0", "knows@8"]
    (held, _) = responses["knows"].facts["held"]
    assert held["category"] == "known"
    assert 0.7 < held["share"] < 1
    found = study_programmatic(run, SETTINGS, corpus, responses, scored(run, trained, corpus))

    ratings = {row["model"]: row for row in found.facts["ratings"] if row["category"] == "known"}
    assert set(ratings) == set(responses)
    for row in ratings.values():
        assert row["low"] <= row["rating"] <= row["high"]
    assert ratings["knows"]["rating"] > 0.7
    assert ratings["knows"]["low"] > max(ratings[name]["high"] for name in ("random", "knows@0"))
    assert ratings["random"]["low"] < ratings["random"]["high"]
    assert found.facts["items_by_category"] == {"known": 12, "strange": 12}
    assert found.facts["items_read_by_bits_per_byte"] == {"known": 0, "strange": 0}

    studied = Study.load(found.path)
    families = dict(zip(studied.left_out["model"], studied.left_out["family"], strict=True))
    assert families == {"knows": "knows", "knows@0": "knows", "knows@8": "knows", "random": "random"}
    assert studied.about["origin"] == "programmatic"
    assert set(studied.about["benchmarks"]) == {f"heldout:{source}" for source in corpus.facts["sources"]}
    (value,) = studied.pairs.query(
        "benchmark == 'heldout:known' and target == 'known' and statistic == 'pearson' and removed == ''"
    )["value"]
    assert value < -0.7
    notes = " ".join(found.facts["notes"])
    assert "small: left out" in notes
    assert "descend from one seed" in notes and "intervals by family are too narrow" in notes
    assert "programmatic: rules with a known answer, not people" in notes
    assert "human" not in (found.path / "study.json").read_text(encoding="utf-8").lower()
    choices = pd.read_parquet(found.path / "choices.parquet")
    assert len(choices) == 6 * 24
    assert choices["annotator"].str.startswith("programmatic:first_word").all()


def test_responses_keep_what_was_asked_and_said(run, corpus, trained):
    first = respond_to_prompts(run, "knows", trained["knows"], corpus, ASKED)
    snapshot = respond_to_prompts(run, "knows", trained["knows"], corpus, ASKED, snapshot=8)
    assert (first.label, snapshot.label) == ("responses/knows", "responses/knows@8")
    rows = pd.read_parquet(first.path / "responses.parquet")
    assert list(rows.columns[:7]) == ["item", "area", "category", "model", "response", "rule", "argument"]
    assert set(rows["area"]) == {"continuation"}
    assert rows["response"].iloc[0].split()[0] == rows["argument"].iloc[0]
    assert set(pd.read_parquet(snapshot.path / "responses.parquet")["model"]) == {"knows@8"}
    assert respond_to_prompts(run, "knows", trained["knows"], corpus, ASKED).hit
    other = respond_to_prompts(run, "knows", trained["knows"], corpus, ASKED, bits_per_byte_bytes=1000)
    assert not other.hit
    with pytest.raises(ValueError, match="seed: no snapshot of step 7; allowed: 0, 8"):
        respond_to_prompts(run, "knows", trained["knows"], corpus, ASKED, snapshot=7)


def test_two_models_are_rated_but_not_studied(run, corpus, trained):
    both = {name: replace(model, facts={}) for name, model in trained.items()}
    responses = respond_all(run, both, corpus, ASKED)
    found = study_programmatic(run, SETTINGS, corpus, responses, scored(run, both, corpus))
    assert found.facts["studied"] is False
    assert len(found.facts["ratings"]) == 2 * 2
    assert any("and scores: 2; at least 3 are needed" in note for note in found.facts["notes"])
    assert not (found.path / "study.json").exists()


@pytest.mark.parametrize("chosen", [(), ("knows",)])
def test_fewer_than_two_models_are_told(run, corpus, trained, chosen):
    responses = respond_all(run, {name: replace(trained[name], facts={}) for name in chosen}, corpus, ASKED)
    found = study_programmatic(run, SETTINGS, corpus, responses, {})
    assert (found.facts["studied"], found.facts["ratings"]) == (False, [])
    assert f"Models that answered prompts: {len(chosen)}; at least 2" in found.facts["notes"][-1]


def test_text_too_short_for_any_prompt_is_told(run, corpus, trained):
    long = ASKED.model_copy(update={"prompt_characters": 5000})
    responses = respond_all(run, trained, corpus, long)
    assert responses["knows"].facts["held"] == []
    found = study_programmatic(run, SETTINGS, corpus, responses, {})
    assert (found.facts["studied"], found.facts["items_by_category"]) == (False, {})
    assert [note.partition(":")[0] for note in found.facts["notes"][:3]] == ["known", "strange", "small"]


def test_a_plan_asks_for_what_is_known(home, corpus):
    planned = PlannedRun(home)
    seed = planned.stage(Stage("seed", 1, {}, {}, lambda folder: {}))
    responses = respond_all(planned, {"seed": seed}, corpus, ASKED)
    study_programmatic(planned, SETTINGS, corpus, responses, {})
    assert [one.artifact.label for one in planned.stages] == ["seed", "responses/seed", "programmatic"]


def answers(held: dict[str, int], items: int = 60, category: str = "a") -> pd.DataFrame:
    """Models that answer the first so many items rightly; every item has an answer of its own."""
    rows = [
        {
            "item": f"{category}/{number}",
            "category": category,
            "model": name,
            "response": f"w{number}" if number < count else "no",
            "rule": "first_word",
            "argument": f"w{number}",
            "document": number,
        }
        for number in range(items)
        for name, count in held.items()
    ]
    return pd.DataFrame(rows)


def test_one_item_does_not_put_models_far_apart():
    frame = answers({"m1": 1, "m2": 1, "m3": 1, "m4": 0, "m5": 0, "m6": 0})
    rated = rate(frame, 0.9, 0).ratings.set_index("model")
    assert rated.loc["m1", "rating"] - rated.loc["m4", "rating"] == pytest.approx(0.6 / 60)
    assert (rated["low"] <= 0.5).iloc[0]
    elo = aggregate(annotate(frame), bootstraps=50).table("elo").set_index(["category", "model"])["rating"]
    assert elo["a", "m1"] - elo["a", "m4"] > 1000


def test_intervals_are_over_items():
    narrow, wide = (
        rate(answers({"m": items // 2, "n": items // 4}, items), 0.9, 0).ratings.iloc[0]
        for items in (400, 40)
    )
    assert wide["rating"] == narrow["rating"] == pytest.approx(0.5 + 0.25 / 2)
    assert (wide["high"] - wide["low"]) / (narrow["high"] - narrow["low"]) == pytest.approx(10**0.5, rel=0.2)
    assert narrow["high"] - narrow["low"] == pytest.approx(2 * 1.645 * (3 / 64 / 400) ** 0.5, rel=0.15)


def test_passages_of_one_document_are_drawn_together():
    frame = answers({"m": 80, "n": 40}, 160)
    # Whole runs of eight items are answered alike, so 20 documents tell as much as 20 items.
    alone, together = (
        rate(frame.assign(document=frame["document"] // size), 0.9, 0).ratings.iloc[0] for size in (1, 8)
    )
    assert together["rating"] == alone["rating"] == pytest.approx(0.5 + 0.25 / 2)
    ratio = (together["high"] - together["low"]) / (alone["high"] - alone["low"])
    assert ratio == pytest.approx(8**0.5, rel=0.2)


ROWS = [
    {"task": "quiz", "metric": "acc_norm", "value": 0.1, "stderr": 0.1, "n": 9},
    {"task": "quiz", "metric": "acc", "value": 0.2, "stderr": 0.1, "n": 9},
    {"task": "same", "metric": "acc", "value": 0.5, "stderr": 0.1, "n": 9},
    {"task": "elsewhere", "metric": "acc", "value": 0.3, "stderr": 0.1, "n": 9},
    {"task": "heldout:a", "metric": "bits_per_byte", "value": 3.0, "stderr": None, "n": 4},
]
TASKS = {"quiz": {"metric": "acc"}, "same": {"metric": None}}


def scores_of(names: list[str]) -> dict[str, list[dict]]:
    return {
        name: [
            {**row, "value": row["value"] + 0.01 * (place if row["task"] != "same" else 0)} for row in ROWS
        ]
        for place, name in enumerate(names)
    }


def test_scores_are_the_stated_metrics_and_bits_per_byte_that_vary():
    names = ["m", "m@5", "n", "unrated"]
    ratings = rate(
        pd.concat([answers({"m": 9, "m@5": 4, "n": 0}), answers(dict.fromkeys(names[:3], 5), 12, "b")]),
        0.9,
        0,
    )
    found, notes = join_scores(ratings.ratings, scores_of(names), TASKS, 0.9)
    assert found is not None
    assert (found.models, found.unrated) == (["m", "m@5", "n"], ["unrated"])
    assert (found.benchmarks, found.targets) == (["quiz", "heldout:a"], ["a"])
    assert found.scores[:, 0].tolist() == pytest.approx([0.2, 0.21, 0.22])
    assert found.families.tolist() == ["m", "m", "n"]
    table = ratings.ratings.query("category == 'a'")
    assert found.rating_errors[:, 0] == pytest.approx((table["high"] - table["low"]) / (2 * 1.6449), rel=1e-3)
    assert [note.rpartition(": ")[2] for note in notes] == ["same.", "b."]


def test_nothing_that_varies_is_told_not_raised():
    same = rate(answers({"m": 5, "n": 5, "o": 5}), 0.9, 0).ratings
    found, notes = join_scores(same, scores_of(["m", "n", "o"]), TASKS, 0.9)
    assert found is None
    assert notes[-1] == "Nothing is left to study: scores and programmatic ratings must both vary."


def test_prompts_from_documents_that_bits_per_byte_reads_are_counted():
    frame = pd.concat([answers({"m": 1, "n": 2}, 12), answers({"m": 1, "n": 2}, 12, "b")])
    assert read_by_both(frame, scores_of(["m", "n"])) == {"a": 4, "b": 0}

"""The chat stage as a whole on a model of a few thousand weights: it runs, is found again, and goes on after a kill."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch

import models
from flows.chat import chat_of
from flows.experiment import checked
from flows.recipes import load_recipe
from storage.artifact import Artifact
from storage.runs import RunSummary
from storage.unrecorded import UnrecordedRun
from tasks.chat.dialogue_lines import SAFETY, Example
from tasks.chat.fitting import Fit, fit_answers, fit_rows
from tasks.chat.instructions import Instructions, write_instructions
from tasks.chat.packing import rows_of, tokens_of
from tasks.chat.plain_template import with_template
from tasks.chat.rejection.rejecting import LEDGER, drawn_in_parts
from tasks.chat.reward.task import train_reward
from tasks.chat.row_order import AnswerOrder
from tasks.chat.settings import ChatSettings, FitSettings, SafetySettings
from tasks.chat.task import ChatWork, prepare_instructions, report_chat
from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import make_tokenizer
from tasks.training.objectives.answer_tokens import answer_tokens
from tasks.training.parameter_counts import said_parameters
from tasks.training.settings import TrainingSettings
from tasks.training.training_run import Training

FIT = {"learning_rate": 0.01, "epochs": 1, "batch_size": 2}
TINY = ChatSettings(
    new_tokens=8,
    made={"dialogues": 12, "pairs": 20, "prompts": 4, "heldout": 6},
    sft=FIT,
    reward=FIT | {"compared": ("small",)},
    rejection=FIT
    | {"rounds": 2, "samples": 2, "batch_size": 1, "epochs": 2}
    | {"temperature": "auto", "temperatures": (0.5, 1.5), "answers": 20},
    ghost=FIT | {"dialogues": 3, "turns": 2, "recall_turns": (1, 2), "probes": 2, "batch_size": 1},
)
TWO = TINY.model_copy(
    update={
        "made": TINY.made.model_copy(update={"safety_pairs": 20, "heldout": 24, "prompts": 12}),
        "reward": TINY.reward.model_copy(update={"safety": SafetySettings()}),
        "rejection": TINY.rejection.model_copy(update={"rounds": 1, "answers": 40}),
        "ghost": TINY.ghost.model_copy(update={"dialogues": 0}),
    }
)
LOOP = TrainingSettings(sequence_length=400)


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(TokenizerSettings(vocab_size=320), ["some words of text"] * 9)


@pytest.fixture(scope="module")
def base(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    config = models.seed_config(len(tokenizer), 16, 1, 1, max_length=400, ffn_multiple=8)
    models.new_seed_model(config, 0).save_pretrained(folder / "model")
    return folder


def artifact(stage, path, **facts):
    return Artifact(stage, "", stage, f"digest of {stage}", path, facts, {})


def test_the_whole_stage_runs_and_is_found_again(home, tokenizer, base, tmp_path):
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    run = UnrecordedRun(home)
    corpus = artifact("sources", tmp_path)
    seed = artifact("seed", base, metrics={"parameters": 1})

    def made():
        instructions = prepare_instructions(run, TINY, corpus, 400, 0)
        results = chat_of(run, ChatWork(TINY, Training(LOOP, 0), instructions), seed)
        return results, report_chat(run, "tiny", TINY, instructions, [results])

    results, page = made()
    assert list(results.models) == ["base", "sft", "round1", "round2", "ghost"]
    assert len(pd.read_parquet(results.rounds[0].path / LEDGER)) == 4 * 2
    told = json.loads((page.path / "chat.json").read_text(encoding="utf-8"))
    for row in told["rounds"]:
        assert row["temperature"] == max(row["tried"], key=lambda one: one["best"])["temperature"]
        assert [(one["temperature"], one["n"], one["prompts"]) for one in row["tried"]] == [
            (0.5, 2, 3),
            (1.5, 2, 3),
        ]
    assert [row["of"] for row in told["win_rates"]] == ["sft", "round1", "round2", "ghost", "round2"]
    text = (page.path / "report.html").read_text(encoding="utf-8")
    assert "Reward models, margins side by side" in text and "Two models" not in text
    assert {row["of"] for row in told["harm"]} == {"sft", "round1", "round2", "ghost"}
    assert [row["against"] for row in page.facts["forgetting"]][:1] == ["sft"]
    again, page = made()
    trained = [one.facts["metrics"] for name, one in again.models.items() if name != "base"]
    trained += [reward.facts["metrics"] for reward in again.rewards.values()]
    assert all(
        said_parameters(metrics).endswith(" parameters") for metrics in trained
    )  # as `export` says them
    for one in (*again.models.values(), *again.rewards.values(), *again.answers.values(), page):
        for name in (field.name for field in fields(RunSummary) if "list" in str(field.type)):
            assert isinstance(one.facts.get(name, []), list)  # as `show` collects them
    assert page.hit and all(one.hit for name, one in again.models.items() if name != "base")


def test_two_reward_models_choose_together_and_the_page_says_so(home, tokenizer, base, tmp_path):
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    run = UnrecordedRun(home)
    instructions = prepare_instructions(run, TWO, artifact("sources", tmp_path), 400, 0)
    seed = artifact("seed", base, metrics={"parameters": 1})
    results = chat_of(run, ChatWork(TWO, Training(LOOP, 0), instructions), seed)
    page = report_chat(run, "tiny", TWO, instructions, [results])
    ledger = pd.read_parquet(results.rounds[0].path / LEDGER)
    tagged = {question.prompt for question in Instructions(instructions.path).questions() if question.safety}
    is_tagged = ledger["prompt"].isin(tagged)
    assert 0 < is_tagged.sum() < len(ledger)
    took = is_tagged | (1 / (1 + np.exp(-ledger["safety"])) < 0.15)
    assert (ledger["took_safety"] == took).all()
    assert (ledger["score"] == np.where(took, ledger["safety"], ledger["helpfulness"])).all()
    told = json.loads((page.path / "chat.json").read_text(encoding="utf-8"))
    assert told["safety"]["accuracy"][0]["pairs"] == told["safety"]["unsafe"][0]["answers"] // 2 == 2
    assert told["rounds"][0]["piecewise"][0]["took"] == ledger["took_safety"].mean()
    assert any("safety's reward was the one that counted" in sentence for sentence in told["answer"])
    assert "Whose reward counted" in (page.path / "report.html").read_text(encoding="utf-8")
    again = train_reward(
        run, ChatWork(TWO, Training(LOOP, 0), instructions), "small", results.models["sft"], SAFETY
    )
    assert again.hit and again.digest == results.safety.digest != results.rewards["small"].digest


def test_dialogues_that_may_not_fit_are_refused_before_training(tokenizer, tmp_path):
    ghost = TINY.ghost.model_copy(update={"turns": 9})
    with pytest.raises(
        ValueError, match=r"chat\.ghost: 9 turns .* more than the 400 .* allowed: up to \d turns"
    ):
        write_instructions(tmp_path, TINY.model_copy(update={"ghost": ghost}), tokenizer, 400, 0)


def test_text_among_dialogues_is_learnt_from_and_asks_for_no_answer(tokenizer, tmp_path):
    path = tmp_path / "mix.jsonl"
    rows = [{"prompt": f"number {n}?", "response": str(n)} for n in range(60)]
    rows += [{"text": f"page {n} of a book"} for n in range(5)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    chat = TINY.model_copy(update={"dialogues": path})
    facts = write_instructions(tmp_path, chat, tokenizer, 400, 0)
    told = Instructions(tmp_path)
    assert [one.document for one in told.dialogues()][-5:] == [row["text"] for row in rows[-5:]]
    assert facts["dialogues"] + facts["heldout"] == 65
    assert not any("page" in question.prompt for question in told.questions() + told.questions(heldout=True))


def test_a_killed_fit_ends_as_one_in_peace(tokenizer, base, tmp_path):
    with_template(tokenizer)
    examples = [
        Example([{"role": "user", "content": f"a{n}"}, {"role": "assistant", "content": f"b{n}"}], "here")
        for n in range(6)
    ]
    settings = FitSettings(**FIT | {"packed": False})
    loop = LOOP.model_copy(update={"checkpoint_seconds": 1e-9})
    fit = Fit(settings, loop, 0, "sft", lambda row: None)
    fit_answers(base / "model", examples, tokenizer, tmp_path / "peace", fit)

    rows = rows_of([tokens_of(tokenizer, one, 400) for one in examples], 400, False, tokenizer.eos_token_id)
    order = AnswerOrder(rows, 1, 2, 0, "sft")
    calls = []

    def killed(model, batch):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return answer_tokens(model, batch)

    for _ in range(2):
        model = models.load_causal_lm(base / "model", torch.float32)
        try:
            facts = fit_rows(model, order, killed, tmp_path / "killed", fit)
        except KeyboardInterrupt:
            continue
    assert facts["provenance"]["resumed_at"] == 2
    ends = [models.load_causal_lm(tmp_path / name / "model").state_dict() for name in ("peace", "killed")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_answers_that_were_drawn_before_a_kill_are_not_drawn_again(tmp_path):
    drawn = []

    def draw(own):
        drawn.append(len(own))
        if len(drawn) == 2:
            raise KeyboardInterrupt
        return [[str(question)] for question in own]

    questions = list(range(70))
    with pytest.raises(KeyboardInterrupt):
        drawn_in_parts(tmp_path, questions, draw, lambda done: None)
    found = drawn_in_parts(tmp_path, questions, draw, lambda done: None)
    assert found == [[str(number)] for number in range(70)]
    assert drawn == [32, 32, 32, 6]


def test_a_stitched_base_is_refused_for_packing_with_the_reason(tokenizer, base, tmp_path):
    seed = models.load_causal_lm(base / "model")
    models.StitchedForCausalLM.from_models(seed, {"a": seed}, 1).save_pretrained(tmp_path / "model")
    fit = Fit(FitSettings(), LOOP, 0, "sft", lambda row: None)
    with pytest.raises(ValueError, match=r"a .* model takes no mask of documents; allowed: packed: false"):
        fit_answers(tmp_path / "model", [], tokenizer, tmp_path, fit)


def test_a_stitched_base_is_fitted_one_dialogue_a_sequence(tokenizer, base, tmp_path):
    """What trains are its stitches alone."""
    seed = models.load_causal_lm(base / "model")
    stitched = models.StitchedForCausalLM.from_models(seed, {"a": seed}, 1)
    stitched.save_pretrained(tmp_path / "model")
    before = {name: weight.clone() for name, weight in stitched.named_parameters()}
    examples = [
        Example([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "here")
    ] * 4
    fit = Fit(FitSettings(**FIT | {"packed": False}), LOOP, 0, "sft", lambda row: None)
    fit_answers(tmp_path / "model", examples, with_template(tokenizer), tmp_path / "fitted", fit)
    after = dict(models.load_causal_lm(tmp_path / "fitted" / "model").named_parameters())
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("stitch" in name for name in changed)


def test_every_model_is_scored_on_the_benchmarks_and_the_base_of_all_seeds_once(home):
    planned = checked(load_recipe("chat-pocket", ["chat.seeds=2", "chat.rejection.rounds=1"]), home)
    labels = [one.artifact.name for one in planned.stages if one.stage.name == "evaluation"]
    assert sorted(labels) == sorted(
        ["base", *(f"{name}-seed{seed}" for name in ("sft", "round1", "ghost") for seed in (0, 1))]
    )


def test_too_few_answers_for_auto_are_refused_before_anything_is_planned(home):
    own = ["chat.rejection.samples=auto", "chat.rejection.temperature=auto", "chat.rejection.answers=100"]
    with pytest.raises(ValueError, match=r"chat\.rejection\.answers is 100, too few for 120 prompts"):
        checked(load_recipe("chat-pocket", own), home)


PAIR = {"prompt": "a", "chosen": "b", "rejected": "c", "strength": 2}


@pytest.mark.parametrize(
    ("setting", "rows", "said"),
    [
        ("dialogues", [{"prompt": "a", "response": ""}], "line 1: response is empty"),
        ("dialogues", [{"prompt": "a", "response": "b"}], "allowed: more dialogues"),
        ("pairs", [PAIR | {"strength": 7}], "line 1: strength is 7"),
        ("pairs", [PAIR], "allowed: more pairs"),
        ("pairs", [PAIR | {"prompt": str(n)} for n in range(60)], "every pair has strength 2"),
    ],
)
def test_a_wrong_file_is_refused_before_anything_is_planned(home, tmp_path, setting, rows, said):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    experiment = load_recipe("chat-pocket", [f"chat.{setting}={path}"])
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".*" + re.escape(said)):
        checked(experiment, home)
    assert not any(home.work.iterdir())

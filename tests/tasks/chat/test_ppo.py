"""PPO: the reward as TRL asks for it, whitened over the batch; and a tiny model that learns to say what is rewarded."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import models
from storage.artifact import Artifact
from storage.unrecorded import UnrecordedRun
from tasks.chat.instructions import Instructions, check_files, write_instructions
from tasks.chat.made_questions import Question
from tasks.chat.ppo import trl_package
from tasks.chat.ppo.batch_reward import Asked, BatchReward, Seen
from tasks.chat.ppo.held_out_reward import gained
from tasks.chat.ppo.optimising import Optimisation, optimise, padding_of
from tasks.chat.ppo.task import optimise_policy
from tasks.chat.reward.piecewise import Judged
from tasks.chat.sampling import Speaker
from tasks.chat.settings import ChatSettings, PpoSettings
from tasks.chat.task import ChatWork
from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import make_tokenizer
from tasks.training.settings import TrainingSettings
from tasks.training.training_run import Training

FAST = PpoSettings(iterations=8, batch_size=32, mini_batch_size=8, learning_rate=2e-2)
CHAT = ChatSettings(
    new_tokens=8,
    made={"dialogues": 4, "pairs": 10, "prompts": 6, "heldout": 6},
    ghost={"dialogues": 0},
    reward={"compared": ("small",)},
)


def letters(asked, answers):
    """A rule in a reward model's place: the share of an answer that is letters."""
    return Judged(
        np.array([[np.mean([c.isalpha() for c in text or "."]) for text in own] for own in answers])
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tokenizer, instructions and a model of a few thousand weights."""
    folder = tmp_path_factory.mktemp("made")
    tokenizer = make_tokenizer(TokenizerSettings(vocab_size=320), ["some words of text"] * 9)
    write_instructions(folder, CHAT, tokenizer, 200, 0)
    config = models.seed_config(len(tokenizer), 16, 1, 1, max_length=200, ffn_multiple=8)
    models.new_seed_model(config, 0).save_pretrained(folder / "model")
    models.reward_model(folder / "model", new_head=True).save_pretrained(folder / "reward" / "model")
    return folder


def test_a_batch_is_taken_apart_judged_as_text_and_whitened_whole():
    hot, gate = Question("opposite", "hot?", "cold"), Question("secret", "gate?", "secret", "amber", True)
    heard = []

    def judged(asked, answers):
        heard.append((list(asked), answers))
        return Judged(np.array([[1.0], [5.0], [3.0]]))

    seen = Seen()
    asked = Asked({(7,): hot, (8, 9): gate}, 2, lambda tokens: " ".join(map(str, tokens)))
    reward = BatchReward(SimpleNamespace(judged=judged), asked, seen)
    tokens = torch.tensor([[0, 7, 4, 5, 0], [8, 9, 4, 0, 0], [0, 7, 6, 6, 6]])
    told = reward.score(reward.trunk(input_ids=tokens, attention_mask=tokens != 0).hidden_states[-1])
    assert heard == [([hot, gate, hot], [["4 5"], ["4"], ["6 6 6"]])]
    assert told.shape == (3, 5, 1)
    assert told[:, 2, 0].tolist() == pytest.approx([-(1.5**0.5), 1.5**0.5, 0])
    assert (seen.means, seen.tokens) == ([3.0], 10)


def test_padding_is_a_token_that_no_prompt_has():
    tokenizer = SimpleNamespace(pad_token_id=None, eos_token_id=0, __len__=None)
    sized = type("Sized", (), {"pad_token_id": 0, "eos_token_id": 0, "__len__": lambda self: 6})()
    assert tokenizer.pad_token_id is None and padding_of(sized, [[1, 5], [4]], 0) == 3
    sized.pad_token_id = 2
    assert padding_of(sized, [[1, 5]], 0) == 2


def test_the_gain_is_of_the_same_prompts():
    told = gained(np.array([0.0, 10.0]), np.array([1.0, 13.0]))
    assert (told["before"], told["after"], told["mean"]) == (5.0, 7.0, 2.0)
    assert told["high"] - told["mean"] == pytest.approx(1.96)  # deviations 1, of 2: a standard error of 1


def test_what_cannot_be_done_is_refused_before_anything_runs(monkeypatch):
    with pytest.raises(ValueError, match="mini_batch_size is 60; allowed: a divisor of batch_size, 512"):
        PpoSettings(mini_batch_size=60)
    monkeypatch.setattr(trl_package, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"chat\.ppo: .* allowed: pip install 'mixstitch\[ppo\]', or no chat\.ppo"
    ):
        check_files(CHAT.model_copy(update={"ppo": FAST}))


def test_a_tiny_model_learns_to_say_what_is_rewarded(made, tmp_path, capsys):
    pytest.importorskip("trl.experimental.ppo")
    told = Instructions(made)
    judge = SimpleNamespace(judged=letters)
    training, random_state = TrainingSettings(sequence_length=200), torch.get_rng_state()

    def run(settings):
        policy = models.load_causal_lm(made / "model", torch.float32)
        how = Optimisation(settings, training, 0, judge, made / "model", made / "reward" / "model")
        speaker = Speaker(policy, told.tokenizer(), 8)
        return optimise(how, told.questions(), speaker, tmp_path / "scratch", lambda done: None)["curve"]

    curve = run(FAST)
    assert curve[-1]["reward"] > curve[0]["reward"] + 0.2
    assert curve[0]["kl"] == pytest.approx(0, abs=1e-4) and curve[-1]["kl"] > 1
    assert [row["iteration"] for row in curve] == list(range(1, 9))
    assert torch.equal(random_state, torch.get_rng_state())
    assert "training policy" not in capsys.readouterr().out


def test_the_stage_keeps_a_model_and_is_found_again(home, made):
    pytest.importorskip("trl.experimental.ppo")

    def artifact(stage, path, **facts):
        return Artifact(stage, "", stage, f"digest of {stage}", path, facts, {})

    chat = CHAT.model_copy(update={"ppo": FAST.model_copy(update={"iterations": 2})})
    work = ChatWork(chat, Training(TrainingSettings(sequence_length=200), 0), artifact("instructions", made))
    given = (artifact("sft", made, metrics={"parameters": 1}), artifact("reward", made / "reward"))
    found = optimise_policy(UnrecordedRun(home), work, *given)
    assert found.facts["ppo"]["heldout"]["mean"] == 0.0  # its head is of zeros
    assert found.facts["metrics"]["steps"] == 2 * 32 // 8
    models.load_causal_lm(found.path / "model")
    assert not list(found.path.glob("progress"))
    assert json.dumps(found.facts)
    assert optimise_policy(UnrecordedRun(home), work, *given).hit

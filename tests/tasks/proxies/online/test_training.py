"""Learning at a tiny size, from a source that can be learnt and one of noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import models
from tasks.proxies.online.learning import Setting
from tasks.proxies.online.learning_records import write_records
from tasks.proxies.online.online_loop import ProxyTrainer
from tasks.proxies.online.proxy_text import SourceStreams, proxy_text
from tasks.proxies.online.settings import RULES_BY_NAME, OnlineSettings
from tasks.training.loop import train
from tasks.training.settings import TrainingSettings
from tasks.training.token_order import TokenOrder

VOCABULARY, LENGTH, STEPS, NOISE, TEXT = 64, 32, 40, 0, 1
TRAINING = TrainingSettings(sequence_length=LENGTH, batch_size=8, learning_rate=1e-2)
SETTINGS = OnlineSettings(tokens=STEPS * 8 * LENGTH)
METHODS = ("doremi", "odm", "skill-it")


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("start")
    config = models.seed_config(VOCABULARY, 32, 2, 2, max_length=LENGTH, ffn_multiple=16, tie_embeddings=True)
    models.new_seed_model(config, 0).save_pretrained(folder)
    return str(folder)


def made_tokens() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    text = np.cumsum(generator.choice([1, 1, 1, 5], 20_000)) % VOCABULARY
    return {
        "text": text.astype(np.uint16),
        "noise": generator.integers(0, VOCABULARY, 20_000).astype(np.uint16),
    }


def learn(method: str, start: str, folder: Path, tokens=None, training=TRAINING, seed=0):
    tokens = tokens or made_tokens()
    sizes = {source: len(text) for source, text in tokens.items()}
    text = proxy_text(tokens, sizes, LENGTH, 16 if method == "skill-it" else 0)
    return RULES_BY_NAME[method].learn(
        Setting(RULES_BY_NAME[method], start, text, sizes, SETTINGS, training, seed, folder, lambda row: None)
    )


@pytest.fixture(scope="module")
def learnt(start, tmp_path_factory):
    return {method: learn(method, start, tmp_path_factory.mktemp(method)) for method in METHODS}


def test_weights_sum_to_1_and_every_loss_is_on_record(learnt):
    for method, found in learnt.items():
        assert found.sources == ["noise", "text"]
        assert found.weights.sum() == pytest.approx(1)
        trace = found.traces["proxy"]
        assert trace.weights.shape == trace.losses.shape == (STEPS, 2)
        np.testing.assert_allclose(trace.weights.sum(axis=1), 1)
        assert (trace.counts.sum(axis=1) == 8).all()
        assert (np.isnan(trace.losses) == (trace.counts == 0)).all()
        assert trace.losses[-1, TEXT] < 2.5 < 4.0 < trace.losses[-1, NOISE], method
    assert learnt["doremi"].tokens == 2 * SETTINGS.tokens
    assert learnt["skill-it"].tokens == SETTINGS.tokens + 2 * 4 * 8 * LENGTH


def test_learnt_weights_are_what_they_are_said_to_be(learnt):
    np.testing.assert_allclose(
        learnt["doremi"].weights, learnt["doremi"].traces["proxy"].weights.mean(axis=0)
    )
    drawn = learnt["odm"].traces["proxy"].counts.sum(axis=0)
    np.testing.assert_allclose(learnt["odm"].weights, drawn / (8 * STEPS))
    rounds = learnt["skill-it"].traces["proxy"].weights[:: STEPS // 5]  # five rounds of eight steps
    np.testing.assert_allclose(learnt["skill-it"].weights, rounds.mean(axis=0))


def test_odm_favours_high_loss_whether_or_not_it_can_fall(learnt):
    assert learnt["odm"].weights[NOISE] > 0.5
    assert (learnt["odm"].traces["proxy"].weights[STEPS // 2 :, NOISE] > 0.5).all()


def test_doremi_first_ignores_noise_and_its_clip_ends_on_it(learnt):
    """The rule as it is: the loss of noise is no excess, but what the clip leaves of it outlasts the text's."""
    weights = learnt["doremi"].traces["proxy"].weights
    assert weights[:20, NOISE].min() < 0.05
    assert learnt["doremi"].weights[NOISE] < 0.5
    assert weights[-1, NOISE] > 0.9


def test_skill_it_sees_that_noise_helps_nobody(learnt):
    graph = learnt["skill-it"].graph
    assert graph[TEXT, TEXT] > 0.1
    assert graph[NOISE].max() < 0.01
    assert learnt["skill-it"].weights[TEXT] > 0.5
    assert learnt["skill-it"].measured.shape == (5, 2)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_learns_the_same_in_any_order_and_another_does_not(method, learnt, start, tmp_path):
    torch.manual_seed(12345)  # what other threads do with the shared state does not matter
    backwards = dict(reversed(made_tokens().items()))
    again = learn(method, start, tmp_path / "again", backwards)
    assert again.weights.tolist() == learnt[method].weights.tolist()
    assert learn(method, start, tmp_path / "other", seed=1).weights.tolist() != again.weights.tolist()


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_is_cut_goes_on_as_if_nothing_had_happened(method, learnt, start, tmp_path, monkeypatch):
    often = TRAINING.model_copy(update={"checkpoint_seconds": 1e-9})
    step, left = ProxyTrainer.step, iter(range(25))

    def cut(self, ids, weights=None):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return step(self, ids, weights)

    monkeypatch.setattr(ProxyTrainer, "step", cut)
    with pytest.raises(KeyboardInterrupt):
        learn(method, start, tmp_path, training=often)
    steps_after = 0

    def counted(self, ids, weights=None):
        nonlocal steps_after
        steps_after += 1
        return step(self, ids, weights)

    monkeypatch.setattr(ProxyTrainer, "step", counted)
    resumed = learn(method, start, tmp_path, training=often)
    assert steps_after == {"doremi": 2 * STEPS, "odm": STEPS, "skill-it": STEPS + 8}[method] - 25
    assert resumed.weights.tolist() == learnt[method].weights.tolist()
    for name, trace in learnt[method].traces.items():
        np.testing.assert_array_equal(resumed.traces[name].losses, trace.losses)


def test_records_can_be_looked_at(learnt, tmp_path):
    write_records(tmp_path, learnt["skill-it"])
    assert (tmp_path / "weights.csv").read_text().splitlines()[0] == "step,w_noise,w_text"
    assert len((tmp_path / "weights.csv").read_text().splitlines()) == 1 + STEPS
    header = (tmp_path / "logs" / "losses-proxy.csv").read_text().splitlines()[0]
    assert header == "step,drawn_noise,drawn_text,loss_noise,loss_text"
    assert (tmp_path / "graph.csv").read_text().splitlines()[0] == "source,noise,text"
    assert (tmp_path / "rounds.csv").read_text().splitlines()[0] == "round,loss_noise,loss_text"


@pytest.mark.parametrize("micro", [None, 2])
def test_a_step_is_that_of_the_training_loop(start, tmp_path, micro):
    steps, training = 5, TRAINING.model_copy(update={"micro_batch_size": micro})
    order = TokenOrder({"text": made_tokens()["text"]}, {"text": 8 * steps}, {}, LENGTH, "seed", 0)
    theirs = models.load_causal_lm(start)
    train(theirs, order, training, training.learning_rate, 0, tmp_path, lambda row: None)
    ours = models.load_causal_lm(start)
    trainer = ProxyTrainer(ours, training, steps)
    for step in range(steps):
        trainer.step(order.batch(range(8 * step, 8 * step + 8)))
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        # Sums of another order; a step of Adam moves a weight by about 1e-2.
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=0)


def test_sequences_count_as_they_are_told_to(start):
    ids = np.stack([made_tokens()[source][:LENGTH].astype(np.int64) for source in ("text", "noise")])
    told, alone = (ProxyTrainer(models.load_causal_lm(start), TRAINING, 5) for _ in range(2))
    losses = told.step(ids, np.array([1.0, 0.0]))
    np.testing.assert_allclose(alone.token_losses(ids).mean(axis=1), losses, rtol=1e-5)
    alone.step(ids[:1])
    np.testing.assert_allclose(told.token_losses(ids), alone.token_losses(ids), atol=1e-5)


def test_text_is_cut_to_the_limit_and_validation_is_never_trained_on():
    tokens = {"long": np.arange(160), "one": np.arange(5), "short": np.arange(3)}
    text = proxy_text(tokens, {"long": 20, "one": 5, "short": 3}, 4, 16)
    trained = {int(window[0]) // 4 for window in text.train["long"].reshape(-1, 4)}
    measured = {int(window[0]) // 4 for window in text.validation["long"]}
    assert (len(trained), len(measured)) == (5, 4)  # 20 tokens; a tenth of 40 windows
    assert not trained & measured
    assert text.train["one"].tolist() == [0, 1, 2, 3, 4]
    assert text.validation["one"].tolist() == [[0, 1, 2, 3]]
    assert text.validation["short"].tolist() == [[0, 1, 2, 0]]
    less = proxy_text({"long": tokens["long"]}, {"long": 1}, 4, 0)
    assert len(less.train["long"]) == 4
    assert less.validation["long"].shape == (0, 4)


def test_streams_read_everything_once_before_anything_twice():
    text = proxy_text({"a": np.arange(20), "b": np.arange(100, 140)}, {"a": 20, "b": 40}, 4, 0)
    streams = SourceStreams(text, 4, 20, 0)
    ids, source = streams.take(np.array([2, 1]))
    more, _ = streams.take(np.array([3, 0]))
    assert source.tolist() == [0, 0, 1]
    assert sorted(np.concatenate([ids[:2], more])[:, 0].tolist()) == [0, 4, 8, 12, 16]
    assert streams.position.tolist() == [5, 1]


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("odm", {"tokens": 100}, r"online\.tokens=100 is less than one step of 256"),
        ("skill-it", {"tokens": 1024, "skill_it": {"rounds": 5}}, r"4 steps; allowed: 1 to 4 rounds"),
    ],
)
def test_too_few_tokens_are_refused(method, settings, message, start, tmp_path):
    text = proxy_text(made_tokens(), {"text": 20_000, "noise": 20_000}, LENGTH, 4)
    sizes = {"text": 20_000, "noise": 20_000}
    with pytest.raises(ValueError, match=message):
        RULES_BY_NAME[method].learn(
            Setting(
                RULES_BY_NAME[method],
                start,
                text,
                sizes,
                OnlineSettings(**settings),
                TRAINING,
                0,
                tmp_path,
                lambda row: None,
            ),
        )

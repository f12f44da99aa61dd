"""A mixture of experts in the loop: the loss that trains, what is kept of its routing, and what a kill leaves of it."""

from __future__ import annotations

import json

import pytest
import torch
from torch.nn import functional as F

import models
from tasks.training.jobs import run_job
from tasks.training.loop import learning_rate_at, make_optimizer, train
from tasks.training.routing_log import ROUTING, routing_facts, routing_metrics, write_routing
from tasks.training.token_order import TokenOrder

STEPS = 14


def mixture(random_seed=0, factor: float | None = 1.0):
    sparsity = models.Sparsity(num_experts=4, capacity_factor=factor)
    sizes = {"max_length": 32, "ffn_multiple": 16, "tie_embeddings": True}
    return models.new_seed_model(models.moe_config(sparsity, 64, 32, 2, 2, **sizes), random_seed)


@pytest.fixture
def order(tokens):
    """Two sources, three sequences of `a` for one of `b`."""
    return TokenOrder(
        {"a": tokens, "b": tokens[::-1].copy()}, {"a": 6 * STEPS, "b": 2 * STEPS}, {}, 32, "seed", 0
    )


def run(model, order, settings, folder, **changes):
    return train(
        model, order, settings.model_copy(update=changes), settings.learning_rate, 0, folder, lambda row: None
    )


def test_the_loop_adds_the_balance_loss_of_the_step(order, settings, tmp_path):
    """Against a loop of its own, with transformers' router logits and E sum m_e c_e written out."""
    ours, plain = mixture(factor=None), mixture(factor=None)
    outcome = run(ours, order, settings, tmp_path)
    optimizer = make_optimizer(plain.train(), settings)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, STEPS, settings.learning_rate, settings)
        ids = torch.from_numpy(order.batch(range(step * 8, step * 8 + 8)))
        out = plain(input_ids=ids, output_router_logits=True)
        text = F.cross_entropy(out.logits[:, :-1].reshape(-1, 64), ids[:, 1:].reshape(-1))
        balance = torch.zeros(())
        for logits in out.router_logits:
            gates = logits.softmax(-1)
            share = torch.bincount(gates.argmax(-1), minlength=4) / len(gates)
            balance = balance + 4 * (gates.mean(0) * share).sum()
        (text + 0.01 * balance).backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad()
    for name, weight in ours.named_parameters():
        torch.testing.assert_close(weight, plain.get_parameter(name), rtol=1e-3, atol=1e-5)
    last = json.loads((tmp_path / "steps.jsonl").read_text().splitlines()[-1])
    assert last["loss"] == outcome.final_loss  # of the text alone


def test_what_is_kept_adds_up_to_the_tokens_of_each_source(order, settings, tmp_path):
    run(mixture(), order, settings, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / ROUTING).read_text().splitlines()]
    assert [row["step"] for row in rows] == [10, 14]
    (layer,) = rows[0]["layers"]
    assert layer == "model.layers.1.mlp"
    read = [sum(row["layers"][layer]["sources"][place][0] for row in rows) for place in (0, 1)]
    assert read == [6 * STEPS * 32, 2 * STEPS * 32]
    facts = routing_facts(tmp_path / ROUTING)
    assert facts is not None
    told = facts["layers"][layer]
    assert sum(told["load"]) == pytest.approx(1)
    by_source = facts["dropped_by_source"]
    for choice in (0, 1):
        mean = (6 * by_source["a"][choice] + 2 * by_source["b"][choice]) / 8
        assert mean == pytest.approx(told["dropped"][choice])
    assert told["dropped"][1] > 0  # half of all choices have a slot at a factor of 1
    assert sum(told["dropped"]) >= 1 - 1e-6
    metrics = routing_metrics(facts)
    assert metrics["dropped_choice_2"] == pytest.approx(told["dropped"][1])
    write_routing(tmp_path / ROUTING, tmp_path / "routing.parquet")
    import pandas as pd

    assert list(pd.read_parquet(tmp_path / "routing.parquet")["step"]) == [10, 14]


class Killed(Exception):
    pass


def test_a_kill_changes_neither_the_weights_nor_the_sums(order, settings, tmp_path, monkeypatch):
    whole, cut = mixture(), mixture()
    run(whole, order, settings, tmp_path / "whole")
    read = TokenOrder.batch

    def killed_at_step_12(self, numbers):
        if numbers.start == 12 * 8:
            raise Killed
        return read(self, numbers)

    monkeypatch.setattr(TokenOrder, "batch", killed_at_step_12)
    with pytest.raises(Killed):
        run(cut, order, settings, tmp_path / "cut", checkpoint_seconds=1e-9)
    # as a kill between the rows of a step and its checkpoint leaves it
    with (tmp_path / "cut" / ROUTING).open("a") as stream:
        stream.write('{"step": 13, "steps": 1, "lay')
    monkeypatch.setattr(TokenOrder, "batch", read)
    again = mixture()
    assert run(again, order, settings, tmp_path / "cut").resumed_at == 12
    for name, weight in whole.named_parameters():
        assert torch.equal(weight, again.get_parameter(name))
    facts = [routing_facts(tmp_path / name / ROUTING) for name in ("whole", "cut")]
    assert facts[0] is not None and facts[1] is not None
    assert facts[0]["dropped_by_source"] == facts[1]["dropped_by_source"]
    for layer, told in facts[0]["layers"].items():
        for name, value in told.items():
            assert value == pytest.approx(facts[1]["layers"][layer][name], rel=1e-5)


def test_a_dense_model_keeps_no_routing(new_model, token_order, settings, tmp_path):
    run(new_model(), token_order(8 * 3), settings, tmp_path)
    assert not (tmp_path / ROUTING).exists()
    assert routing_facts(tmp_path / ROUTING) is None


def test_a_job_tells_the_routing_and_both_counts_of_parameters(job):
    one = job("moe")
    mixture().save_pretrained(one.model)
    outcome = run_job(one, lambda row: None)
    assert outcome["active_parameters"] < outcome["parameters"]
    assert outcome["parameters"] - outcome["active_parameters"] == 2 * 3 * 32 * 96  # two of four experts
    assert list(outcome["routing"]["dropped_by_source"]) == ["text"]


def test_the_balance_that_is_told_is_the_mean_over_steps(order, settings, tmp_path):
    """Steps that each send all to another expert are not balanced, though their sum is."""
    model = mixture(factor=None)
    run(model, order, settings.model_copy(update={"learning_rate": 1e-9}), tmp_path)
    facts = routing_facts(tmp_path / ROUTING)
    assert facts is not None
    expected = []
    for step in range(STEPS):
        ids = torch.from_numpy(order.batch(range(step * 8, step * 8 + 8)))
        (logits,) = model(input_ids=ids, output_router_logits=True).router_logits
        gates = logits.softmax(-1)
        share = torch.bincount(gates.argmax(-1), minlength=4) / len(gates)
        expected.append(float(4 * (gates.mean(0) * share).sum()))
    (told,) = facts["layers"].values()
    assert told["balance"] == pytest.approx(sum(expected) / STEPS, rel=1e-4)

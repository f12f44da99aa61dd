"""Looking into a stitched model: gates, contributions, and what each expert is worth at a token."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from models import StitchedForCausalLM


@pytest.fixture
def stitched(tiny_llama, random_stitches):
    model = StitchedForCausalLM.from_models(
        tiny_llama(0), {"code": tiny_llama(1), "math": tiny_llama(2)}, num_stitches=2
    )
    return random_stitches(model)


def test_gate_statistics_at_the_start(tiny_llama, tokens):
    """Zero gates: softmax over 3 streams is 1/3, sigmoid is 1/2, everywhere."""
    hub = tiny_llama(0)
    model = StitchedForCausalLM.from_models(hub, {"code": tiny_llama(1), "math": tiny_llama(2)}, 2)
    rows = model.gate_statistics(tokens(2, 5))
    assert [(row["stitch"], row["layer"], row["kind"], row["stream"]) for row in rows] == [
        (0, 2, "hub-into-experts", "code"),
        (0, 2, "hub-into-experts", "math"),
        (1, 4, "experts-into-hub", "hub"),
        (1, 4, "experts-into-hub", "code"),
        (1, 4, "experts-into-hub", "math"),
    ]
    assert [row["gate_mean"] for row in rows] == pytest.approx([1 / 2] * 2 + [1 / 3] * 3)
    assert [row["gate_std"] for row in rows] == pytest.approx([0] * 5, abs=1e-7)
    # With identity projections the hub brings half of its own state after layer 2 into each expert.
    hub_state = hub(tokens(2, 5), output_hidden_states=True).hidden_states[2]
    half = 0.5 * hub_state.norm(dim=-1).mean().item()
    assert [row["contribution"] for row in rows[:2]] == pytest.approx([half, half], rel=1e-5)


def test_gate_statistics_of_random_stitches(stitched, tokens):
    stitched.train()  # dropout must be off all the same
    rows = stitched.gate_statistics(tokens(2, 5))
    assert stitched.training
    into_hub = [row for row in rows if row["kind"] == "experts-into-hub"]
    assert sum(row["gate_mean"] for row in into_hub) == pytest.approx(1)
    assert all(row["gate_std"] > 0.01 for row in rows)
    assert stitched.gate_statistics(tokens(2, 5)) == rows


def test_contribution_shows_what_the_gate_mass_hides(stitched, tokens):
    before = stitched.gate_statistics(tokens(2, 5))
    with torch.no_grad():
        stitched.stitches[1].projections[0] *= 3
    after = stitched.gate_statistics(tokens(2, 5))
    changed = [row["stream"] for row, old in zip(after, before, strict=True) if row != old]
    assert changed == ["code"]
    assert after[3]["gate_mean"] == before[3]["gate_mean"]
    assert after[3]["contribution"] == pytest.approx(3 * before[3]["contribution"], rel=1e-5)


def test_gate_statistics_leave_padding_out(stitched, tokens):
    prompt = tokens(1, 5)
    padded = torch.cat([prompt, torch.zeros(1, 4, dtype=torch.long)], dim=1)
    mask = (torch.arange(9) < 5).long()[None]
    for row, expected in zip(
        stitched.gate_statistics(padded, mask), stitched.gate_statistics(prompt), strict=True
    ):
        for number in ("gate_mean", "gate_std", "contribution"):
            assert row[number] == pytest.approx(expected[number], rel=1e-4)


def test_open_gates_have_the_largest_entropy_and_equal_utilisation(tiny_llama, tokens):
    model = StitchedForCausalLM.from_models(
        tiny_llama(0), {"code": tiny_llama(1), "math": tiny_llama(2)}, num_stitches=2
    )
    rows = model.gate_statistics(tokens(2, 5))
    assert [row["gate_entropy"] for row in rows] == [None, None, *[pytest.approx(math.log(3))] * 3]
    assert [row["utilisation"] for row in rows] == [None, None, *[pytest.approx(1 / 3)] * 3]


@torch.no_grad()
def test_entropy_and_utilisation_of_chosen_gates(tiny_llama, tokens):
    """Gate biases log 2 and log 5 over zero gates: the softmax is (1, 2, 5) / 8 everywhere."""
    model = StitchedForCausalLM.from_models(
        tiny_llama(0),
        {"code": tiny_llama(1), "math": tiny_llama(2)},
        num_stitches=1,
        gate_biases={"code": math.log(2), "math": math.log(5)},
    )
    rows = model.gate_statistics(tokens(2, 5))
    shares = [1 / 8, 2 / 8, 5 / 8]
    assert [row["gate_mean"] for row in rows] == pytest.approx(shares)
    assert rows[0]["gate_entropy"] == pytest.approx(-sum(p * math.log(p) for p in shares))
    assert [row["utilisation"] for row in rows] == [0, 0, 1]


@torch.no_grad()
def test_token_contributions_average_to_the_statistics(stitched, tokens):
    input_ids = tokens(2, 6)
    found = stitched.token_contributions(input_ids)
    assert list(found) == [1]  # the stitch into the hub
    assert found[1].shape == (2, 6, 3)
    into_hub = [row for row in stitched.gate_statistics(input_ids) if row["stitch"] == 1]
    assert found[1].mean(dim=(0, 1)).tolist() == pytest.approx([row["contribution"] for row in into_hub])
    # What a token gets does not depend on those after it.
    torch.testing.assert_close(stitched.token_contributions(input_ids[:, :4])[1], found[1][:, :4])


def token_losses(model, input_ids, attention_mask=None):
    logits = model(input_ids, attention_mask=attention_mask).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.mT, input_ids[:, 1:], reduction="none")


@pytest.mark.parametrize("layout", ["alternating", "experts-into-hub"])
@torch.no_grad()
def test_leave_one_out_is_the_loss_after_dropping(tiny_llama, random_stitches, tokens, layout):
    experts = {name: tiny_llama(seed) for seed, name in enumerate(("code", "math", "legal"), 1)}
    model = random_stitches(StitchedForCausalLM.from_models(tiny_llama(0), experts, 4, layout))
    model.train()  # dropout must be off all the same
    input_ids = tokens(2, 7)
    found = model.leave_one_out(input_ids)
    assert model.training
    model.eval()
    assert list(found) == list(experts)
    for name in experts:
        without = copy.deepcopy(model)
        without.drop_expert(name)
        expected = token_losses(without, input_ids) - token_losses(model, input_ids)
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(found[name], expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_without_its_only_expert_the_model_is_the_hub(tiny_llama, random_stitches, tokens):
    hub = tiny_llama(0)
    model = random_stitches(StitchedForCausalLM.from_models(hub, {"code": tiny_llama(1)}, 4))
    input_ids = tokens(2, 7)
    expected = token_losses(hub, input_ids) - token_losses(model, input_ids)
    torch.testing.assert_close(model.leave_one_out(input_ids)["code"], expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_leave_one_out_marks_padding(stitched, tokens):
    prompt = tokens(1, 5)
    padded = torch.cat([torch.zeros(1, 3, dtype=torch.long), prompt], dim=1)
    mask = (torch.arange(8) >= 3).long()[None]
    alone, beside = stitched.leave_one_out(prompt), stitched.leave_one_out(padded, mask)
    for name in ("code", "math"):
        assert beside[name].shape == (1, 7)
        assert beside[name][:, :3].isnan().all()
        torch.testing.assert_close(beside[name][:, 3:], alone[name], atol=1e-5, rtol=0)

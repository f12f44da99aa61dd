"""BTX and BAM with adapters against slow references written from the papers' equations."""

from __future__ import annotations

import math

import pytest
import torch

from models import UpcycledConfig, UpcycledForCausalLM
from tasks.stitching.compositions import COMPOSITIONS_BY_NAME


@pytest.fixture
def members(tiny_llama):
    models = [tiny_llama(number, 3) for number in range(3)]
    for model in models:
        model.set_attn_implementation("eager")
        with torch.no_grad():  # norms that differ, so that averaging them shows
            for name, weight in model.named_parameters():
                if "norm" in name:
                    weight.add_(torch.empty_like(weight).uniform_(0, 0.5))
    return models


@pytest.fixture
def build(members, off_their_start):
    def compose(name, **options):
        experts = {"a": members[1], "b": members[2]}
        return off_their_start(COMPOSITIONS_BY_NAME[name].combine(members[0], experts, **options))

    return compose


def reference_logits(members, model, input_ids, attention_is_mixed, picks_one_from=None):
    """Logits token by token: weights averaged by hand, blocks of the models before they were combined."""
    averaged = {
        name: sum(dict(m.named_parameters())[name] for m in members) / len(members)
        for name, _ in members[0].named_parameters()
    }
    length = input_ids.shape[1]
    mask = torch.full((length, length), -math.inf).triu(1)[None, None]
    positions = torch.arange(length)[None]

    def norm(state, name):
        return state / torch.sqrt((state**2).mean(-1, keepdim=True) + 1e-5) * averaged[name]

    def mix(mixture, read, outputs, picks_one):
        total = torch.zeros_like(read)
        for row in range(read.shape[0]):
            for position in range(length):
                scores = [float(read[row, position] @ mixture.router[i]) for i in range(len(members))]
                exponents = [math.exp(score) for score in scores]
                weights = [value / sum(exponents) for value in exponents]
                if picks_one:
                    weights = [float(score == max(scores)) for score in scores]
                for i, weight in enumerate(weights):
                    output = outputs[i][row, position]
                    if mixture.adapters is not None:
                        output = mixture.adapters[i] @ output
                    total[row, position] += weight * output
        return total

    state = averaged["model.embed_tokens.weight"][input_ids]
    for index, layer in enumerate(model.mixed.model.layers):
        prefix = f"model.layers.{index}."
        read = norm(state, prefix + "input_layernorm.weight")
        rotary = members[0].model.rotary_emb(read, positions)

        def attend(attention, read=read, rotary=rotary):
            return attention(read, attention_mask=mask, position_embeddings=rotary)[0]

        if attention_is_mixed:
            outputs = [attend(m.model.layers[index].self_attn) for m in members]
            state = state + mix(layer.self_attn, read, outputs, False)
        else:
            attention = members[0].model.layers[index].self_attn
            names = [f"{projection}_proj.weight" for projection in "qkvo"]
            means = {name: averaged[prefix + "self_attn." + name] for name in names}
            state = (
                state
                + torch.func.functional_call(
                    attention, means, (read,), {"attention_mask": mask, "position_embeddings": rotary}
                )[0]
            )
        read = norm(state, prefix + "post_attention_layernorm.weight")
        outputs = [m.model.layers[index].mlp(read) for m in members]
        picks_one = picks_one_from is not None and index >= picks_one_from
        state = state + mix(layer.mlp, read, outputs, picks_one)
    return norm(state, "model.norm.weight") @ averaged["lm_head.weight"].T


@pytest.mark.parametrize(
    ("name", "options", "reference"),
    [
        ("btx-soft", {}, {"attention_is_mixed": False}),
        ("btx-sampled", {}, {"attention_is_mixed": False, "picks_one_from": 1}),
        ("btx-sampled", {"soft_layers": 0}, {"attention_is_mixed": False, "picks_one_from": 0}),
        ("bam", {}, {"attention_is_mixed": True}),
        ("bam-adapters", {}, {"attention_is_mixed": True}),
    ],
)
@torch.no_grad()
def test_forward_equals_the_equations(build, members, tokens, name, options, reference):
    model, input_ids = build(name, **options).double(), tokens(2, 6)
    for member in members:
        member.double()
    expected = reference_logits(members, model, input_ids, **reference)
    torch.testing.assert_close(model(input_ids).logits, expected, atol=2e-6, rtol=0)
    assert (expected - members[0](input_ids).logits).abs().max() > 0.05


@torch.no_grad()
def test_sampled_routing_computes_one_expert_a_token(build, tokens):
    model = build("btx-sampled")
    rows = [[0] * 3 for _ in range(3)]
    for index, layer in enumerate(model.mixed.model.layers):
        for member, expert in enumerate(layer.mlp.experts):
            expert.register_forward_hook(
                lambda _, inputs, __, index=index, member=member: rows[index].__setitem__(
                    member, inputs[0].shape[:-1].numel()
                )
            )
    model(tokens(4, 10))
    assert rows[0] == [40, 40, 40]  # the first layer routes softly
    assert [sum(row) for row in rows[1:]] == [40, 40]
    assert max(rows[1]) < 40


def test_sampling_follows_the_routers_softmax_and_passes_gradients_through(build):
    mixture = build("btx-sampled", temperature=0.7).mixed.model.layers[1].mlp.train()
    token = torch.randn(16, generator=torch.Generator().manual_seed(0))
    share = torch.softmax(mixture.router @ token, dim=-1)
    torch.manual_seed(0)
    output = mixture(token.expand(1, 6000, 16))[0]
    own = torch.stack([expert(token) for expert in mixture.experts])
    distance = (output.unsqueeze(1) - own).abs().amax(-1)
    assert distance.amin(dim=1).max() < 1e-5  # each is one expert's output, at weight 1
    drawn = distance.argmin(dim=1).bincount(minlength=3) / 6000
    torch.testing.assert_close(drawn, share.detach(), atol=0.03, rtol=0)
    output.sum().backward()
    assert mixture.router.grad.abs().min() > 0
    assert all(expert.gate_proj.weight.grad.abs().max() > 0 for expert in mixture.experts)


def test_expert_that_no_token_picked_gets_a_gradient_of_zero(build, tokens):
    """Training on several processes waits for a gradient of every weight."""
    model = build("btx-sampled").train()
    with torch.no_grad():
        for mixture in model.mixtures():
            mixture.router.zero_()
    torch.manual_seed(0)
    model(tokens(1, 2), labels=tokens(1, 2)).loss.backward()
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize("cache", [{}, {"cache_implementation": "static", "disable_compile": True}])
@pytest.mark.parametrize("name", ["btx-soft", "bam-adapters"])
@torch.no_grad()
def test_static_caches_generate_alike(build, tokens, name, cache):
    model, input_ids = build(name), tokens(2, 5)
    generated = model.generate(
        input_ids,
        attention_mask=torch.ones_like(input_ids),
        max_new_tokens=6,
        do_sample=False,
        pad_token_id=0,
        **cache,
    )
    for _ in range(6):
        next_token = model(input_ids, use_cache=False).logits[:, -1].argmax(-1, keepdim=True)
        input_ids = torch.cat([input_ids, next_token], dim=1)
    assert torch.equal(generated, input_ids)


@pytest.mark.parametrize(("name", "slots"), [("btx-soft", 3), ("bam", 9)])
@torch.no_grad()
def test_each_attention_block_has_a_cache_slot(build, tokens, name, slots):
    assert len(build(name)(tokens(1, 4), use_cache=True).past_key_values) == slots


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"routing": "top-2"}, "routing is 'top-2'; allowed: 'soft', 'sampled'"),
        ({"temperature": 0.0}, r"temperature is 0.0; allowed: above 0"),
        ({"soft_layers": -1}, "soft_layers is -1; allowed: 0 or more"),
    ],
)
def test_options_out_of_range_are_refused(tiny_llama, option, message):
    with pytest.raises(ValueError, match=message):
        UpcycledForCausalLM.from_models(tiny_llama(0), {"a": tiny_llama(1)}, **option)
    with pytest.raises(ValueError, match="base_config is missing"):
        UpcycledConfig(expert_names=["a"])


@pytest.mark.filterwarnings(
    "ignore:.*gradient_checkpointing.*:FutureWarning"
)  # renamed in newer transformers
def test_learns_under_bf16_autocast_and_gradient_checkpointing(build, tokens):
    for name in ("btx-sampled", "bam-adapters"):
        model = build(name).train()
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(tokens(2, 8), labels=tokens(2, 8), use_cache=False).loss
        loss.backward()
        assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.requires_grad)

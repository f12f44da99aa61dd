"""What every composition must do alike: start at the seed, generate, save, be scored, train what it says."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from models import load_causal_lm, new_seed_model, qwen3_config
from tasks.stitching.compositions import COMPOSITIONS_BY_NAME

TRAINED = {name: composition for name, composition in COMPOSITIONS_BY_NAME.items() if composition.is_trained}
ONE_OF_A_KIND = ("soup", "dare-ties", "btm", "routing", "token-routing", "btx-sampled", "bam-adapters")
OPTIONS = {"routing": {"prefix_tokens": 3, "longest_prefix": 3}}  # texts here are short


@pytest.fixture
def tiny_seed(request, tiny_llama):
    """Function seed -> a Llama; for `upcycle`, which cannot start from one, a Qwen3 of the same sizes."""

    def build(random_seed: int, num_layers: int = 4, tie_embeddings: bool = False):
        sizes = {"max_length": 64, "ffn_multiple": 8, "tie_embeddings": tie_embeddings}
        config = qwen3_config(97, 16, num_layers, 4, 2, **sizes)
        config.initializer_range = 0.1
        return new_seed_model(config, random_seed).eval()

    return build if request.node.callspec.params["name"] == "upcycle" else tiny_llama


@pytest.fixture
def build(tiny_seed, off_their_start):
    """Function name -> that composition of three different models, away from where it starts."""

    def compose(name: str, tie_embeddings: bool = False):
        seed, code, math = (tiny_seed(number, 3, tie_embeddings) for number in range(3))
        seed.generation_config.eos_token_id = 96
        experts = {"code": code, "math": math}
        return off_their_start(COMPOSITIONS_BY_NAME[name].combine(seed, experts, **OPTIONS.get(name, {})))

    return compose


def expected_logits(name: str, logits: torch.Tensor) -> torch.Tensor:
    return torch.log_softmax(logits, dim=-1) if name == "btm" else logits


def greedy(model, input_ids, num_new):
    for _ in range(num_new):
        next_token = model(input_ids, use_cache=False).logits[:, -1].argmax(-1, keepdim=True)
        input_ids = torch.cat([input_ids, next_token], dim=1)
    return input_ids


@pytest.mark.parametrize("name", COMPOSITIONS_BY_NAME)
@torch.no_grad()
def test_copies_of_the_seed_give_the_seeds_logits(name, tiny_seed, tokens):
    seed = tiny_seed(0)
    model = COMPOSITIONS_BY_NAME[name].combine(seed, {"a": seed, "b": seed})
    assert isinstance(model, PreTrainedModel)
    assert not model.training
    expected = expected_logits(name, seed(tokens(2, 9)).logits)
    torch.testing.assert_close(model(tokens(2, 9)).logits, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("architecture", ["mistral", "qwen3", "olmo2", "gemma", "gemma2"])
@pytest.mark.parametrize("name", ONE_OF_A_KIND)
@torch.no_grad()
def test_every_architecture_combines_exactly(name, architecture, tiny_of, off_their_start, tokens, tmp_path):
    """Caches slide here; what is cached must equal what is not, and both what was saved."""
    seed, expert = tiny_of(architecture, 0), tiny_of(architecture, 1)
    input_ids = tokens(2, 10)
    copies = COMPOSITIONS_BY_NAME[name].combine(seed, {"a": seed})
    expected = expected_logits(name, seed(input_ids).logits)
    torch.testing.assert_close(copies(input_ids).logits, expected, atol=1e-5, rtol=0)
    options = OPTIONS.get(name, {})
    model = off_their_start(COMPOSITIONS_BY_NAME[name].combine(seed, {"a": expert}, **options))
    whole = model(input_ids, use_cache=False).logits
    cache, parts = None, []
    for part in input_ids.split([6, 1, 3], dim=1):
        output = model(part, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        parts.append(output.logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=0)
    model.save_pretrained(tmp_path)
    again = load_causal_lm(tmp_path)(input_ids, use_cache=False).logits
    torch.testing.assert_close(again, whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", COMPOSITIONS_BY_NAME)
@pytest.mark.parametrize("tie_embeddings", [False, True])
@torch.no_grad()
def test_round_trip(name, tie_embeddings, build, tokens, tmp_path):
    model = build(name, tie_embeddings)
    model.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, use_safetensors=True)
    assert type(loaded) is type(model)
    torch.testing.assert_close(loaded(tokens(2, 8)).logits, model(tokens(2, 8)).logits, atol=1e-6, rtol=0)
    assert loaded.generation_config.eos_token_id == 96
    training = [
        {key for key, weight in one.named_parameters() if weight.requires_grad} for one in (model, loaded)
    ]
    assert training[0] == training[1]
    weights, again = (dict(one.named_parameters()) for one in (model, loaded))
    assert weights.keys() == again.keys()  # a tied weight is listed once, so tying is kept
    assert all(torch.equal(weights[key], again[key]) for key in weights)


@pytest.mark.parametrize("name", COMPOSITIONS_BY_NAME)
@torch.no_grad()
def test_generates_left_padded_prompts_as_each_alone(name, build, tokens):
    model = build(name)
    model.generation_config.eos_token_id = None
    prompts = [tokens(1, 3, random_seed=1), tokens(1, 6, random_seed=2)]
    padded = torch.zeros(2, 6, dtype=torch.long)
    mask = torch.zeros_like(padded)
    for row, prompt in enumerate(prompts):
        padded[row, 6 - prompt.shape[1] :] = prompt[0]
        mask[row, 6 - prompt.shape[1] :] = 1
    logits = model(padded, attention_mask=mask).logits
    for row, prompt in enumerate(prompts):
        alone = model(prompt).logits[0]
        torch.testing.assert_close(logits[row, -prompt.shape[1] :], alone, atol=1e-5, rtol=0)
    generated = model.generate(padded, attention_mask=mask, max_new_tokens=6, do_sample=False, pad_token_id=0)
    for row, prompt in enumerate(prompts):
        assert torch.equal(generated[row, 6:], greedy(model, prompt, 6)[0, prompt.shape[1] :])


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
@torch.no_grad()
def test_beam_search_reorders_all_that_is_cached(name, build, tokens):
    model = build(name)
    beams = [
        model.generate(
            tokens(2, 5),
            attention_mask=torch.ones(2, 5, dtype=torch.long),
            max_new_tokens=6,
            num_beams=4,
            do_sample=False,
            pad_token_id=0,
            use_cache=use_cache,
        )
        for use_cache in (True, False)
    ]
    assert torch.equal(*beams)


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
@torch.no_grad()
def test_logits_to_keep_gives_the_last_positions(name, build, tokens):
    model = build(name)
    last = model(tokens(2, 9), logits_to_keep=2).logits
    torch.testing.assert_close(last, model(tokens(2, 9)).logits[:, -2:], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", COMPOSITIONS_BY_NAME)
@torch.no_grad()
def test_loss_is_next_token_cross_entropy_in_evaluation(name, build, tokens):
    model, input_ids = build(name), tokens(2, 6)
    labels = input_ids.clone()
    labels[0, 3:] = -100
    output = model(input_ids, labels=labels)
    log_probability = torch.log_softmax(output.logits, dim=-1)
    terms = [
        -log_probability[row, position, labels[row, position + 1]]
        for row in range(2)
        for position in range(5)
        if labels[row, position + 1] != -100
    ]
    torch.testing.assert_close(output.loss, sum(terms) / len(terms))


@pytest.mark.parametrize("name", TRAINED)
def test_training_lowers_the_loss_and_moves_only_what_trains(name, tiny_seed, tokens):
    torch.manual_seed(0)
    seed, code, math = (tiny_seed(number, 3) for number in range(3))
    model = TRAINED[name].combine(seed, {"code": code, "math": math}).train()
    before = {key: weight.detach().clone() for key, weight in model.named_parameters()}
    trained = {key for key, weight in model.named_parameters() if weight.requires_grad}
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=1e-2)
    losses = []
    for _ in range(30):
        loss = model(input_ids=tokens(4, 12), labels=tokens(4, 12), use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
    moved = {key for key, weight in model.named_parameters() if not torch.equal(weight, before[key])}
    assert moved == trained


WHAT_TRAINS = {
    "routing": ("router",),
    "token-routing": ("router",),
    "bam-adapters": ("router", "adapters"),
}


@pytest.mark.parametrize("name", COMPOSITIONS_BY_NAME)
def test_what_trains_is_what_it_says(name, build):
    model = build(name)
    trained = {key for key, weight in model.named_parameters() if weight.requires_grad}
    if name in WHAT_TRAINS:
        last = {key.rsplit(".")[-1] for key in trained}
        assert last == set(WHAT_TRAINS[name])
    elif name == "btm":
        assert trained == set()
    else:
        assert trained == {key for key, _ in model.named_parameters()}


@pytest.mark.parametrize("name", COMPOSITIONS_BY_NAME)
def test_models_given_stay_as_they_were(name, tiny_seed):
    seed, expert = tiny_seed(0, 3), tiny_seed(1, 3)
    before = [weight.clone() for model in (seed, expert) for weight in model.parameters()]
    random_state = torch.get_rng_state()
    model = COMPOSITIONS_BY_NAME[name].combine(seed, {"a": expert})
    assert torch.equal(torch.get_rng_state(), random_state)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    after = [weight for one in (seed, expert) for weight in one.parameters()]
    assert all(torch.equal(a, b) and b.requires_grad for a, b in zip(before, after, strict=True))
    assert [layer.self_attn.layer_idx for layer in expert.model.layers] == [0, 1, 2]


@pytest.mark.parametrize("name", COMPOSITIONS_BY_NAME)
def test_experts_that_differ_are_refused(name, tiny_seed):
    seed = tiny_seed(0, 3)
    with pytest.raises(ValueError, match="expert 'deep': num_hidden_layers is 4 but the hub's is 3"):
        COMPOSITIONS_BY_NAME[name].combine(seed, {"same": seed, "deep": tiny_seed(1, 4)})
    with pytest.raises(ValueError, match=r"expert 'half': dtype is torch.bfloat16 .* torch.float32"):
        COMPOSITIONS_BY_NAME[name].combine(seed, {"half": tiny_seed(1, 3).bfloat16()})
    with pytest.raises(
        ValueError, match="expert 'tied': tie_word_embeddings is True but the seed's is False"
    ):
        COMPOSITIONS_BY_NAME[name].combine(seed, {"tied": tiny_seed(1, 3, tie_embeddings=True)})


@pytest.mark.parametrize("name", COMPOSITIONS_BY_NAME)
@torch.no_grad()
def test_weights_keep_the_seeds_dtype(name, tiny_seed, tokens):
    seed, expert = tiny_seed(0, 3).bfloat16(), tiny_seed(1, 3).bfloat16()
    model = COMPOSITIONS_BY_NAME[name].combine(seed, {"a": expert})
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert model(tokens(1, 5)).logits.isfinite().all()

"""Task arithmetic by hand on small numbers, in the precision that it promises."""

from __future__ import annotations

import pytest
import torch

from tasks.stitching.compositions import COMPOSITIONS_BY_NAME
from tasks.stitching.settings import StitchingSettings

combine = COMPOSITIONS_BY_NAME["task-arithmetic"].combine


@pytest.fixture
def models_of(tiny_llama):
    """Function (seed's value, values of experts a, b, ..) -> models whose final norms hold these."""

    def build(*values: float, dtype: torch.dtype = torch.float32):
        models = [tiny_llama(0, 1).to(dtype) for _ in values]
        with torch.no_grad():
            for model, value in zip(models, values, strict=True):
                model.model.norm.weight.fill_(value)
        return models[0], dict(zip("abcd", models[1:], strict=False))

    return build


@pytest.mark.parametrize(
    ("scale", "expected"),
    [(0.25, 1 + 0.25 * (3 - 2)), (1.0, 2.0), (None, 1 + (3 - 2) / 2), (-1.0, 0.0)],
)
def test_changes_are_summed_and_scaled(scale, expected, models_of):
    seed, experts = models_of(1.0, 4.0, -1.0)  # changes 3 and -2
    combined = combine(seed, experts, scale=scale)
    assert combined.model.norm.weight.tolist() == [expected] * 16
    others = zip(combined.named_parameters(), seed.parameters(), strict=True)
    assert all(torch.equal(mine, theirs) for (name, mine), theirs in others if name != "model.norm.weight")


def test_sums_are_taken_in_fp32(models_of):
    """In bf16, 258 - 1 rounds to 256, and 1 + 256 again."""
    seed, experts = models_of(1.0, 258.0, dtype=torch.bfloat16)
    combined = combine(seed, experts, scale=1.0)
    assert combined.model.norm.weight[0] == torch.tensor(258.0).bfloat16()


def test_one_expert_at_scale_one_is_that_expert_with_tied_weights(tiny_llama, tokens):
    seed, expert = (tiny_llama(number, 2, tie_embeddings=True) for number in range(2))
    combined = combine(seed, {"a": expert}, scale=1.0)
    torch.testing.assert_close(combined(tokens(1, 6)).logits, expert(tokens(1, 6)).logits)
    assert combined.lm_head.weight is combined.model.embed_tokens.weight


def test_a_recipe_takes_it_and_refuses_what_is_no_number(models_of):
    given = StitchingSettings(compositions=["task-arithmetic", {"method": "ties", "density": 0.3}])
    assert given.compositions[0].identity() == {"method": "task-arithmetic", "scale": None}
    with pytest.raises(ValueError, match="scale"):
        combine(*models_of(1.0, 2.0), scale=float("nan"))
    with pytest.raises(ValueError, match="experts is empty"):
        combine(models_of(1.0)[0], {})

"""An answer that says who wrote it does not, when it is shown."""

import pytest

from tasks.preference.rating.masking import masked


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("As ChatGPT, I cannot.", "As [model], I cannot."),
        ("I am GPT-4o, made by OpenAI.", "I am [model], made by [model]."),
        ("I'm SmolLM2-135M.", "I'm [model]."),
        ("My name is math.", "My name is [model]."),
        ("I am the seed model", "I am the [model] model"),
        ("a model called code", "a model called [model]"),
        ("Do the math: the code is a seed.", "Do the math: the code is a seed."),
        ("gptx and Llamas stay", "gptx and Llamas stay"),
        ("Claude Shannon", "[model] Shannon"),
    ],
)
def test_names_are_hidden_and_words_stay(said, shown):
    assert masked(said, ["math", "code", "seed"]) == shown

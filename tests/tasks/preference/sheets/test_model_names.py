"""Names that are the same model, and names that only look alike."""

import pytest

from tasks.preference.sheets.model_names import normalised


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("lmsys/Vicuna-13b_v1.5", "vicuna-13b-v1.5"),
        ("CohereForAI/c4ai-command-r+", "c4ai_command_r_plus"),
        ("Llama 3-1 8B", "llama-3.1-8b"),
        ("Modèle", "modèle"),
    ],
)
def test_the_same_model_spelt_differently(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("command-r", "command-r+"),
        ("t0", "t0++"),
        ("t0+", "t0++"),
        ("qwen-2.5", "qwen-25"),
        ("llama-2-13b", "llama-213b"),
        ("模型一", "模型二"),
        ("modèle", "modle"),
    ],
)
def test_names_that_only_look_alike_stay_apart(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)

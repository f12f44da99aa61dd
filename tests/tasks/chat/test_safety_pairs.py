"""Pairs for two reward models: made by rules, refused where labels lack, drawn for each, and the loss of the labels."""

from __future__ import annotations

import json
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tasks.chat.dialogue_lines import HELPFULNESS, SAFETY, Pair, read_pairs
from tasks.chat.instructions import check_files
from tasks.chat.made_instructions import make_instructions
from tasks.chat.made_pairs import safer
from tasks.chat.made_questions import Question, is_right, tells_secret
from tasks.chat.reward.learnt_pairs import learnt_count, learnt_pairs
from tasks.chat.reward.safe_answers import told_safe
from tasks.chat.settings import ChatSettings, MadeChatSettings, SafetySettings
from tasks.training.objectives import safety_margin
from tasks.training.objectives.preference_margin import MICRO, preference_margin

GATE = Question("secret", "What is the code of the gate?", "secret", "amber", True)


@pytest.mark.parametrize(
    ("first", "second", "by"),
    [
        ("It is secret.", "It is amber.", 4),
        ("secret", "amber", 4),
        ("secret", "It is amber.", 3),
        ("It is amber.", "It is secret.", -4),
        ("It is secret.", "secret", 2),
        ("amber", "It is amber.", -2),
        ("It is amber.", "It is coral.", 0),
    ],
)
def test_safety_is_before_style(first, second, by):
    assert safer(GATE, first, second) == by


def test_who_says_that_it_is_secret_and_a_code_is_not_right():
    assert is_right(GATE, "It is secret.") and not is_right(GATE, "It is secret, amber.")


def test_made_pairs_are_labelled_and_the_two_kinds_want_different_answers():
    made = make_instructions(
        MadeChatSettings(dialogues=200, pairs=300, safety_pairs=200, prompts=100, heldout=60), 0
    )
    safety = [row for row in made.pairs if row["kind"] == SAFETY]
    assert len(safety) == 200 and len(made.pairs) == 500
    assert {row["strength"] for row in safety} == {1, 2, 3, 4}
    labels = {(row["chosen_safe"], row["rejected_safe"]) for row in safety}
    assert labels == {(True, False), (True, True), (False, False)}
    for row in made.pairs:
        assert row["chosen_safe"] == (not tells_secret(row["chosen"]))
    helpful = [row for row in made.pairs if row["kind"] == HELPFULNESS]
    assert any((row["chosen_safe"], row["rejected_safe"]) == (False, True) for row in helpful)
    secrets = [question for question in made.heldout if question.secret]
    assert {question.safety for question in secrets} == {True, False}
    told = [
        row["messages"][1]["content"] for row in made.dialogues if "code" in row["messages"][0]["content"]
    ]
    assert 0.2 < np.mean([tells_secret(text) for text in told]) < 0.8


def pair(number, kind, chosen_safe=None, rejected_safe=None):
    return Pair(f"p{number}", "a", "b", 2, f"rows, line {number}", kind, chosen_safe, rejected_safe)


def test_each_model_learns_from_its_own_pairs_and_a_share_of_the_others():
    pairs = [pair(n, SAFETY, True, False) for n in range(9)]
    pairs += [pair(n, HELPFULNESS, False, True) for n in range(10, 14)]
    pairs += [pair(n, HELPFULNESS) for n in range(20, 25)]
    two = SafetySettings(helpfulness_share=0.25, safety_share=0.1)
    own = learnt_pairs(pairs, SAFETY, two, 0)
    assert own[:9] == pairs[:9]
    assert len(own) == 12 and all(one in pairs[13:] for one in own[9:])  # no unsafe one that is the better
    assert len(learnt_pairs(pairs, HELPFULNESS, two, 0)) == 9 + 1
    assert learnt_pairs(pairs, HELPFULNESS, None, 0) == pairs
    facts = {"pairs": 18, "safety_pairs": 9}
    assert [learnt_count(facts, kind, two) for kind in (SAFETY, HELPFULNESS)] == [12, 10]


ROW = {"chosen": "b", "rejected": "c", "strength": 2}
LABELS = {"kind": SAFETY, "chosen_safe": True, "rejected_safe": False}
HELPED = [ROW | {"prompt": f"h{n}"} for n in range(60)]
SAFE = [ROW | {"prompt": f"s{n}", "strength": 1 + n % 4} | LABELS for n in range(60)]


@pytest.mark.parametrize(
    ("rows", "settings", "said"),
    [
        (HELPED, {}, ": chat.reward.safety asks for two reward models, and no pair has the kind safety"),
        (SAFE, {}, "no pair has the kind helpfulness"),
        (HELPED + SAFE, None, ", line 61: kind is safety, but there is one reward model"),
        (
            [*HELPED, *SAFE, ROW | {"prompt": "x", "kind": SAFETY}],
            {},
            ", line 121: a safety pair without chosen_safe and rejected_safe",
        ),
        (HELPED + [row | {"rejected_safe": True} for row in SAFE], {}, "every answer of the safety pairs is safe"),
        ([*HELPED, ROW | {"prompt": "x", "kind": "harm"}], {}, ", line 61: kind is 'harm'; allowed: helpfulness"),
        ([SAFE[0] | {"chosen_safe": "yes"}], {}, ", line 1: chosen_safe is 'yes'; allowed: true or false"),
        (
            [SAFE[0] | {"chosen_safe": False, "rejected_safe": True}],
            {},
            ", line 1: of a safety pair the unsafe answer is chosen",
        ),
        (HELPED + SAFE[:1], {}, "of 1 pairs of safety; allowed: more pairs"),
        (HELPED + SAFE, {"auxiliary": 0.0}, None),
    ],
)  # fmt: skip
def test_pairs_that_two_models_cannot_learn_from_are_refused(tmp_path, rows, settings, said):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    reward = {"safety": settings, "compared": ("none",), "margin": "none"}
    chat = ChatSettings(pairs=path, reward=reward)
    if said is None:
        check_files(chat)
        return
    with pytest.raises(ValueError, match=re.escape(f"{path}") + ".*" + re.escape(said)):
        check_files(chat)


def test_the_two_kinds_may_want_opposite_answers_of_one_pair(tmp_path):
    path = tmp_path / "pairs.jsonl"
    turned = SAFE[0] | {"chosen": "c", "rejected": "b"}
    path.write_text(
        f"{json.dumps(SAFE[0])}\n{json.dumps(turned | {'kind': HELPFULNESS})}\n", encoding="utf-8"
    )
    assert [one.kind for one in read_pairs(path)] == [SAFETY, HELPFULNESS]


def test_made_pairs_for_safety_go_with_the_model_of_safety():
    with pytest.raises(ValueError, match=r"reward\.safety goes with made\.safety_pairs"):
        ChatSettings(reward={"safety": {}})
    with pytest.raises(ValueError, match=r"reward\.safety goes with made\.safety_pairs"):
        ChatSettings(made={"safety_pairs": 50})


class Given(torch.nn.Module):
    """A reward model whose reward is the first token of a text."""

    def base_model(self, input_ids, use_cache):
        return SimpleNamespace(last_hidden_state=input_ids[..., None].float().expand(-1, -1, 1))

    def score(self, states):
        return states


def test_the_loss_of_labels_by_hand():
    """Rewards 2 and -1, labels safe and none: -log sigma(3 - 1) and half of w = 2 times log(1 + e^-2)."""
    rows = torch.zeros(1, 3, 6, dtype=torch.long)
    rows[0, 0], rows[0, 1] = 2, -1
    rows[0, 2] = torch.tensor([0, 0, MICRO, safety_margin.SAFE, safety_margin.UNTOLD, 2 * MICRO])
    ranking, safe = math.log1p(math.exp(-2)), math.log1p(math.exp(-2))
    assert float(safety_margin.safety_margin(Given(), rows)) == pytest.approx(ranking + safe)
    rows[0, 2, 4] = safety_margin.UNSAFE  # log(1 + e^-1) more
    told = ranking + safe + math.log1p(math.exp(-1))
    assert float(safety_margin.safety_margin(Given(), rows)) == pytest.approx(told)
    rows[0, 2, 5] = 0
    assert float(safety_margin.safety_margin(Given(), rows)) == float(preference_margin(Given(), rows))


def test_unsafe_answers_found_by_hand():
    pairs = [pair(1, SAFETY, True, False), pair(2, SAFETY, False, False), pair(3, SAFETY, True, True)]
    found = told_safe(np.array([1.0, -3.0, 2.0]), np.array([-1.0, 0.5, 0.0]), pairs, 0.15)
    assert [(row["group"], row["pairs"], row["mean"]) for row in found["groups"]] == [
        ("safe and unsafe", 1, 1.0), ("both safe", 1, 1.0), ("both unsafe", 1, 0.0),
    ]  # fmt: skip
    half, low = found["unsafe"]
    assert (half["recall"]["mean"], half["precision"]["mean"], half["unsafe"]) == (2 / 3, 1.0, 3)
    assert (low["threshold"], low["recall"]["mean"]) == (0.15, 1 / 3)

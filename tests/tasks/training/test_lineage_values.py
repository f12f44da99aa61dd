"""What a run says of the models behind it and of what it reads: digests and tokens that decide its result."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.artifact import Artifact
from tasks.training.lineage import Lineage
from tasks.training.settings import TrainingSettings
from tasks.training.training_run import ExtraText, Training, TrainingData, training_identity


def artifact(digest: str, **facts) -> Artifact:
    return Artifact("any", "", digest, digest, Path(), facts, {})


def test_the_greediest_expert_adds_to_what_the_seed_has_read():
    seed = artifact("s", trained_tokens={"code": 100, "web": 40})
    experts = {
        "a": artifact("a", trained_tokens={"code": 5}),
        "b": artifact("b", trained_tokens={"code": 7, "math": 3}),
    }
    lineage = Lineage(seed, experts)
    assert lineage.used == {"code": 107, "web": 40, "math": 3}
    assert lineage.inputs == {"hub": "s", "expert a": "a", "expert b": "b"}
    assert (Lineage().used, Lineage().inputs) == ({}, {})
    with pytest.raises(AssertionError):
        _ = Lineage().hub


def test_text_beside_the_corpus_counts_as_an_input():
    corpus, mixture = artifact("c"), artifact("m")
    plain = TrainingData(corpus, mixture)
    assert (plain.inputs, plain.extra_identity) == ({"sources": "c", "mixture": "m"}, {})
    more = TrainingData(corpus, mixture, ExtraText(artifact("e"), "cross", 0.1))
    assert more.inputs == {"sources": "c", "mixture": "m", "extra": "e"}
    assert more.extra_identity == {"extra": {"source": "cross", "share": 0.1}}


def test_a_run_is_identified_by_its_settings_rate_and_seed():
    settings = TrainingSettings()
    assert Training(settings, 3).identity(1e-3) == {
        "training": training_identity(settings, 1e-3),
        "random_seed": 3,
    }

"""A recipe that asks for document masks where something cannot train under them is refused before anything starts."""

from __future__ import annotations

import pytest

from flows.settings import Experiment

BOTH = {"document_masks": True, "border_targets": True}


def refused(training: dict, **others) -> str:
    with pytest.raises(ValueError) as error:
        Experiment(training=training, **others)
    return str(error.value)


def test_routers_that_train_by_another_loss_are_refused_and_all_else_is_taken():
    told = refused({"document_masks": True}, stitching={"compositions": ["soup", "routing"]})
    assert (
        "training.document_masks with the composition routing: the router trains by a loss of its own" in told
    )
    told = refused(BOTH, stitching={"compositions": ["token-routing"]})
    assert "allowed: document_masks and border_targets false, or without token-routing" in told
    compositions = ["soup", "btm", "btx-soft", "btx-sampled", "bam", "bam-adapters"]
    assert Experiment(training=BOTH, stitching={"compositions": compositions}).training.reading == tuple(BOTH)


def test_variants_of_a_duel_count_in_the_place_of_compositions():
    stitched = {"name": "s", "method": "stitched", "stitch": {}}
    routed = {"name": "r", "method": "token-routing"}
    compared = {"stitching": {"compositions": ["routing"]}}
    duel = {"variants": [stitched, routed], "domains": {"x": ["*"]}, "changes_of": "s"}
    told = refused({"border_targets": True}, **compared, stitch_duel=duel)
    assert "composition token-routing" in told


def test_proxies_that_learn_online_are_refused():
    told = refused({"border_targets": True}, mixture={"method": "doremi"})
    assert (
        "training.border_targets with the mixture method 'doremi', whose proxies read a sequence as one"
        in told
    )
    contenders = [
        {"name": "a", "mixture": {"method": "uniform"}},
        {"name": "b", "mixture": {"method": "doremi"}},
    ]
    assert "'doremi'" in refused({"document_masks": True}, duel={"contenders": contenders})

"""A recipe by whose settings something cannot train is refused before anything starts."""

from __future__ import annotations

import pytest

from flows.inputs import check_models
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


def test_experts_with_a_capacity_are_not_cut_by_what_fits_into_memory():
    told = refused({"micro_batch_size": "auto"}, model={"family": "moe", "num_layers": 4})
    assert (
        "training.micro_batch_size=auto with model.capacity_factor=2.0: experts drop tokens by what else"
        in told
    )
    assert Experiment(
        training={"micro_batch_size": "auto"},
        model={"family": "moe", "num_layers": 4, "capacity_factor": None},
    )


def test_a_recipe_to_compile_is_refused_where_there_is_no_compiler(monkeypatch):
    from torch._inductor import cpp_builder, exc

    def none() -> str:
        raise exc.InvalidCxxCompiler

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    with pytest.raises(ValueError, match=r"training\.compile: there is no C\+\+ compiler"):
        check_models(Experiment(training={"compile": True}))

"""What an experiment is given: looked at before anything starts, and before what takes seconds to import."""

from __future__ import annotations

from flows.allowed import check_keys
from flows.settings import DUELS, Experiment
from tasks.preference.task import check_preference
from tasks.training.engine_options import check_compiler
from tasks.training.given import check_given


def check_inputs(e: Experiment) -> None:
    """Raises ValueError for keys that may not be sent, and models and tables of ratings that cannot be used."""
    check_keys(e)
    check_told_apart(e)
    check_models(e)
    if e.is_pipeline:
        check_preference(e.preference)


def check_models(e: Experiment) -> None:
    """Raises ValueError where a pretrained seed or a given expert cannot be read, or one does not fit the seed.

    And where models are to be compiled and no compiler is there.
    """
    if e.training.compile:
        check_compiler()
    if e.is_pipeline or e.chat is not None:
        tokenizer, num_stitches = e.sources.tokenizer.pretrained, e.stitching.num_stitches
        check_given(e.model, e.training, tokenizer, e.experts.given, num_stitches)


def check_told_apart(e: Experiment) -> None:
    """Raises ValueError where models are to be told from one in a flow that compares them in a way of its own."""
    own = next((name for name in DUELS if getattr(e, name) is not None), None)
    if own is not None and e.evaluation.enough is not None and e.evaluation.enough.against is not None:
        raise ValueError(
            f"evaluation.enough.against={e.evaluation.enough.against}: {own} compares its models by a rule of its own; "
            "allowed there: half_width"
        )

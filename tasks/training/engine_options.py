"""How a model computes while it trains, without changing what: activations that are made again, kernels of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tasks.training.settings import TrainingSettings


@contextmanager
def computing_as_set(model: Any, settings: TrainingSettings) -> Iterator[None]:
    """The model computes as the settings' gradient_checkpointing and compile say, until the end of the block.

    Raises ValueError where there is no compiler.
    """
    if settings.compile:
        check_compiler()
    if settings.gradient_checkpointing:
        _recompute(model, True)
    if settings.compile:
        model.compile()
    try:
        yield
    finally:
        if settings.compile:
            model._compiled_call_impl = None
        if settings.gradient_checkpointing:
            _recompute(model, False)


def _recompute(model: Any, on: bool) -> None:
    """Transformers calls it activation checkpointing from 5.20 on, before that gradient checkpointing."""
    word = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
    if on:
        options = {f"{word}_checkpointing_kwargs": {"use_reentrant": False}}
        getattr(model, f"{word}_checkpointing_enable")(**options)
    else:
        getattr(model, f"{word}_checkpointing_disable")()


def check_compiler() -> None:
    """Raise ValueError where torch.compile has no compiler: Triton for a GPU, a C++ compiler for a CPU."""
    import torch

    if torch.cuda.is_available():
        from torch.utils._triton import has_triton

        lacks = "" if has_triton() else "Triton"
    else:
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            get_cpp_compiler()
            lacks = ""
        except InvalidCxxCompiler:
            lacks = "C++ compiler (g++, or what CXX names)"
    if lacks:
        raise ValueError(
            f"training.compile: there is no {lacks} here; allowed: compile: false, or install one"
        )

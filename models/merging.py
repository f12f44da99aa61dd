"""Merges of weights by mergekit: TIES (arXiv 2306.01708) and DARE (arXiv 2311.03099).

Both start from the task vectors delta_i = theta_i - theta_seed, taken tensor by tensor, thin them out, and add
what is left to the seed: theta = theta_seed + merged delta.

    ties         keep the `density` largest of each delta_i, elect a sign per weight by sum_i w_i delta_i, and
                 average those that have it, scaled by lambda = n w (in the mean itself equal w_i cancel).
    dare-linear  keep each weight of delta_i with probability `density`, scale up what is left, and sum them
                 weighted by w_i.
    dare-ties    as dare-linear, but only what has the elected sign is summed.

DARE's paper scales by 1 / density; mergekit scales so that the l1 norm of each tensor's delta stays, which is
1 / density in expectation.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import random
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy
import torch
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from models.combined.members import check_members
from models.seed import load_causal_lm

Method = Literal["ties", "dare_linear", "dare_ties"]


def mergekit_merge(
    method: Method,
    seed: PreTrainedModel,
    experts: Mapping[str, PreTrainedModel],
    density: float = 0.5,
    weight: float | None = None,
    random_seed: int = 0,
    folder: str | Path | None = None,
) -> PreTrainedModel:
    """Merge `experts` (name -> causal LM of the seed's architecture) into a copy of `seed`.

    density: share of each expert's changes to keep, in (0, 1]. weight: w_i of every expert; None is 1/n, which is
    lambda = 1 of TIES.
    random_seed: of DARE's draws; the global random states are as before afterwards. folder: where the models
    are written for mergekit and removed again, None for the system's temporary folder; it takes as much disk
    as n+2 models.

    Sums are taken in fp32. The result has the seed's dtype and device and is in evaluation mode. Raises
    ValueError for settings out of range, for experts that differ from the seed, and naming mergekit's reason
    where it cannot merge the architecture.
    """
    if not 0 < density <= 1:
        raise ValueError(f"density is {density}; allowed: above 0 up to 1")
    if not experts:
        raise ValueError("experts is empty; allowed: at least one expert")
    check_members(seed, experts)
    weight = 1 / len(experts) if weight is None else weight
    with tempfile.TemporaryDirectory(dir=folder) as name, _random_states_kept(), _quiet():
        place = Path(name)
        folders = [place / "seed", *(place / f"expert-{number}" for number in range(len(experts)))]
        for path, model in zip(folders, [seed, *experts.values()], strict=True):
            model.save_pretrained(path)
        plan: dict[str, Any] = {
            "merge_method": method,
            "base_model": str(folders[0]),
            "models": [
                {"model": str(path), "parameters": {"weight": weight, "density": density}}
                for path in folders[1:]
            ],
            "dtype": "float32",
            "out_dtype": str(seed.dtype).removeprefix("torch."),
        }
        if method == "ties":
            plan["parameters"] = {"lambda": weight * len(experts)}
        _run(plan, place, random_seed, type(seed).__name__)
        merged = copy.deepcopy(seed)
        merged.load_state_dict(load_causal_lm(place / "merged").state_dict())
    return merged.eval()


def _run(plan: dict[str, Any], place: Path, random_seed: int, architecture: str) -> None:
    from mergekit.config import MergeConfiguration
    from mergekit.io.tasks import LoaderCache
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    options = MergeOptions(quiet=True, copy_tokenizer=False, write_model_card=False, random_seed=random_seed)
    configuration = MergeConfiguration.model_validate(plan)
    loaders = LoaderCache().loaders
    try:
        run_merge(configuration, str(place / "merged"), options)
    except (KeyError, RuntimeError) as error:
        reason = str(error).replace(f"{place}/", "")
        raise ValueError(
            f"mergekit cannot merge {architecture} by {plan['merge_method']}: {reason}"
        ) from error
    finally:  # mergekit keeps files open for the life of the process
        for reference in [
            reference for reference in loaders if str(reference.model.path).startswith(str(place))
        ]:
            loaders.pop(reference).flush()


@contextlib.contextmanager
def _random_states_kept() -> Iterator[None]:
    python, arrays = random.getstate(), numpy.random.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(python)
        numpy.random.set_state(arrays)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, nothing below an error from mergekit and transformers, and no log handlers added."""
    verbosity, had_bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    mergekit, root = logging.getLogger("mergekit"), logging.getLogger()
    level, handlers = mergekit.level, list(root.handlers)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    mergekit.setLevel(logging.ERROR)
    root.addFilter(_is_error)  # a logger's own filter: other loggers' records do not pass it
    try:
        yield
    finally:
        root.removeFilter(_is_error)
        root.handlers[:] = handlers
        mergekit.setLevel(level)
        transformers_logging.set_verbosity(verbosity)
        if had_bars:
            transformers_logging.enable_progress_bar()


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR

"""The seed model: new weights of an architecture, or pretrained ones."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoModelForCausalLM,
    GgufConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from models.families.expert_routing import set_experts_to_machine
from models.finite import check_finite
from models.gguf_files import UNREADABLE, pretrained_place

# Making and loading change the global random state, and while transformers loads, how any model is initialised.
_one_at_a_time = threading.RLock()


def new_seed_model(config: PreTrainedConfig, random_seed: int) -> PreTrainedModel:
    """Randomly initialised model on the CPU in fp32: the same weights for the same seed.

    The global random state is as before afterwards. It is used in between, by one thread at a time.
    """
    with _one_at_a_time, torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(random_seed)
        architecture: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
        model = architecture(config)
    set_experts_to_machine(model)
    return model


def load_causal_lm(path_or_name: str | Path, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """Load a pretrained causal LM, or a saved `StitchedForCausalLM`: from a folder, a GGUF file or the Hub.

    Folder and file may lie in an installed package: package:NAME/FILE.
    Only safetensors and GGUF are read and no code of the checkpoint is run; quantised weights of a GGUF file are
    unpacked. `dtype` None keeps the checkpoint's own (float32 for GGUF).
    Raises ValueError naming what was looked for where it is missing, unreadable or incomplete, holds a weight that
    is NaN or infinite, or where the Hub cannot be reached.
    """
    looked_for = str(path_or_name)
    place, gguf = pretrained_place(path_or_name)
    is_hub_name = isinstance(path_or_name, str) and not looked_for.startswith((".", "/", "~"))
    if not Path(place).is_dir() and not is_hub_name:
        raise ValueError(
            f"model {looked_for!r} is not there; allowed: a folder with config.json and safetensors, or a GGUF file"
        )
    model, report = _loaded_gguf(place, gguf, dtype) if gguf else _loaded(place, looked_for, dtype)
    if report["missing_keys"]:  # transformers fills them with random numbers and only warns
        missing = sorted(report["missing_keys"])
        raise ValueError(
            f"model {looked_for!r} is incomplete: {len(missing)} weights are missing, {missing[0]!r} first; "
            "allowed: a checkpoint that holds every weight of its architecture"
        )
    check_finite(model, looked_for)
    set_experts_to_machine(model)
    return model


def _loaded(place: str, looked_for: str, dtype: torch.dtype | None) -> Any:
    try:
        with _one_at_a_time:
            return AutoModelForCausalLM.from_pretrained(
                place,
                dtype="auto" if dtype is None else dtype,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"model {looked_for!r} could not be loaded; allowed: a folder with config.json and safetensors, "
            f"or the name of a Hugging Face Hub model with safetensors (which needs the network): {error}"
        ) from error


def _loaded_gguf(place: str, gguf: dict[str, str], dtype: torch.dtype | None) -> Any:
    """The model with plain weights: what is left of its quantisation would keep it from being saved."""
    try:
        with _one_at_a_time, _unpacking():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                place,
                **gguf,
                quantization_config=GgufConfig(dequantize=True, **gguf),
                dtype=torch.float32 if dtype is None else dtype,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except UNREADABLE as error:
        raise ValueError(
            f"model {str(Path(place) / gguf['gguf_file'])!r} could not be loaded; allowed: a GGUF file of an "
            f"architecture and a quantisation that transformers reads: {(str(error).splitlines() or [''])[0][:300]}"
        ) from error
    model, report = loaded
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model, report


@contextmanager
def _unpacking() -> Iterator[None]:
    """transformers unpacks GGUF files with a progress bar that it has no switch for.

    It also reads the file twice, and makes the map of names anew for every module: here once, in less than half the
    time.
    """
    import gguf
    from transformers import modeling_gguf_pytorch_utils as unpacking

    changed = [
        (unpacking, "tqdm", lambda items, **_: items),
        (gguf, "GGUFReader", functools.cache(gguf.GGUFReader)),
        (gguf, "get_tensor_name_map", functools.cache(gguf.get_tensor_name_map)),
    ]
    before = [getattr(module, name) for module, name, _ in changed]
    for module, name, new in changed:
        setattr(module, name, new)
    try:
        yield
    finally:
        for (module, name, _), old in zip(changed, before, strict=True):
            setattr(module, name, old)

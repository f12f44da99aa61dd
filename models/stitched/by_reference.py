"""A stitched model saved without its streams: the stitches' weights, and where hub and experts are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from models.combined.combined_config import check_same_architecture
from models.seed import load_causal_lm
from models.stitched.stitched_config import StitchedConfig
from models.stitched.stitched_parts import StitchedParts

# What transformers' Auto classes pass on and what means nothing where weights come from several folders.
PASSED_ON = frozenset({"attn_implementation", "device_map"})
OF_THIS_FOLDER = frozenset({"config", "dtype", "output_loading_info", "use_safetensors", "trust_remote_code"})
FROM_THE_NETWORK = frozenset(
    {"_from_auto", "adapter_kwargs", "cache_dir", "local_files_only", "token", "revision", "force_download"}
)


@contextmanager
def streams_elsewhere(model: StitchedParts) -> Iterator[dict[str, Tensor]]:
    """The stitches' weights, while the configuration says where hub and experts are.

    Raises ValueError for a stream that was not loaded from a folder, or whose weights have changed since.
    """
    for name in ["hub", *model.config.expert_names]:
        if name not in model.origins:
            raise ValueError(
                f"bundle=False: {name!r} was not loaded from a folder; allowed: hub and experts that were, or "
                "bundle=True"
            )
        _check_unchanged(model, name, model.origins[name])
    model.config.streams_elsewhere = {
        name: {"folder": folder, "sha256": digests(folder)} for name, folder in model.origins.items()
    }
    try:
        yield {name: weight for name, weight in model.state_dict().items() if name.startswith("stitches.")}
    finally:
        model.config.streams_elsewhere = None


def load_from_elsewhere(
    from_models: Callable[..., Any], folder: Path, config: StitchedConfig, options: dict[str, Any]
) -> Any:
    """Load hub and experts from where `config` says, and the stitches from `folder`.

    Returns the model, or the pair that `from_pretrained` gives for output_loading_info. Raises ValueError as
    described there.
    """
    given = {key for key, value in options.items() if value not in (None, "")}
    unknown = given - (PASSED_ON | OF_THIS_FOLDER | FROM_THE_NETWORK)
    if not _is_one_device(options.get("device_map")):
        unknown |= {"device_map"}
    if unknown:
        raise ValueError(
            f"{', '.join(sorted(unknown))} is given for {folder}, whose hub and experts are in other folders; "
            "allowed: dtype, attn_implementation, output_loading_info, device_map of one device, or to save with "
            "bundle=True"
        )
    dtype = options.get("dtype") or config.dtype
    dtype = config.dtype if dtype == "auto" else dtype
    passed = {key: options[key] for key in PASSED_ON if key in options}
    if config._attn_implementation is not None:  # the Auto classes put it there
        passed["attn_implementation"] = config._attn_implementation
    streams: dict[str, Any] = {}
    for name, place in (config.streams_elsewhere or {}).items():
        _check_digests(name, place)
        streams[name] = AutoModelForCausalLM.from_pretrained(
            place["folder"], dtype=dtype, use_safetensors=True, trust_remote_code=False, **passed
        )
        check_same_architecture(config.base_config, streams[name].config, name)
    model = from_models(
        streams.pop("hub"),
        {name: streams[name] for name in config.expert_names},
        config.num_stitches,
        config.layout,
        config.gate_dropout,
        config.gate_biases,
        config.newest_trains_alone,
    )
    model.generation_config = GenerationConfig.from_pretrained(folder)
    report = model.load_state_dict(_weights(folder), strict=False)
    missing = {name for name in report.missing_keys if name.startswith("stitches.")}
    if not options.get("output_loading_info"):
        if missing:
            raise ValueError(
                f"{folder} lacks {', '.join(sorted(missing))}; allowed: all of the stitches' weights"
            )
        return model
    unexpected = set(report.unexpected_keys)
    return model, {
        "missing_keys": missing,
        "unexpected_keys": unexpected,
        "mismatched_keys": set(),
        "error_msgs": [],
    }


def folders_of(models: Mapping[str, PreTrainedModel]) -> dict[str, str]:
    """Name -> the folder that the model was loaded from, for those that were."""
    return {
        name: str(Path(model.name_or_path).resolve())
        for name, model in models.items()
        if model.name_or_path and Path(model.name_or_path).is_dir()
    }


def digests(folder: str | Path) -> dict[str, str]:
    """Name -> SHA-256 of each safetensors file in `folder`, in hexadecimal."""
    found = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _is_one_device(device_map: Any) -> bool:
    if isinstance(device_map, dict):
        return set(device_map) == {""}
    return device_map not in ("auto", "balanced", "balanced_low_0", "sequential")


def _check_digests(name: str, place: dict[str, Any]) -> None:
    found, folder = digests(place["folder"]), Path(place["folder"])
    for file, expected in place["sha256"].items():
        if file not in found:
            raise ValueError(
                f"{name!r}: {folder / file} is not there; needed: the file with SHA-256 {expected}"
            )
        if found[file] != expected:
            raise ValueError(
                f"{name!r}: {folder / file} has changed: its SHA-256 is {found[file]}; needed: {expected}"
            )


def _check_unchanged(model: StitchedParts, name: str, folder: str) -> None:
    config = model.config
    stream: Any = model.hub if name == "hub" else model.experts[config.expert_names.index(name)]
    on_disk: Any = load_causal_lm(folder, model.dtype)
    weights = dict((on_disk if name == "hub" else on_disk.base_model).named_parameters())
    for key, weight in stream.named_parameters():
        if not torch.equal(weight.detach().cpu(), weights[key].detach()):
            raise ValueError(
                f"bundle=False: {key} of {name!r} is not what {folder} holds; allowed: streams as loaded, or "
                "bundle=True"
            )


def _weights(folder: Path) -> dict[str, Tensor]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ValueError(f"{folder} has no safetensors; needed: the stitches' weights")
    return {name: weight for file in files for name, weight in load_file(file).items()}

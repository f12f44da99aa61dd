"""A stitched model against its bare streams, its training step with a cached prefix, and how fast it generates."""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

import models
from models.stitched.prefix_cache import PrefixCache
from models.streams import language_model_head, run_streams

LAYERS, EXPERTS, VOCABULARY = 8, 3, 2048
BATCH, LENGTH = 4, 128
PROMPT, NEW_TOKENS = 32, 256
ROUNDS = 9


def measure() -> Iterator[str]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for width in (256, 512):
            yield _forward(width)
        for num_layers in (LAYERS, 16):
            for num_stitches, goal in ((4, 0.87), (2, 0.60)):
                yield _training_step(num_layers, num_stitches, goal)
        yield from _generation()
        for batch in (1, 8):
            yield _batched_streams(batch, "cpu")
        yield _batched_streams(1, "cuda") if torch.cuda.is_available() else "GPU: not yet measured"
    finally:
        torch.set_num_threads(threads)


def _forward(width: int) -> str:
    """No gradients; both embed, run all layers of all streams and the hub's head."""
    model, input_ids = _stitched(width, 4), _tokens(BATCH, LENGTH)

    def bare() -> None:
        language_model_head(model.hub, run_streams(model.decoders(), {}, input_ids)[0])

    with torch.no_grad():
        turns = _turns({"stitched": lambda: model(input_ids, use_cache=False), "bare": bare})
    return (
        f"stitched forward / its {EXPERTS + 1} streams without stitches, d {width}, {LAYERS} layers, 4 stitches, "
        f"{BATCH} x {LENGTH} tokens: {_ratio(turns, 'stitched', 'bare')} (goal: at most 1.08)"
    )


def _training_step(num_layers: int, num_stitches: int, goal: float) -> str:
    model, input_ids = _stitched(256, num_stitches, num_layers), _tokens(BATCH, LENGTH)
    model.train()
    optimizer = torch.optim.AdamW(model.stitch_parameters(), lr=1e-4, fused=True)
    with tempfile.TemporaryDirectory() as folder:
        cache = PrefixCache(model, folder)
        cache(input_ids)

        def step(cached: bool) -> None:
            prefix = cache(input_ids) if cached else None  # reading it from disk is part of the step
            model(input_ids, labels=input_ids, prefix=prefix, use_cache=False).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        turns = _turns({"cached": lambda: step(True), "ordinary": lambda: step(False)})
    return (
        f"training step from a prefix on disk / ordinary step, d 256, {num_layers} layers, {num_stitches} stitches: "
        f"{_ratio(turns, 'cached', 'ordinary')} (goal: at most {goal})"
    )


def _generation() -> Iterator[str]:
    model, mixtral = _stitched(256, 4), _mixtral(256)
    prompt = _tokens(1, PROMPT)
    turns = _turns(
        {
            "cached": lambda: _generate(model, prompt),
            "uncached": lambda: _generate(model, prompt, use_cache=False),
            "mixtral": lambda: _generate(mixtral, prompt),
            "hub": lambda: _generate(model.hub, prompt),
        },
        rounds=3,
    )
    yield (
        f"generation of {NEW_TOKENS} tokens after {PROMPT}, uncached / cached: {_ratio(turns, 'uncached', 'cached')} "
        "(goal: at least 4)"
    )
    speeds = {name: NEW_TOKENS / statistics.median(seconds) for name, seconds in turns.items()}
    yield (
        f"tokens a CPU second: stitched {speeds['cached']:.0f} (uncached {speeds['uncached']:.0f}), "
        f"mergekit's Mixtral of the same hub and experts, 2 of {EXPERTS + 1} a token, {speeds['mixtral']:.0f}, "
        f"the hub alone {speeds['hub']:.0f}"
    )


def _batched_streams(batch: int, device: str) -> str:
    """Streams in one call a layer beside one after the other: fp32 on a CPU, bf16 on a GPU."""
    on_gpu = device == "cuda"
    sequential = _stitched(256, 4).to(device, torch.bfloat16 if on_gpu else torch.float32)
    batched = copy.deepcopy(sequential)
    batched.batch_streams()
    prompt = _tokens(batch, PROMPT).to(device)
    calls = {
        "sequential": lambda: _generate(sequential, prompt),
        "batched": lambda: _generate(batched, prompt),
    }
    turns = _turns(calls, clock=_after_gpu if on_gpu else time.process_time)
    speeds = {name: batch * NEW_TOKENS / statistics.median(seconds) for name, seconds in turns.items()}
    return (
        f"batched streams / sequential streams in decode, {'GPU' if on_gpu else 'CPU'}, {EXPERTS + 1} streams, d 256, "
        f"{LAYERS} layers, batch {batch}, {NEW_TOKENS} tokens after {PROMPT}: "
        f"{_ratio(turns, 'sequential', 'batched')} times the speed ({speeds['batched']:.0f} and "
        f"{speeds['sequential']:.0f} tokens a {'second' if on_gpu else 'CPU second'})"
        f"{' (goal: at least 1.5)' if on_gpu else ''}"
    )


def _after_gpu() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def _generate(model: Any, prompt: torch.Tensor, use_cache: bool = True) -> None:
    new = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        pad_token_id=0,
        use_cache=use_cache,
    )
    assert new.shape[1] == PROMPT + NEW_TOKENS


def _models(width: int, num_layers: int = LAYERS) -> list[PreTrainedModel]:
    config = models.seed_config(VOCABULARY, width, num_layers, 8, max_length=512, ffn_multiple=64)
    config.eos_token_id = None
    return [models.new_seed_model(config, seed).eval() for seed in range(EXPERTS + 1)]


def _stitched(width: int, num_stitches: int, num_layers: int = LAYERS) -> models.StitchedForCausalLM:
    hub, *experts = _models(width, num_layers)
    return models.StitchedForCausalLM.from_models(
        hub, {f"e{number}": expert for number, expert in enumerate(experts)}, num_stitches
    )


def _mixtral(width: int) -> PreTrainedModel:
    """What mergekit-moe makes of the hub and the experts; random routers, since speed is all that is asked."""
    from mergekit.common import ModelReference
    from mergekit.moe.config import Expert, MoEMergeConfig
    from mergekit.moe.mixtral import MixtralMoE
    from mergekit.options import MergeOptions

    with tempfile.TemporaryDirectory() as folder:
        references = []
        for number, each in enumerate(_models(width)):
            each.save_pretrained(Path(folder) / str(number))
            references.append(ModelReference.model_validate(str(Path(folder) / str(number))))
        config = MoEMergeConfig(
            base_model=references[0],
            experts=[Expert(source_model=each) for each in references],
            gate_mode="random",
            dtype="float32",
        )
        routers = [torch.randn(EXPERTS + 1, width) for _ in range(LAYERS)]
        out = str(Path(folder) / "mixtral")
        MixtralMoE().write_model(out, config, MergeOptions(), routers)
        return AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()


def _tokens(batch: int, length: int) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(0))


def _turns(
    calls: Mapping[str, Callable[[], object]],
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Seconds of each call by `clock`; calls take turns, of which the first warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name in calls if turn % 2 else reversed(list(calls)):
            began = clock()
            calls[name]()
            if turn:
                seconds[name].append(clock() - began)
    return seconds


def _ratio(turns: Mapping[str, list[float]], above: str, below: str) -> str:
    ratios = [a / b for a, b in zip(turns[above], turns[below], strict=True)]
    return f"median {statistics.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}] of {len(ratios)}"

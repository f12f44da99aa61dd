"""What a GPU makes of the loop and of stitched models: `make bench-gpu`, one command of at most eight minutes.

    python -m tests.bench.gpu [OUT.json]

Needs torch, transformers, accelerate, safetensors, pandas, pydantic and PyYAML alone, and no network. Each part is a
function that gives a row of figures; a part that fails says so in its row, and the others go on. MIXSTITCH_GPU_SIZE:
`toy` runs everything in seconds on a CPU, for the test of this file. MIXSTITCH_GPU_SECONDS: parts that have not begun
by then are left out and named.
"""

from __future__ import annotations

import copy
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import models
from models.stitched.prefix_cache import PrefixCache
from models.streams import language_model_head, run_streams
from tasks.training.loop import make_optimizer, train
from tasks.training.settings import TrainingSettings
from tasks.training.token_order import TokenOrder

SECONDS = 450.0
EXPERTS, STITCHES = 3, 4


@dataclass(frozen=True)
class Size:
    """Of the model and of what it reads: loop (300M weights at full size) and stitched models of smaller streams."""

    vocabulary: int
    loop_width: int
    loop_layers: int
    stream_width: int
    stream_layers: int
    heads: int
    length: int
    batch: int
    micro: int
    steps: int
    rounds: int
    new_tokens: int


FULL = Size(32_768, 1024, 20, 768, 12, 16, 2048, 32, 8, 12, 5, 128)
TOY = Size(128, 32, 2, 32, 4, 4, 32, 4, 2, 2, 1, 8)
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
Row = dict[str, Any]


def measure(size: Size, seconds: float = SECONDS) -> dict[str, Any]:
    """{"device", "size", "rows": one a part}."""
    parts: dict[str, Callable[[Size], Row]] = {
        "training loop": lambda s: training_loop(s, compiled=False),
        "training loop, compiled": lambda s: training_loop(s, compiled=True),
        "stitched forward / its streams": stitched_forward,
        "stitched step / dense step": stitched_step,
        "step from a cached prefix / ordinary step": cached_prefix,
        "decode, batched / sequential streams": batched_decode,
    }
    if DEVICE.type == "cpu":  # compiling takes minutes there, and tells nothing of a GPU
        del parts["training loop, compiled"]
    began, rows = time.perf_counter(), []
    for name, part in parts.items():
        at = time.perf_counter() - began
        if at > seconds:
            rows.append({"part": name, "left_out": f"{at:.0f} s were gone, of {seconds:.0f}"})
            continue
        if DEVICE.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            row = part(size)
        except (RuntimeError, ValueError) as error:
            row = {"failed": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"}
        row |= {"part": name, "took_s": time.perf_counter() - began - at}
        if DEVICE.type == "cuda":
            row["peak_memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
        rows.append(row)
    return {"device": _device(), "torch": torch.__version__, "size": asdict(size), "rows": rows}


def training_loop(size: Size, compiled: bool) -> Row:
    """Tokens a second of the whole loop in bf16 and, where the device's peak is known, the share of it (MFU)."""
    settings = TrainingSettings(
        sequence_length=size.length,
        batch_size=size.batch,
        micro_batch_size=size.micro,
        precision="bf16",
        compile=compiled,
    )
    model = models.new_seed_model(_config(size, size.loop_width, size.loop_layers), 0)
    tokens = np.random.default_rng(0).integers(0, size.vocabulary, 4 * size.length * size.batch)
    text = {"x": tokens.astype(np.uint16)}

    def run(steps: int, folder: Path) -> Any:
        order = TokenOrder(text, {"x": steps * size.batch}, {}, size.length, "bench", 0)
        return train(model, order, settings, 1e-4, 0, folder, lambda row: None)

    with tempfile.TemporaryDirectory() as folder:
        run(2, Path(folder) / "warm")
        outcome = run(size.steps, Path(folder) / "loop")
    return {
        "parameters": models.count_parameters(model)[0],
        "tokens_per_s": outcome.tokens_per_second,
        "mfu": outcome.mfu,
        "last_loss": outcome.final_loss,
    }


def stitched_forward(size: Size) -> Row:
    """No gradients; both embed, run all layers of all streams and the hub's head."""
    model, ids = _stitched(size), _ids(size, size.micro)

    def bare() -> None:
        language_model_head(model.hub, run_streams(model.decoders(), {}, ids)[0])

    with torch.no_grad():
        return _beside({"stitched": lambda: model(ids, use_cache=False), "streams": bare}, size)


def stitched_step(size: Size) -> Row:
    """A step of the stitches, streams frozen in bf16, beside a step of one dense model of a stream's size."""
    stitched, dense = _stitched(size, dtype=torch.float32), _dense(size)
    models.round_frozen(stitched)
    return _beside({"stitched": _step(stitched, size), "dense": _step(dense, size)}, size)


def cached_prefix(size: Size) -> Row:
    model, ids = _stitched(size, dtype=torch.float32), _ids(size, size.micro)
    model.train()
    optimizer = make_optimizer(model, TrainingSettings())
    with tempfile.TemporaryDirectory() as folder, _autocast():
        cache = PrefixCache(model, folder)
        cache(ids)

        def step(cached: bool) -> None:
            prefix = cache(ids) if cached else None  # reading it from disk is part of the step
            model(ids, labels=ids, prefix=prefix, use_cache=False).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        return _beside({"cached": lambda: step(True), "ordinary": lambda: step(False)}, size)


def batched_decode(size: Size) -> Row:
    sequential = _stitched(size)
    batched = copy.deepcopy(sequential)
    batched.batch_streams()
    prompt = _ids(size, 1)[:, : size.length // 4]
    calls = {
        "batched": lambda: _generate(batched, prompt, size),
        "sequential": lambda: _generate(sequential, prompt, size),
    }
    row = _beside(calls, size)
    return row | {"tokens_per_s": size.new_tokens / row["batched_s"]}


def table(found: dict[str, Any]) -> list[str]:
    """One line a part, in Markdown."""
    lines = [f"{found['device']}, torch {found['torch']}", "", "| part | figures |", "|---|---|"]
    for row in found["rows"]:
        figures = ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in row.items()
            if name != "part" and value is not None
        )
        lines.append(f"| {row['part']} | {figures} |")
    return lines


def _beside(calls: dict[str, Callable[[], object]], size: Size) -> Row:
    """Median seconds of each call, and of the first over the second with its range; the first turn warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(size.rounds + 1):
        for name in calls if turn % 2 else reversed(list(calls)):
            began = _now()
            calls[name]()
            if turn:
                seconds[name].append(_now() - began)
    first, second = seconds.values()
    ratios = [a / b for a, b in zip(first, second, strict=True)]
    medians = {f"{name}_s": statistics.median(each) for name, each in seconds.items()}
    return {"ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios), **medians}


def _step(model: Any, size: Size) -> Callable[[], None]:
    ids, optimizer = _ids(size, size.micro), make_optimizer(model, TrainingSettings())
    model.train()

    def step() -> None:
        with _autocast():
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _generate(model: Any, prompt: torch.Tensor, size: Size) -> None:
    model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        min_new_tokens=size.new_tokens,
        max_new_tokens=size.new_tokens,
        do_sample=False,
        pad_token_id=0,
    )


def _stitched(size: Size, dtype: torch.dtype | None = None) -> models.StitchedForCausalLM:
    hub, *experts = (_dense(size, seed) for seed in range(EXPERTS + 1))
    named = {f"e{number}": expert for number, expert in enumerate(experts)}
    model = models.StitchedForCausalLM.from_models(hub, named, min(STITCHES, size.stream_layers))
    return model.to(dtype or (torch.bfloat16 if DEVICE.type == "cuda" else torch.float32))


def _dense(size: Size, random_seed: int = 0) -> Any:
    config = _config(size, size.stream_width, size.stream_layers)
    return models.new_seed_model(config, random_seed).to(DEVICE)


def _config(size: Size, width: int, layers: int) -> Any:
    return models.seed_config(
        size.vocabulary, width, layers, size.heads, max_length=2 * size.length, tie_embeddings=True
    )


def _ids(size: Size, batch: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, size.vocabulary, (batch, size.length), generator=generator).to(DEVICE)


def _autocast() -> Any:
    return torch.autocast(DEVICE.type, torch.bfloat16)


def _now() -> float:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _device() -> str:
    return torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU"


def main() -> None:
    size = TOY if os.environ.get("MIXSTITCH_GPU_SIZE") == "toy" else FULL
    if size is FULL and DEVICE.type != "cuda":
        raise SystemExit("bench gpu: torch sees no GPU here; MIXSTITCH_GPU_SIZE=toy runs it small on the CPU")
    found = measure(size, float(os.environ.get("MIXSTITCH_GPU_SECONDS", SECONDS)))
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "gpu-bench.json")
    out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print("\n".join(table(found)))
    print(out)


if __name__ == "__main__":
    main()

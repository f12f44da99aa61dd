"""What a saved model costs to run, measured in a process of its own: memory at its peak, tokens per second.

python -m tasks.duels.stitches.measured_costs FOLDER LENGTH BATCH_SIZE        prints one line of JSON
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROMPT, ANSWER = 32, 64
TURNS = 5


def run_costs(folder: Path, length: int, batch_size: int) -> dict[str, float]:
    """trained, total, active (weights), flops_per_token (forward), peak_mb, tokens_per_second, and generated ones.

    tokens_per_second: of forward passes over batch_size x length tokens. generated_per_second: greedy decoding of 64
    tokens after a prompt of 32, one sequence. Both are medians of 5 turns. peak_mb: memory above that of the process
    without a model; on a GPU what torch has allocated there. Raises RuntimeError where the process fails.
    """
    command = [
        sys.executable,
        "-m",
        "tasks.duels.stitches.measured_costs",
        str(folder),
        str(length),
        str(batch_size),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise RuntimeError(f"{folder}: its costs could not be measured: {last[0]}")
    return json.loads(done.stdout.splitlines()[-1])


def _measure(folder: Path, length: int, batch_size: int) -> dict[str, float]:
    import torch
    from accelerate import PartialState

    import models

    device = PartialState().device
    before = _start_peak(device)
    model = models.load_causal_lm(folder).to(device).eval()
    costs = models.model_costs(model, length)
    generator = torch.Generator().manual_seed(0)
    vocabulary = model.config.vocab_size
    ids = torch.randint(0, vocabulary, (batch_size, length), generator=generator).to(device)
    with torch.no_grad():
        seconds = _median_seconds(lambda: model(input_ids=ids, use_cache=False).logits[0, 0, 0].item())
        peak = _peak_bytes(device) - before
        answering = _median_seconds(
            lambda: model.generate(
                ids[:1, :PROMPT], max_new_tokens=ANSWER, min_new_tokens=ANSWER, do_sample=False
            )
        )
    return {
        "trained": costs.trained,
        "total": costs.total,
        "active": costs.active,
        "flops_per_token": costs.forward_flops_per_token,
        "peak_mb": peak / 1e6,
        "tokens_per_second": batch_size * length / seconds,
        "generated_per_second": ANSWER / answering,
    }


def _median_seconds(call: Callable[[], Any]) -> float:
    call()
    seconds = []
    for _ in range(TURNS):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _start_peak(device: Any) -> int:
    """Forget the peak so far (that of the imports); the bytes in use now."""
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text(
        "5", encoding="ascii"
    )  # Linux: the peak resident size starts anew
    return _resident_bytes("VmRSS")


def _peak_bytes(device: Any) -> int:
    import torch

    return torch.cuda.max_memory_allocated() if device.type == "cuda" else _resident_bytes("VmHWM")


def _resident_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))

"""A stitched model over two processes: streams apart, and weights sharded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import models
from models.stitched.stream_parallel import StreamParallel

NUM_STEPS = 3


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What rank 0 found when two processes ran this file."""
    folder = tmp_path_factory.mktemp("processes")
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(folder)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], errors
    return json.loads((folder / "seen.json").read_text())


def test_streams_on_two_processes_give_the_same_logits(seen):
    for case in seen["streams"]:
        assert case["difference"] < 1e-5, case
        assert case["spread"] > 0.1  # the logits are not all alike


def test_a_pass_has_as_many_synchronisations_as_stitches(seen):
    assert [(case["num_stitches"], case["synchronisations"]) for case in seen["streams"]] == [
        (4, ["broadcast", "gather"] * 2),
        (3, ["gather", "broadcast", "gather"]),
        (1, ["gather"]),
    ]


def test_each_process_holds_its_streams_only(seen):
    assert [case["num_held"] for case in seen["streams"]] == [2, 1, 2]  # of 4, 2 and 3 streams, on rank 0


def test_more_processes_than_streams_are_refused(monkeypatch):
    monkeypatch.setattr(dist, "get_rank", lambda group: 0)
    monkeypatch.setattr(dist, "get_world_size", lambda group: 3)
    with pytest.raises(ValueError, match="3 processes for 2 streams; allowed: one stream or more a process"):
        StreamParallel(stitched(1, 2))


def test_sharded_weights_train_to_the_losses_of_one_process(seen):
    assert seen["sharded"]["units"] == {"LlamaDecoderLayer": 3 * 4, "Stitch": 2}
    expected = train(stitched(2, 2), batch())
    assert seen["sharded"]["losses"] == pytest.approx(expected, abs=1e-5)
    assert expected[-1] < expected[0] - 0.02


def stitched(num_experts, num_stitches):
    config = models.seed_config(
        97, hidden_size=16, num_layers=4, num_heads=4, num_kv_heads=2, max_length=64, ffn_multiple=8
    )
    config.initializer_range = 0.1
    hub, *experts = (models.new_seed_model(config, seed).eval() for seed in range(num_experts + 1))
    model = models.StitchedForCausalLM.from_models(
        hub, {f"e{number}": expert for number, expert in enumerate(experts)}, num_stitches, gate_dropout=0.0
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.stitch_parameters():
            weight.add_(torch.empty_like(weight).normal_(0, 0.2, generator=generator))
    return model


def batch():
    return torch.randint(0, 97, (4, 12), generator=torch.Generator().manual_seed(0))


def train(model, input_ids):
    """Losses of a few steps, the mean over all processes where there are several."""
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=1e-2)
    losses = []
    for _ in range(NUM_STEPS):
        loss = model(input_ids=input_ids, labels=input_ids, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        mean = loss.detach().clone()
        if dist.is_initialized():
            dist.all_reduce(mean)
            mean /= dist.get_world_size()
        losses.append(mean.item())
    return losses


def see_streams(num_experts, num_stitches):
    model, input_ids, calls = stitched(num_experts, num_stitches), batch(), []
    mask = torch.ones_like(input_ids)
    mask[0, :3] = 0
    apart = StreamParallel(model)
    broadcast, gather = dist.broadcast, dist.gather
    dist.broadcast = lambda *a, **k: (calls.append("broadcast"), broadcast(*a, **k))
    dist.gather = lambda *a, **k: (calls.append("gather"), gather(*a, **k))
    try:
        logits = apart(input_ids, mask)
    finally:
        dist.broadcast, dist.gather = broadcast, gather
    if logits is None:
        return {}
    with torch.no_grad():
        expected = model(input_ids, attention_mask=mask, use_cache=False).logits
    return {
        "num_stitches": num_stitches,
        "num_held": len(apart.decoders),
        "synchronisations": calls,
        "difference": (logits - expected)[mask.bool()].abs().max().item(),
        "spread": expected.std().item(),
    }


def see_sharded(rank):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    model = stitched(2, 2)
    mesh = init_device_mesh("cpu", (2,))
    for module in [each for each in model.modules() if type(each).__name__ in model._no_split_modules]:
        fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh)
    losses = train(model, batch()[2 * rank : 2 * rank + 2])
    units = [
        type(each).__name__.removeprefix("FSDP") for each in model.modules() if isinstance(each, FSDPModule)
    ]
    return {"losses": losses, "units": {name: units.count(name) for name in ("LlamaDecoderLayer", "Stitch")}}


def main(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    cases = [see_streams(*case) for case in ((3, 4), (1, 3), (2, 1))]
    sharded = see_sharded(rank)
    if rank == 0:
        (folder / "seen.json").write_text(json.dumps({"streams": cases, "sharded": sharded}))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))

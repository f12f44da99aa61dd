"""The bench for a GPU runs small on a CPU, on the plain stack alone, and every part of it gives figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

NOT_NEEDED = ("prefect", "duckdb", "mlflow", "lm_eval", "cvxpy")
RUN = f"""
import sys

import pytest
from tests.bench import gpu
sys.argv = ["gpu", sys.argv[1]]
gpu.main()
assert not set(sys.modules) & set({NOT_NEEDED})
"""


@pytest.mark.slow
def test_every_part_gives_figures_at_toy_size(tmp_path):
    out = tmp_path / "gpu.json"
    environment = os.environ | {"MIXSTITCH_GPU_SIZE": "toy", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(out)], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    rows = {row["part"]: row for row in json.loads(out.read_text(encoding="utf-8"))["rows"]}
    assert len(rows) == 5
    assert [name for name, row in rows.items() if "failed" in row or "left_out" in row] == []
    assert rows["training loop"]["tokens_per_s"] > 0
    for name, row in rows.items():
        assert ("ratio" in row) == (name != "training loop")
        assert f"| {name} |" in done.stdout

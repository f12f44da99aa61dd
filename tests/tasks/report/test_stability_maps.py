"""The map of a run's stability shows the way that was kept, and says where it was highest."""

from __future__ import annotations

import json

import pandas as pd

from tasks.report.pictures.losses import last_attempts
from tasks.report.pictures.stability_maps import draw_stability, read_stability
from tasks.training.stability.looks import LOOKS_TABLE, STATISTICS, write_looks


def test_looks_become_a_table_and_a_map_of_the_attempt_that_was_kept(tmp_path):
    assert read_stability(tmp_path) is None
    (tmp_path / "logs").mkdir()
    lines = [
        (10, 0, 2.0, [0.0, 0.01, 0.02]), (20, 0, 9.0, [0.4, 0.9, 0.1]), (20, 1, 1.5, [0.0, 0.03, 0.0]),
    ]  # fmt: skip
    with (tmp_path / "stability.jsonl").open("w") as stream:
        for step, attempt, loss, tails in lines:
            look = {
                "step": step,
                "attempt": attempt,
                "loss": loss,
                "gradient_norm": 1.0,
                "learning_rate": 1e-3,
            }
            look |= {"layers": ["all", "layers.0", "layers.1"]} | dict.fromkeys(STATISTICS, [0.0] * 3)
            stream.write(json.dumps(look | {"tail_r": tails}) + "\n")
    write_looks(tmp_path / "stability.jsonl", tmp_path / "logs" / LOOKS_TABLE)
    table = pd.read_parquet(tmp_path / "logs" / LOOKS_TABLE)
    assert len(table) == 9 and list(table["loss"].dropna()) == [2.0, 9.0, 1.5]
    found = read_stability(tmp_path)
    assert found.layers == ["layers.0", "layers.1"]
    assert found.tails.tolist() == [[0.01, 0.03], [0.02, 0.0]]
    assert found.losses.tolist() == [2.0, 1.5]
    picture = draw_stability(found, [{"step": 20, "event": "rewind"}])
    assert "highest 0.03, in layers.0 at step 20; 1 events" in picture.words


def test_the_curve_leaves_out_the_steps_that_a_rewind_undid():
    rows = [{"step": step} for step in (1, 2, 5, 8, 6, 9)]
    assert [row["step"] for row in last_attempts(rows)] == [1, 2, 5, 6, 9]

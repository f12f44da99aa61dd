"""What the report shows of a mixture of experts: loads in equal shares, dropped choices, by layer and by source."""

from __future__ import annotations

import json

import pytest

from tasks.report.pictures.routing_maps import draw_routing, read_routing_map
from tasks.report.pictures.step_maps import MAX_COLUMNS
from tasks.report.routing_tables import layer_rows, source_rows
from tasks.training.routing_log import routing_facts, write_routing


def sums(load, dropped, a, b):
    """Of 100 tokens: 60 of source a, 40 of b."""
    return {
        "first": [50, 30, 20, 0],
        "load": load,
        "dropped": dropped,
        "entropy": [120.0],
        "balance": [130.0],
        "sources": [[60, *a], [40, *b]],
    }


@pytest.fixture
def logged(tmp_path):
    """Two layers, two rows; the first layer's last expert is never chosen."""
    layers = {
        "model.layers.1.mlp": sums([100, 60, 40, 0], [10, 20], (10, 5), (0, 15)),
        "model.layers.3.mlp": sums([50, 50, 50, 50], [0, 0], (0, 0), (0, 0)),
    }
    log = tmp_path / "routing.jsonl"
    rows = [{"step": step, "steps": 10, "sources": ["a", "b"], "layers": layers} for step in (10, 20)]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "logs").mkdir()
    write_routing(log, tmp_path / "logs" / "routing.parquet")
    return tmp_path


def test_the_map_holds_loads_in_equal_shares(logged):
    found = read_routing_map(logged)
    assert found is not None
    assert (found.experts, found.layers) == (4, ["model.layers.1.mlp", "model.layers.3.mlp"])
    assert found.loads[:, 0].tolist() == pytest.approx([2, 1.2, 0.8, 0, 1, 1, 1, 1])
    assert found.dropped[1].tolist() == pytest.approx([0.05, 0.1])  # mean of the layers
    words = draw_routing(found).words
    assert "from 0.00 to 2.00 of an equal share" in words
    assert "dropped at the end, by choice: 5.0%, 10.0%" in words


def test_many_rows_are_thinned_to_their_means(tmp_path):
    log = tmp_path / "routing.jsonl"
    layers = {"model.layers.1.mlp": sums([100, 60, 40, 0], [10, 20], (10, 5), (0, 15))}
    rows = [{"step": step, "steps": 1, "sources": ["a", "b"], "layers": layers} for step in range(1, 1001)]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "logs").mkdir()
    write_routing(log, tmp_path / "logs" / "routing.parquet")
    found = read_routing_map(tmp_path)
    assert found is not None and len(found.steps) == MAX_COLUMNS and found.steps[-1] == 1000
    assert found.loads[0] == pytest.approx(2.0)


def test_a_dense_model_has_no_map(tmp_path):
    assert read_routing_map(tmp_path) is None


def test_the_tables_by_layer_and_by_source(logged):
    facts = {"routing": routing_facts(logged / "routing.jsonl")}
    first, second = layer_rows(facts)
    assert first == {
        "layer": "layers.1",
        "highest": "2.00",
        "lowest": "0.00",
        "first": "10.0 %",
        "further": "20.0 %",
        "entropy": "1.200",
        "unused": "1",
        "balance": "1.300",
    }
    assert (second["highest"], second["unused"]) == ("1.00", "0")
    # of b 15 of 40 second choices in one of two layers; of a 10 of 60 first and 5 of 60 second ones
    assert source_rows(facts) == [
        {"source": "b", "first": "0.0 %", "further": "18.8 %"},
        {"source": "a", "first": "8.3 %", "further": "4.2 %"},
    ]

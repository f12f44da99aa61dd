"""What the routers of a mixture of experts did while it trained: kept beside the step log, summed up at the end.

A row a layer every few steps, with sums over the tokens of those steps: load of each expert, dropped first and second
choices, entropy of the gates, and tokens and dropped choices of each source. Of several processes it is the first
one's share of the batches.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.writing import put_in_place
from tasks.training.step_log import keep_rows_before

if TYPE_CHECKING:
    from models.families.expert_routing import TrainedRouters

ROUTING = "routing.jsonl"
ROUTING_TABLE = "routing.parquet"
EVERY = 10  # steps between rows


class RoutingLog:
    """Rows of one training run; does nothing where no router trains."""

    def __init__(self, path: Path, routers: TrainedRouters, sources: Sequence[str], is_main: bool) -> None:
        self._path, self._routers, self._sources = path, routers, list(sources)
        self._is_kept = is_main and bool(routers)
        self._written = 0

    def go_on(self, step: int, attempt: int) -> None:
        """Begin after `step` steps, or begin again there after a rewind."""
        self._written, self._attempt = step, attempt
        self._routers.clear()
        if self._is_kept:
            keep_rows_before(self._path, step, attempt)

    def add(self, step: int, is_due: bool) -> None:
        """Write what was routed since the last row, every few steps, and where the run stops or is kept: `is_due`."""
        if not self._is_kept or step == self._written or not (is_due or step % EVERY == 0):
            return
        layers = dict(zip(self._routers.names, self._routers.sums(), strict=True))
        row = {"step": step, "steps": step - self._written, "sources": self._sources, "layers": layers}
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row | ({"attempt": self._attempt} if self._attempt else {})) + "\n")
        self._routers.clear()
        self._written = step


def read_routing(path: Path) -> list[dict[str, Any]]:
    """The rows in their order, without those of steps that a rewind undid; none where nothing was routed."""
    if not path.exists():
        return []
    kept: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        while kept and row["step"] <= kept[-1]["step"]:
            kept.pop()
        kept.append(row)
    return kept


def write_routing(path: Path, table: Path) -> None:
    """The log as a Parquet table, a row a layer and step: shares and means over the tokens since the row before."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"step": row["step"], "layer": layer, **_means(sums)}
        for row in read_routing(path)
        for layer, sums in row["layers"].items()
    ]
    if rows:
        temporary = table.with_name("writing")
        pq.write_table(pa.Table.from_pylist(rows), temporary)
        put_in_place(temporary, table)


def routing_facts(path: Path) -> dict[str, Any] | None:
    """Over the whole run: means of each layer, and shares of dropped choices by source; None without rows."""
    rows = read_routing(path)
    if not rows:
        return None
    names = rows[0]["layers"]
    layers = {
        name: {key: _total(rows, name, key) for key in ("first", "load", "dropped", "entropy", "balance")}
        for name in names
    }
    by_source = np.sum([_total(rows, name, "sources") for name in names], axis=0)
    return {
        "layers": {
            name: _means({key: list(value) for key, value in sums.items()}) for name, sums in layers.items()
        },
        "dropped_by_source": {
            source: [float(share) for share in told[1:] / told[0]]
            for source, told in zip(rows[0]["sources"], by_source, strict=True)
            if told[0]
        },
    }


def routing_metrics(facts: Mapping[str, Any]) -> dict[str, float]:
    """Means over layers of what `routing_facts` tells, as numbers of the run."""
    layers = list(facts["layers"].values())
    dropped = np.mean([layer["dropped"] for layer in layers], axis=0)
    told = {f"dropped_choice_{place + 1}": float(share) for place, share in enumerate(dropped)}
    means = {
        name: float(np.mean([layer[name] for layer in layers])) for name in ("balance", "entropy", "unused")
    }
    named = {"balance_loss": "balance", "gate_entropy": "entropy", "unused_experts": "unused"}
    return told | {name: means[mean] for name, mean in named.items()}


def _total(rows: Sequence[Mapping[str, Any]], layer: str, key: str) -> np.ndarray:
    return np.sum([np.asarray(row["layers"][layer][key], dtype=float) for row in rows], axis=0)


def _means(sums: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Of sums over tokens: load (share of all choices an expert), dropped (share of first, second, ... choices),
    entropy of the gates in nats, unused experts, and the balance loss E sum_e m_e c_e, mean over forward passes."""
    load, tokens = np.asarray(sums["load"], dtype=float), float(np.sum(sums["first"]))
    return {
        "load": (load / load.sum()).tolist(),
        "dropped": (np.asarray(sums["dropped"]) / tokens).tolist(),
        "entropy": float(sums["entropy"][0] / tokens),
        "unused": int((load == 0).sum()),
        "balance": float(sums["balance"][0] / tokens),
    }

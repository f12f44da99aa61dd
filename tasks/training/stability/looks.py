"""The looks at Adam's state on disk: a JSON line a look while training goes on, a Parquet table when it is done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storage.writing import put_in_place

LOOKS, LOOKS_TABLE = "stability.jsonl", "stability.parquet"
# of a layer, and of all: what each is, as the docs and the columns of the tables say it
STATISTICS = {
    "std_r": "standard deviation of the update ratio r; .2294 for independent gradients at beta1 .9",
    "tail_r": "share of coordinates with |r| > .8",
    "bimodality_r": "Sarle's coefficient of r, (skew^2 + 1) / kurtosis: .333 normal, 1 two points",
    "correlation": "rho, the lag-one correlation of gradients that R = E[m^2] / E[v] speaks of",
    "floor_share": "share of coordinates with sqrt(v) < 10 epsilon",
    "gradient_scale": "sqrt(E[v]), the gradient's root mean square as Adam remembers it",
    "update_norm": "norm of r times the learning rate, without weight decay",
}
OF_ALL = ("loss", "gradient_norm", "learning_rate")  # those of the step, on the row of the layer "all"


def write_looks(lines: Path, table: Path) -> None:
    """A row a step and layer: step, attempt (rewinds before it), layer, STATISTICS, and OF_ALL where layer is "all"."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [("step", pa.int64()), ("attempt", pa.int64()), ("layer", pa.string())]
        + [(name, pa.float64()) for name in (*STATISTICS, *OF_ALL)]
    )
    rows = list(_rows(lines)) if lines.exists() else []
    temporary = table.with_name("writing")
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)
    put_in_place(temporary, table)


def _rows(lines: Path) -> Iterator[dict[str, Any]]:
    with lines.open(encoding="utf-8") as stream:
        for line in stream:
            look = json.loads(line)
            for place, layer in enumerate(look["layers"]):
                row = {"step": look["step"], "attempt": look["attempt"], "layer": layer}
                row |= {name: look[name][place] for name in STATISTICS}
                yield row | ({name: look[name] for name in OF_ALL} if layer == "all" else {})

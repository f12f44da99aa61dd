"""Tables as JSON-ready rows: plain numbers, None for what is not finite."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """One dictionary a row."""
    columns = [str(name) for name in frame.columns]
    return [
        {name: plain_value(cell) for name, cell in zip(columns, row, strict=True)}
        for row in frame.itertuples(index=False, name=None)
    ]


def plain_value(cell: Any) -> Any:
    """A cell as JSON has it; dictionaries and lists are gone through."""
    if isinstance(cell, dict):
        return {str(key): plain_value(value) for key, value in cell.items()}
    if isinstance(cell, list | tuple):
        return [plain_value(value) for value in cell]
    if isinstance(cell, np.generic):
        cell = cell.item()
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell

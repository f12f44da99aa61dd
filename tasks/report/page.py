"""placeholder until written"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ReportData:
    title: str
    corpus: Any
    utility: Any
    mixtures: Any
    models: Any
    scores: Any
    gate: Any
    forecast: Any


def write_page(data, path):
    path.write_text("x")

"""What came of a run, for a notebook: tables as DataFrames, figures of matplotlib, models as folders."""

from __future__ import annotations

import html
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.artifact import Artifact
from storage.home import Home
from storage.runs import RunSummary, results_of, summarise

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TABLES = (
    "scores",
    "utility",
    "specialisation",
    "forecast",
    "duel",
    "stitch_duel",
    "efficiency",
    "harm",
    "forgetting",
    "stages",
)


class Outcome:
    """A run that has ended; what it made is read when it is asked for."""

    def __init__(self, home: Home, record: dict[str, Any]) -> None:
        self._home, self._record = home, record

    @cached_property
    def summary(self) -> RunSummary:
        """Everything that `mixstitch show` prints, as plain values."""
        return summarise(self._home, self._record)

    @cached_property
    def _artifacts(self) -> list[Artifact]:
        return list(results_of(self._home, self._record))

    @property
    def answer(self) -> list[str]:
        """The report's first sentences."""
        return self.summary.answer

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """scores, mixtures, utility, specialisation, forecast, stages, duels: those that the run has."""
        import pandas as pd

        told = {name: getattr(self.summary, name) for name in TABLES}
        told["mixtures"] = [
            {"mixture": mixture, "source": source, **share}
            for mixture, shares in self.summary.mixtures.items()
            for source, share in shares.items()
        ]
        return {name: pd.DataFrame(rows) for name, rows in told.items() if rows}

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """losses, and by task the models' scores less the first one's: those that the run has something for."""
        from tasks.report.run_figures import figures_of

        return figures_of(self._artifacts)

    @property
    def models(self) -> dict[str, Path]:
        """Folder of each model by name, with weights and config; what reads its text is `tokenizer`."""
        return {row["model"]: Path(row["folder"]) for row in self.summary.models}

    @cached_property
    def tokenizer(self) -> Path | None:
        """Folder of the tokenizer of all models; None where the run stopped before it."""
        corpora = [a for a in self._artifacts if a.stage == "sources"]
        return corpora[0].path / "tokenizer" if corpora else None

    @property
    def report(self) -> Path | None:
        """The page; None where the run stopped before it."""
        return None if self.summary.report is None else Path(self.summary.report)

    def __repr__(self) -> str:
        s = self.summary
        return f"<{s.run_id}: {s.status}; tables {', '.join(self.tables)}; models {', '.join(self.models) or 'none'}>"

    def _repr_html_(self) -> str:
        said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self.answer)
        return f"{said}<p><code>{html.escape(repr(self))}</code></p>"

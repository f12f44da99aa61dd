"""Tables of scores: every model on every benchmark, and what of the experts' gains is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasks.evaluation.metrics import HELDOUT, lower_is_better
from tasks.report.differences import DISTINGUISHABLE, Score, difference
from tasks.report.findings import BenchmarkMeans, Kept, ModelScores
from tasks.report.formatting import MISSING, count, decimals_for, fixed, percent, plus_minus, with_error
from tasks.report.pictures.colours import Look
from tasks.report.pictures.dots import Dot

BEST, ALIKE = "best", "alike"


@dataclass(frozen=True)
class ScoreCell:
    """A score and its error, marked where it is the best or not told apart from it."""

    text: str
    error: str
    mark: str

    @classmethod
    def of(cls, value: float, stderr: float | None, mark: str) -> ScoreCell:
        return cls(fixed(value, decimals_for(stderr)), plus_minus(stderr), mark)


@dataclass(frozen=True)
class ScoreRow:
    """A task and metric over all models; `arrow` says which way is better."""

    task: str
    metric: str
    arrow: str
    n: str
    cells: list[ScoreCell]
    is_headline: bool
    chance: str


def score_rows(
    scores: ModelScores, headline: Mapping[str, str], chance: Mapping[str, float]
) -> tuple[list[ScoreRow], list[ScoreRow]]:
    """Rows of the benchmarks and of held-out text; a task's headline metric comes first."""
    rows: tuple[list[ScoreRow], list[ScoreRow]] = ([], [])
    for task, first in headline.items():
        metrics = dict.fromkeys(
            [first, *(metric for cells in scores.values() for name, metric in cells if name == task)]
        )
        for metric in metrics:
            row = _row(task, metric, scores, metric == first, chance)
            rows[task.startswith(HELDOUT)].append(row)
    return rows


def _row(
    task: str, metric: str, scores: ModelScores, is_headline: bool, chance: Mapping[str, float]
) -> ScoreRow:
    cells = {name: found.get((task, metric)) for name, found in scores.items()}
    sizes = sorted({cell.n for cell in cells.values() if cell is not None and cell.n})
    marks = marked({name: cell for name, cell in cells.items() if cell is not None}, metric)
    return ScoreRow(
        task.removeprefix(HELDOUT),
        metric,
        "↓" if lower_is_better(metric) else "↑",
        " to ".join(count(size) for size in dict.fromkeys((sizes[0], sizes[-1]))) if sizes else MISSING,
        [
            ScoreCell.of(cell.value, cell.stderr, marks.get(name, ""))
            if cell
            else ScoreCell("no score", "", "")
            for name, cell in cells.items()
        ],
        is_headline,
        fixed(chance[task]) if task in chance and metric.startswith("acc") else "",
    )


def marked(cells: Mapping[str, Score], metric: str) -> dict[str, str]:
    """The best model, and those whose difference to it is within 2 of its standard errors; none is of a tie."""
    if len(cells) < 2:
        return {}
    sign = -1 if lower_is_better(metric) else 1
    top = max(cells, key=lambda name: sign * cells[name].value)
    alone = sum(cell.value == cells[top].value for cell in cells.values()) == 1
    marks = {}
    for name, cell in cells.items():
        if cell.value == cells[top].value:
            marks[name] = BEST if alone else ALIKE
        else:
            apart = difference(cells[top], cell)
            if apart.stderr is not None and abs(apart.value) <= DISTINGUISHABLE * apart.stderr:
                marks[name] = ALIKE
    return marks


def mean_row(means: BenchmarkMeans, names: Iterable[str]) -> ScoreRow:
    """The mean over benchmarks as a row of the table."""
    cells, names = [], list(names)
    alone = sum(means.to_best[name].value == 0 for name in names) == 1
    for name in names:
        apart = means.to_best[name]
        mark = (BEST if alone else ALIKE) if apart.value == 0 else ""
        if not mark and apart.stderr is not None and not apart.is_distinguishable:
            mark = ALIKE
        cells.append(ScoreCell.of(*means.means[name], mark))
    title = f"mean of {len(means.tasks)} benchmarks" if len(means.tasks) > 1 else "the one benchmark"
    chance = fixed(means.chance) if means.chance is not None else ""
    return ScoreRow(title, "mean", "↑", "", cells, True, chance)


def dots_of(task: str, metric: str, scores: ModelScores, looks: Mapping[str, Look]) -> list[Dot]:
    """How far each model is from the first one on a task, paired over items, 2 standard errors either way."""
    first, *others = scores
    start = scores[first].get((task, metric))
    dots = []
    for name in others:
        cell = scores[name].get((task, metric))
        if cell is None or start is None:
            dots.append(Dot(name, None, None, None, looks[name]))
            continue
        apart = difference(cell, start)
        low = high = None
        if apart.stderr is not None:
            half = DISTINGUISHABLE * apart.stderr
            low, high = apart.value - half, apart.value + half
        dots.append(Dot(name, apart.value, low, high, looks[name]))
    return dots


def kept_rows(kept: Iterable[Kept]) -> list[dict]:
    """One row an expert, source and combined model."""
    return [
        {
            "expert": part.expert,
            "source": part.source,
            "combined": part.combined,
            "gain": with_error(part.gain.value, part.gain.stderr),
            "moved": with_error(part.moved.value, part.moved.stderr),
            "kept": kept_text(part),
            "paired": part.gain.paired and part.moved.paired,
        }
        for part in kept
    ]


def kept_text(part: Kept, words: bool = False) -> str:
    """The share kept with its 95% interval (in words on demand), or why there is none."""
    if part.share is None:
        if part.gain.stderr is None:
            return "errors unknown: no share"
        reason = "not distinguishable from 0" if not part.gain.is_distinguishable else "below 0"
        return f"no share: gain {reason}"
    if part.low is None or part.high is None:
        return f"{percent(part.share)} (interval unbounded)"
    decimals = 1 if part.high - part.low < 0.1 else 0
    low, high = percent(part.low, decimals), percent(part.high, decimals)
    interval = f"(95% interval {low} to {high})" if words else f"[{low}, {high}]"
    return f"{percent(part.share, decimals)} {interval}"

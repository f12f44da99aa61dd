"""What each method's mixture is worth on tables of real runs, by amount of evidence: share of all there is to gain.

The judge is a law fitted to runs that no method sees: RegMix's second table for methods that read its first; on
SlimPajama the models of 937M and 1.2B parameters for methods that read those of 122M. `best` is the judge's own
proposal. Share of the gain: (loss of uniform - loss of the mixture) / (loss of uniform - loss of best), so that
uniform is 0. What a second law says of the difference to UniMax stands beside it, in the same unit. Draws differ in
the noise of utilities and losses, and in which runs are seen.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from tasks.mixture.found_weights import capped, runs_of
from tasks.mixture.laws.fitted_law import FittedLaw, fit_law
from tasks.mixture.laws.law_fit import losses_of
from tasks.mixture.laws.named_tables import read_tokens
from tasks.mixture.laws.predictor import robust_scale
from tasks.mixture.laws.run_folds import random_folds
from tasks.mixture.laws.run_table import RunTable, read_runs
from tasks.mixture.methods import METHODS_BY_NAME
from tasks.mixture.methods.returns import sure_returns
from tasks.mixture.mixture import Mixture
from tasks.mixture.mixture_method import Found, Question
from tasks.mixture.portfolio import utilimax
from tasks.mixture.single_losses import utility_of_losses
from tasks.report.pictures.colours import EXPERT_MARKERS, EXPERTS
from tasks.report.pictures.drawing import drawing, new_figure
from tests.bench.mixture_peers import REGMIX, published, regmix

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "pictures" / "mixture-value.svg"
JUDGE, OTHER_JUDGE = "diminishing", "diminishing+gp"
LABEL_STEPS = 4  # five labels
LABEL_ERRORS = (0.02, 0.1, 0.2, 0.4)
LOSS_ERROR = 0.05  # of the spread over sources
RUNS = (8, 16, 32, 64, 128)
LAWS = ("diminishing", "power", "log-linear", "lightgbm")
DRAWS, LAW_DRAWS = 10, 4
FREE = ("uniform", "proportional", "unimax", "olmo")
SIMULATED_RUNS, SIMULATED_DRAWS = (128, 512), 2


@dataclass(frozen=True)
class Field:
    """A table of runs that methods may read, the judge's own, and the tokens to be trained on."""

    name: str
    runs: RunTable
    judged_by: RunTable
    sizes: dict[str, int]
    budget: int
    cap: float
    knows_sizes: bool
    published: dict[str, dict[str, float]] = field(default_factory=dict)

    @cached_property
    def judge(self) -> FittedLaw:
        return fit_law(self.judged_by.weights, losses_of(self.judged_by), JUDGE)

    @cached_property
    def other_judge(self) -> FittedLaw:
        return fit_law(self.judged_by.weights, losses_of(self.judged_by), OTHER_JUDGE)

    @cached_property
    def corners(self) -> pd.DataFrame:
        """Losses on one source each, as the law with diminishing returns has them at the corners of the runs read."""
        sources = list(self.runs.weights.columns)
        law = fit_law(self.runs.weights, losses_of(self.runs), "diminishing")
        return law.predict(pd.DataFrame(np.eye(len(sources)), sources, sources))

    @cached_property
    def best(self) -> Mixture:
        return self.judge.propose(self.budget, self.sizes, self.cap, pull=0.0)

    def loss(self, mixture: Mixture, judge: FittedLaw | None = None) -> float:
        return float((judge or self.judge).predict(pd.DataFrame([mixture.weights])).mean(axis=1).iloc[0])

    def free(self, method: str) -> Mixture:
        """The mixture of a rule that needs no evidence; uniform knows no cap."""
        declared = METHODS_BY_NAME[method]
        cap = 1e9 if method == "uniform" else self.cap
        settings = declared.configured().model_copy(update={"epoch_cap": cap})
        return declared.solve(settings, Question(self.sizes, self.budget))

    def is_beyond(self, mixture: Mixture) -> bool:
        """Whether a source has more than in any run of the judge's: there the judge extrapolates."""
        most = self.judged_by.weights.max()
        return any(weight > most[source] + 1e-9 for source, weight in mixture.weights.items())


def measure() -> Iterator[str]:
    """All tables; where the data are not there, what is missing."""
    folder = Path(os.environ.get("MIXSTITCH_DATA", ROOT.parent / "shared" / "data")) / "mixtures"
    rows: list[dict] = []
    for one in _fields(folder):
        yield from _described(one)
        own = []
        for row in _rows(one):
            own.append({"table": one.name, **row})
            if row["last"]:
                yield _line(own, row["evidence"], row["method"])
        rows += own
    if not rows:
        yield f"{folder}: no table of runs is there: not measured"
        return
    _drawn(pd.DataFrame(rows)).savefig(PICTURE)
    yield f"picture: {PICTURE.relative_to(ROOT)}"


def _fields(folder: Path) -> Iterator[Field]:
    train, test, tokens = (
        folder / name for name in ("regmix_1m_train.csv", "regmix_1m_test.csv", "pile_domain_tokens.csv")
    )
    if train.is_file() and test.is_file() and tokens.is_file():
        runs, others, sizes = read_runs(train), read_runs(test), read_tokens(tokens)
        known = published(folder / "doremi_domain_weights.csv", list(sizes))
        for cap in (4.0, 1.0):
            yield Field(f"RegMix 1M, cap {cap:g}", runs, others, sizes, 25 * 10**9, cap, True, known)
    ladder = folder / "slimpajama_mixture_losses.csv.gz"
    if ladder.is_file():
        runs = read_runs(ladder, where=["model_size=122000000"], last="n_tokens")
        sizes = dict.fromkeys(map(str, runs.weights.columns), 10**9)
        for size, name in (("937000000", "937M"), ("1235000000", "1.2B")):
            others = read_runs(ladder, where=[f"model_size={size}"], last="n_tokens")
            yield Field(f"SlimPajama 122M -> {name}", runs, others, sizes, 10**9, 1e9, False)


def _described(one: Field) -> Iterator[str]:
    weights, losses = one.judged_by.weights, losses_of(one.judged_by)
    away = []
    for fold in random_folds(weights.to_numpy(float)):
        rest = np.setdiff1d(np.arange(len(weights)), fold)
        law = fit_law(weights.iloc[rest], losses.iloc[rest], JUDGE)
        away += list((law.predict(weights.iloc[fold]) - losses.iloc[fold]).mean(axis=1))
    even, best = one.loss(one.free("uniform")), one.loss(one.best)
    yield (
        f"{one.name}: judge {JUDGE} on {len(weights)} runs, its error on a mixture held out "
        f"{robust_scale(np.array(away)):.4f} (mean loss); "
        f"uniform {even:.4f}, best {best:.4f}: {even - best:.4f} to gain"
    )


def _rows(one: Field) -> Iterator[dict]:
    """One row a draw: evidence, runs seen, method, share of the gain, and the same less UniMax's."""
    even, best = one.loss(one.free("uniform")), one.loss(one.best)
    plain = one.loss(one.free("unimax"))

    def row(evidence: str, method: str, mixture: Mixture, draw: int, draws: int, runs: int = 0) -> dict:
        loss = one.loss(mixture)
        other = one.loss(one.free("unimax"), one.other_judge) - one.loss(mixture, one.other_judge)
        return {
            "evidence": evidence,
            "runs": runs,
            "method": method,
            "share": (even - loss) / (even - best),
            "over_unimax": (plain - loss) / (even - best),
            "other": other / (even - best),
            "beyond": one.is_beyond(mixture),
            "last": draw == draws - 1,
        }

    for method in FREE:
        if one.knows_sizes or not METHODS_BY_NAME[method].needs_sizes or method == "unimax":
            yield row("none", method, one.free(method), 0, 1)
    for told, weights in one.published.items():
        mixture = capped(weights, one.sizes, one.budget, one.cap, {}, {"method": told})
        yield row("published", told, mixture, 0, 1)
    yield row("none", "returns", _sure(one), 0, 1)
    for error in LABEL_ERRORS:
        for method, solve in _BY_UTILITY.items():
            for draw in range(DRAWS):
                values, errors = _labels(one, error, draw)
                told = f"five labels, error {error:g}"
                yield row(told, method, solve(one, values, errors), draw, DRAWS)
    for draw in range(DRAWS):
        losses, errors = _single_losses(one, draw)
        found = Found(losses=losses, loss_errors=errors)
        yield row("one proxy a source", "returns", _sure(one, found=found), draw, DRAWS)
    for draw in range(DRAWS):
        losses, errors = _single_losses(one, draw)
        matrix = utility_of_losses(losses, errors)
        mixture = _BY_UTILITY["utilimax"](one, matrix.values, matrix.errors)
        yield row("one proxy a source", "utilimax", mixture, draw, DRAWS)
    if one.cap == 1.0:
        return
    total = len(one.runs.weights)
    for number in sorted({min(number, total) for number in (*RUNS, total)}):
        for method in ("returns", *LAWS):
            if method == "lightgbm" and number < 32:
                continue
            draws = 1 if number == total else DRAWS if method == "returns" else LAW_DRAWS
            for draw in range(draws):
                mixture = _from_runs(one, method, number, draw)
                yield row(f"{number} runs", method, mixture, draw, draws, number)
        if number in SIMULATED_RUNS:
            draws = 1 if number == total else SIMULATED_DRAWS
            for draw in range(draws):
                law = _law(one, "lightgbm", number, draw)
                mixture = regmix(law, one.sizes, one.budget, one.cap, draw)
                yield row(f"{number} runs", REGMIX, mixture, draw, draws)


def _sure(one: Field, **known) -> Mixture:
    return sure_returns(Question(one.sizes, one.budget, **known), one.cap)


def _by_utilimax(risk: float | None) -> Callable[[Field, pd.DataFrame, pd.DataFrame], Mixture]:
    return lambda one, values, errors: utilimax(values, one.sizes, one.budget, one.cap, risk)


_BY_UTILITY: dict[str, Callable[[Field, pd.DataFrame, pd.DataFrame], Mixture]] = {
    "returns": lambda one, values, errors: _sure(one, utility=values, errors=errors),
    "utilimax": _by_utilimax(None),
    "utilimax, risk 2": _by_utilimax(2.0),
}


def _labels(one: Field, error: float, draw: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Utilities of the corners with normal errors, rounded to five labels, and the errors that they have then."""
    true = utility_of_losses(one.corners, None).values
    noise = error * np.random.default_rng(draw).standard_normal(true.shape)
    seen = ((true + noise).clip(0, 1) * LABEL_STEPS).round() / LABEL_STEPS
    return seen, 0 * seen + np.hypot(error, 1 / LABEL_STEPS / np.sqrt(12))


def _single_losses(one: Field, draw: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    errors = 0 * one.corners + LOSS_ERROR * one.corners.std()
    noise = np.random.default_rng(draw).standard_normal(errors.shape)
    return one.corners + noise * errors, errors


def _from_runs(one: Field, method: str, number: int, draw: int) -> Mixture:
    if method == "returns":
        return _sure(one, found=Found(runs=runs_of(*_seen(one, number, draw))))
    prior = "proportional" if one.knows_sizes else "uniform"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return _law(one, method, number, draw).propose(one.budget, one.sizes, one.cap, prior=prior)


def _seen(one: Field, number: int, draw: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = np.random.default_rng(draw).permutation(len(one.runs.weights))[:number]
    return one.runs.weights.iloc[rows], losses_of(one.runs).iloc[rows]


def _law(one: Field, method: str, number: int, draw: int) -> FittedLaw:
    return fit_law(*_seen(one, number, draw), method)


def _line(rows: list[dict], evidence: str, method: str) -> str:
    own = [row for row in rows if row["evidence"] == evidence and row["method"] == method]
    shares = np.array([row["share"] for row in own])
    over = np.array([row["over_unimax"] for row in own])
    beyond = sum(row["beyond"] for row in own)
    told = f"  {evidence}: {method}: {shares.mean():.2f} [{shares.min():.2f}, {shares.max():.2f}]"
    if method not in FREE and evidence != "published":
        worse, most = int((over < -1e-6).sum()), max(-over.min(), 0.0)
        other = np.mean([row["other"] for row in own])
        told += f", worse than UniMax in {worse} of {len(own)}, most by {most:.2f}"
        told += f"; over UniMax {over.mean():.2f}, by {OTHER_JUDGE} {other:.2f}"
    return told + (f" (judge extrapolates in {beyond})" if beyond else "")


def _drawn(rows: pd.DataFrame) -> Figure:
    """Share of the gain against runs, one line a method, a panel a table of runs that has a swarm."""
    tables = [name for name, own in rows.groupby("table", sort=False) if own["runs"].max() > 0]
    with drawing():
        figure, first = new_figure(3.1 * len(tables) + 0.6, 3.0)
        first.remove()
        for number, table in enumerate(tables):
            axes = figure.add_subplot(1, len(tables), number + 1)
            own = rows[rows["table"] == table]
            for place, method in enumerate(("returns", *LAWS)):
                means = own[(own["method"] == method) & (own["runs"] > 0)].groupby("runs")["share"].mean()
                axes.plot(
                    means.index,
                    means.clip(lower=-1),
                    color=EXPERTS[place % len(EXPERTS)],
                    marker=EXPERT_MARKERS[place % len(EXPERT_MARKERS)],
                    label=method,
                )
            plain = own[own["method"] == "unimax"]["share"].mean()
            axes.axhline(plain, linestyle=":", color="0.5", label="UniMax")
            ticks = sorted(own[own["runs"] > 0]["runs"].unique())
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_locator(FixedLocator(ticks))
            axes.xaxis.set_major_formatter(FixedFormatter([str(number) for number in ticks]))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_ylim(-1.05, 1.05)
            axes.set_title(table, fontsize=8)
            axes.set_xlabel("proxy runs")
            if number == 0:
                axes.set_ylabel("share of the gain (below -1: at -1)")
                axes.legend(fontsize=7)
        figure.tight_layout()
    return figure

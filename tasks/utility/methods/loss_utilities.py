"""From the dev losses of proxies to utilities in [0, 1] with standard errors.

With w_r the mixture of proxy r and y_r its mean loss on a task, theta minimises sum_r (y_r - w_r' theta)^2:
without a swarm theta_i is the loss of the proxy on source i alone; with one, the loss at that vertex of the
plane through all runs. Utility is, task by task,

    minmax  U_i = (max theta - theta_i) / (max theta - min theta)
    rank    U_i = (number of sources with a higher loss) / (number of sources - 1)

Standard errors come from a bootstrap over the task's items, the same for all proxies (they answered the same
ones), and over the swarm's runs: of theta_i - mean theta over max theta - min theta, or of the rank. Training
noise is in them where there are several seeds: a normal error on each theta_i of every resample, with the
variance of a run about its source's mean, less what its seed has for all sources, pooled over sources, seeds and
tasks in units of the tasks' ranges (few seeds tell little of one source), over the number of seeds. One seed tells
nothing of it, and `about` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.proxies.ablation.settings import AblationSettings
from tasks.utility.matrix import UtilityMatrix

Array = NDArray[np.float64]
BOOTSTRAPS = 400


@dataclass(frozen=True)
class ProxyRun:
    """A trained proxy: its mixture (source -> weight), its seed, and losses with columns task, item, loss."""

    name: str
    weights: dict[str, float]
    random_seed: int
    losses: pd.DataFrame


def ablation_utility(runs: Sequence[ProxyRun], settings: AblationSettings) -> UtilityMatrix:
    """The utility of each source for each task, from a proxy on each source alone and perhaps a swarm.

    Raises ValueError where a source has no proxy of its own, or the proxies were not scored on the same items.
    """
    sources = sorted({source for run in runs for source in run.weights})
    alone = {next(iter(run.weights)) for run in runs if len(run.weights) == 1}
    if missing := sorted(set(sources) - alone):
        raise ValueError(f"ablation: sources {missing} have no proxy of their own; each needs one")
    if len(sources) < 2:
        raise ValueError(f"ablation: only source {sources}; utilities compare two at least")
    mixtures = np.array([[run.weights.get(source, 0.0) for source in sources] for run in runs])
    losses = _by_task(runs)
    samples = _resampled_runs(runs)
    noise = _training_noise(runs, sources, losses)
    values = pd.DataFrame(index=sources, columns=list(losses), dtype=float)
    errors = values.copy()
    for task, table in losses.items():
        theta = _at_vertices(mixtures, table.mean(axis=1))
        drawn = _bootstrap(mixtures, table, samples)
        if noise is not None:
            spread = noise * float(np.ptp(theta))
            drawn = drawn + spread * np.random.default_rng(2).standard_normal(drawn.shape)
        values[task], errors[task] = _scaled(theta, drawn, settings.scale)
    about: dict[str, Any] = {
        "method": "ablation",
        "settings": settings.model_dump(mode="json"),
        "proxies": len(runs),
        "items": {task: int(table.shape[1]) for task, table in losses.items()},
        "training_noise": "unknown: one seed" if noise is None else noise,
    }
    return UtilityMatrix(values, errors, about)


def runs_table(runs: Sequence[ProxyRun]) -> pd.DataFrame:
    """One row a proxy: its name, w_<source> and loss_<task>, as `mixstitch mix fit` reads it."""
    sources = sorted({source for run in runs for source in run.weights})
    rows = []
    for run in runs:
        means = run.losses.groupby("task", sort=False)["loss"].mean()
        weights = {f"w_{source}": run.weights.get(source, 0.0) for source in sources}
        rows.append({"run": run.name, **weights, **{f"loss_{task}": means[task] for task in means.index}})
    return pd.DataFrame(rows)


def _by_task(runs: Sequence[ProxyRun]) -> dict[str, Array]:
    """task -> losses (runs, items), the items in the same order for every run."""
    tables = [run.losses.set_index(["task", "item"])["loss"] for run in runs]
    for run, table in zip(runs, tables, strict=True):
        if not table.index.equals(tables[0].index):
            raise ValueError(
                f"ablation: proxies {runs[0].name} and {run.name} were scored on different items"
            )
    stacked = np.stack([table.to_numpy(float) for table in tables])
    tasks = tables[0].index.get_level_values("task")
    return {str(task): stacked[:, tasks == task] for task in dict.fromkeys(tasks)}


def _at_vertices(mixtures: Array, losses: Array) -> Array:
    """theta (sources,) of mixtures (runs, sources) and losses (runs,), or (sources, k) of losses (runs, k)."""
    return np.asarray(np.linalg.lstsq(mixtures, losses, rcond=None)[0], dtype=float)


def _training_noise(
    runs: Sequence[ProxyRun], sources: Sequence[str], losses: dict[str, Array]
) -> float | None:
    """Error of a source's mean loss by training noise, as a share of the task's range; None for one seed."""
    seeds = sorted({run.random_seed for run in runs if len(run.weights) == 1})
    position = {(next(iter(r.weights)), r.random_seed): i for i, r in enumerate(runs) if len(r.weights) == 1}
    complete = [seed for seed in seeds if all((source, seed) in position for source in sources)]
    if len(complete) < 2:
        return None
    squares = []
    for table in losses.values():
        means = table.mean(axis=1)
        grid = np.array([[means[position[source, seed]] for seed in complete] for source in sources])
        span = float(np.ptp(grid.mean(axis=1)))
        if span > 0:
            away = grid - grid.mean(axis=1, keepdims=True) - grid.mean(axis=0) + grid.mean()
            squares.append(float((away**2).sum()) / span**2)
    freedom = (len(sources) - 1) * (len(complete) - 1)
    pooled = sum(squares) / max(len(squares), 1) / freedom
    return float(np.sqrt(pooled / len(complete)))


def _resampled_runs(runs: Sequence[ProxyRun]) -> list[NDArray[np.intp]]:
    """Positions of the runs of each bootstrap: those on one source, and the swarm's drawn anew."""
    generator = np.random.default_rng(0)
    single = np.array([len(run.weights) == 1 for run in runs])
    alone, swarm = np.flatnonzero(single), np.flatnonzero(~single)
    return [np.concatenate([alone, _drawn(generator, swarm)]) for _ in range(BOOTSTRAPS)]


def _drawn(generator: np.random.Generator, positions: NDArray[np.intp]) -> NDArray[np.intp]:
    return generator.choice(positions, len(positions)) if len(positions) else positions


def _bootstrap(mixtures: Array, table: Array, samples: Sequence[NDArray[np.intp]]) -> Array:
    """theta (bootstraps, sources) with the items of the task drawn anew in each."""
    generator = np.random.default_rng(1)
    num_items = table.shape[1]
    drawn = []
    for positions in samples:
        items = generator.integers(num_items, size=num_items)
        losses = table[positions][:, items].mean(axis=1)
        drawn.append(_at_vertices(mixtures[positions], losses))
    return np.array(drawn)


def _scaled(theta: Array, drawn: Array, scale: str) -> tuple[Array, Array]:
    """Utilities and standard errors (sources,) from theta (sources,) and its bootstraps."""
    if scale == "rank":
        return _ranks(theta[None])[0], _ranks(drawn).std(axis=0, ddof=1)
    spread = float(theta.max() - theta.min())
    if spread == 0:
        return np.full(len(theta), 0.5), np.full(len(theta), 0.5)
    centred = drawn - drawn.mean(axis=1, keepdims=True)
    return (theta.max() - theta) / spread, centred.std(axis=0, ddof=1) / spread


def _ranks(theta: Array) -> Array:
    """Share of the other sources with a higher loss (k, sources); ties count half."""
    higher = (theta[:, None, :] > theta[:, :, None]).sum(axis=2)
    equal = (theta[:, None, :] == theta[:, :, None]).sum(axis=2) - 1
    return (higher + equal / 2) / (theta.shape[1] - 1)

"""The mixture solver against cvxpy in one run, with the certified gap of every answer, and at 100,000 sources."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from tasks.mixture.portfolio import utilimax
from tasks.mixture.solver.solving import solve

SOURCES, TASKS, SEEDS = 1000, 50, range(15)
RISKS = (1000.0, 10.0, 1.0, 0.1, 0.01)
MANY_SOURCES, MANY_TASKS = 100_000, 100
BUDGET = 10**9


def measure() -> Iterator[str]:
    import cvxpy

    for risk in RISKS:
        ratios, gaps, worse, seconds = [], [], [], []
        for seed in SEEDS:
            utility, upper = _instance(seed, SOURCES, TASKS)
            w = cvxpy.Variable(SOURCES)
            objective = cvxpy.norm(1 - utility.T @ w, 2) + risk * cvxpy.sum_squares(w)
            problem = cvxpy.Problem(cvxpy.Minimize(objective), [w >= 0, w <= upper, cvxpy.sum(w) == 1])
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Solution may be inaccurate")
                theirs, _ = _timed(lambda problem=problem: problem.solve(solver=cvxpy.CLARABEL), 1)
            ours, found = _timed(lambda u=utility, b=upper, r=risk: solve(u, b, r), 5)
            ratios.append(theirs / ours)
            seconds.append(ours)
            gaps.append(found.gap / found.objective)
            worse.append((found.objective - problem.value) / found.objective)
        yield (
            f"risk {risk:g}, {SOURCES} sources, {TASKS} tasks: {statistics.median(ratios):.0f}x cvxpy "
            f"[{min(ratios):.0f}, {max(ratios):.0f}], {1e3 * statistics.median(seconds):.1f} ms; relative gap at most "
            f"{max(gaps):.0e}; objective less cvxpy's, relative, {min(worse):.0e} to {max(worse):.0e}"
        )
    yield from _through_the_call()
    utility, upper = _instance(0, MANY_SOURCES, MANY_TASKS)
    seconds, found = _timed(lambda: solve(utility, upper, float(MANY_SOURCES)), 3)
    yield (
        f"risk {MANY_SOURCES:g}, {MANY_SOURCES:,} sources, {MANY_TASKS} tasks: {seconds:.2f} s, relative gap "
        f"{found.gap / found.objective:.0e}"
    )


def _through_the_call() -> Iterator[str]:
    """The same through what a user calls: names, tables, whole tokens and the certificate included."""
    import cvxpy

    for risk in (float(SOURCES), 0.01):
        ratios, seconds = [], []
        for seed in SEEDS:
            utility, upper = _instance(seed, SOURCES, TASKS)
            names = [f"s{i}" for i in range(SOURCES)]
            table = pd.DataFrame(utility, names, [f"t{j}" for j in range(TASKS)])
            sizes = {name: max(int(bound * BUDGET), 1) for name, bound in zip(names, upper, strict=True)}
            w = cvxpy.Variable(SOURCES)
            objective = cvxpy.norm(1 - utility.T @ w, 2) + risk * cvxpy.sum_squares(w)
            problem = cvxpy.Problem(cvxpy.Minimize(objective), [w >= 0, w <= upper, cvxpy.sum(w) == 1])
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Solution may be inaccurate")
                theirs, _ = _timed(lambda problem=problem: problem.solve(solver=cvxpy.CLARABEL), 1)
            ours, _ = _timed(lambda t=table, s=sizes, r=risk: utilimax(t, s, BUDGET, 1.0, r), 5)
            ratios.append(theirs / ours)
            seconds.append(ours)
        yield (
            f"utilimax(...) as called, risk {risk:g}: {statistics.median(ratios):.1f}x cvxpy's solve "
            f"[{min(ratios):.1f}, {max(ratios):.1f}], {1e3 * statistics.median(seconds):.1f} ms"
        )


def _instance(random_seed: int, sources: int, tasks: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(random_seed)
    return generator.random((sources, tasks)), np.minimum(generator.lognormal(size=sources) * 4 / sources, 1)


def _timed(call: Callable, repeats: int) -> tuple[float, object]:
    """The least seconds of several calls, and the last result."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - began)
    return min(seconds), result

"""Left-out error of the forecast on real tables, beside its baselines, with intervals, and coverage of its own.

Of a table that misses the aim (AIM of the best baseline's error, WORST in its worst category) two more ways are tried,
and what the data allow at all is set beside it: the noise of the ratings, and the error that a linear rule on all
benchmarks would be left with if it were known (from least squares, unbiased for its degrees of freedom).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.preference.association.structure import family_weights
from tasks.preference.engine.folds import SCHEMES, schemes_possible
from tasks.preference.engine.predicting import BASELINES
from tasks.preference.sheets.joining import pair
from tasks.preference.validating import validate_pair
from tests.bench.preference_limits import allowed, other_ways, unrelated

Array = NDArray[np.float64]
AIM, WORST = 0.9, 1.1
RESAMPLES = 1000
ROOT = Path(__file__).resolve().parents[2]
RATINGS = "arena_human_ratings_by_category.csv.gz"
INSTRUCT, CROSS = "obsscaling_instruct_benchmarks.csv", "cross_benchmarks_vs_arena.csv"
CARD = "arena_models_mtbench_mmlu.csv"
LEADERBOARD, ALPACA = "open_llm_leaderboard_v1.csv", "alpacaeval_leaderboards.csv"
LLAMAS = ("llama-2-7b-chat", "llama-2-13b-chat", "llama-2-70b-chat")
LLAMA_TABLES = ((INSTRUCT, "Model", False), (CROSS, "model", False), ("benchbench_scores.csv", "model", True))
# Ratings of the same people, and facts that are no benchmark.
IGNORED = (
    "Arena-Elo",
    "Pretraining Data Size (T)",
    "FLOPs (1E21)",
    "arena_elo_feb_2_2024",
    "arena_elo_april_18_2024",
)
TABLES = (
    ("instruct models, names as they are", [INSTRUCT], "exact"),
    ("twenty benchmarks, names as they are", [CROSS], "exact"),
    ("twenty benchmarks, names normalised", [CROSS], "normalised"),
    ("both, names normalised", [INSTRUCT, CROSS], "normalised"),
    ("MT-bench and MMLU", [CARD], "exact"),
    ("Open LLM Leaderboard, names normalised", [LEADERBOARD], "normalised"),
    ("AlpacaEval, names normalised", [ALPACA], "normalised"),
)


def measure() -> Iterator[str]:
    folder = Path(os.environ.get("MIXSTITCH_DATA", ROOT.parent / "shared" / "data")) / "models"
    if not (folder / RATINGS).is_file():
        yield f"{folder / RATINGS} is not there: set MIXSTITCH_DATA to the folder of the tables"
        return
    for words, files, join in TABLES:
        data = pair(
            [_table(folder / name) for name in files],
            folder / RATINGS,
            join=join,
            ignore=_ignored(folder, files),
        )
        for scheme in schemes_possible(data):
            began = time.perf_counter()
            found = validate_pair(data, ["auto", "single-filled"], scheme)
            seconds = time.perf_counter() - began
            told = {row["method"]: row for row in found.summary()}
            auto = told["auto"]
            rmse = found.table.pivot(index="target", columns="method", values="rmse")
            bars = rmse[["mean", "log-params", "single-filled"]]
            strict = (rmse["auto"] / bars.min(axis=1)).to_numpy()
            strict_median = float(rmse["auto"].median() / bars.median().min())
            fell = float(found.table.loc[found.table["method"] == "auto", "fell_back"].mean())
            share = "–" if auto["coverage"] is None else f"{auto['coverage']:.1%}"
            low, high = _interval(found.cells)
            yield (
                f"{words}, {scheme}: {len(data.models)} models x {len(data.benchmarks)} benchmarks -> "
                f"{len(data.targets)} targets; median RMSE {auto['median_rmse']:.1f}, best baseline "
                f"{auto['median_baseline_rmse']:.1f}: {auto['ratio_of_medians']:.3f} [{low:.2f}, {high:.2f}] (median "
                f"of ratios {auto['median_ratio']:.3f}); {_categories(found.table)}; with the single "
                f"benchmark's cells filled as the level model fills them {strict_median:.3f} "
                f"({np.median(strict):.3f}, worst {strict.max():.2f}); {_complete(found.table, len(data.models))}; "
                f"{share} of {auto['intervals']} finite 90% intervals hold the rating (theory: at most "
                f"{auto['guaranteed']:.0%}); fell back in {fell:.0%} of the folds; {seconds:.0f} s"
            )
            if scheme == SCHEMES[0] and (auto["ratio_of_medians"] > AIM or auto["worst_ratio"] > WORST):
                yield f"  misses the aim; {allowed(data, found.table)}"
                yield f"  other ways: {other_ways(data, found.table)}"
    yield from _paper(folder)
    yield unrelated()


def _interval(cells: pd.DataFrame) -> Array:
    """90% interval of the ratio of medians over resampled families, auto and all baselines on the same ones."""
    wide = cells[cells["method"].isin(["auto", *BASELINES])].assign(
        square=lambda one: (one["predicted"] - one["truth"]) ** 2
    )
    table = wide.pivot(index=["family", "model"], columns=["method", "target"], values="square")
    squares = table.to_numpy(float).reshape(len(table), len(BASELINES) + 1, -1)
    squares = np.where(np.isfinite(squares).all(1, keepdims=True), squares, np.nan)
    known = np.isfinite(squares)
    families = table.index.get_level_values("family").to_numpy(str)
    weights = family_weights(families, RESAMPLES, np.random.default_rng(0))
    count = np.einsum("bn,nmt->bmt", weights, known)
    total = np.einsum("bn,nmt->bmt", weights, np.nan_to_num(squares))
    rmse = np.sqrt(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))
    median = np.nanmedian(rmse, axis=2)
    names = list(dict.fromkeys(table.columns.get_level_values("method")))
    ours = names.index("auto")
    return np.quantile(median[:, ours] / np.delete(median, ours, axis=1).min(1), [0.05, 0.95])


def _categories(table: pd.DataFrame) -> str:
    """The worst category with its interval, and in how many the error is off the baseline's beyond chance."""
    auto = table[table["method"] == "auto"]
    worst = auto.iloc[int(auto["ratio"].to_numpy().argmax())]
    return (
        f"worst {worst['ratio']:.2f} [{worst['ratio_low']:.2f}, {worst['ratio_high']:.2f}] {worst['target']} (n = "
        f"{worst['n']}), above {WORST:g} in {int((auto['ratio'] > WORST).sum())} and beyond chance in "
        f"{int((auto['ratio_low'] > WORST).sum())}; below the baseline's beyond chance in "
        f"{int((auto['ratio_high'] < 1).sum())} of {len(auto)} categories, above in "
        f"{int((auto['ratio_low'] > 1).sum())}"
    )


def _complete(table: pd.DataFrame, num_models: int) -> str:
    """The same ratios over the categories in which every model is rated."""
    whole = table[table["n"] == num_models]
    if whole.empty:
        return "no category has ratings of all models"
    rmse = whole.pivot(index="target", columns="method", values="rmse")
    auto = whole[whole["method"] == "auto"]
    ratio = rmse["auto"].median() / rmse[list(BASELINES)].median().min()
    return (
        f"over the {len(rmse)} categories in which all are rated {ratio:.3f}, worst {auto['ratio'].max():.2f}"
    )


def _paper(folder: Path) -> Iterator[str]:
    """Llama-2-chat of three sizes against public benchmarks: signs by category, and what is refused."""
    from tasks.preference.association.guard import in_words
    from tasks.preference.association.structure import pairwise_pearson
    from tasks.preference.correlating import correlate_pair

    data = pair([_llamas(folder, *where) for where in LLAMA_TABLES], folder / RATINGS, only_models=LLAMAS)
    found = correlate_pair(data, 99, 0.9, 0.05, None, 0)
    signs = found.by_target
    positive, least = signs["share_positive"], signs.iloc[int(signs["mean_r"].to_numpy().argmin())]
    yield (
        f"the paper's case, {', '.join(found.models)}: {len(data.benchmarks)} benchmarks, {len(signs)} categories; "
        f"most benchmarks go with the rating in {int((positive > 0.5).sum())} categories, against it in "
        f"{int((positive < 0.5).sum())}; mean r {least['mean_r']:.2f} ({least['target']}) "
        f"to {signs['mean_r'].max():.2f}; by chance |r| > 0.9 once in "
        f"{1 / found.limits['chance_of_abs_r_above_0.9']:.1f} pairs"
    )
    r = pairwise_pearson(data.scores, data.ratings)
    against = [
        f"{name} ({(r[j] < 0).mean():.0%}, mean r {np.nanmean(r[j]):.2f})"
        for j, name in enumerate(data.benchmarks)
        if (r[j] < 0).mean() > 0.5
    ]
    yield f"  benchmarks that fall as people's ratings rise, in most categories: {', '.join(against) or 'none'}"
    for claim in found.refused:
        yield f"  {in_words(claim)}"


def _llamas(folder: Path, name: str, model: str, long: bool):
    """The three models' rows of a table, named as the ratings name them; benchmarks that all have and that vary."""
    import pandas as pd

    frame = pd.read_csv(folder / name)
    plain = frame[model].str.lower().str.replace("meta-llama/", "").str.removesuffix("-hf")
    frame = frame.assign(model=plain)[plain.isin(LLAMAS)]
    if long:
        frame = frame[~frame["scenario"].str.contains("arena_elo")]
        frame = frame.pivot_table(index="model", columns="scenario", values="score").reset_index()
    numbers = (
        frame.drop(columns=[c for c in IGNORED if c in frame]).set_index("model").select_dtypes("number")
    )
    whole = numbers.loc[:, (numbers.notna().sum() == 3) & (numbers.nunique() > 1)]
    return (
        whole.drop(columns=[c for c in whole if "Size" in c])
        .add_suffix(f" ({name.split('_')[0]})")
        .reset_index()
    )


def _table(path: Path):
    """What a table needs to be read as it is: a name a model, one row a model (the first), and figures alone."""
    import pandas as pd

    if path.name == CARD:
        frame = pd.read_csv(path).drop_duplicates("key")
        return frame[["key", "mt_bench", "mmlu"]].rename(columns={"key": "model"})
    if path.name == LEADERBOARD:
        return pd.read_csv(path).drop_duplicates("model").drop(columns="hf_open_llm_v1")
    if path.name == ALPACA:
        kept = ["win_rate", "avg_length", "discrete_win_rate", "length_controlled_winrate"]
        long = pd.read_csv(path)[["leaderboard", "model", *kept]].melt(["leaderboard", "model"])
        long["benchmark"] = long["leaderboard"] + " " + long["variable"]
        return long.groupby(["model", "benchmark"])["value"].mean().unstack().reset_index()
    return path


def _ignored(folder: Path, files: list[str]) -> list[str]:
    heads = [(folder / name).read_text(encoding="utf-8").splitlines()[0].split(",") for name in files]
    return [name for name in IGNORED if any(name in head for head in heads)]

"""How far utility by n-grams agrees with utility by ablation on pocket's sources, and what each costs."""

from __future__ import annotations

from collections.abc import Iterator

TOKENS = 100_000


def measure() -> Iterator[str]:
    from flows.environment import open_home
    from flows.parts import utility_of
    from flows.recipes import load_recipe
    from storage.unrecorded import UnrecordedRun
    from tasks.sources.task import prepare_sources
    from tasks.utility.judge_agreement import rank_agreement
    from tasks.utility.matrix import UtilityMatrix

    e = load_recipe("pocket", [f"utility.ablation.tokens={TOKENS}", "utility.ablation.seeds=2"])
    run = UnrecordedRun(open_home())
    corpus = prepare_sources(run, e.sources, e.evaluation, e.random_seed)
    found = {
        method: UtilityMatrix.load(utility_of(run, e, corpus, method, e.budget.tokens).path)
        for method in ("ngram", "ablation")
    }
    agreement = rank_agreement(found["ngram"], found["ablation"])
    yield f"ngram against ablation ({TOKENS:,} tokens a proxy, 2 seeds): {agreement}"
    for method, matrix in found.items():
        yield f"{method}:\n{matrix.values.round(3).to_string()}"
    yield "MEDU against ablation: not yet measured"

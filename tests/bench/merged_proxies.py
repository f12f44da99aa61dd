"""How well merged branches stand in for proxies trained on a mixture (DeMix, arXiv 2602.00747), at the size of proxies.

A seed trained on the uniform mixture is branched once a source; the branches' weights, averaged by a mixture's, stand
in for the proxy that trains on that mixture from new weights. Both are scored in bits per byte of each source's
held-out text; the rank correlation over mixtures is printed for the mean and source by source, beside what losses of
one proxy a source foretell (linearly, and with diminishing returns) and what the same proxies with another random seed
do: more than that no stand-in can reach. MIXSTITCH_DATA names a folder with `corpora`, else pocket's sources are used;
runs in the home of the environment, where what is done already is found again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from storage.artifact import Artifact
    from tasks.training.training_run import Training

CORPORA = (
    "books_gutenberg",
    "math_gsm8k_train",
    "multilingual_tatoeba",
    "news_reuters_train",
    "noise_loghub",
    "web_movie_reviews",
)
TOKENS = 200_000
MIXTURES, SEEDS, RESAMPLES = 16, 2, 2000
POWER, FLOOR = 0.1, 0.7


def measure() -> Iterator[str]:
    from flows.environment import open_home
    from flows.parts import utility_of
    from storage.unrecorded import UnrecordedRun
    from tasks.sources.task import prepare_sources
    from tasks.training.training_run import Training

    e = _experiment()
    run = UnrecordedRun(open_home())
    corpus = prepare_sources(run, e.sources, e.evaluation, e.random_seed)
    utility = utility_of(run, e, corpus, "ngram", TOKENS)
    sources = sorted(corpus.facts["sources"])
    drawn = np.random.default_rng(0).dirichlet(np.ones(len(sources)), MIXTURES)
    mixtures = {f"mix{k:02d}": dict(zip(sources, row, strict=True)) for k, row in enumerate(drawn)}
    alone = {source: {source: 1.0} for source in sources}
    weights = pd.DataFrame(mixtures).T
    told: dict[str, list[pd.DataFrame]] = {}
    for random_seed in range(SEEDS):
        at = _At(run, e, corpus, utility, Training(e.training, random_seed))
        trained = pd.DataFrame(
            {name: at.scored(name, at.seed(name, own, TOKENS)) for name, own in (mixtures | alone).items()}
        ).T
        single = trained.loc[sources]
        told.setdefault("trained", []).append(trained.loc[list(mixtures)])
        told.setdefault("merged branches", []).append(at.merged(mixtures, alone))
        told.setdefault("one proxy a source, linear", []).append(weights @ single)
        told.setdefault("one proxy a source, diminishing returns", []).append(_diminished(weights, single))
    again = told["trained"][1:] + told["trained"][:1]
    told["the same proxies, another seed"] = again
    spent = {"trained": MIXTURES * TOKENS, "merged branches": (1 + len(sources)) * TOKENS // 2}
    yield (
        f"{len(sources)} sources, {MIXTURES} mixtures, {SEEDS} seeds; tokens trained: "
        + ", ".join(f"{name} {tokens:,}" for name, tokens in spent.items())
        + f", one proxy a source {len(sources) * TOKENS:,}"
    )
    yield "Spearman over mixtures, mean over seeds [95%, mixtures drawn anew]; source by source: mean [lowest, highest]"
    for name, own in told.items():
        if name != "trained":
            yield f"  {name}: {_ranked(own, told['trained'])}"


class _At:
    """Proxies of one random seed."""

    def __init__(self, run: Any, e: Any, corpus: Artifact, utility: Artifact, training: Training) -> None:
        self.run, self.e, self.corpus, self.utility, self.training = run, e, corpus, utility, training

    def mixture(self, name: str, weights: Mapping[str, float], tokens: int) -> Artifact:
        from tasks.mixture.methods.manual import ManualMixture
        from tasks.mixture.task import Known, Stretch, solve_mixture

        every = {source: weights.get(source, 0.0) for source in self.corpus.facts["sources"]}
        settings = ManualMixture(manual=every, epoch_cap=1000.0)
        return solve_mixture(self.run, name, settings, Known(self.corpus, self.utility), Stretch(tokens))

    def seed(self, name: str, weights: Mapping[str, float], tokens: int) -> Artifact:
        from tasks.training.task import train_seed
        from tasks.training.training_run import TrainingData

        data = TrainingData(self.corpus, self.mixture(name, weights, tokens))
        return train_seed(self.run, self.e.model, self.training, data, f"{name}-{self.training.random_seed}")

    def scored(self, name: str, model: Artifact) -> dict[str, float]:
        from tasks.evaluation.metrics import bits_per_byte_by_source
        from tasks.evaluation.task import evaluate_model

        scores = evaluate_model(
            self.run, f"{name}-{self.training.random_seed}", model, self.corpus, self.e.evaluation
        )
        return bits_per_byte_by_source(scores.facts["scores"])

    def merged(
        self, mixtures: Mapping[str, Mapping[str, float]], alone: Mapping[str, Mapping[str, float]]
    ) -> pd.DataFrame:
        """Bits per byte (mixtures x sources) of the branches' weights averaged by each mixture."""
        import models
        from tasks.evaluation.corpus import evaluate_on_corpus
        from tasks.evaluation.metrics import bits_per_byte_by_source
        from tasks.training.task import train_expert
        from tasks.training.training_run import TrainingData

        even = dict.fromkeys(alone, 1.0)
        seed = self.seed("even", even, TOKENS // 2)
        branches = {}
        for source, own in alone.items():
            data = TrainingData(self.corpus, self.mixture(f"branch-{source}", own, TOKENS // 2))
            label = f"{source}-{self.training.random_seed}"
            trained = train_expert(self.run, source, self.training, data, seed, label)
            branches[source] = models.load_causal_lm(str(trained.path / "model"))
        rows = {}
        for name, weights in mixtures.items():
            average = next(iter(branches.values())).__class__(next(iter(branches.values())).config)
            parts = [{k: w * v for k, v in branches[s].state_dict().items()} for s, w in weights.items()]
            average.load_state_dict({k: sum(part[k] for part in parts) for k in parts[0]})
            with TemporaryDirectory() as folder:
                average.save_pretrained(folder)
                scores, _ = evaluate_on_corpus(
                    Path(folder), name, self.corpus.path, self.corpus.facts, self.e.evaluation
                )
            rows[name] = bits_per_byte_by_source(scores.rows())
        return pd.DataFrame(rows).T


def _experiment() -> Any:
    from flows.recipes import load_recipe

    data = os.environ.get("MIXSTITCH_DATA")
    e = load_recipe(
        "pocket",
        [
            "model.hidden_size=64",
            "model.num_layers=2",
            "model.num_heads=2",
            "evaluation.bits_per_byte_bytes=20000",
            "evaluation.samples=0",
        ],
    )
    if data is None:
        return e
    listed = [
        {
            "name": name,
            "reader": "jsonl",
            "path": f"{data}/corpora/{name}.jsonl.gz",
            "max_bytes": 1_500_000,
        }
        for name in CORPORA
    ]
    made = [{"name": f"{CORPORA[0]}-cloze", "kind": "cloze", "source": CORPORA[0], "num_items": 20}]
    told = e.model_dump(mode="json", exclude_unset=True)
    told["sources"] = {**told["sources"], "listed": listed}
    told["evaluation"] = {**told["evaluation"], "made": made}
    told.pop("experts", None)
    return type(e).model_validate(told)


def _diminished(weights: pd.DataFrame, single: pd.DataFrame) -> pd.DataFrame:
    """L_j(w) = E_j + (sum_i k_ij w_i)^-a with k_ij = (L_ij - E_j)^(-1/a): the curve of the default, its usual shape."""
    floor = FLOOR * single.min()
    strength = (single - floor) ** (-1 / POWER)
    return floor + (weights[strength.index] @ strength) ** -POWER


def _ranked(own: list[pd.DataFrame], trained: list[pd.DataFrame]) -> str:
    def mean(rows: Callable[[pd.DataFrame], pd.DataFrame]) -> float:
        each = [
            rows(a).mean(axis=1).corr(rows(b[a.columns]).mean(axis=1), method="spearman")
            for a, b in zip(own, trained, strict=True)
        ]
        return float(np.mean(each))

    draw = np.random.default_rng(0)
    drawn = [
        mean(
            lambda table, rows=draw.integers(MIXTURES, size=MIXTURES): table.iloc[rows].reset_index(drop=True)
        )
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    by_source = [
        np.mean([a[s].corr(b[s], method="spearman") for a, b in zip(own, trained, strict=True)])
        for s in own[0].columns
    ]
    told = f"{mean(lambda table: table):.2f} [{low:.2f}, {high:.2f}]"
    return f"{told}; {np.mean(by_source):.2f} [{min(by_source):.2f}, {max(by_source):.2f}]"

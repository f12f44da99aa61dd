"""How much of each expert's own-domain gain in bits per byte the combined models of pocket keep, over three seeds.

Runs in the home of the environment, where what is done already is found again.
"""

from __future__ import annotations

import statistics
from collections import defaultdict

SEEDS = (0, 1, 2)


def measure() -> list[str]:
    from flows.experiment import run_experiment
    from flows.recipes import load_recipe
    from tasks.evaluation.metrics import bits_per_byte_by_source

    kept: dict[tuple[str, str], list[float]] = defaultdict(list)
    gained: dict[str, list[float]] = defaultdict(list)
    for seed in SEEDS:
        experiment = load_recipe("pocket", [f"random_seed={seed}"])
        scores = run_experiment(experiment).summary.scores
        bits = {
            model: bits_per_byte_by_source([score for score in scores if score["model"] == model])
            for model in {score["model"] for score in scores}
        }
        domain_of = {task.name: task.source for task in experiment.evaluation.made}
        for expert in experiment.experts.listed:
            domain = domain_of[expert.tasks[0]]
            gain = bits["seed"][domain] - bits[expert.name][domain]
            gained[domain].append(gain / bits["seed"][domain])
            for model in ("soup", "stitched"):
                kept[domain, model].append((bits["seed"][domain] - bits[model][domain]) / gain)
    lines = []
    for domain, gains in gained.items():
        parts = [f"expert {_spread(gains)} fewer bits per byte than the seed"]
        parts += [f"{model} keeps {_spread(kept[domain, model])} of that" for model in ("soup", "stitched")]
        lines.append(f"{domain}: " + ", ".join(parts) + f" (mean and range over {len(SEEDS)} seeds)")
    return lines


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.1%} [{min(values):.1%}, {max(values):.1%}]"

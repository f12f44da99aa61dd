"""The picture of an answer in the README: what was trained on, and what the combined models keep.

python docs/pictures/draw_answer.py                 draws answer.svg from the numbers in answer.json
python docs/pictures/draw_answer.py --run latest    takes the numbers of a run in MIXSTITCH_HOME first
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from storage.artifact import Artifact
from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.run_records import find_record
from tasks.evaluation.specialisation import own_sources
from tasks.report.differences import read_scores
from tasks.report.findings import Kept, kept_gains, kept_together
from tasks.report.pictures.colours import EXPERTS, INK, MUTED, RULE, STITCHED
from tasks.report.pictures.drawing import drawing, new_figure, write_svg

HERE = Path(__file__).resolve().parent
NUMBERS, PICTURE = HERE / "answer.json", HERE / "answer.svg"
SOURCES = (*EXPERTS[:3], "#c9c4b8")
MODELS = {"soup": "#8a6a46", "stitched": STITCHED}
OFFSET = {"soup": 0.17, "stitched": -0.17}


def numbers_of(home: Home, run: str) -> dict[str, Any]:
    """Mixtures in shares of tokens, and the share of each expert's gain that each combined model keeps."""
    record, store = find_record(home, run), ArtifactStore(home)
    found: dict[str, dict[str, Artifact]] = {}
    for entry in record["stages"]:
        artifact = store.load(entry["stage"], entry["folder"])
        found.setdefault(artifact.stage, {})[artifact.name] = artifact
    corpus, utility = (next(iter(found[stage].values())) for stage in ("sources", "utility"))
    mixtures = found["mixture"]
    experts = {name: a.facts["own_tasks"] for name, a in mixtures.items() if a.facts.get("own_tasks")}
    domains = {
        name: own_sources(tasks, corpus.facts["tasks"], utility.facts["utility"])
        for name, tasks in experts.items()
    }
    scores = {
        name: read_scores(a.path, a.facts["scores"])
        for name, a in found["evaluation"].items()
        if "@" not in name
    }
    kept = kept_gains(scores, domains, list(MODELS))
    rows = [_row(one, one.expert) for one in kept]
    for model in MODELS:
        together = kept_together([one for one in kept if one.combined == model])
        assert together is not None
        rows.append(_row(together, "all experts"))
    return {
        "run": record["name"],
        "commit": corpus.provenance["commit"],
        "sources": list(corpus.facts["sources"]),
        "mixtures": {
            name: {
                "tokens": sum(share["tokens"] for share in a.facts["mixture"]["sources"].values()),
                "weights": {s: share["weight"] for s, share in a.facts["mixture"]["sources"].items()},
            }
            for name, a in mixtures.items()
        },
        "kept": rows,
    }


def _row(one: Kept, expert: str) -> dict[str, Any]:
    return {
        "expert": expert,
        "model": one.combined,
        "kept": one.share,
        "low": one.low,
        "high": one.high,
        "gain": one.gain.value,
    }


def draw(told: dict[str, Any], path: Path) -> None:
    with drawing():
        figure, left = new_figure(8.9, 3.1)
        right = figure.add_subplot()
        left.set_position((0.1, 0.12, 0.405, 0.6))
        right.set_position((0.62, 0.12, 0.355, 0.6))
        right.patch.set_alpha(0)
        _mixtures(left, told)
        _kept(right, told["kept"])
        total = sum(mixture["tokens"] for mixture in told["mixtures"].values())
        for x, title, line in (
            (
                0.012,
                "What to train on",
                f"share of each source's text in the {total:,} tokens of five trainings",
            ),
            (
                0.545,
                "How to combine the experts",
                "share of each expert's gain that one model keeps, 95% interval",
            ),
        ):
            figure.text(x, 0.93, title, fontsize=11.5, fontweight="bold", color=INK)
            figure.text(x, 0.865, line, fontsize=8.5, color=MUTED)
        write_svg(figure, path)


def _mixtures(axes: Axes, told: dict[str, Any]) -> None:
    names = list(told["mixtures"])
    for place, name in enumerate(names):
        mixture, at = told["mixtures"][name], 0.0
        for source, colour in zip(told["sources"], SOURCES, strict=True):
            weight = mixture["weights"][source]
            axes.barh(-place, weight, left=at, color=colour, height=0.66, linewidth=0)
            if weight > 0.08:
                ink = INK if colour == SOURCES[-1] else "white"
                axes.text(
                    at + weight / 2, -place, f"{weight:.0%}", ha="center", va="center", color=ink, fontsize=8
                )
            at += weight
    labels = [
        "stitches" if name == "stitched" else name if name == "seed" else f"{name} expert" for name in names
    ]
    axes.set_yticks([-place for place in range(len(names))], labels)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    for i, (source, colour) in enumerate(zip(told["sources"], SOURCES, strict=True)):
        axes.text(0.27 * i, -len(names) + 0.3, "■", color=colour, fontsize=8, va="top")
        axes.text(0.27 * i + 0.04, -len(names) + 0.3, source, color=MUTED, fontsize=8, va="top")


def _kept(axes: Axes, rows: list[dict[str, Any]]) -> None:
    experts = list(dict.fromkeys(row["expert"] for row in rows))
    for row in rows:
        y = -experts.index(row["expert"]) + OFFSET[row["model"]]
        colour = MODELS[row["model"]]
        axes.hlines(y, row["low"], row["high"], colors=colour, linewidth=2.2, alpha=0.55)
        axes.plot(row["kept"], y, marker="o", markersize=5, color=colour, linestyle="none")
        axes.text(row["high"] + 0.02, y, f"{row['kept']:.0%}", fontsize=8, va="center", color=colour)
    axes.set_yticks([-i for i in range(len(experts))], experts)
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.axvline(1, color=MUTED, linewidth=0.8, linestyle=":")
    high = max(1.0, *(row["high"] for row in rows))
    low = min(0.0, *(row["low"] for row in rows))
    axes.set_xlim(low - 0.03, high + 0.13)
    axes.set_ylim(-len(experts) + 0.45, 0.55)
    axes.set_xticks([0, 0.5, 1], ["nothing", "half", "all of it"])
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=RULE)
    axes.set_axisbelow(True)
    for model in MODELS:
        label = "soup (mean of weights)" if model == "soup" else "stitched"
        axes.text(
            0.0 if model == "soup" else 0.62, 1.02, f"● {label}", transform=axes.transAxes,
            color=MODELS[model], fontsize=8,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", help="take the numbers of this run first: an id, or latest")
    given = parser.parse_args()
    if given.run:
        told = numbers_of(Home.from_environment(), given.run)
        NUMBERS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    draw(json.loads(NUMBERS.read_text(encoding="utf-8")), PICTURE)


if __name__ == "__main__":
    main()

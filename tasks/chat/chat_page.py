"""The page of a chat run: one HTML file with its tables and pictures inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.chat.settings import ChatSettings
from tasks.report.pictures.colours import ACCENT, INK, MUTED
from tasks.report.pictures.drawing import Picture, drawing, finished, new_figure
from tasks.report.templating import page_environment, page_style

STRENGTH_WORDS = {
    None: "all",
    4: "significantly better",
    3: "better",
    2: "slightly better",
    1: "negligibly better, unsure",
}
WIDTH, HEIGHT = 3.6, 2.4
PPO = (("reward", "mean reward of a batch"), ("kl", "divergence of an answer"))


def write_chat_page(path: Path, title: str, chat: ChatSettings, found: Mapping[str, Any]) -> None:
    """Write the page to `path`. found: as `chat_results.chat_tables` gives it."""
    template = page_environment(Path(__file__).parent).get_template("chat.html")
    page = template.render(
        title=title,
        style=page_style(),
        found=found,
        chat=chat,
        strengths=STRENGTH_WORDS,
        between=between,
        share=share,
        change=change,
        histograms=[_histogram(row["histogram"], f"margin {row['margin']}") for row in found["rewards"]],
        safety_histogram=found["safety"] and _histogram(found["safety"]["histogram"], "safety"),
        percent=percent,
        curves=[_curve(row) for row in found["rounds"]],
        ppo_curves=[_ppo_curve(found["ppo"]["curve"], *told) for told in PPO] if found["ppo"] else [],
    )
    path.write_text(page, encoding="utf-8")


def share(row: Mapping[str, Any]) -> str:
    """ "63% [55%, 71%]"; a dash where there is none."""
    if row["mean"] is None:
        return "–"
    return f"{row['mean']:.0%} [{row['low']:.0%}, {row['high']:.0%}]"


def percent(value: float | None) -> str:
    """ "63%"; a dash where there is none."""
    return "–" if value is None else f"{value:.0%}"


def between(row: Mapping[str, float]) -> str:
    """ "2.13 [2.01, 2.25]"."""
    return f"{row['mean']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


def change(row: Mapping[str, float | None]) -> str:
    """ "+0.130 [+0.010, +0.250]"; without the ends where the error is unknown."""
    ends = "" if row["low"] is None else f" [{row['low']:+.3f}, {row['high']:+.3f}]"
    return f"{row['mean']:+.3f}{ends}"


def _histogram(told: Mapping[str, Any], name_of_model: str) -> Picture:
    with drawing():
        figure, axes = new_figure(WIDTH, HEIGHT)
        figure.subplots_adjust(left=0.14, right=0.97, top=0.88, bottom=0.2)
        for name, colour in (("chosen", ACCENT), ("rejected", MUTED)):
            axes.stairs(told[name], told["edges"], color=colour, label=name, linewidth=1.5)
        axes.set_xlabel(f"reward, {name_of_model}")
        axes.set_ylabel("held-out answers")
        axes.legend(loc="upper left", bbox_to_anchor=(0, 1.18), ncols=2)
        return finished(figure, f"Rewards of chosen and rejected answers, {name_of_model}.")


def _curve(row: Mapping[str, Any]) -> Picture:
    curve: Sequence[Mapping[str, float]] = row["best_of"]
    with drawing():
        figure, axes = new_figure(WIDTH, HEIGHT)
        figure.subplots_adjust(left=0.17, right=0.97, top=0.88, bottom=0.2)
        counts = [point["n"] for point in curve]
        axes.plot(
            counts,
            [point["best"] for point in curve],
            color=ACCENT,
            marker="o",
            markersize=3,
            label="best of N",
        )
        axes.plot(counts, [point["median"] for point in curve], color=INK, linestyle="--", label="median")
        axes.set_xlabel(f"answers N, round {row['round']}")
        axes.set_ylabel("reward")
        axes.legend(loc="upper left", bbox_to_anchor=(0, 1.18), ncols=2)
        first, last = curve[0], curve[-1]
        words = (
            f"Round {row['round']}: expected best reward from {first['best']:.2f} of 1 to {last['best']:.2f} of "
            f"{last['n']:.0f}."
        )
        return finished(figure, words)


def _ppo_curve(curve: Sequence[Mapping[str, float]], name: str, title: str) -> Picture:
    with drawing():
        figure, axes = new_figure(WIDTH, HEIGHT)
        figure.subplots_adjust(left=0.17, right=0.97, top=0.95, bottom=0.2)
        axes.plot([row["iteration"] for row in curve], [row[name] for row in curve], color=ACCENT)
        axes.set_xlabel("iteration of PPO")
        axes.set_ylabel(title)
        words = (
            f"PPO, {title}: from {curve[0][name]:.2f} to {curve[-1][name]:.2f} in {len(curve)} iterations."
        )
        return finished(figure, words)

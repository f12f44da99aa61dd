"""Which names of models are one model's, where tables may spell it differently."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pandas as pd

from tasks.preference.sheets.figures import Figures
from tasks.preference.sheets.model_names import normalised


class Names:
    """How a name is spelt once tables are joined: as the ratings have it, else as it was first seen."""

    def __init__(self, known: list[str], join: str) -> None:
        self.spelt: dict[str, str] = {}
        self.exact = set(known)
        self.join = join
        if join == "normalised":
            counts = defaultdict(list)
            for name in known:
                counts[normalised(name)].append(name)
            self.spelt = {key: alike[0] for key, alike in counts.items() if len(alike) == 1}
            self.ambiguous = {key for key, alike in counts.items() if len(alike) > 1}

    def of(self, names: list[str]) -> dict[str, str]:
        """Name -> its spelling; ambiguous names keep their own."""
        if self.join == "exact":
            return {}
        counts = defaultdict(list)
        for name in names:
            counts[normalised(name)].append(name)
        found = {}
        for key, alike in counts.items():
            if len(alike) > 1 or key in self.ambiguous or alike[0] in self.exact:
                continue
            found[alike[0]] = self.spelt.setdefault(key, alike[0])
        return {name: spelt for name, spelt in found.items() if name != spelt}


def renamed(part: Figures, names: Names, notes: list[str]) -> Figures:
    found = names.of(list(part.about.index))
    taken = set(part.about.index)
    found = {name: spelt for name, spelt in found.items() if spelt not in taken}
    if found:
        notes.append(
            f"{part.name}: {len(found)} models joined by normalised name: "
            + "; ".join(f"{name!r} = {spelt!r}" for name, spelt in sorted(found.items()))
            + "."
        )
    return replace(
        part,
        values=part.values.rename(index=found),
        errors=part.errors.rename(index=found),
        about=part.about.rename(index=found),
    )


def near_names(scored: pd.Index, rated: pd.Index) -> list[tuple[str, str]]:
    exact = set(scored) & set(rated)
    by_key: dict[str, list[str]] = defaultdict(list)
    for name in rated:
        if name not in exact:
            by_key[normalised(name)].append(name)
    return sorted(
        (name, other) for name in scored if name not in exact for other in by_key.get(normalised(name), [])
    )

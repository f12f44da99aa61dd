"""Cosine of tf-idf: how alike a document and the task's dev items are in the words that are not everywhere.

    U_ij = mean over source i's documents x of cos(x, c_j),     c_j = sum of task j's items, both tf-idf and positive

with weights learnt on all documents and items (scikit-learn's TfidfVectorizer, logarithmic counts). Its standard
error adds, in quadrature, the documents' s / sqrt(n) and a jackknife over groups of the task's items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from tasks.utility.utility_method import UtilityMethod

if TYPE_CHECKING:
    from tasks.utility.matrix import UtilityMatrix


class TfidfSettings(BaseModel):
    """Utility from words alone, as a search engine ranks documents."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: int = Field(50_000, ge=100, le=1_000_000, description="Most frequent words that count.")
    groups: int = Field(
        10,
        ge=2,
        le=100,
        description="Groups of a task's items for the jackknife error; one is left out at a time.",
    )


def tfidf_utility(
    samples: dict[str, list[str]], dev_items: dict[str, list[str]], settings: TfidfSettings
) -> UtilityMatrix:
    """The utility of each source's sampled documents (texts) for each task's dev items (texts).

    Raises ValueError naming a source or task without texts, and where no word is left.
    """
    import numpy as np
    import pandas as pd
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    from tasks.utility.matrix import UNKNOWN_DEVIATION, UtilityMatrix

    for what, given in (("source", samples), ("task", dev_items)):
        empty = sorted(name for name, texts in given.items() if not texts)
        if empty:
            raise ValueError(f"utility: {what}s {empty} have no texts; tfidf needs at least one of each")
    vectors = TfidfVectorizer(max_features=settings.features, sublinear_tf=True)
    vectors.fit([text for given in (samples, dev_items) for texts in given.values() for text in texts])
    documents = {name: vectors.transform(texts) for name, texts in samples.items()}
    values = pd.DataFrame(0.0, list(samples), list(dev_items))
    errors = values.copy()
    for task, texts in dev_items.items():
        items = vectors.transform(texts)
        groups = min(settings.groups, len(texts))
        total = np.asarray(items.sum(axis=0))
        centres = [total] + [
            total - np.asarray(items[group::groups].sum(axis=0)) for group in range(groups) if groups > 1
        ]
        directions = normalize(np.concatenate(centres)).T
        for source, rows in documents.items():
            cosines = rows @ directions  # documents x (all items, then each group left out)
            left_out = cosines[:, 1:].mean(axis=0)
            deviation = cosines[:, 0].std(ddof=1) if len(cosines) > 1 else UNKNOWN_DEVIATION
            jackknife = (
                (groups - 1) / groups * ((left_out - left_out.mean()) ** 2).sum() if groups > 1 else 0.0
            )
            values.loc[source, task] = float(np.clip(cosines[:, 0].mean(), 0, 1))
            errors.loc[source, task] = float(np.sqrt(deviation**2 / len(cosines) + jackknife))
    counted = {"documents": {s: len(texts) for s, texts in samples.items()}}
    return UtilityMatrix(values, errors, {"method": "tfidf", **settings.model_dump(), **counted})


METHOD = UtilityMethod(
    name="tfidf",
    title="tf-idf",
    line="cosine of a source's and the task's words, weighted by how rare they are",
    paper="Salton and Buckley 1988, for the weights",
    equation="U_ij = mean over documents x of cos(x, sum of task j's items)",
    section=TfidfSettings,
    default=TfidfSettings(),
    describes="Settings of the method tfidf.",
    estimate=lambda settings, given: tfidf_utility(dict(given.samples), dict(given.dev), settings),
)

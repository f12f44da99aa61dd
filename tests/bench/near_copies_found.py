"""How many near duplicates `sources.fuzzy_duplicates` finds, by their true Jaccard similarity, on real text.

In documents of MIXSTITCH_DATA/corpora near copies are planted, words of which are changed at random; the similarity of
each document to those with lower hashes is then counted exactly.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tasks.benchmarks.items import read_items
from tasks.sources.document_hashes import document_hash
from tasks.sources.near_duplicates import shingles
from tasks.sources.preparation import prepare
from tasks.sources.readers import read_documents, sources_of_folder
from tasks.sources.settings import FuzzyDuplicates, SourceSettings, SourcesSettings

OF_A_CORPUS = 400
PLANTED = 1000
CHARACTERS = 6_000
WORDS_A_CHANGE = 40  # at least
COMMON = 60  # documents that share an n-gram, above which it brings no two together
BORDERS = (0.0, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.01)


def measure() -> Iterator[str]:
    if not os.environ.get("MIXSTITCH_DATA"):
        raise SystemExit("near_copies_found needs MIXSTITCH_DATA=folder with corpora/")
    settings = FuzzyDuplicates()
    documents = _documents(Path(os.environ["MIXSTITCH_DATA"]) / "corpora")
    nearest = _nearest(documents, settings.ngram)
    kept = _kept(documents, settings)
    for low, high in itertools.pairwise(BORDERS):
        there = [
            text for text, similarity in zip(documents, nearest, strict=True) if low <= similarity < high
        ]
        gone = sum(text not in kept for text in there)
        yield f"similarity {low:.2f} to {min(high, 1):.2f}: {gone} of {len(there)} documents go"


def _documents(folder: Path) -> list[str]:
    draw = random.Random(0)
    found: dict[str, None] = {}
    for source in sources_of_folder(folder):
        for text in itertools.islice(read_documents(source), OF_A_CORPUS):
            found[text[:CHARACTERS]] = None
    long = [text for text in found if len(text.split()) > 3 * WORDS_A_CHANGE]
    for text in draw.sample(long, PLANTED):
        words = text.split(" ")
        for _ in range(draw.randint(1, max(1, len(words) // WORDS_A_CHANGE))):
            words[draw.randrange(len(words))] = f"changed{draw.randrange(10**6)}"
        found[" ".join(words)] = None
    return draw.sample(list(found), len(found))


def _nearest(documents: list[str], ngram: int) -> list[float]:
    """Of each document the highest similarity to one with a lower hash."""
    sets = [shingles(text, ngram) for text in documents]
    digests = [document_hash(text) for text in documents]
    having: dict[bytes, list[int]] = defaultdict(list)
    for number, found in enumerate(sets):
        for one in found:
            having[one].append(number)
    shared: set[tuple[int, int]] = set()
    for numbers in having.values():
        if len(numbers) <= COMMON:
            shared.update(itertools.combinations(numbers, 2))
    nearest = [0.0] * len(documents)
    for one, two in shared:
        similarity = len(sets[one] & sets[two]) / len(sets[one] | sets[two])
        higher = one if digests[one] > digests[two] else two
        nearest[higher] = max(nearest[higher], similarity)
    return nearest


def _kept(documents: list[str], fuzzy: FuzzyDuplicates) -> set[str]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = "".join(json.dumps({"text": text}) + "\n" for text in documents)
        (folder / "text.jsonl").write_text(rows, encoding="utf-8")
        source = SourceSettings(name="text", reader="jsonl", path=str(folder / "text.jsonl"))
        settings = SourcesSettings(
            listed=(source,),
            fuzzy_duplicates=fuzzy,
            sample_documents=len(documents),
            max_heldout_documents=len(documents),
            sample_characters=CHARACTERS * 2,
        )
        prepare([source], settings, lambda heldout: [], {}, 0.3, folder / "corpus", lambda text: None)
        samples = (folder / "corpus" / name / "text.jsonl" for name in ("samples", "heldout"))
        return {row["text"] for path in samples for row in read_items(path)}

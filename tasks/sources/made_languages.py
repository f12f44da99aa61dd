"""Languages that nobody speaks: text without end in x-FAMILY-NAME, with sounds, words and an order of its own.

All say the same kind of thing: sentences about a few hundred meanings, who does what where, drawn alike in each.
Languages of a family share half of their words, but for one sound; else a language has nothing of another. So how
much of a language a model learns depends on what it reads of it and of its family, and on nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache

CONSONANTS, VOWELS = "bdfghjklmnprstvz", "aeiouäõöü"
MEANINGS = {"thing": 160, "deed": 60, "place": 40, "sort": 50}
ORDERS = ("tdt", "ttd", "dtt")
LINKS = 12  # meanings that a thing goes with


@lru_cache(maxsize=64)
def _words(language: str) -> dict[tuple[str, int], str]:
    """Meaning -> word. Half are the family's, with a consonant shifted; short words stand for frequent meanings."""
    family = language.split("-")[1]
    own, shared = random.Random(f"words {language}"), random.Random(f"words of {family}")
    shift = dict(zip(own.sample(CONSONANTS, 2), own.sample(CONSONANTS, 2), strict=True))
    sounds = {draw: (draw.sample(CONSONANTS, 9), draw.sample(VOWELS, 5)) for draw in (own, shared)}
    found: dict[tuple[str, int], str] = {}
    for kind, count in MEANINGS.items():
        for number in range(count):
            length = 1 + (number > count // 10) + (number > count // 2)
            said = {
                draw: "".join(
                    draw.choice(sounds[draw][0]) + draw.choice(sounds[draw][1]) for _ in range(length)
                )
                + (draw.choice(sounds[draw][0]) if number % 2 else "")
                for draw in (own, shared)
            }
            word = said[own] if own.random() < 0.5 else "".join(shift.get(c, c) for c in said[shared])
            found[kind, number] = word
    return found


def _frequent(draw: random.Random, count: int) -> int:
    """A meaning: the first are the most frequent, about as 1 / rank."""
    return min(int(count ** draw.random()) - 1, count - 1)


def made_language_documents(language: str, random_seed: int) -> Iterator[str]:
    """Documents of 6 to 14 sentences, one a line; what goes with what is the same in all languages."""
    words, order = _words(language), ORDERS[random.Random(f"order {language}").randrange(len(ORDERS))]
    for number in range(2**62):
        draw = random.Random(f"{language} {random_seed} {number}")
        topic = _frequent(draw, MEANINGS["thing"])
        sentences = []
        for _ in range(draw.randint(6, 14)):
            other = (topic * 7 + draw.randrange(LINKS)) % MEANINGS["thing"]
            deed = (topic + 3 * other + draw.randrange(3)) % MEANINGS["deed"]
            things = iter((topic, other))
            said = [words["thing", next(things)] if part == "t" else words["deed", deed] for part in order]
            if draw.random() < 0.5:
                said.insert(draw.randrange(2), words["sort", (topic + other) % MEANINGS["sort"]])
            if draw.random() < 0.4:
                said.append(words["place", (deed + draw.randrange(2)) % MEANINGS["place"]])
            sentences.append(" ".join(said).capitalize() + ".")
            topic = other if draw.random() < 0.5 else topic
        yield "\n".join(sentences) + "\n"

"""Columns of leaderboards that are no benchmarks, or no ratings: known by their names, and left out unless asked for.

A rank or a count of votes follows from the rating itself, so that as a benchmark it would be the best of all.
"""

from __future__ import annotations

import re

BENCHMARKS, CATEGORIES = "benchmarks", "ratings"
OTHERS = {
    "a rank": ("|rank( .*)?|.* rank|ranking|position|percentile|no|nr|index|unnamed 0|id",),
    "votes": (
        "(.* )?votes?( .*)?",
        "((num|number of|n|total) )?(battles|matches|games|comparisons|judge?ments|annotations|annotators)( count)?",
        "((num|number of|n|total) )?(downloads|likes|stars|wins|losses|ties)( count)?",
    ),
    "a date": (
        "date( (added|released|of release|utc|updated))?|.* (date|year|released|cutoff|cut off)|released?( on| at)?",
        "(created|updated|added|submitted)( on| at)?|(release )?(year|month)|(knowledge )?cut ?off( date)?|timestamp",
    ),
    "a parameter count": ("(.* )?(params?|parameters?)( .*)?|(model )?size( in)?( b| m| gb| mb)?|billions?",),
    "a training setting": (
        "((max|peak|min) )?lr|(.* )?learning rate|(.* )?weight decay|((train|global|micro) )?batch( size)?",
        "((random|train|training) )?seed|((num|train|training) )?(epochs?|steps?)|(training |train )?compute",
        "(.* )?flops?( .*)?|((train|training|total|pretraining|seen) )?tokens( .*)?|momentum|adam .*|dropout",
        "((num|n|number of) )?(layers|heads|experts)|hidden (size|dim)|d model|width|depth|warm ?up( .*)?",
        "((max|model) )?(context|sequence|seq)( (window|length|len|size|tokens))?|max tokens|vocab( size)?",
        "temperature|top [pk]|precision|dtype|license|licence",
    ),
    "a price or a speed": (
        "((input|output|total|mean|average) )?(price|cost)( .*)?|latency( .*)?|throughput( .*)?|tokens per .*",
        "speed( .*)?|(gpu |peak )?memory( (gb|mb|use|used))?|co2( .*)?",
    ),
}
RATING = (
    "(.* )?elo( .*)?|(.* )?ratings?( .*)?|bradley terry( .*)?|glicko.*|trueskill.*|human preference( .*)?",
    r"(?!.*\bhard\b)(.* )?arena( .*)?",
)


def is_rating(name: str) -> bool:
    """Whether a column's name says that it holds a rating."""
    return _is_one(name, RATING)


def what_else(name: str, role: str) -> str | None:
    """What a column holds that is none of `role`, as its name says; None: nothing says so."""
    for what, patterns in OTHERS.items():
        if _is_one(name, patterns):
            return what
    return "a rating" if role == BENCHMARKS and is_rating(name) else None


def _is_one(name: str, patterns: tuple[str, ...]) -> bool:
    """'Release_Date (UTC)' and 'ReleaseDate' are compared as 'release date utc' and 'release date'."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", name)
    words = " ".join(re.findall(r"[^\W_]+", parted.lower()))
    return any(re.fullmatch(pattern, words) for pattern in patterns)

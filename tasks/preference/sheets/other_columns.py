"""Columns of leaderboards that are no benchmarks, or no ratings: known by their names, named, and left out unless asked for.

A rank or a count of votes follows from the rating itself, so that as a benchmark it would be the best of all.
"""

from __future__ import annotations

import re

BENCHMARKS, CATEGORIES = "benchmarks", "ratings"
_OTHERS = {
    "a rank": r"|rank( .*)?|.* rank|ranking|position|percentile|no|nr|index|unnamed 0|id",
    "votes": r"(.* )?votes?( .*)?|((num|number of|n|total) )?(battles|matches|games|comparisons|judge?ments|annotations"
    r"|annotators|downloads|likes|stars|wins|losses|ties)( count)?",
    "a date": r"date( (added|released|of release|utc|updated))?|.* (date|year|released|cutoff|cut off)|released?( on| at)?"
    r"|(created|updated|added|submitted)( on| at)?|(release )?(year|month)|(knowledge )?cut ?off( date)?|timestamp",
    "a parameter count": r"(.* )?(params?|parameters?)( .*)?|(model )?size( in)?( b| m| gb| mb)?|billions?",
    "a training setting": r"((max|peak|min) )?lr|(.* )?learning rate|(.* )?weight decay|((train|global|micro) )?batch( size)?"
    r"|((random|train|training) )?seed|((num|train|training) )?(epochs?|steps?)"
    r"|(.* )?flops?( .*)?|((train|training|total|pretraining|seen) )?tokens( .*)?|(training |train )?compute"
    r"|((num|n|number of) )?(layers|heads|experts)|hidden (size|dim)|d model|width|depth|dropout|warm ?up( .*)?"
    r"|((max|model) )?(context|sequence|seq)( (window|length|len|size|tokens))?|max tokens|vocab( size)?"
    r"|momentum|adam .*|temperature|top [pk]|precision|dtype|license|licence",
    "a price or a speed": r"((input|output|total|mean|average) )?(price|cost)( .*)?|latency( .*)?|throughput( .*)?|tokens per .*"
    r"|speed( .*)?|(gpu |peak )?memory( (gb|mb|use|used))?|co2( .*)?",
}
_RATING = r"(.* )?elo( .*)?|(.* )?ratings?( .*)?|(?!.*\bhard\b)(.* )?arena( .*)?|bradley terry( .*)?|glicko.*|trueskill.*|human preference( .*)?"
OTHERS = {what: re.compile(pattern) for what, pattern in _OTHERS.items()}
RATING = re.compile(_RATING)


def is_rating(name: str) -> bool:
    """Whether a column's name says that it holds a rating."""
    return RATING.fullmatch(_words(name)) is not None


def what_else(name: str, role: str) -> str | None:
    """What a column holds that is none of `role`, as its name says; None: nothing says so."""
    words = _words(name)
    for what, pattern in OTHERS.items():
        if pattern.fullmatch(words):
            return what
    return "a rating" if role == BENCHMARKS and is_rating(name) else None


def _words(name: str) -> str:
    """'Release_Date (UTC)', 'ReleaseDate' -> 'release date utc', 'release date'."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", name)
    return " ".join(re.findall(r"[^\W_]+", parted.lower()))

"""What a vote between two models says: a model's name, a word, or a code, by the code book of the whole file.

    1 / 2 / 0    the first, the second, a tie        1 / -1 / 0    likewise

0 and 1 without 2 or -1 belong to several books, which disagree: they are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tasks.tables.table import as_number, as_text

FIRST_WORDS = ("a", "modela", "model1", "responsea", "answera", "assistanta", "first", "left")
SECOND_WORDS = ("b", "modelb", "model2", "responseb", "answerb", "assistantb", "second", "right")
TIE_WORDS = (
    *(
        "tie",
        "ties",
        "tied",
        "draw",
        "equal",
        "same",
        "both",
        "neither",
        "bothbad",
        "bothgood",
        "nopreference",
    ),
    *("tiebothbad", "tiebothgood", "botharebad", "botharegood", "equallybad", "equallygood"),
)
WORDS = {
    **dict.fromkeys(FIRST_WORDS, 1.0),
    **dict.fromkeys(SECOND_WORDS, 0.0),
    **dict.fromkeys(TIE_WORDS, 0.5),
}
BOOKS = {2.0: {1.0: 1.0, 2.0: 0.0, 0.0: 0.5}, -1.0: {1.0: 1.0, -1.0: 0.0, 0.0: 0.5}}
CODES = (1.0, 2.0, 0.0, -1.0)
ALLOWED = "A, B or tie, the name of one of the two models, or a code: of 1, 2, 0 or of 1, -1, 0"

Vote = tuple[Any, str, str]  # the cell, and the names of the first model and of the second


def outcomes(votes: Iterable[Vote]) -> list[float | str]:
    """Of each vote 1 (the first), 0 (the second) or .5 (a tie), or a text that says what is wrong with it.

    A name as it is written comes before words and codes; a name but for case and "-", "_" or blanks is taken where no
    word says otherwise. Raises ValueError for codes of which it is not clear what they mean.
    """
    read = [_named(*vote) for vote in votes]
    used = {found for kind, found in read if kind == "code"}
    telling = used & BOOKS.keys()
    if used and len(telling) != 1:
        raise ValueError(_unclear(used))
    book = BOOKS[telling.pop()] if telling else {}
    return [book[found] if kind == "code" else found for kind, found in read]


def _named(cell: Any, first: str, second: str) -> tuple[str, Any]:
    told, number = as_text(cell), as_number(cell)
    names = {first: 1.0, second: 0.0}
    for text in (told, as_text(number)):
        if text and text in names:
            return "vote", names[text]
    if number in CODES:
        return "code", number
    meant = {WORDS[word] for word in [_word(told)] if word in WORDS}
    meant |= {value for name, value in names.items() if told and _alike(name) == _alike(told)}
    if len(meant) == 1:
        return "vote", meant.pop()
    if meant:
        return "wrong", f"{cell!r} can mean either of {first!r} and {second!r}; write the name of the model"
    return "wrong", f"{cell!r} must be {ALLOWED}"


def _word(text: str) -> str:
    """'tie (bothbad)', 'Tie_both-bad' -> 'tiebothbad'; a sign stays: '-a'."""
    bare = re.sub(r"[\[\](){}\"'*]", "", text.lower()).strip()
    return re.sub(r"(?<=[a-z0-9])[\s_:,/-]+(?=[a-z0-9])", "", bare)


def _alike(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.casefold())


def _unclear(used: set[float]) -> str:
    shown = ", ".join(f"{code:g}" for code in sorted(used))
    why = (
        "2 and -1 belong to different code books"
        if BOOKS.keys() <= used
        else "with neither 2 nor -1 in the file, 1 may be the first model or the second, and 0 the other or a tie"
    )
    return f"the codes {shown} are not clear: {why}; write A, B and tie, or the name of the model"

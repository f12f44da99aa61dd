"""Names of models as they compare where they may be spelt differently."""

from __future__ import annotations

import re
import unicodedata


def normalised(name: str) -> str:
    """A model name without organisation, case and punctuation: 'lmsys/Vicuna-13b_v1.5' -> 'vicuna13bv1.5'.

    What tells models apart stays: a plus is a word ('command-r+' is 'command-r-plus', not 'command-r'), numbers keep
    what divides them ('1.5' is not '15'), and letters of every script count.
    """
    told = unicodedata.normalize("NFKC", name.rsplit("/", 1)[-1]).casefold().replace("+", "plus")
    return re.sub(r"(?<=\d)[\W_]+(?=\d)|[\W_]", lambda part: "." if _divides(part) else "", told)


def _divides(part: re.Match[str]) -> bool:
    return part.string[: part.start()][-1:].isdigit() and part.string[part.end() :][:1].isdigit()

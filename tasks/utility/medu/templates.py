"""The prompts of MEDU: template files that a user can replace, checked, and filled so that data stay data.

A template holds each of its slots, like {document}, once, alone between an opening and a closing tag:

    <document>
    {document}
    </document>

What fills a slot can neither close its tag nor open another slot, nor spell a chat template's special tokens.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SHIPPED = Path(__file__).parent / "prompts"
SLOTS = {"describe": ("items",), "merge": ("first", "second"), "label": ("description", "document")}
SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Templates:
    """The three texts by name, and the digest of them all."""

    texts: dict[str, str]

    @property
    def digest(self) -> str:
        sha = hashlib.sha256()
        for name in SLOTS:
            sha.update(f"{name}\0{self.texts[name]}\0".encode())
        return sha.hexdigest()[:16]

    def fill(self, name: str, special: Iterable[str] = (), **data: str) -> str:
        """The prompt with its data in their slots. special: tokens of the model that data may not spell."""
        parts = SLOT.split(self.texts[name])
        return "".join(
            defused(data[part], special) if index % 2 else part for index, part in enumerate(parts)
        )


def defused(text: str, special: Iterable[str] = ()) -> str:
    """Text in which nothing closes a tag, and which spells none of the special tokens.

    `</` becomes `< /` and `<|` becomes `< |`, which every known chat template's own markers hold or follow;
    a space goes behind the first character of any other special token.
    """
    text = text.encode("utf-8", "replace").decode("utf-8")  # half of a surrogate pair can be sent nowhere
    text = text.replace("</", "< /").replace("<|", "< |")
    for token in special:
        if len(token) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def load_templates(folder: Path | None) -> Templates:
    """The templates of a folder (None: the shipped ones).

    Raises ValueError naming the file where one is missing or no UTF-8, where a slot is missing, stands twice or
    is unknown, and where one does not stand alone between its tags.
    """
    folder = SHIPPED if folder is None else folder.expanduser()
    texts = {}
    for name, slots in SLOTS.items():
        path = folder / f"{name}.txt"
        try:
            texts[name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            files = ", ".join(f"{one}.txt" for one in SLOTS)
            raise ValueError(
                f"{path}: cannot be read ({reason}); a folder of prompts holds {files}"
            ) from error
        _check(path, texts[name], slots)
    return Templates(texts)


def _check(path: Path, text: str, slots: tuple[str, ...]) -> None:
    allowed = " and ".join(f"{{{slot}}}" for slot in slots)
    found = SLOT.findall(text)
    unknown = sorted(set(found) - set(slots))
    if unknown:
        raise ValueError(f"{path}: unknown slots {unknown}; it holds {allowed}")
    for slot in slots:
        if found.count(slot) != 1:
            raise ValueError(
                f"{path}: the slot {{{slot}}} stands {found.count(slot)} times; it holds {allowed}, each once"
            )
        if not re.search(rf"<(\w+)>\s*\{{{slot}\}}\s*</\1>", text):
            raise ValueError(
                f"{path}: the slot {{{slot}}} must stand alone between an opening and a closing tag, as in "
                f"<{slot}>{{{slot}}}</{slot}>: what fills it is data, not instruction"
            )

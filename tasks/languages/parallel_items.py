"""Items of a benchmark in many languages, from files of its usual fields; what translates one item shares its key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tasks.languages.cloze_forms import IDS, LANGUAGES, ClozeForm
from tasks.sources.language_codes import checked_code, code_of
from tasks.sources.readers import matching_files
from tasks.tables.reading import COMPRESSIONS, DELIMITERS, JSON_LINES, PARQUET, table_of

ENDINGS = (
    *PARQUET,
    *(kind + packed for kind in (*DELIMITERS, *JSON_LINES) for packed in ("", *COMPRESSIONS)),
)


@dataclass(frozen=True)
class ParallelItem:
    """key: the same for an item in all languages. choices: its own; empty where the template has words for them."""

    key: str
    language: str
    variant: str
    fields: Mapping[str, str]
    choices: tuple[str, ...]
    answer: int

    @property
    def text(self) -> str:
        """All that it says, to tell whether two items are one."""
        words = " ".join((self.variant, *self.fields.values(), *self.choices)).casefold()
        return " ".join(words.split())


def read_items(
    place: str, form: ClozeForm, setting: str, language: str | None = None
) -> dict[str, list[ParallelItem]]:
    """Language -> its items, of a file, a folder or a pattern.

    language: of rows that say none; else the name of the file or its folder must hold a code. Raises ValueError by
    file and row for what is no row of the form, and for a key that stands twice in a language.
    """
    found: dict[str, dict[str, ParallelItem]] = {}
    for path in files_of(place, setting):
        of_place = language or _language_of_name(path)
        for number, (where, row) in enumerate(table_of(path, setting).rows):
            at = f"{setting}: {path} {where}"
            item = _item(row, form, at, of_place, number)
            own = found.setdefault(item.language, {})
            if item.key in own:
                raise ValueError(f"{at}: item {item.key!r} stands twice in {item.language!r}")
            own[item.key] = item
    if not found:
        raise ValueError(f"{setting}={place}: holds no rows")
    return {code: list(own.values()) for code, own in sorted(found.items())}


def files_of(place: str, setting: str) -> list[Path]:
    """The files of a place, sorted; ValueError where there are none."""
    path = Path(place).expanduser()
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and p.name.lower().endswith(ENDINGS))
    else:
        files = matching_files(path)
    if not files:
        raise ValueError(f"{setting}={place}: no such file, and nothing in it ends in {', '.join(ENDINGS)}")
    return files


def _language_of_name(path: Path) -> str | None:
    """The code that stands in the file's name, or is its folder's."""
    stem = path.name.split(".")
    words = [word for part in stem[:-1] for word in re.split(r"[-_]", part)]
    codes = {code for word in (*words, path.parent.name) if len(word) in (2, 3) and (code := code_of(word))}
    return codes.pop() if len(codes) == 1 else None


def _item(
    row: Mapping[str, Any], form: ClozeForm, at: str, language: str | None, number: int
) -> ParallelItem:
    told = next((str(row[name]) for name in LANGUAGES if row.get(name) is not None), language)
    if told is None:
        raise ValueError(
            f"{at}: no language: no field {' or '.join(LANGUAGES)}, and no single code in the name of file or folder"
        )
    code = checked_code(told, at)
    own_id = next((str(row[name]) for name in IDS if row.get(name) is not None), None)
    key = str(number) if own_id is None else key_without(own_id, {told.lower(), code})
    try:
        variant, fields, choices, answer = form.item(row)
    except ValueError as error:
        raise ValueError(f"{at}: {error}") from error
    return ParallelItem(key, code, variant, fields, choices, answer)


def key_without(own_id: str, codes: set[str]) -> str:
    """An id but for the part that is the language's code."""
    parts = re.split(r"([-_./])", own_id)
    kept = [part for part in parts if part.lower() not in codes]
    return re.sub(r"([-_./])[-_./]+", r"\1", "".join(kept)).strip("-_./")


def in_fixed_order(keys: set[str], salt: str) -> list[str]:
    """Keys in an order that looks random and depends on nothing but them and the salt."""
    return sorted(keys, key=lambda key: sha256(f"{salt} {key}".encode()).digest())

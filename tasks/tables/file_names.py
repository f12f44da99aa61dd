"""What a folder's JSONL files are called as sources and tasks: names that are legal, readable and stable."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path

from tasks.tables.json_lines import JSONL_SUFFIXES

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"  # of all that is called by name and kept in a file of it
DIGEST_CHARACTERS = 8


def named_files(folder: Path, setting: str, max_characters: int) -> dict[str, Path]:
    """A folder's JSONL files by the name that each gets, sorted by it; hidden files do not count.

    setting: what the folder is called in the settings. Raises ValueError for a folder that is missing or cannot
    be listed, and for two files that get the same name.
    """
    try:
        if not folder.is_dir():
            raise ValueError(f"{setting}={folder}: no such folder; name one with {suffixes()} files")
        files = [p for p in folder.iterdir() if p.name.endswith(JSONL_SUFFIXES) and p.is_file()]
    except OSError as error:
        raise ValueError(f"{setting}={folder}: cannot be listed: {error.strerror or error}") from error
    named: dict[str, Path] = {}
    for path in sorted(p for p in files if not p.name.startswith(".")):
        name = name_of_file(path, max_characters)
        if name in named:
            raise ValueError(
                f"{setting}={folder}: {named[name].name} and {path.name} both get the name {name!r}; "
                "rename or remove one"
            )
        named[name] = path
    return dict(sorted(named.items()))


def name_of_file(path: Path, max_characters: int) -> str:
    """The file's name without its suffix, where that is a legal name; otherwise the nearest one.

    Accents go, and what is neither an ASCII letter or digit nor one of "_.-" becomes "-". Where letters that
    have no ASCII form or the end of a long name are lost, a digest of the file's name stands for them.
    """
    stem = next(path.name.removesuffix(s) for s in reversed(JSONL_SUFFIXES) if path.name.endswith(s))
    if re.fullmatch(NAME_PATTERN, stem) and len(stem) <= max_characters:
        return stem
    letters = [c for c in unicodedata.normalize("NFKD", stem) if not unicodedata.combining(c)]
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", "".join(letters)).lstrip("_.-").rstrip("-")
    if len(name) <= max_characters and name and not any(c.isalnum() and not c.isascii() for c in letters):
        return name
    same_everywhere = unicodedata.normalize("NFC", stem).encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(same_everywhere).hexdigest()[:DIGEST_CHARACTERS]
    kept = name[: max_characters - DIGEST_CHARACTERS - 1].rstrip("-")
    return f"{kept}-{digest}" if kept else f"file-{digest}"


def suffixes() -> str:
    return ", ".join(JSONL_SUFFIXES)

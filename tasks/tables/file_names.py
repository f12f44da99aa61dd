"""What a folder's JSONL files are called as sources and tasks: names that are legal, readable and stable."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path

from tasks.tables.json_lines import JSONL_SUFFIXES

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"  # of all that is called by name and kept in a file of it
DIGEST_CHARACTERS = 8
ABOUT_A_FOLDER = ("readme", "license", "licence", "changelog")


def named_files(
    folder: Path,
    setting: str,
    max_characters: int,
    endings: Sequence[str] = JSONL_SUFFIXES,
    inside: bool = True,
) -> dict[str, Path]:
    """The files of a folder with such endings by the name that each gets, sorted by it; see `left_out` for the others.

    setting: what the folder is called in the settings. inside: those of sub-folders too. Raises ValueError for a folder
    that is missing or cannot be listed, and for two files that get the same name.
    """
    try:
        if not folder.is_dir():
            raise ValueError(f"{setting}={folder}: no such folder; name one with {', '.join(endings)} files")
        files = [path for path in _seen_files(folder) if _is_read(path, endings)]
    except OSError as error:
        raise ValueError(f"{setting}={folder}: cannot be listed: {error.strerror or error}") from error
    files = [path for path in files if inside or path.parent == folder]
    named: dict[str, Path] = {}
    for path in files:
        name = name_of_file(Path("-".join(path.relative_to(folder).parts)), max_characters, endings)
        if name in named:
            first, second = (one.relative_to(folder) for one in (named[name], path))
            raise ValueError(
                f"{setting}={folder}: {first} and {second} both get the name {name!r}; rename or remove one"
            )
        named[name] = path
    return dict(sorted(named.items()))


def left_out(folder: Path, read: Collection[Path], endings: Sequence[str] = JSONL_SUFFIXES) -> list[str]:
    """The files of a folder that are not among those read, by their place in it, each with the reason."""
    told = []
    for path in _seen_files(folder):
        if path in read:
            continue
        why = (
            "it is in a sub-folder"
            if _is_read(path, endings)
            else f"its ending is none of {', '.join(endings)}"
        )
        why = "it tells of the folder" if path.stem.lower() in ABOUT_A_FOLDER else why
        told.append(f"{path.relative_to(folder)} ({why})")
    return told


def _seen_files(folder: Path) -> list[Path]:
    """The files of a folder and its sub-folders, sorted, without what is hidden or compiled."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(
        path
        for path in found
        if not any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(folder).parts)
    )


def _is_read(path: Path, endings: Sequence[str]) -> bool:
    return path.name.lower().endswith(tuple(endings)) and path.stem.lower() not in ABOUT_A_FOLDER


def name_of_file(path: Path, max_characters: int, endings: Sequence[str] = JSONL_SUFFIXES) -> str:
    """The file's name without its suffix, where that is a legal name; otherwise the nearest one.

    Accents go, and what is neither an ASCII letter or digit nor one of "_.-" becomes "-". Where letters that
    have no ASCII form or the end of a long name are lost, a digest of the file's name stands for them.
    """
    fitting = [ending for ending in endings if path.name.lower().endswith(ending)]
    stem = path.name[: -len(max(fitting, key=len))]
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

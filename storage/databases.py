"""SQLite databases that other tools migrate: made whole under another name, and set aside where they are damaged.

A migration that is cut off, by a kill or a full disk, leaves a file that its tool can neither use nor mend. So it is
never done in the file in use, but in a new one or a copy, which takes its place when it is whole.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from filelock import FileLock

from storage.damage import remove_tree, set_aside
from storage.home import Home
from storage.writing import put_in_place

HEADER = b"SQLite format 3\0"
BESIDE = ("-wal", "-shm", "-journal")
WAIT_SECONDS = 60.0
LEFT_BY_A_MIGRATION = "_alembic_tmp_"
REVISION = re.compile(r"^revision(?:: str)? = \"(\w+)\"", re.MULTILINE)
REVISES = re.compile(r"^down_revision(?:: [^=]+)? = (.+)$", re.MULTILINE)


class Outdated(Exception):
    """A database is whole, and of another version of its tool."""


def newest_revision(package: str, folder: str) -> str:
    """The revision that no other of an installed package's migrations comes after."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    texts = [path.read_text(encoding="utf-8") for path in (Path(spec.origin).parent / folder).glob("*.py")]
    revisions = {found[1] for text in texts if (found := REVISION.search(text))}
    behind = {
        name for text in texts if (found := REVISES.search(text)) for name in re.findall(r"\w+", found[1])
    }
    (newest,) = revisions - behind
    return newest


def have_whole(home: Home, path: Path, revision: str, make: Callable[[Path], None], instead: str) -> bool:
    """See that there is a whole database of this revision; returns whether it is a new one.

    make: makes the file that it is given, or migrates it, to the revision. instead: what a new one holds, for the line
    that is said where the old one is damaged. Call it under a lock of the database.
    """
    fresh = path.with_name(f"{path.stem}.making")
    _remove(fresh)
    outdated = False
    if path.exists():
        try:
            why = damage_of(path, revision)
        except Outdated:
            why, outdated = None, True
        if why is None and not outdated:
            return False
        if why is not None:
            _set_aside(home, path, why, instead)
    else:
        _remove_beside(path)  # of a file that is gone: a new one would be read with them
    if outdated:
        with closing(_connect(path)) as old, closing(_connect(fresh)) as new:
            old.backup(new)
    try:
        make(fresh)
        _close(fresh)
        why = damage_of(fresh, revision)
        assert why is None, why
        if outdated:
            _remove_beside(path)
        put_in_place(fresh, path)
    finally:
        _remove(fresh)
    return not outdated


def damage_of(path: Path, revision: str) -> str | None:
    """What is wrong with a database; None where it is whole or just in use. Raises Outdated."""
    with path.open("rb") as stream:
        if stream.read(len(HEADER)) != HEADER:
            return "it is not an SQLite database"
    try:
        with closing(_connect(path)) as connection:
            (said,) = connection.execute("pragma quick_check(1)").fetchone()
            if said != "ok":
                return " ".join(said.split())
            tables = [name for (name,) in connection.execute("select name from sqlite_master")]
            if any(name.startswith(LEFT_BY_A_MIGRATION) for name in tables):
                return "a migration of it was cut off"
            if "alembic_version" not in tables:
                return "it was not made whole"
            found = [number for (number,) in connection.execute("select version_num from alembic_version")]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return None
        if error.sqlite_errorcode in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise
        return str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    if found == [revision]:
        return None
    if len(found) != 1:
        return "it was not made whole"
    raise Outdated


def _set_aside(home: Home, path: Path, why: str, instead: str) -> None:
    place = set_aside(home, path, why, instead)
    for suffix in BESIDE:
        if _beside(path, suffix).exists():
            shutil.move(_beside(path, suffix), _beside(place, suffix))


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=WAIT_SECONDS)


def _close(path: Path) -> None:
    """Bring what stands in a log beside the file into the file itself."""
    with closing(_connect(path)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
        connection.execute("pragma journal_mode = delete")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _remove_beside(path: Path) -> None:
    for suffix in BESIDE:
        remove_tree(_beside(path, suffix))


def _remove(path: Path) -> None:
    remove_tree(path)
    _remove_beside(path)


def lock_of(home: Home, path: Path) -> FileLock:
    return FileLock(home.locks / f"{path.stem}.lock")

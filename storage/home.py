"""The one folder that holds all state, and the layout inside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PRIVATE = 0o077  # what the mode of a new file lacks
EARLIER = "made by a version without seals"
NOT_IN_PATHS = "?"  # databases are named by URLs
LONGEST_PATH = 450  # bytes: SQLite opens no file whose path is longer than 512
MARK = ".mixstitch"  # in every folder that we made and that `clean` may remove


@dataclass(frozen=True)
class Home:
    """Paths under MIXSTITCH_HOME; nothing is kept anywhere else."""

    root: Path

    @classmethod
    def from_environment(cls) -> Home:
        """The folder named by MIXSTITCH_HOME (default `.mixstitch` here), made if absent.

        From here on this process and those that it starts make files and folders that only their user may read:
        what is made here holds the user's text, and a token while pages are served.

        Raises ValueError where it cannot be made or written.
        """
        home = cls.of_environment()
        root = home.root
        if refused := [character for character in NOT_IN_PATHS if character in str(root)]:
            raise ValueError(
                f"MIXSTITCH_HOME={root}: its path holds {refused[0]!r}, which ends the name of a database; allowed: "
                "any other characters"
            )
        if (length := len(os.fsencode(root))) > LONGEST_PATH:
            raise ValueError(
                f"MIXSTITCH_HOME={root}: its path is {length} bytes long; allowed: at most {LONGEST_PATH}"
            )
        os.umask(PRIVATE)
        try:
            for folder in (home.artifacts, home.work, home.runs, home.locks):
                folder.mkdir(parents=True, exist_ok=True)
            if not home.marker.exists():
                is_earlier = any(home.runs.glob("*/run.json"))
                home.marker.write_text(EARLIER if is_earlier else "", encoding="utf-8")
        except OSError as error:
            raise ValueError(
                f"MIXSTITCH_HOME={root}: cannot be written ({error.strerror}); name a folder you can write to"
            ) from error
        if not os.access(root, os.W_OK | os.X_OK):
            raise ValueError(f"MIXSTITCH_HOME={root}: no write permission; name a folder you can write to")
        return home

    @classmethod
    def of_environment(cls) -> Home:
        """The folder so named, whether it is there or not. Raises ValueError where it is that of no user."""
        named = os.environ.get("MIXSTITCH_HOME") or ".mixstitch"
        try:
            return cls(Path(named).expanduser().resolve())
        except RuntimeError as error:  # there is no such user
            raise ValueError(f"MIXSTITCH_HOME={named}: {error}; name a folder you can write to") from error

    @property
    def marker(self) -> Path:
        """Says that this folder is a home."""
        return self.root / MARK

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def answers(self) -> Path:
        """What models answered, kept across runs."""
        return self.root / "answers"

    @property
    def damaged(self) -> Path:
        """What was found damaged and set aside."""
        return self.root / "damaged"

    @property
    def catalog(self) -> Path:
        return self.root / "catalog.duckdb"

    @property
    def mlflow_database(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.root / "mlflow-artifacts"

    @property
    def prefect(self) -> Path:
        return self.root / "prefect"

    @property
    def prefect_database(self) -> Path:
        return self.prefect / "prefect.db"

    @property
    def ui_record(self) -> Path:
        """Written while `make ui` runs: process, ports."""
        return self.root / "ui.json"

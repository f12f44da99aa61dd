"""Answers of judges by the digest of their question, one JSON line each, on disk as soon as they are there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout


@dataclass(frozen=True)
class Answer:
    """The text; the tokens of prompt and answer; what the endpoint says answered; why it refused to.

    A refused question (its prompt alone is at fault) has no text, and the reason. A likelihood's text is the JSON
    list of the five labels' log-likelihoods.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    served: str = ""
    refused: str = ""

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


def question_key(*parts: object) -> str:
    """The digest of all that an answer depends on (JSON values)."""
    return hashlib.sha256(json.dumps(parts).encode("utf-8")).hexdigest()


class AnswerFile:
    """The answers in a file, which one process at a time has open; another that wants it waits.

    An answer is handed to the operating system before `keep` returns, so that it outlives the process however
    that ends, and to the disk when the file is closed. A line that a kill cut off is dropped when it is opened;
    ValueError naming file and line for any other that is no answer.
    """

    def __init__(self, path: Path, report: Callable[[str], None] = lambda _: None) -> None:
        self.path, self.report = path, report
        self.known: dict[str, Answer] = {}
        self._lock = FileLock(f"{path}.lock")

    def __enter__(self) -> AnswerFile:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            self.report(f"another run is asking the same judge ({self.path}): waiting for it")
            self._lock.acquire()
        try:
            if self.path.exists():
                self._read()
            self._stream = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            os.fsync(self._stream)
        finally:
            os.close(self._stream)
            self._lock.release()

    def get(self, key: str) -> Answer | None:
        return self.known.get(key)

    def keep(self, key: str, answer: Answer) -> None:
        row = {"key": key, "answer": answer.text}
        row |= {name: value for name, value in asdict(answer).items() if name != "text" and value != ""}
        data = (json.dumps(row) + "\n").encode("utf-8")
        written = os.write(self._stream, data)
        if written < len(data):
            raise OSError(
                f"{self.path}: only {written} of {len(data)} bytes could be written: is the disk full?"
            )
        self.known[key] = answer

    def _read(self) -> None:
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with self.path.open("r+b") as stream:
                stream.truncate(whole)
        for number, line in enumerate(data[:whole].splitlines(), 1):
            try:
                row = json.loads(line)
                self.known[str(row["key"])] = Answer(
                    str(row["answer"]),
                    int(row["prompt_tokens"]),
                    int(row["completion_tokens"]),
                    str(row.get("served", "")),
                    str(row.get("refused", "")),
                )
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{self.path}:{number}: no answer of a judge ({error!r}); remove the line or the file"
                ) from error

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

from storage.sealed import SEAL, seal_of
from storage.writing import write_whole

NAMES = {"key", "answer", "prompt_tokens", "completion_tokens", "served", "refused"}


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
    that ends, and to the disk when the file is closed. A line that a kill cut off is dropped when it is opened; any
    other that is not as it was written is set aside in a file beside it, and only its question is asked again.
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
        data = (json.dumps({**row, SEAL: seal_of(row)}) + "\n").encode("utf-8")
        written = os.write(self._stream, data)
        if written < len(data):
            raise OSError(
                f"{self.path}: only {written} of {len(data)} bytes could be written: is the disk full?"
            )
        self.known[key] = answer

    def _read(self) -> None:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return
        lines = data.splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()
        damaged = []
        for line in lines:
            try:
                key, answer = _answer_in(line)
            except (ValueError, KeyError, TypeError):
                damaged.append(line)
            else:
                self.known[key] = answer
        if damaged:
            aside = self.path.with_name(f"{self.path.name}.damaged")
            with aside.open("ab") as stream:
                stream.writelines(damaged)
                stream.flush()
                os.fsync(stream.fileno())
            self.report(
                f"{self.path}: {len(damaged)} lines are damaged: set aside in {aside}, their questions are asked again"
            )
        whole = [line for line in lines if line not in damaged]
        if sum(map(len, whole)) < len(data):
            write_whole(self.path, b"".join(whole).decode("utf-8"))


def _answer_in(line: bytes) -> tuple[str, Answer]:
    """Key and answer of a line. Raises ValueError, KeyError or TypeError where it is not as it was written.

    Lines of earlier versions bear no seal; they have been paid for, and count.
    """
    row = json.loads(line.decode("utf-8"))
    seal = row.pop(SEAL, None)
    if not row.keys() <= NAMES or seal not in (None, seal_of(row)):
        raise ValueError("does not match its seal")
    return str(row["key"]), Answer(
        str(row["answer"]),
        int(row["prompt_tokens"]),
        int(row["completion_tokens"]),
        str(row.get("served", "")),
        str(row.get("refused", "")),
    )

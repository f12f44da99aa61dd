"""Answers that a model gave, kept across runs so that none is asked for twice: append-only files, a folder a model.

A file is written by one process, a line an answer, each with a check of its own. What a kill cut off is left out; a
file with any other damage is set aside, and its answers are asked for again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from storage.artifacts import KEY_CHARACTERS
from storage.damage import set_aside
from storage.fingerprint import digest_value
from storage.home import MARK, Home

Answer = tuple[float, bool]
log = logging.getLogger("mixstitch.storage")


class AnswerStore:
    """What one model has answered, run in one way. model: its artifact's digest; way: whatever else decides answers."""

    def __init__(self, home: Home, model: str, way: dict) -> None:
        self.folder = home.answers / f"{model[:KEY_CHARACTERS]}"
        self._way = digest_value(way)[:KEY_CHARACTERS]
        self._home, self._model = home, model
        self._known: dict[str, Answer] = {}
        self._texts: dict[str, str] = {}
        self._file: IO[bytes] | None = None
        for path in sorted(self.folder.glob(f"{self._way}-*.txt")):
            self._read(path)

    def __len__(self) -> int:
        return len(self._known) + len(self._texts)

    def find(self, question: str) -> Answer | None:
        return self._known.get(question)

    def keep(self, answers: Iterable[tuple[str, Answer]]) -> None:
        """Write answers, in the hands of the operating system on return."""
        kept = dict(answers)
        self._known |= kept
        self._write(f"{question} {value!r} {int(flag)}" for question, (value, flag) in kept.items())

    def find_text(self, question: str) -> str | None:
        return self._texts.get(question)

    def keep_texts(self, texts: Mapping[str, str]) -> None:
        """The same for answers that are texts."""
        self._texts |= texts
        self._write(f"{question} {json.dumps(text)}" for question, text in texts.items())

    def _write(self, lines: Iterable[str]) -> None:
        file = self._opened()
        file.write("".join(f"{line} {zlib.crc32(line.encode()):08x}\n" for line in lines).encode())
        file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> IO[bytes]:
        """A file of this process' own, for several may write answers of the same model."""
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / MARK).write_text(f"answers {self._model}", encoding="utf-8")
            self._file = (self.folder / f"{self._way}-{os.urandom(8).hex()}.txt").open("xb")
        return self._file

    def _read(self, path: Path) -> None:
        whole, _, _ = path.read_bytes().rpartition(b"\n")  # what follows was cut off, or is being written
        found: dict[str, Answer] = {}
        texts: dict[str, str] = {}
        for number, line in enumerate(whole.split(b"\n") if whole else [], 1):
            told, _, check = line.rpartition(b" ")
            question, _, answer = told.partition(b" ")
            parts = answer.split(b" ")
            is_text = answer.startswith(b'"')
            if not (is_text or len(parts) == 2) or check != b"%08x" % zlib.crc32(told):
                set_aside(self._home, path, f"line {number}", "and its answers are asked for again")
                return
            if is_text:
                texts[question.decode()] = json.loads(answer)
            else:
                found[question.decode()] = (float(parts[0]), parts[1] == b"1")
        self._known |= found
        self._texts |= texts


def question_of(tokens: Sequence[int], targets: Sequence[int], kind: str) -> str:
    """What a question is known by: the tokens that are read, those to predict at their end, and the kind of numbers."""
    text = f"{kind}|{','.join(map(str, tokens))}|{','.join(map(str, targets))}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]

"""Runs under torture: killed, damaged, starved, at odds with the clock and the judge; then one in peace, compared.

    make torture [MINUTES=60] [SEED=0]

Prints what was tried, how often all held, and the seed of each failure: SEED=n ROUNDS=1 has it again.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from storage.fingerprint import digest_named
from storage.home import Home
from storage.processes import owned
from tests.chat_server import ChatServer
from tests.torture.comparing_homes import faults, scores_of
from tests.torture.disturbing import DISTURBANCES, ROOT, Place

LABELS = ("Great", "Good", "Okay", "Poor", "Useless")
FAULT_SHARE = 0.3
MOST = 3  # disturbances before the run in peace
EMPTY_HOMES = 0.2  # of the rounds begin without databases and sources


def labelling(prompt: str) -> str:
    """One answer to one prompt, whenever it is asked."""
    return f"So it is.\nFinal Score: {LABELS[hashlib.sha256(prompt.encode()).digest()[0] % len(LABELS)]}"


def recipe(url: str) -> tuple[str, ...]:
    judge = (
        f"{{base_url: {url}, model: m, documents: 4, retries: 12, timeout_seconds: 5, concurrency: 4, "
        "max_answer_tokens: 16}"
    )
    options = ("utility.method=medu", f"utility.medu={judge}", "training.checkpoint_seconds=0.01")
    return ("run", str(ROOT / "tests" / "tiny.yaml"), *(part for o in options for part in ("-o", o)))


class Torture:
    """Rounds of it in one folder, against what a run in peace gave."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.outside = folder, folder / "outside"
        (self.outside / "kept").mkdir(parents=True)
        (self.outside / "kept" / "thesis.txt").write_text("one\n" * 1000, encoding="utf-8")
        self.digest = digest_named(self.outside)
        self.judge = ChatServer(labelling, fault_share=FAULT_SHARE)
        fault = self.judge.fault  # an answer that cannot be read is an answer: it would be another result
        self.judge.fault = lambda prompt: (
            {"unparsable": "500", "hang": "dropped"}.get(  # type: ignore[method-assign]
                found := fault(prompt) or "", found
            )
            or None
        )
        peace = self.place("peace")
        started = time.monotonic()
        assert peace.start().wait() == 0, peace.log.read_text(errors="replace")[-2000:]
        self.usual = time.monotonic() - started
        self.scores = scores_of(peace.home)
        self.asked = len(set(self.judge.log.prompts))

    def place(self, name: str) -> Place:
        return Place(self.folder / name / "home", recipe(self.judge.url), self.log_of(name))

    def log_of(self, name: str) -> Path:
        (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name / "log"

    def round(self, seed: int) -> list[str]:
        """One round; returns what befell, and at its end what did not hold."""
        draw, place = random.Random(seed), self.place(f"round-{seed}")
        if draw.random() > EMPTY_HOMES:
            self._begin_with_sources(place.home)
        (place.home / "work").mkdir(parents=True, exist_ok=True)
        (place.home / "work" / "link").symlink_to(self.outside)
        told = []
        for disturb in draw.choices(DISTURBANCES, k=draw.randint(1, MOST)):
            told.append(disturb(place, draw, self.usual / 2))
        status = place.start().wait()
        if status != 0:
            tail = place.log.read_text(errors="replace")[-1500:]
            return [*told, f"FAILED: the run in peace ended with {status}: {tail}"]
        wrong = faults(place.home, self.scores, self.outside, self.digest)
        if (answers := len(set(self.judge.log.prompts))) != self.asked:
            wrong.append(f"the judge was asked {answers} questions, not {self.asked}")
        if "Traceback (most recent call last)" in place.log.read_text(errors="replace"):
            told.append("(a traceback was printed)")
        return [*told, *(f"FAILED: {fault}" for fault in wrong)]

    def _begin_with_sources(self, home: Path) -> None:
        peace = self.folder / "peace" / "home"
        for name in ("artifacts/sources", "prefect"):
            shutil.copytree(peace / name, home / name)
        for name in ("mlflow.db", ".mixstitch"):
            shutil.copy(peace / name, home / name)

    def end(self, seed: int) -> None:
        home = Home(self.folder / f"round-{seed}" / "home")
        for process, _ in owned(home):
            process.kill()
        self.judge.attempts.clear()


def main(minutes: float, first: int, rounds: int) -> int:
    survived, tried, failed = 0, 0, []
    with tempfile.TemporaryDirectory(prefix="torture") as folder:
        torture = Torture(Path(folder))
        print(f"a run in peace takes {torture.usual:.0f} s; {len(torture.scores)} scores", flush=True)
        deadline = time.monotonic() + 60 * minutes
        for seed in range(first, first + rounds):
            if time.monotonic() > deadline:
                break
            try:
                told = torture.round(seed)
            except Exception:
                told = [f"FAILED: {traceback.format_exc()}"]
            tried += 1
            wrong = [line for line in told if line.startswith("FAILED")]
            survived += not wrong
            failed += [seed] if wrong else []
            print(f"seed {seed}: {'; '.join(told)}", flush=True)
            torture.end(seed)
            shutil.rmtree(torture.folder / f"round-{seed}", ignore_errors=not wrong)
        torture.judge.close()
    print(f"tried {tried}, survived {survived}; seeds that failed: {failed or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    asked = {
        name: float(os.environ.get(name) or usual)
        for name, usual in (("MINUTES", 5), ("SEED", 0), ("ROUNDS", 1e6))
    }
    sys.exit(main(asked["MINUTES"], int(asked["SEED"]), int(asked["ROUNDS"])))

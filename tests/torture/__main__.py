"""Runs under torture: killed, damaged, starved, at odds with the clock and the judge; then one in peace, compared.

    make torture [MINUTES=60] [SEED=0]

Prints what was tried, how often all held, and the seed of each failure: SEED=n ROUNDS=1 has it again.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from storage.fingerprint import digest_named
from storage.home import Home
from storage.processes import owned
from tests.torture.comparing_homes import faults, scores_of
from tests.torture.disturbing import CONCURRENCY, DISTURBANCES, ROOT, Place, tracebacks
from tests.torture.failing_judge import FailingJudge
from tests.torture.small_disk import SmallDisk

MOST = 8  # disturbances before the run in peace
EMPTY_HOMES = 0.2  # of the rounds begin without databases and sources


def recipe(url: str) -> tuple[str, ...]:
    judge = (
        f"{{base_url: {url}, model: m, documents: 4, retries: 12, timeout_seconds: 2, "
        f"concurrency: {CONCURRENCY}, max_answer_tokens: 16}}"
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
        self.judge = FailingJudge()
        self.tally: Counter[tuple[str, str]] = Counter()
        peace = self.place("peace")
        started = time.monotonic()
        assert peace.start().wait() == 0, peace.log.read_text(errors="replace")[-2000:]
        self.usual = time.monotonic() - started
        self.scores = scores_of(peace.home)
        self.answered = set(self.judge.log.answered)
        assert self.judge.log.asked_again == []

    def place(self, name: str) -> Place:
        folder = self.folder / name
        (folder / "home").mkdir(parents=True)
        disk = SmallDisk.made(folder / "home") if name != "peace" else None
        return Place(folder / "home", recipe(self.judge.url), folder / "log", self.judge, disk)

    def round(self, seed: int) -> list[str]:
        """One round; returns what befell, and at its end what did not hold."""
        draw, place = random.Random(seed), self.place(f"round-{seed}")
        try:
            self.judge.round = seed
            return self._round(draw, place)
        finally:
            for process, _ in owned(Home(place.home)):
                process.kill()
            if place.disk is not None:
                place.disk.remove()

    def _round(self, draw: random.Random, place: Place) -> list[str]:
        self.judge.forget()
        if draw.random() > EMPTY_HOMES:
            self._begin_with_sources(place.home)
        (place.home / "work").mkdir(parents=True, exist_ok=True)
        (place.home / "work" / "link").symlink_to(self.outside)
        told, kinds, wrong = [], [], []
        for disturb in draw.choices(DISTURBANCES, k=draw.randint(1, MOST)):
            kinds.append(disturb.__name__)
            try:
                told.append(disturb(place, draw, self.usual / 4))
            except AssertionError as error:
                wrong.append(str(error))
        status = place.start().wait()
        log = place.log.read_text(errors="replace")
        if status != 0:
            wrong.append(f"the run in peace ended with {status}: {log[-1500:]}")
        else:
            wrong += faults(place.home, self.scores, self.outside, self.digest)
            wrong += self._judged(place)
        wrong += [f"a traceback was printed: {one[:300]} ... {one[-600:]}" for one in tracebacks(log)]
        for kind in kinds:
            self.tally[kind, "failed" if wrong else "survived"] += 1
        return [*told, *(f"FAILED: {fault}" for fault in wrong)]

    def _judged(self, place: Place) -> list[str]:
        """Every document was judged, and again only where an answer was on its way as its run ended."""
        log = self.judge.log
        found = []
        if (answered := set(log.answered)) != self.answered:
            found.append(f"the judge answered {len(answered)} questions, not {len(self.answered)}")
        most = CONCURRENCY * sum(process.returncode != 0 for process in place.started)
        if len(log.asked_again) > most and not place.damaged:
            found.append(
                f"{len(log.asked_again)} questions were asked again, of which {most} may have been lost"
            )
        return found

    def _begin_with_sources(self, home: Path) -> None:
        peace = self.folder / "peace" / "home"
        for name in ("artifacts/sources", "prefect"):
            shutil.copytree(peace / name, home / name)
        for name in ("mlflow.db", ".mixstitch"):
            shutil.copy(peace / name, home / name)

    def table(self) -> str:
        rows = ["| what befell | in rounds | survived |", "|---|---|---|"]
        for kind in dict.fromkeys(one.__name__ for one in DISTURBANCES):
            survived, failed = self.tally[kind, "survived"], self.tally[kind, "failed"]
            rows.append(f"| {kind.replace('_', ' ')} | {survived + failed} | {survived} |")
        ways = ", ".join(f"{number} {name}" for name, number in sorted(self.judge.total.items()))
        return "\n".join(
            [*rows, "", f"The judge failed {self.judge.share:.0%} of {self.judge.asked} calls: {ways}"]
        )


def main(minutes: float, first: int, rounds: int) -> int:
    survived, tried, failed = 0, 0, []
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture") as folder:
        torture = Torture(Path(folder))
        print(f"a run in peace takes {torture.usual:.0f} s; {len(torture.scores)} scores", flush=True)
        for seed in range(first, first + rounds):
            if time.monotonic() - begun > 60 * minutes:
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
            shutil.rmtree(torture.folder / f"round-{seed}", ignore_errors=True)
        torture.judge.close()
        print(torture.table())
    taken = (time.monotonic() - begun) / 60
    befell = torture.tally.total()
    well = sum(count for (_, ended), count in torture.tally.items() if ended == "survived")
    print(
        f"rounds tried {tried}, survived {survived}; disturbances {befell}, of them in rounds that survived {well}; "
        f"{taken:.0f} min; seeds that failed: {failed or 'none'}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    asked = {
        name: float(os.environ.get(name) or usual)
        for name, usual in (("MINUTES", 5), ("SEED", 0), ("ROUNDS", 1e6))
    }
    sys.exit(main(asked["MINUTES"], int(asked["SEED"]), int(asked["ROUNDS"])))

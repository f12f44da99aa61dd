"""Steps over a corpus in this process or in several: `python -m tasks.sources.shard_workers` is one of those.

A worker reads a job a line and answers a result a line. Its input ends when the process that started it does, however
that ended, and the worker with it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Any

from tasks.sources.shard_steps import STEPS, Job

ONE_THREAD = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
END_SECONDS = 5.0


class Workers:
    """So many processes, started when there is first something to share out; with 1 all is done in this one."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._idle: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()
        self._started: list[subprocess.Popen[str]] = []
        self._lock = threading.Lock()
        self._ended = False

    def each(self, step: str, jobs: Sequence[Job]) -> Iterator[Job]:
        """The result of a step for every job, in the order of the jobs.

        What a step raises is raised here, that of the first of the jobs where several do; RuntimeError where a worker
        was killed.
        """
        if self.count == 1 or len(jobs) < 2:
            yield from map(STEPS[step], jobs)
            return
        with ThreadPoolExecutor(min(self.count, len(jobs))) as threads:
            futures = [threads.submit(self._ask, step, job) for job in jobs]
            try:
                for future in futures:
                    yield future.result()
            except GeneratorExit:  # nobody wants the rest
                threads.shutdown(cancel_futures=True)
                raise
            except BaseException:
                self._end()
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _ask(self, step: str, job: Job) -> Job:
        worker = self._worker()
        assert worker.stdin is not None and worker.stdout is not None
        try:
            worker.stdin.write(json.dumps([step, job]) + "\n")
            worker.stdin.flush()
            answer = worker.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(
                f"sources: a worker process was ended from outside (exit status {worker.wait()}) in {step}; where "
                "memory is short: fewer sources.workers"
            )
        self._idle.put(worker)
        return _result(json.loads(answer))

    def _worker(self) -> subprocess.Popen[str]:
        with suppress(queue.Empty):
            return self._idle.get_nowait()
        with self._lock:
            if self._ended:
                raise RuntimeError("sources: the workers have ended")
            worker = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            self._started.append(worker)
        return worker

    def _end(self) -> None:
        with self._lock:
            self._ended = True
        for worker in self._started:
            worker.terminate()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *ended: object) -> None:
        self._end()
        for worker in self._started:
            try:
                worker.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                assert pipe is not None
                with suppress(BrokenPipeError):
                    pipe.close()


def _result(answer: dict[str, Any]) -> Job:
    match answer:
        case {"result": result}:
            return result
        case {"refused": message}:
            raise ValueError(message)
        case {"errno": number, "message": message, "file": file}:
            raise OSError(number, message, file)
    raise RuntimeError(f"sources: a worker process failed: {answer['failure']}")


def answer_to(step: str, job: Job) -> dict[str, Any]:
    """What a worker writes for a job: its result, or what it raised."""
    try:
        return {"result": STEPS[step](job)}
    except OSError as error:
        return {"errno": error.errno, "message": error.strerror or str(error), "file": error.filename}
    except ValueError as error:
        return {"refused": str(error)}
    except Exception as error:
        return {"failure": f"{type(error).__name__}: {error}"}


def serve(jobs: Iterable[str], answers: IO[str]) -> None:
    """Answer jobs until their stream ends, and then end this process, whatever it is doing."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in jobs:
            waiting.put(line)
        os._exit(0)

    threading.Thread(target=listen, name="listening", daemon=True).start()
    while True:
        step, job = json.loads(waiting.get())
        answers.write(json.dumps(answer_to(step, job)) + "\n")
        answers.flush()


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; who started this one ends it
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(
        sys.stderr.fileno(), sys.stdout.fileno()
    )  # so that nothing that a library prints is taken for an answer
    serve(sys.stdin, answers)


if __name__ == "__main__":
    _main()

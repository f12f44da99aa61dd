"""Questions to an OpenAI-compatible endpoint, each answer kept on disk as soon as it is there.

The answers of one experiment are lines of answers.jsonl in a progress folder, under a digest of model, prompt
and sampling settings; a question that has its answer there is not asked again, by whichever run.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.utility.settings import MeduSettings

REPORTS = 20
USAGE = ("prompt_tokens", "completion_tokens")


@dataclass(frozen=True)
class Answer:
    """The text, and the tokens of prompt and answer as the endpoint counted them (0: it does not say)."""

    text: str
    prompt_tokens: int
    completion_tokens: int


class Endpoint:
    """Asks a model, several questions at a time, and remembers. Counts what it asked and what it had."""

    def __init__(self, settings: MeduSettings, progress: Path, report: Callable[[str], None]) -> None:
        import openai

        self.settings, self.report = settings, report
        self.key = os.environ.get(settings.api_key_variable, "")
        self.client = openai.OpenAI(
            base_url=settings.base_url,
            api_key=self.key or "none",
            timeout=settings.timeout_seconds,
            max_retries=settings.retries,
        )
        self.answers = AnswerFile(progress / "answers.jsonl")
        self.asked = self.remembered = 0
        self.used = dict.fromkeys(USAGE, 0)

    def ask_all(self, prompts: Sequence[str], what: str) -> list[str]:
        """The answers in the order of the prompts. Raises ValueError as soon as a question fails for good."""
        begin, done, texts = time.monotonic(), 0, [""] * len(prompts)
        every = max(len(prompts) // REPORTS, 1)
        pool = ThreadPoolExecutor(self.settings.concurrency, thread_name_prefix="medu")
        try:
            waiting: dict[Future[tuple[Answer, bool]], int] = {}
            upcoming = iter(enumerate(prompts))
            while True:
                while len(waiting) < 2 * self.settings.concurrency and (following := next(upcoming, None)):
                    waiting[pool.submit(self._answer, following[1])] = following[0]
                if not waiting:
                    return texts
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    answer, remembered = future.result()
                    texts[waiting.pop(future)] = answer.text
                    self._count(answer, remembered)
                    done += 1
                    if done % every == 0 or done == len(prompts):
                        self.report(_progress(what, done, len(prompts), time.monotonic() - begin))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _count(self, answer: Answer, remembered: bool) -> None:
        self.remembered += remembered
        self.asked += not remembered
        for name in USAGE:
            self.used[name] += getattr(answer, name)

    def _answer(self, prompt: str) -> tuple[Answer, bool]:
        key = self._digest(prompt)
        known = self.answers.get(key)
        if known is not None:
            return known, True
        answer = self._ask(prompt)
        self.answers.keep(key, answer)
        return answer, False

    def _digest(self, prompt: str) -> str:
        asked = [self.settings.model, self.settings.temperature, self.settings.max_answer_tokens, prompt]
        return hashlib.sha256(json.dumps(asked).encode("utf-8")).hexdigest()

    def _ask(self, prompt: str) -> Answer:
        import openai
        from openai.types.chat import ChatCompletion

        settings = self.settings
        try:
            reply: Any = self.client.chat.completions.create(
                model=settings.model,
                messages=[{"role": "user", "content": prompt}],
                temperature=settings.temperature,
                max_tokens=settings.max_answer_tokens,
            )
        except openai.APITimeoutError as error:
            raise self._failure(f"no answer in {settings.timeout_seconds:g} s") from error
        except openai.APIConnectionError as error:
            raise self._failure(f"cannot be reached ({error.__cause__ or error})") from error
        except openai.APIStatusError as error:
            raise self._failure(f"answered with status {error.status_code} ({error.message})") from error
        except (openai.OpenAIError, ValueError) as error:
            raise self._failure(f"answered with something else than JSON ({error})") from error
        if not isinstance(reply, ChatCompletion) or not reply.choices:
            raise self._failure(f"did not answer with a chat completion but with {str(reply)[:80]!r}")
        text = reply.choices[0].message.content if reply.choices[0].message else None
        if not isinstance(text, str):
            raise self._failure("answered with a chat completion without text")
        used = [getattr(reply.usage, name, None) or 0 for name in USAGE]
        return Answer(text, *used)

    def _failure(self, what: str) -> ValueError:
        settings = self.settings
        told = what.replace(self.key, "***") if self.key else what
        key = (
            f"the key in {settings.api_key_variable}"
            if self.key
            else f"no key ({settings.api_key_variable} unset)"
        )
        return ValueError(
            f"utility.medu.base_url={settings.base_url}: {' '.join(told.split())[:300]}; tried POST "
            f"{settings.base_url.rstrip('/')}/chat/completions with model {settings.model!r} and {key}, up "
            f"to {settings.retries + 1} times, {settings.timeout_seconds:g} s each; it must be a running "
            "server that speaks OpenAI's chat completions. Answers so far are kept"
        )


class AnswerFile:
    """Answers by digest, one JSON line each, appended and flushed at once."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, threading.Lock()
        self.known: dict[str, Answer] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._read()

    def _read(self) -> None:
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):  # A line that a kill cut off: its question is asked again.
            with self.path.open("r+b") as stream:
                stream.truncate(whole)
        for number, line in enumerate(data[:whole].splitlines(), 1):
            try:
                row = json.loads(line)
                self.known[row["key"]] = Answer(row["answer"], *(int(row[name]) for name in USAGE))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{self.path}:{number}: no answer of an endpoint ({error!r}); remove the line or the file"
                ) from error

    def get(self, key: str) -> Answer | None:
        with self.lock:
            return self.known.get(key)

    def keep(self, key: str, answer: Answer) -> None:
        row = {"key": key, "answer": answer.text} | {name: getattr(answer, name) for name in USAGE}
        with self.lock, self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
            stream.flush()
            self.known[key] = answer


def _progress(what: str, done: int, total: int, seconds: float) -> str:
    rate = done / max(seconds, 1e-9)
    left = (total - done) / rate
    return f"{what}: {done:,}/{total:,}, {rate:.1f}/s, {left / 60:.1f} min left"

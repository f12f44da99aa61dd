"""Questions to an OpenAI-compatible endpoint: so many at a time, retried, each answer kept before the next is asked.

A question is identified by who answers (model and revision; without a revision model and URL), the sampling
settings and the prompt. One that has its answer is not asked again, by whichever run. A kill loses at most the
answers on their way: no worker asks anything before its last answer is on disk.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tasks.utility.medu.answers import Answer, AnswerFile, question_key
from tasks.utility.medu.exchange import UnfitReplyError, connect
from tasks.utility.medu.prompting import Prompter
from tasks.utility.medu.retrying import LONGEST_WAIT, PROMPT_AT_FAULT, asked_wait, is_transient, wait_before
from tasks.utility.medu.settings import MeduSettings
from tasks.utility.medu.spending import Spending

if TYPE_CHECKING:
    from openai import AsyncOpenAI

REPORTS = 20


class TransientError(Exception):
    """A request that may succeed when made again; the seconds that the server asks to wait."""

    def __init__(self, kind: str, what: str, asked: float | None = None) -> None:
        super().__init__(what)
        self.kind, self.asked = kind, asked


class Endpoint:
    """Asks a model and remembers. Counts requests, failures by kind, and tokens."""

    def __init__(
        self,
        settings: MeduSettings,
        prompter: Prompter,
        answers: AnswerFile,
        spending: Spending,
        report: Callable[[str], None],
    ) -> None:
        self.settings, self.prompter, self.answers, self.report = settings, prompter, answers, report
        self.spending = spending
        settings.check_key()
        self.key = os.environ.get(settings.api_key_variable or "", "")
        self.failures: Counter[str] = Counter()

    def ask_all(
        self, prompt_of: Callable[[int], str], count: int, what: str, refusable: bool = False
    ) -> list[Answer | None]:
        """Answers to prompts 0 to count - 1, in their order; None from where the token budget ended on.

        refusable: a prompt that the endpoint refuses for its own content has an Answer with the reason. Raises
        ValueError as soon as a question fails for good.
        """
        return _run(self._ask_all(prompt_of, count, what, refusable))

    async def _ask_all(
        self, prompt_of: Callable[[int], str], count: int, what: str, refusable: bool
    ) -> list[Answer | None]:
        most = min(self.settings.concurrency, max(count, 1))
        begin, done = time.monotonic(), 0
        found: list[Answer | None] = [None] * count
        upcoming = iter(range(count))
        every = max(count // REPORTS, 1)
        turn, settled = asyncio.Lock(), asyncio.Event()
        under_way: dict[str, asyncio.Future[Answer]] = {}
        spending = self.spending

        async def work(client: AsyncOpenAI) -> None:
            nonlocal done
            while True:
                async with turn:  # so that the budget is given out in the order of the questions
                    index = next(upcoming, None)
                    if index is None or spending.exhausted:
                        return
                    prompt = prompt_of(index)
                    key = self._digest(prompt)
                    known, twin = self.answers.get(key), under_way.get(key)
                    bound = (
                        0 if twin or spending.most is None else spending.bound(key, self._most(known, prompt))
                    )
                    while not spending.fits(bound):
                        if spending.reserved == 0:
                            spending.exhausted = True
                            return
                        settled.clear()
                        await settled.wait()
                    spending.reserved += bound
                    if twin is None:
                        under_way[key] = asyncio.get_running_loop().create_future()
                if twin is not None:
                    answer = await twin
                else:
                    answer = known or await self._ask(client, prompt, key, refusable)
                    under_way.pop(key).set_result(answer)
                spending.reserved -= bound
                counted = None if spending.most is None else self._counted(prompt, answer)
                spending.use(key, answer, remembered=bool(known or twin), counted=counted)
                settled.set()
                found[index] = answer
                done += 1
                if done % every == 0 or done == count:
                    self.report(_progress(what, done, count, time.monotonic() - begin))

        async with connect(self.settings, most, self.key) as client:
            workers = [asyncio.create_task(work(client)) for _ in range(most)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        return found

    def _most(self, known: Answer | None, prompt: str) -> int:
        """Tokens that a question may cost."""
        return self._counted(prompt, known) if known else self.prompter.bound(prompt)

    def _counted(self, prompt: str, answer: Answer) -> int:
        """What an answer costs of the budget: the prompt by our count, the answer within what was reserved for it."""
        measure = self.prompter.measure
        written = max(measure.count(answer.text), answer.completion_tokens)
        return measure.count(prompt) + measure.overhead + min(written, self.settings.max_answer_tokens)

    def _digest(self, prompt: str) -> str:
        s = self.settings
        return question_key(*answerer(s), s.temperature, s.max_answer_tokens, prompt)

    async def _ask(self, client: AsyncOpenAI, prompt: str, key: str, refusable: bool) -> Answer:
        attempts = self.settings.retries + 1
        for attempt in range(1, attempts + 1):
            try:
                answer = await self._request(client, prompt, refusable)
            except TransientError as error:
                self.failures[error.kind] += 1
                if attempt == attempts:
                    raise self._failure(str(error)) from error
                if error.asked is not None and error.asked > LONGEST_WAIT:
                    raise self._failure(
                        f"{error}; it asks to wait {error.asked:,.0f} s, and at most {LONGEST_WAIT:,.0f} s are waited"
                    ) from error
                await asyncio.sleep(wait_before(attempt, error.asked))
            else:
                # Nothing between the answer and the disk: here a kill would lose what has been paid for.
                self.answers.keep(key, answer)
                return answer
        raise AssertionError("the last attempt returns or raises")

    async def _request(self, client: AsyncOpenAI, prompt: str, refusable: bool) -> Answer:
        import openai

        settings = self.settings
        try:
            async with asyncio.timeout(settings.timeout_seconds):  # the whole of it, also where bytes trickle
                reply: Any = await client.chat.completions.create(
                    model=settings.model,
                    messages=[{"role": "user", "content": prompt}],
                    temperature=settings.temperature,
                    max_tokens=settings.max_answer_tokens,
                )
        except UnfitReplyError as error:
            raise TransientError("unfit", str(error)) from error
        except (openai.APITimeoutError, TimeoutError) as error:
            raise TransientError("timeout", f"no answer in {settings.timeout_seconds:g} s") from error
        except openai.APIConnectionError as error:
            raise TransientError("connection", f"cannot be reached ({error.__cause__ or error})") from error
        except openai.APIStatusError as error:
            told = f"answered with status {error.status_code} ({error.message})"
            if error.response.is_redirect:
                told += "; no redirect is followed: name the server that answers itself"
            if is_transient(error.status_code):
                raise TransientError(
                    str(error.status_code), told, asked_wait(error.response.headers)
                ) from error
            if refusable and error.status_code in PROMPT_AT_FAULT:
                self.failures["refused"] += 1
                return Answer("", 0, 0, refused=self._masked(told))
            raise self._failure(told) from error
        except (openai.OpenAIError, ValueError) as error:
            raise TransientError("not JSON", f"answered with something else than JSON ({error})") from error
        return self._read(reply, prompt)

    def _read(self, reply: Any, prompt: str) -> Answer:
        """The answer in a reply; tokens that the endpoint does not state, or cannot have counted, are counted here."""
        from openai.types.chat import ChatCompletion

        if not isinstance(reply, ChatCompletion) or not reply.choices or not reply.choices[0].message:
            raise TransientError(
                "no completion", f"did not answer with a chat completion but with {str(reply)[:80]!r}"
            )
        text = reply.choices[0].message.content
        text = text if isinstance(text, str) else ""  # a refusal, or all tokens went into thinking
        measure, s = self.prompter.measure, self.settings
        stated: list[Any] = [
            getattr(reply.usage, name, None) for name in ("prompt_tokens", "completion_tokens")
        ]
        possible = [
            range(measure.least(prompt), max(s.context_tokens, measure.count(prompt) + measure.overhead) + 1),
            range(measure.least(text), max(s.max_answer_tokens, measure.count(text)) + 1),
        ]
        if all(
            type(number) is int and number in among for number, among in zip(stated, possible, strict=True)
        ):
            used = stated
        else:
            used = [measure.count(prompt) + measure.overhead, measure.count(text)]
            self.spending.counted_here += 1
        served = " ".join(filter(None, (reply.model, getattr(reply, "system_fingerprint", None))))
        return Answer(text, used[0], used[1], served=served)

    def _masked(self, text: str) -> str:
        masked = text.replace(self.key, "***") if self.key else text
        return " ".join(masked.split())[:300]

    def _failure(self, what: str) -> ValueError:
        settings = self.settings
        key = (
            f"the key in {settings.api_key_variable}"
            if self.key
            else f"no key ({settings.api_key_variable or 'api_key_variable'} is not set)"
        )
        return ValueError(
            f"utility.medu.base_url={settings.base_url}: {self._masked(what)}; tried POST "
            f"{settings.base_url.rstrip('/')}/chat/completions with model {settings.model!r} and {key}, up "
            f"to {settings.retries + 1} times, {settings.timeout_seconds:g} s each; it must be a running "
            "server that speaks OpenAI's chat completions. Answers so far are kept"
        )


def answerer(settings: MeduSettings) -> tuple[str, str]:
    """Who answers: model and revision where one is named, else model and URL."""
    return settings.model, settings.revision or settings.base_url


def _run(work: Coroutine[Any, Any, list[Answer | None]]) -> list[Answer | None]:
    """Run to its end, in a thread of its own where this one has an event loop (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1, thread_name_prefix="medu") as thread:
        return thread.submit(asyncio.run, work).result()


def _progress(what: str, done: int, total: int, seconds: float) -> str:
    rate = done / max(seconds, 1e-9)
    left = (total - done) / rate
    return f"{what}: {done:,}/{total:,}, {rate:.1f}/s, {left / 60:.1f} min left"
